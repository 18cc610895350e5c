"""Quantities as users write them (`25GeV`, `1:100GeV`, `2 mm`), turned into MeV, mm, rad, ns and g/cm3."""

from __future__ import annotations

__all__ = [
    "MOST_AT_ONCE",
    "MOST_SEED",
    "MOST_SHOWERS",
    "MOST_WORKERS",
    "Interval",
    "Spectrum",
    "angle",
    "birks",
    "check_whole",
    "density",
    "energy",
    "length",
    "light_yield",
    "time",
]

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import hepunits

from caloforge.errors import QuantityError, nearest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# hepunits' own base is MeV, mm, rad, ns: the units of this package.
_UNITS = {
    "energy": {name: getattr(hepunits, name) for name in ("eV", "keV", "MeV", "GeV", "TeV")},
    "time": {name: getattr(hepunits, name) for name in ("ps", "ns", "us", "ms")},
    "length": {"um": hepunits.micrometer, "mm": hepunits.mm, "cm": hepunits.cm, "m": hepunits.m},
    "angle": {"rad": hepunits.rad, "mrad": hepunits.mrad, "deg": hepunits.deg},
    # Densities stay in g/cm3, as every table of materials and Geant4's users have them.
    "density": {"g/cm3": 1.0, "kg/m3": 1e-3},
    "Birks constant": {"mm/MeV": 1.0, "cm/MeV": 10.0, "um/MeV": 1e-3},
    "light yield": {"/MeV": 1.0, "/keV": 1e3, "/GeV": 1e-3},
}
_MOST = 1e30  # of any unit; files hold float32, where 3e38 ends the numbers
_ENERGIES = 1e-6, 1e12  # MeV of an incident particle: 1 eV to 1 EeV

MOST_SEED = 2**63 - 1
"""Beyond, numpy and torch take other seeds than those given, or none."""
MOST_SHOWERS = 10**9
"""Of one file; more are several files of different seeds."""
MOST_WORKERS = 1024
"""Processes or threads."""
MOST_AT_ONCE = 2**20
"""Showers of a batch."""

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_QUANTITY = re.compile(rf"\s*({_NUMBER})\s*([A-Za-z/][\w/]*)?\s*")


def energy(text: str, where: str | None = None) -> float:
    """Return an energy in MeV, e.g. `energy("25GeV") == 25000.0`."""
    return _quantity(text, "energy", where)


def length(text: str, where: str | None = None) -> float:
    """Return a length in mm."""
    return _quantity(text, "length", where)


def angle(text: str, where: str | None = None) -> float:
    """Return an angle in rad."""
    return _quantity(text, "angle", where)


def density(text: str, where: str | None = None) -> float:
    """Return a density in g/cm3."""
    return _quantity(text, "density", where)


def birks(text: str, where: str | None = None) -> float:
    """Return Birks' constant in mm/MeV."""
    return _quantity(text, "Birks constant", where)


def light_yield(text: str, where: str | None = None) -> float:
    """Return a light yield in photoelectrons per MeV."""
    return _quantity(text, "light yield", where)


def time(text: str, where: str | None = None) -> float:
    """Return a time in ns."""
    return _quantity(text, "time", where)


def check_whole(value: int, where: str, least: int, most: int) -> None:
    """Refuse a number of something, or a seed, that is out of range.

    Raises:
        QuantityError: It is less than `least` or more than `most`.
    """
    if not least <= value <= most:
        raise QuantityError(
            "this number is out of range", where=where, got=value, expected=f"{least} to {most:,}"
        )


def _quantity(text: object, kind: str, where: str | None) -> float:
    units = _UNITS[kind]
    example = f"an {kind}" if kind[0] in "ae" else f"a {kind}"
    expected = f"{example} with its unit ({', '.join(units)})"
    match = _QUANTITY.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        number_only = isinstance(text, int | float) and not isinstance(text, bool)
        problem = f"{text} has no unit" if number_only else f"{text!r} is not {example}"
        ours = next(unit for unit, size in units.items() if size == 1)
        cure = f"write {text} {ours}, for example" if number_only else None
        raise QuantityError(problem, where=where, got=repr(text), expected=expected, cure=cure)
    number, unit = match.groups()
    if unit is None:
        raise QuantityError(f"{text!r} has no unit", where=where, got=repr(text), expected=expected)
    if unit not in units:
        raise QuantityError(
            f"{unit!r} is not a unit of {kind}",
            where=where,
            got=repr(text),
            expected=expected,
            near=nearest(unit, units),
        )
    value: float = float(number) * units[unit]
    if not abs(value) <= _MOST:
        raise QuantityError(f"{text!r} is too large a number", where=where, got=text, expected=expected)
    return value


def _with_unit_of_last(text: object, separator: str) -> Sequence[object]:
    """Split `1:100GeV` into `1GeV`, `100GeV`: one unit at the end serves all numbers before it."""
    if not isinstance(text, str):
        return [text]  # from Python; refused where it is read
    parts = [part.strip() for part in text.split(separator)]
    unit = re.sub(rf"^\s*{_NUMBER}\s*", "", parts[-1])
    return [part + unit if re.fullmatch(_NUMBER, part) else part for part in parts]


@dataclass(frozen=True)
class Interval:
    """A fixed value or a uniform range of one quantity, `low == high` when fixed (mm or rad).

    Example:
        >>> Interval.parse("-2:2mm", "length")
        Interval(low=-2.0, high=2.0)
    """

    low: float
    high: float

    @classmethod
    def parse(cls, text: str, kind: str, where: str | None = None) -> Interval:
        """Read `30deg` or `0:30deg`; `kind` is "length", "angle" or "energy"."""
        ends = [_quantity(part, kind, where) for part in _with_unit_of_last(text, ":")]
        if len(ends) > 2 or ends[0] > ends[-1]:
            raise QuantityError(
                f"{text!r} is not a range", where=where, got=text, expected="LOW:HIGH with LOW <= HIGH"
            )
        return cls(ends[0], ends[-1])

    @classmethod
    def of(cls, value: Interval | str, kind: str, where: str | None = None) -> Interval:
        """Take an interval as it is, and read a text."""
        return value if isinstance(value, Interval) else cls.parse(value, kind, where)

    def sample(self, rng: np.random.Generator, n: int) -> NDArray[np.float64]:
        """Draw `n` values uniformly, shape `(n,)`."""
        return rng.uniform(self.low, self.high, n)


@dataclass(frozen=True)
class Spectrum:
    """The distribution of incident energies.

    Written `25GeV` (fixed), `1:100GeV` (uniform), `log:1:1000GeV` (log-uniform) or `10,20,50GeV`
    (each equally often).

    Example:
        >>> Spectrum.parse("1:100GeV").maximum
        100000.0
    """

    kind: str
    values: tuple[float, ...]
    text: str

    @classmethod
    def parse(cls, text: str, where: str | None = "--energy") -> Spectrum:
        """Read a spectrum; energies must be positive and ranges must rise."""
        kind, values = cls._parts(text, where)
        is_range = len(values) == 2 and values[0] < values[1]
        if min(values) <= 0 or not (kind == "listed" or is_range):
            raise QuantityError(
                f"{text!r} is not a spectrum of incident energies",
                where=where,
                got=text,
                expected="25GeV, 1:100GeV (uniform), log:1:1000GeV (log-uniform) or 10,20,50GeV; all > 0",
            )
        if min(values) < _ENERGIES[0] or max(values) > _ENERGIES[1]:
            raise QuantityError(
                f"{text!r} is beyond the energies of particles",
                where=where,
                got=text,
                expected="1eV to 1e6TeV",
            )
        return cls(kind, tuple(values), text)

    @classmethod
    def of(cls, value: Spectrum | str, where: str | None = "--energy") -> Spectrum:
        """Take a spectrum as it is, and read a text."""
        return value if isinstance(value, Spectrum) else cls.parse(value, where)

    @staticmethod
    def _parts(text: str, where: str | None) -> tuple[str, list[float]]:
        body = text.removeprefix("log:") if isinstance(text, str) else text
        separator = "," if body == text and "," in str(body) else ":"
        values = [_quantity(part, "energy", where) for part in _with_unit_of_last(body, separator)]
        if body != text:
            return "log-uniform", values
        return ("listed" if separator == "," or len(values) == 1 else "uniform"), values

    @property
    def minimum(self) -> float:
        """Lowest energy in MeV."""
        return min(self.values)

    @property
    def maximum(self) -> float:
        """Highest energy in MeV."""
        return max(self.values)

    def sample(self, rng: np.random.Generator, n: int) -> NDArray[np.float64]:
        """Draw `n` incident energies in MeV, shape `(n,)`."""
        import numpy as np

        if self.kind == "listed":
            return rng.choice(np.asarray(self.values), n)
        if self.kind == "uniform":
            return rng.uniform(self.minimum, self.maximum, n)
        return np.exp(rng.uniform(np.log(self.minimum), np.log(self.maximum), n))

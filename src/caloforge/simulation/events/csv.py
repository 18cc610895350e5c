"""Events of a table: a particle a line, columns with their unit in the first line, `energy [GeV]`."""

from __future__ import annotations

__all__ = ["COLUMNS", "read_csv"]

import csv
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from caloforge.errors import EventError, ParticleError, QuantityError, nearest
from caloforge.particles import known_particle, pdg_id
from caloforge.quantities import angle, energy, length
from caloforge.simulation.events.base import Event, Particles, Source, checked, kinetic, opened, unit

_READ = {"energy": energy, "length": length, "angle": angle}
COLUMNS: dict[str, str | None] = {
    "event": None,
    "pdg": None,
    "weight": None,
    "energy": "energy",
    "theta": "angle",
    "phi": "angle",
    "px": "energy",
    "py": "energy",
    "pz": "energy",
    "x": "length",
    "y": "length",
    "z": "length",
}
"""What a table may hold, with the kind of its unit."""
_EXPECTED = (
    "event, pdg, and `energy [GeV]` (kinetic; theta [deg], phi [deg]) or `px [GeV]`, `py [GeV]`, `pz [GeV]`; "
    "x [mm], y [mm] (and z [mm]), weight"
)
_HEAD = re.compile(r"\s*([a-z]+)\s*(?:\[\s*(\w+)\s*\])?\s*")
_LONGEST = 1 << 16  # bytes of a line


def read_csv(path: Path) -> Source:
    """Open a table of particles, which may be compressed.

    `event` numbers the events: lines of one event follow each other. Without a column `z`, x and y are
    those on the face of the calorimeter and theta is the angle to its normal.

    Raises:
        EventError: Columns that are unknown, double or missing, or without their unit.
    """
    with opened(path) as file:
        text = io.TextIOWrapper(file, "utf-8", errors="replace", newline="")
        head = _Head(next(csv.reader([text.readline(_LONGEST)]), []), path)
        column, total, before = head.place["event"], 0, None
        for line in csv.reader(text):
            found = line[column].strip() if column < len(line) else None
            total += bool(line) and found != before
            before = found if line else before
    return Source(
        _events(path, head), total, on_face="z" not in head.place, about={"format": "CSV", "file": path.name}
    )


class _Head:
    """The columns of a table: where each is, and its unit as a factor."""

    def __init__(self, names: Sequence[str], path: Path) -> None:
        self.place: dict[str, int] = {}
        self.factor: dict[str, float] = {}
        for number, text in enumerate(names):
            match = _HEAD.fullmatch(text.lstrip("\ufeff"))
            name = match[1] if match else text.strip()
            if match is None or name not in COLUMNS or name in self.place:
                what = "twice" if name in self.place else "unknown"
                raise _bad(f"a column is {what}", path, text.strip(), nearest(name, COLUMNS))
            self.place[name] = number
            self.factor[name] = _factor(name, match[2], path, text.strip())
        self.by_momentum = "px" in self.place
        needed = ("px", "py", "pz") if self.by_momentum else ("energy",)
        missing = [name for name in ("event", "pdg", *needed) if name not in self.place]
        both = [name for name in ("energy", "theta", "phi") if name in self.place and self.by_momentum]
        if missing or both:
            what = (
                f"columns are missing: {', '.join(missing)}" if missing else "momentum and energy are given"
            )
            raise _bad(what, path, ", ".join(names) or "an empty line", None)

    def number(self, row: Sequence[str], name: str) -> float:
        return float(row[self.place[name]]) * self.factor[name] if name in self.place else 0.0


def _factor(name: str, written: str | None, path: Path, text: str) -> float:
    kind = COLUMNS[name]
    if kind is None:
        if written:
            raise _bad(f"{name} has no unit", path, text, None)
        return 1.0
    try:
        return _READ[kind](f"1{written or ''}", f"{path}, line 1, column {text!r}")
    except QuantityError as error:
        raise _bad(
            "a column has no unit of its kind",
            path,
            text,
            None,
            f"`{name} [...]`: {error.details['expected']}",
        ) from None


def _bad(problem: str, path: Path, got: str, near: str | None, expected: str = _EXPECTED) -> EventError:
    return EventError(
        f"the first line of the table does not name its columns: {problem}",
        where=f"{path}, line 1",
        got=got,
        expected=expected,
        near=near,
    )


def _events(path: Path, head: _Head) -> Iterator[Event]:
    with opened(path) as file:
        text = io.TextIOWrapper(file, "utf-8", errors="replace", newline="")
        reader = csv.reader(text)
        next(reader)
        number, rows = 0, list[list[float]]()
        for row in reader:
            if not row:
                continue
            place = f"{path}, line {reader.line_num}"
            values = _values(row, head, place)
            if rows and values[0] < number:
                raise EventError(
                    "the lines of an event do not follow each other",
                    where=place,
                    got=f"event {values[0]:.0f} after {number}",
                    expected="numbers of events that rise",
                    cure="sort the table by its column `event`",
                )
            if rows and values[0] != number:
                yield _event(number, rows, head, path)
                rows = []
            number = int(values[0])
            rows.append(values)
        if rows:
            yield _event(number, rows, head, path)


def _values(row: Sequence[str], head: _Head, where: str) -> list[float]:
    try:
        if len(row) != len(head.place):
            raise ValueError(f"{len(row)} values")
        pdg = _particle(row[head.place["pdg"]].strip(), where)
        rest = [head.number(row, name) for name in COLUMNS if name not in ("event", "pdg")]
        return [int(row[head.place["event"]]), pdg, *rest]
    except (ValueError, OverflowError) as error:
        raise EventError(
            "this line is no particle",
            where=where,
            got=f"{','.join(row)[:200]!r}: {error}",
            expected=f"{len(head.place)} numbers: {', '.join(head.place)}; a particle's name will do for pdg",
        ) from None


def _particle(text: str, where: str) -> int:
    """PDG ids that nobody knows are left to the generators; a name has to be one."""
    return int(text) if re.fullmatch(r"[-+]?\d{1,10}", text) else pdg_id(text, where)


def _event(number: int, rows: list[list[float]], head: _Head, path: Path) -> Event:
    names = [name for name in COLUMNS if name not in ("event", "pdg")]
    table = np.array(rows, np.float64)
    column = dict(zip(names, table[:, 2:].T, strict=True))
    pdg = table[:, 1].astype(np.int64)
    where = f"{path}, event {number}"
    if head.by_momentum:
        momentum = np.column_stack([column["px"], column["py"], column["pz"]])
        masses = np.array([_mass(int(code), where) for code in pdg])
        kinetic_energy, direction = kinetic(momentum, masses), unit(momentum)
    else:
        sine = np.sin(column["theta"])
        kinetic_energy = column["energy"]
        direction = np.column_stack(
            [sine * np.cos(column["phi"]), sine * np.sin(column["phi"]), np.cos(column["theta"])]
        )
    position = np.column_stack([column["x"], column["y"], column["z"]])
    weight = float(column["weight"][0]) if "weight" in head.place else 1.0
    return Event(number, (weight,), checked(Particles(pdg, kinetic_energy, position, direction), where))


def _mass(pdg: int, where: str) -> float:
    try:
        found: Any = known_particle(pdg).mass
    except LookupError:
        found = None
    if found is None:
        raise ParticleError(
            f"nobody knows the mass of PDG {pdg}",
            where=where,
            expected="a particle of the Particle Data Group, or a kinetic energy in place of its momentum",
        )
    return float(found)

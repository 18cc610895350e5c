"""What the electronics make of the energy in a cell: cross-talk, light, noise, gains, ADC, threshold."""

from __future__ import annotations

__all__ = ["Digitisation", "Threshold"]

import re
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from caloforge.detector.parts import ENERGY, LIGHT_YIELD, Part, wrong

MOST_SHARED = 0.2
"""Share that a cell gives to each of four neighbours; it keeps as much."""
_MOST_LIGHT = (
    1e6  # photoelectrons per MeV; a hundred thousand photons is the most that any scintillator gives
)
_SIGMA = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*sigma\s*")


class Threshold(NamedTuple):
    """A least energy: in MeV, or in standard deviations of the layer's noise."""

    value: float
    in_sigma: bool

    def __str__(self) -> str:
        return f"{self.value:.15g} sigma" if self.in_sigma else f"{self.value!r} MeV"


def _positive(read: Callable[[Any], float], zero: bool) -> Callable[[Any], float]:
    def validate(value: Any) -> float:
        found = read(value)
        if found < 0 or (found == 0 and not zero):
            least = "0 MeV or more" if zero else "more than 0 MeV"
            raise wrong(f"{value} is not possible here", got=value, expected=least)
        return found

    return validate


def _share(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST_SHARED:
        raise wrong(
            f"{value!r} is not a share of the energy",
            got=repr(value),
            expected=f"a number from 0 to {MOST_SHARED:g}: what each neighbour gets, 0.02 for 2 %",
        )
    return float(value)


def _light(value: Any) -> float:
    found = LIGHT_YIELD(value)
    if not 0 < found <= _MOST_LIGHT:
        raise wrong(
            f"{value} is not a light yield",
            got=value,
            expected=f"more than 0, at most {_MOST_LIGHT:,.0f} photoelectrons per MeV",
            cure="leave it out where photoelectrons need not be counted",
        )
    return found


def _threshold(value: Any) -> Threshold:
    match = _SIGMA.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return Threshold(_positive(ENERGY, zero=True)(value), False)
    if float(match.group(1)) < 0:
        raise wrong("a threshold cannot be negative", got=value, expected="0 sigma or more")
    return Threshold(float(match.group(1)), True)


def _by_layer(read: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, ...]]:
    """One value for all layers, or a list with one for each; equal ones become one."""

    def validate(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            return (read(value),)
        if not value:
            raise wrong("the list is empty", got="[]", expected="one value for each layer, or one for all")
        found = tuple(read(item) for item in value)
        return found[:1] if len(set(found)) == 1 else found

    return validate


def _schema(*examples: Any) -> WithJsonSchema:
    one = {"type": ["string", "number"], "examples": list(examples)}
    return WithJsonSchema({"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]})


_Noise = Annotated[tuple[float, ...], BeforeValidator(_by_layer(_positive(ENERGY, True))), _schema("0.3 MeV")]
_Light = Annotated[tuple[float, ...], BeforeValidator(_by_layer(_light)), _schema("4.5 /MeV")]
_Share = Annotated[tuple[float, ...], BeforeValidator(_by_layer(_share)), _schema(0.02)]
_Full = Annotated[tuple[float, ...], BeforeValidator(_by_layer(_positive(ENERGY, False))), _schema("2 GeV")]
_Least = Annotated[tuple[Threshold, ...], BeforeValidator(_by_layer(_threshold)), _schema("3 sigma", "1 MeV")]
_Gain = Annotated[float, Field(gt=0, le=1e6)]


class Digitisation(Part):
    """The way of a cell's energy through the electronics and back, in the order of the arguments.

    Values by layer are one for all layers, or one for each.

    Args:
        crosstalk: Share of a cell's energy that each of its neighbours in the layer gets.
        light_yield: Mean number of photoelectrons for each MeV in a cell; their number is a Poisson one.
        noise: Standard deviation of the noise of each cell, MeV; normal, independent, in empty cells too.
        saturation: Energy that fills the electronics at the lowest gain, MeV.
        gains: Amplifications of the ADC relative to each other; a cell is read with the highest that it does
            not fill.
        bits: Of the ADC; without them energies are not made whole numbers.
        pedestal: Counts of the ADC at no energy; what noise brings below 0 counts is lost.
        threshold: Cells with less, after calibration, are left out.
    """

    crosstalk: _Share | None = None
    light_yield: _Light | None = None
    noise: _Noise | None = None
    saturation: _Full | None = None
    gains: tuple[_Gain, ...] | None = Field(default=None, min_length=1, max_length=8)
    bits: Annotated[int, Field(strict=True, ge=1, le=24)] | None = None
    pedestal: Annotated[int, Field(strict=True, ge=0)] | None = None
    threshold: _Least | None = None

    @model_validator(mode="after")
    def _complete(self) -> Digitisation:
        if not self.model_fields_set:
            raise wrong("nothing is digitised", got="no keys", expected="noise: 0.3 MeV, threshold: 3 sigma")
        for key, other, why in (
            ("bits", "saturation", "saturation: 2 GeV, the energy that fills the ADC"),
            ("gains", "bits", "bits: 12, the ADC that follows the gains"),
            ("pedestal", "bits", "bits: 12, the ADC that counts from the pedestal"),
        ):
            if getattr(self, key) is not None and getattr(self, other) is None:
                raise wrong(f"{key} without {other}", at=(key,), got=f"{key} alone", expected=why)
        self._check_adc()
        if any(least.in_sigma for least in self.threshold or ()) and not all(self.noise or (0.0,)):
            raise wrong(
                "a threshold in sigma needs the noise",
                at=("threshold",),
                got="no noise",
                expected="noise: 0.3 MeV, or a threshold in MeV",
            )
        return self

    def _check_adc(self) -> None:
        if self.gains and len(set(self.gains)) < len(self.gains):
            raise wrong("two gains are equal", at=("gains",), got=list(self.gains), expected="[1, 10]")
        if self.bits is not None and (self.pedestal or 0) >= self.counts:
            raise wrong(
                "the pedestal leaves no room in the ADC",
                at=("pedestal",),
                got=self.pedestal,
                expected=f"less than {self.counts}, the largest count of {self.bits} bits",
            )

    @property
    def counts(self) -> int:
        """Largest count of the ADC."""
        return (1 << (self.bits or 0)) - 1

    def by_layer(self) -> dict[str, tuple[Any, ...]]:
        """The keys that may differ from layer to layer, those that are given."""
        keys = ("crosstalk", "light_yield", "noise", "saturation", "threshold")
        found = {key: getattr(self, key) for key in keys}
        return {key: values for key, values in found.items() if values is not None}

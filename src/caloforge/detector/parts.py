"""What all parts of a detector file share: no unknown keys, quantities with units, errors with a cure."""

from __future__ import annotations

__all__ = [
    "ENERGY",
    "LIGHT_YIELD",
    "MAX_LENGTH",
    "Angle",
    "BirksConstant",
    "Count",
    "Density",
    "Energy",
    "Length",
    "Name",
    "Part",
    "Thickness",
    "Time",
    "wrong",
]

import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from caloforge.errors import QuantityError, nearest
from caloforge.quantities import angle, birks, density, energy, length, light_yield, time


def wrong(
    problem: str,
    *,
    at: tuple[str | int, ...] = (),
    got: object = None,
    expected: object = None,
    near: str | None = None,
    cure: str | None = None,
) -> PydanticCustomError:
    """Return the error a validator raises; `at` is the path of the culprit below the validated part."""
    context = {"at": at, "got": got, "expected": expected, "near": near, "cure": cure}
    # The text goes through a format string, and YAML in a message has braces of its own.
    return PydanticCustomError("detector", "{problem}", {"problem": problem, **context})


class Part(BaseModel):
    """A frozen piece of a detector file that refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, value: Any) -> Any:
        if isinstance(value, dict):
            for key in value:
                if key not in cls.model_fields:
                    raise _unknown_key(str(key), cls)
        return value


def _unknown_key(key: str, part: type[Part]) -> PydanticCustomError:
    valid = list(part.model_fields)
    return wrong(
        f"unknown key {key!r}",
        at=(key,),
        got=key,
        expected="one of " + ", ".join(valid),
        near=nearest(key, valid),
    )


def _quantity(read: Callable[[str], float], unit: str, digits: int) -> Callable[[Any], float]:
    def validate(value: Any) -> float:
        try:
            # 0.3 cm and 3 mm are the same detector: their floats must be equal too.
            return round(read(value), digits)
        except QuantityError as error:
            details = error.details
            bare = isinstance(value, int | float) and not isinstance(value, bool)
            raise wrong(
                "nothing is given" if value is None else error.problem,
                got="nothing" if value is None else details["got"],
                expected=details["expected"],
                near=None if details["did you mean"] is None else str(details["did you mean"]),
                cure=f"write {value} {unit}, if that is the unit" if bare else None,
            ) from None

    return validate


MAX_LENGTH = 1e9  # mm; showers in air are some 10 km long
_MOST_BIRKS = 10.0  # mm/MeV; a hundred times that of plastics
_any_length = _quantity(length, "mm", 9)


def _length(value: Any) -> float:
    mm = _any_length(value)
    if abs(mm) > MAX_LENGTH:
        raise wrong(
            f"{mm:g} mm is too long",
            got=f"{mm:g} mm",
            expected=f"at most {MAX_LENGTH / 1e6:,g} km, or {MAX_LENGTH:g} mm",
        )
    return mm


def _positive(value: float) -> float:
    if value <= 0:
        raise wrong(
            f"{value:g} mm is not a thickness or width", got=f"{value:g} mm", expected="more than 0 mm"
        )
    return value


def _saturating(value: float) -> float:
    if not 0 < value <= _MOST_BIRKS:
        raise wrong(
            f"{value:g} mm/MeV is not Birks' constant of a material",
            got=f"{value:g} mm/MeV",
            expected=f"more than 0, at most {_MOST_BIRKS:g} mm/MeV; polystyrene has 0.07 to 0.15 mm/MeV",
            cure="leave it out if the light does not saturate; divide g/(MeV cm2) by the density for cm/MeV",
        )
    return value


def _name(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9][\w.-]*", value, re.ASCII):
        raise wrong(
            f"{value!r} is not a name",
            got=repr(value),
            expected="letters, digits, '_', '-' and '.', starting with a letter or digit",
        )
    return value


Length = Annotated[float, BeforeValidator(_length), WithJsonSchema({"type": "string", "examples": ["2 mm"]})]
Thickness = Annotated[
    float,
    BeforeValidator(lambda value: _positive(_length(value))),
    WithJsonSchema({"type": "string", "examples": ["2 mm"]}),
]
ENERGY = _quantity(energy, "keV", 12)
"""Reads an energy with its unit; returns MeV."""
LIGHT_YIELD = _quantity(light_yield, "/MeV", 9)
"""Reads a light yield with its unit; returns photoelectrons per MeV."""
Energy = Annotated[
    float,
    BeforeValidator(ENERGY),
    WithJsonSchema({"type": "string", "examples": ["15 keV"]}),
]
Density = Annotated[
    float,
    BeforeValidator(_quantity(density, "g/cm3", 12)),
    WithJsonSchema({"type": "string", "examples": ["1.39 g/cm3"]}),
]
Angle = Annotated[
    float,
    BeforeValidator(_quantity(angle, "deg", 12)),
    WithJsonSchema({"type": "string", "examples": ["50 deg"]}),
]
BirksConstant = Annotated[
    float,
    BeforeValidator(lambda value: _saturating(_quantity(birks, "mm/MeV", 12)(value))),
    WithJsonSchema({"type": "string", "examples": ["0.126 mm/MeV"]}),
]
Time = Annotated[
    float,
    BeforeValidator(_quantity(time, "ns", 9)),
    WithJsonSchema({"type": "string", "examples": ["150 ns"]}),
]
Name = Annotated[str, BeforeValidator(_name)]
Count = Annotated[int, Field(strict=True, ge=1, le=100_000)]

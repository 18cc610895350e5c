"""Requirements that a CI sets: `auc_high<0.6,response<2%`."""

from __future__ import annotations

__all__ = ["Outcome", "Requirement", "check", "compared", "requirements"]

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from caloforge.errors import ValidationError, nearest
from caloforge.validation.measure import Number
from caloforge.validation.study import Absent

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_NONE: Mapping[str, Absent] = {}
_PATTERN = re.compile(r"\s*([A-Za-z0-9_.]+)\s*(<=|>=|<|>)\s*([-+]?[0-9.]+(?:[eE][-+]?\d+)?)\s*(%?)\s*")


@dataclass(frozen=True)
class Requirement:
    """One condition.

    Attributes:
        text: As it was given.
        name: Of the number.
        sign: `<`, `<=`, `>` or `>=`.
        limit: In the unit that was given.
        percent: Whether the limit was given in percent.
    """

    text: str
    name: str
    sign: str
    limit: float
    percent: bool


@dataclass(frozen=True)
class Outcome:
    """What a requirement came to.

    Attributes:
        candidate: Name of the sample.
        requirement: The condition.
        value: What was compared: the number, without its sign if only its size matters (a response).
        unit: Of value and limit.
        limit: The limit in that unit.
        met: Whether the requirement holds.
    """

    candidate: str
    requirement: Requirement
    value: float
    unit: str
    limit: float
    met: bool

    def __str__(self) -> str:
        if self.met:
            return f"{self.requirement.text}: met, {self._value}"
        if math.isnan(self.value):
            return f"{self.requirement.text}: failed, the number could not be determined"
        by = f"{abs(self.value - self.limit):.3g}{self.unit}"
        return f"{self.requirement.text}: failed by {by}, it is {self._value}"

    @property
    def _value(self) -> str:
        return f"{self.value:.4g}{self.unit}"


def requirements(text: str) -> tuple[Requirement, ...]:
    """Read conditions that are separated by commas.

    Raises:
        ValidationError: Not a condition.

    Example:
        >>> requirements("response<2%")[0].limit
        2.0
    """
    found = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = _PATTERN.fullmatch(part)
        limit = _float(match[3]) if match else math.nan
        if match is None or math.isnan(limit):
            raise ValidationError(
                "this is not a requirement",
                where="--require",
                got=part,
                expected="a number's name, one of < <= > >=, and a limit: auc_high<0.6 or response<2%",
            )
        found.append(Requirement(part, match[1], match[2], limit, bool(match[4])))
    if not found:
        raise ValidationError(
            "nothing is required", where="--require", got=repr(text), expected="auc_high<0.6"
        )
    return tuple(found)


def check(
    wanted: Sequence[Requirement],
    candidate: str,
    numbers: Mapping[str, Number],
    absent: Mapping[str, Absent] = _NONE,
) -> tuple[Outcome, ...]:
    """Compare one candidate's numbers with what is required.

    A number that is a signed difference (its floor is 0, as the response's) counts with its size.

    Args:
        wanted: The conditions.
        candidate: Name of the sample.
        numbers: All its numbers by name.
        absent: Why others could not be computed.

    Raises:
        ValidationError: A number of that name was not computed, or its limit has the wrong unit.
    """
    return tuple(_outcome(requirement, candidate, numbers, absent) for requirement in wanted)


def compared(
    requirement: Requirement,
    numbers: Mapping[str, Number],
    where: str = "--require",
    absent: Mapping[str, Absent] = _NONE,
) -> tuple[float, float, str]:
    """Find what a condition compares.

    Args:
        requirement: The condition.
        numbers: All numbers of a candidate, by name.
        where: The option that the condition was given with.
        absent: Why others could not be computed.

    Returns:
        The number, without its sign if only its size matters; the limit; and the unit of both.

    Raises:
        ValidationError: A number of that name was not computed, or its limit has the wrong unit.
    """
    number = numbers.get(requirement.name)
    if number is None:
        raise _missing(requirement, numbers, absent.get(requirement.name), where)
    limit = requirement.limit
    if requirement.percent and number.unit not in ("%", ""):
        raise ValidationError(
            f"{requirement.name} is not a percentage",
            where=where,
            got=requirement.text,
            expected=f"a limit in {number.unit}",
        )
    if number.unit == "%" and not requirement.percent:
        raise ValidationError(
            f"{requirement.name} is a percentage",
            where=where,
            got=requirement.text,
            cure=f"write the unit: {requirement.text}%",
        )
    if number.better == "floor" and limit < 0:
        raise ValidationError(
            f"the size of {requirement.name} counts, which is never negative",
            where=where,
            got=requirement.text,
            expected="a limit of 0 or more",
        )
    if requirement.percent and number.unit == "":
        limit /= 100
    value = abs(number.measure.value) if number.better == "floor" else number.measure.value
    return value, limit, " %" if number.unit == "%" else f" {number.unit}" if number.unit else ""


def _missing(
    requirement: Requirement, numbers: Mapping[str, Number], absent: Absent | None, where: str
) -> ValidationError:
    if absent is not None:
        problem = f"{requirement.name} could not be computed: {absent}"
        return ValidationError(problem, where=where, got=requirement.text, cure=absent.cure)
    return ValidationError(
        f"there is no number {requirement.name}",
        where=where,
        got=requirement.text,
        expected=", ".join(name for name in numbers if "." not in name),
        near=nearest(requirement.name, numbers),
    )


def _outcome(
    requirement: Requirement, candidate: str, numbers: Mapping[str, Number], absent: Mapping[str, Absent]
) -> Outcome:
    value, limit, unit = compared(requirement, numbers, absent=absent)
    # written so that NaN fails
    met = bool(_OPERATORS[requirement.sign](value, limit))
    return Outcome(candidate, requirement, value, unit, limit, met)


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan

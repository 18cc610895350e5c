"""Values of parameters as numbers from 0 to 1, evenly drawn, and what Optuna knows of each parameter."""

from __future__ import annotations

__all__ = ["at_unit", "distributions_of", "sizes", "unit_of"]

from collections.abc import Sequence
from math import exp, floor, log
from typing import TYPE_CHECKING, Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

if TYPE_CHECKING:
    from caloforge.search.space import Space


def distributions_of(space: Space) -> dict[str, BaseDistribution]:
    """Return every parameter of a space as Optuna will know it, whether it counts or not."""
    record = _Record()
    space.suggest(record, flat=True)
    return record.found


def sizes(distribution: BaseDistribution) -> int | None:
    """How many values a parameter has; None: any number."""
    if isinstance(distribution, CategoricalDistribution):
        return len(distribution.choices)
    step = getattr(distribution, "step", None)
    if step is None:
        return None
    steps: int = floor((distribution.high - distribution.low) / step + 1e-9)  # type: ignore[attr-defined]
    return steps + 1


def at_unit(distribution: BaseDistribution, unit: float) -> Any:
    """Return the value at a number from 0 to 1; even there is even in the value, or in its logarithm."""
    if isinstance(distribution, CategoricalDistribution):
        count = len(distribution.choices)
        return distribution.choices[min(int(unit * count), count - 1)]
    low, high = _ends(distribution)
    value = exp(low + unit * (high - low)) if distribution.log else low + unit * (high - low)  # type: ignore[attr-defined]
    return _allowed(distribution, value)


def unit_of(distribution: BaseDistribution, value: Any) -> float:
    """Return where a value lies: the middle of those numbers that `at_unit` turns into it."""
    if isinstance(distribution, CategoricalDistribution):
        return (distribution.choices.index(value) + 0.5) / len(distribution.choices)
    low, high = _ends(distribution)
    unit = ((log(value) if distribution.log else value) - low) / (high - low) if high > low else 0.5  # type: ignore[attr-defined]
    return min(max(float(unit), 0.0), 1.0)


def _ends(distribution: BaseDistribution) -> tuple[float, float]:
    """Both ends in units in which values are even; whole numbers and steps reach half a step beyond."""
    low, high = float(distribution.low), float(distribution.high)  # type: ignore[attr-defined]
    half = (distribution.step or 0) / 2  # type: ignore[attr-defined]
    low, high = low - half, high + half
    return (log(low), log(high)) if distribution.log else (low, high)  # type: ignore[attr-defined]


def _allowed(distribution: BaseDistribution, value: float) -> float | int:
    low, high, step = distribution.low, distribution.high, distribution.step  # type: ignore[attr-defined]
    if step is not None:
        value = low + step * round((value - low) / step)
    value = min(max(value, low), high)
    return round(value) if isinstance(distribution, IntDistribution) else float(value)


class _Record:
    """Stands for a trial, and notes what is asked of it."""

    def __init__(self) -> None:
        self.found: dict[str, BaseDistribution] = {}

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        self.found[name] = FloatDistribution(low, high, step=step, log=log)
        return low

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        self.found[name] = IntDistribution(low, high, step=step, log=log)
        return low

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        self.found[name] = CategoricalDistribution(choices)
        return choices[0]

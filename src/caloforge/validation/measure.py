"""A number beside its floor, and a named number that a report shows and a CI may require."""

from __future__ import annotations

__all__ = ["Measure", "Number"]

import math
from dataclasses import dataclass
from typing import Literal

_SIGMAS = 4.0


@dataclass(frozen=True)
class Measure:
    """One number with its floor.

    Attributes:
        value: Candidate against Geant4.
        error: Its standard error, NaN if unknown.
        floor: The same number between two independent Geant4 samples of the same size, NaN if there is none.
        floor_error: How much that scatters from one pair of samples to the next, NaN if unknown.
    """

    value: float
    error: float = math.nan
    floor: float = math.nan
    floor_error: float = math.nan

    @property
    def excess(self) -> float:
        """How many standard errors the value lies above its floor; NaN without a floor or errors."""
        error = math.hypot(*(e for e in (self.error, self.floor_error) if not math.isnan(e)), 0.0)
        return (self.value - self.floor) / error if error > 0 else math.nan


@dataclass(frozen=True)
class Number:
    """A figure of merit of one candidate.

    Attributes:
        name: Stable key, `auc_high`: in `report.json`, `--require` and `--metrics`.
        label: For people: "AUC, high-level".
        measure: Value and floor with errors.
        unit: `%`, `mm` ... or empty.
        better: `low` (AUC, FPD: the floor is the best that can be), `high` (coverage), or `floor` (a signed
            difference: the nearer to the floor, on either side, the better).
        meaning: A sentence: what it is, and its source.
        beyond: Whether it is worse than its floor by more than chance; None: four standard errors decide.
        showers: Showers of each kind that a classifier had; None for what all showers give.
    """

    name: str
    label: str
    measure: Measure
    unit: str = ""
    better: Literal["low", "high", "floor"] = "low"
    meaning: str = ""
    beyond: bool | None = None
    showers: int | None = None

    @property
    def off(self) -> bool:
        """Whether the number is worse than its floor by more than chance."""
        if self.beyond is not None:
            return self.beyond
        sign = {"low": 1.0, "high": -1.0, "floor": math.copysign(1.0, self.measure.excess)}[self.better]
        return sign * self.measure.excess > _SIGMAS

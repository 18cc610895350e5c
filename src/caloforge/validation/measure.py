"""One number beside its floor."""

from __future__ import annotations

__all__ = ["Measure"]

from dataclasses import dataclass
from math import hypot


@dataclass(frozen=True)
class Measure:
    """One number with its floor.

    Attributes:
        value: Candidate against Geant4.
        error: Its standard error.
        floor: The same number between two independent Geant4 samples of the same size.
        floor_error: How much that scatters from one pair of samples to the next.
        excess: How many standard deviations the value lies above the floor.
    """

    value: float
    error: float
    floor: float
    floor_error: float
    excess: float

    @classmethod
    def of(cls, value: float, error: float, floor: float, floor_error: float) -> Measure:
        """Make a measure whose excess is the difference over the errors of both.

        Example:
            >>> Measure.of(0.58, 0.03, 0.50, 0.04).excess
            1.5999999999999992
        """
        return cls(value, error, floor, floor_error, (value - floor) / hypot(error, floor_error))

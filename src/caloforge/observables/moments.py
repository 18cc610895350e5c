"""Mean, width and skewness from sums of energy times powers of a position."""

from __future__ import annotations

__all__ = ["Moments", "moments", "ratio"]

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_NO_WIDTH = 1e-12
_NO_SHAPE = 1e-8
"""Share of the mean square below which a variance, or a third moment, is but the rounding of float64."""


@dataclass(frozen=True)
class Moments:
    r"""Energy-weighted moments along one axis; arrays of one shape.

    Attributes:
        mean: $\langle x\rangle$; NaN without energy.
        width: $\sqrt{\langle x^2\rangle-\langle x\rangle^2}$; NaN without energy.
        skewness: $\langle(x-\langle x\rangle)^3\rangle/\sigma_x^3$; NaN where one place holds all energy.
    """

    mean: Array
    width: Array
    skewness: Array


def moments(energy: Array, first: Array, second: Array, third: Array) -> Moments:
    """Return the moments, given the sums of E, E x, E x² and E x³ (float64, equal shapes)."""
    mean, square, cube = (ratio(power, energy) for power in (first, second, third))
    variance = square - mean**2
    variance = np.where(variance <= _NO_WIDTH * square, 0.0, variance)
    width = np.sqrt(variance)
    central = cube - 3 * mean * square + 2 * mean**3
    skewness = ratio(central, np.where(variance > _NO_SHAPE * square, width**3, 0.0))
    return Moments(mean, width, skewness)


def ratio(numerator: Array, denominator: Array) -> Array:
    """Return the quotient, NaN where the denominator is not positive."""
    safe = np.where(denominator > 0, denominator, np.nan)
    return np.asarray(numerator / safe)

"""Spread of observables at fixed incident energy, from sums over blocks of showers."""

from __future__ import annotations

__all__ = ["Limits", "Residuals", "energy_bins", "limits", "relative_spread", "residuals"]

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caloforge.validation.metrics.energy_bins import equal_shares

Array = NDArray[np.float64]

_BINS, _FEWEST = 10, 50


@dataclass(frozen=True)
class Residuals:
    """How far showers scatter about the mean at their energy.

    Attributes:
        counts: Showers where the observable is defined, shape `(blocks, bins)`.
        squares: Sum of their squared residuals, same shape.
    """

    counts: Array
    squares: Array


def energy_bins(energy: NDArray[np.floating]) -> Array:
    """Return inner edges of bins of incident energy, with as many of Geant4's showers in each.

    Args:
        energy: Geant4's incident energies, shape `(n,)`.

    Returns:
        Shape `(bins - 1,)`.
    """
    return equal_shares(energy, _BINS, _FEWEST)


@dataclass(frozen=True)
class Limits:
    """How far from the middle outliers are cut, in each bin of energy.

    Attributes:
        inner: Inner edges of the bins of incident energy.
        reach: Distance from the middle of a sample's 1 to 99 % range, shape `(bins,)`.
    """

    inner: Array
    reach: Array

    def index(self, energy: NDArray[np.floating]) -> NDArray[np.int64]:
        """Return the bin of each shower."""
        return np.searchsorted(self.inner, energy)


def limits(values: NDArray[np.floating], energy: NDArray[np.floating], inner: Array) -> Limits:
    """Return the width of Geant4's 1 to 99 % range, in each bin of energy.

    A third moment of a shower with two hits can be a thousand times as large as all others, and would be
    the standard deviation of the whole sample.

    Args:
        values: An observable of Geant4's showers, shape `(n,)`; NaN are left out.
        energy: Their incident energies, shape `(n,)`.
        inner: Inner edges of the bins of energy.
    """
    known = np.isfinite(values)
    index, reach = np.searchsorted(inner, energy[known]), np.full(len(inner) + 1, np.inf)
    for i in range(len(reach)):
        mine = values[known][index == i]
        if len(mine):
            reach[i] = np.diff(np.quantile(mine, [0.01, 0.99]))[0]
    return Limits(inner, reach)


def residuals(
    values: NDArray[np.floating],
    energy: NDArray[np.floating],
    cut: Limits,
    block: NDArray[np.int64],
    blocks: int,
) -> Residuals:
    """Subtract a straight line in the incident energy in each bin, and add up squares by block.

    Outliers, farther from the middle of the sample's own 1 to 99 % range than Geant4's limits say, count as
    if they were there: twice the range of Geant4 is left.

    Args:
        values: An observable, shape `(n,)`; NaN are left out.
        energy: Incident energies, shape `(n,)`.
        cut: Limits of the bins of energy.
        block: Block of each shower, shape `(n,)`.
        blocks: Number of blocks.
    """
    known = np.isfinite(values)
    x, index, bins = np.asarray(energy[known], np.float64), cut.index(energy[known]), len(cut.reach)
    y = np.asarray(values[known], np.float64)
    middle = np.array([_middle(y[index == i]) for i in range(bins)])
    y = np.clip(y, (middle - cut.reach)[index], (middle + cut.reach)[index])
    count = np.bincount(index, minlength=bins).clip(1)

    def mean(of: Array) -> Array:
        return np.asarray(np.bincount(index, of, minlength=bins) / count)

    x, y = x - mean(x)[index], y - mean(y)[index]
    square = mean(x * x)
    slope = np.divide(mean(x * y), square, out=np.zeros(bins), where=square > 0)
    flat = block[known] * bins + index
    shape = (blocks, bins)
    counts = np.bincount(flat, minlength=blocks * bins).reshape(shape)
    squares = np.bincount(flat, (y - slope[index] * x) ** 2, minlength=blocks * bins).reshape(shape)
    return Residuals(np.asarray(counts, np.float64), np.asarray(squares, np.float64))


def _middle(values: Array) -> float:
    return float(np.quantile(values, [0.01, 0.99]).mean()) if len(values) else 0.0


def relative_spread(squares: tuple[Array, Array], counts: tuple[Array, Array]) -> Array:
    """Return the standard deviation of the second sample over that of the first, mean over bins of energy.

    Args:
        squares: Sums of squared residuals of both samples, shape `(k, bins)`.
        counts: Showers, shape `(k, bins)`.

    Returns:
        Shape `(k,)`; NaN where Geant4 does not vary.
    """
    one, two = (
        np.divide(s, n, out=np.zeros_like(s), where=n > 0) for s, n in zip(squares, counts, strict=True)
    )
    used = (one > 0) & (counts[1] > 0)
    ratio = np.sqrt(np.divide(two, one, out=np.zeros_like(one), where=used))
    weight = np.where(used, counts[0], 0.0)
    total = weight.sum(axis=1)
    mean = np.full(len(total), np.nan)
    np.divide((ratio * weight).sum(axis=1), total, out=mean, where=total > 0)
    return mean

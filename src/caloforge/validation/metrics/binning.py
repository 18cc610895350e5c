"""Bins of a histogram, chosen from Geant4's showers alone: linear, logarithmic, or whole numbers."""

from __future__ import annotations

__all__ = ["Binning", "binning", "widened"]

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST, FEWEST = 40, 10
_WIDEST = 80
_SPAN_OF_LOG = 30.0


@dataclass(frozen=True)
class Binning:
    """Edges of a histogram.

    Attributes:
        edges: Edges, increasing.
        log: Whether the bins are equal in the logarithm.
    """

    edges: NDArray[np.float64]
    log: bool = False


def binning(values: NDArray[np.floating], integer: bool = False) -> Binning:
    """Choose at most 40 bins that hold 99 % of the values, fewer for small samples.

    Logarithmic if the values are positive and their 95 % quantile is 30 times the 25 % one. Outside the
    edges values are counted as below or above, so no choice of range hides a tail.

    Args:
        values: Values of Geant4's showers; NaN are left out.
        integer: Whether the values are counts.
    """
    known = np.asarray(values, np.float64)
    known = known[np.isfinite(known)]
    if len(known) == 0:
        return Binning(np.array([0.0, 1.0]))
    count = int(np.clip(len(known) // 20, FEWEST, MOST))
    low, high = np.quantile(known, [0.005, 0.995])
    if integer:
        return _whole(low, high, count)
    if low == high:
        return Binning(low + max(abs(low), 1.0) * np.linspace(-0.5, 0.5, FEWEST))
    if _many_decades(known):
        return Binning(_logarithmic(known, high, count), log=True)
    pad = 0.04 * (high - low)
    # an energy is never negative: no empty bins there
    start = max(low - pad, 0.0) if known.min() >= 0 else low - pad
    return Binning(np.linspace(start, high + pad, count + 1))


def _whole(low: float, high: float, count: int) -> Binning:
    step = max(1, int(np.ceil((high - low + 1) / count)))
    return Binning(np.arange(np.floor(low) - 0.5, high + step + 0.5, step))


def _many_decades(known: NDArray[np.float64]) -> bool:
    if known.min() < 0:
        return False
    quarter, most = np.quantile(known[known > 0], [0.25, 0.95]) if (known > 0).any() else (1.0, 1.0)
    return bool(most > _SPAN_OF_LOG * quarter)


def _logarithmic(known: NDArray[np.float64], high: float, count: int) -> NDArray[np.float64]:
    low = max(float(np.quantile(known[known > 0], 0.005)), high * 1e-8)
    return np.geomspace(low / 1.1, high * 1.1, count + 1)


def widened(bins: Binning, values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return edges for a figure: the given bins, with more of the same width where the values go beyond.

    A candidate far from Geant4 would be drawn outside the frame otherwise. At most 80 bins; if that is not
    enough, they get wider.

    Args:
        bins: Bins chosen from Geant4's showers.
        values: The candidate's values.
    """
    known = np.asarray(values, np.float64)
    known = known[np.isfinite(known) & ((known > 0) | (not bins.log))]
    if len(known) == 0:
        return bins.edges
    edges = np.log(bins.edges) if bins.log else bins.edges
    low, high = np.quantile(known, [0.02, 0.98])
    low, high = (np.log(low), np.log(high)) if bins.log else (low, high)
    step = edges[1] - edges[0]
    before, after = (max(0, int(np.ceil(beyond / step))) for beyond in (edges[0] - low, high - edges[-1]))
    if before == after == 0:
        return bins.edges
    wide = edges[0] - step * before + step * np.arange(len(edges) + before + after)
    wide = _coarser(wide)
    return np.exp(wide) if bins.log else wide


def _coarser(edges: NDArray[np.float64]) -> NDArray[np.float64]:
    group = -(-(len(edges) - 1) // _WIDEST)
    if group == 1:
        return edges
    count = -(-(len(edges) - 1) // group)
    return np.asarray(edges[0] + group * (edges[1] - edges[0]) * np.arange(count + 1))

"""Response and resolution in bins of incident energy, with errors."""

from __future__ import annotations

__all__ = ["LEAST", "Linearity", "linearity", "narrowest", "relative_width"]

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_DRAWS = 50

LEAST = 10
"""Showers that a bin of energy must have."""


@dataclass(frozen=True)
class Linearity:
    """Response of a sample in each bin of energy; NaN where a bin has too few showers.

    Attributes:
        energy: Mean incident energy, MeV.
        showers: Number of showers.
        response: Mean of `E_tot / E_inc`.
        response_error: Its standard error.
        resolution: Standard deviation over mean in the narrowest interval that holds 90 % of the showers,
            as in ILD's practice.
        resolution_error: Its standard error, from 50 bootstraps.
    """

    energy: Array
    showers: NDArray[np.int64]
    response: Array
    response_error: Array
    resolution: Array
    resolution_error: Array


def linearity(energy: NDArray[np.floating], response: NDArray[np.floating], edges: Array) -> Linearity:
    """Return response and resolution in bins of incident energy.

    Args:
        energy: Incident energies, shape `(n,)`, MeV.
        response: `E_tot / E_inc`, shape `(n,)`.
        edges: From `energy_edges`.
    """
    where = np.digitize(energy, edges) - 1
    bins = [np.asarray(response[where == i], np.float64) for i in range(len(edges) - 1)]
    middle = [energy[where == i].mean() if np.any(where == i) else np.nan for i in range(len(edges) - 1)]
    rows = np.array([_moments(values) for values in bins])
    return Linearity(np.array(middle), np.array([len(values) for values in bins]), *rows.T)


def narrowest(values: NDArray[np.floating], share: float = 0.9) -> tuple[Array, Array]:
    """Return mean and standard deviation of the smallest interval that holds 90 % of the values.

    A few showers that leak do not move it, which they do with the standard deviation of all.

    Args:
        values: Shape `(..., n)`.
        share: How much the interval holds.

    Returns:
        Two arrays of shape `(...)`.
    """
    ranked = np.sort(np.asarray(values, np.float64), axis=-1)
    inside = max(int(np.ceil(share * ranked.shape[-1])), 2)
    start = (ranked[..., inside - 1 :] - ranked[..., : ranked.shape[-1] - inside + 1]).argmin(axis=-1)
    kept = np.take_along_axis(ranked, start[..., None] + np.arange(inside), axis=-1)
    return kept.mean(axis=-1), kept.std(axis=-1)


def relative_width(ranked: NDArray[np.floating]) -> float:
    """Return standard deviation over mean in the smallest interval that holds 90 % of the values.

    Args:
        ranked: Values in rising order.

    Returns:
        NaN without two values or with a mean of 0.
    """
    if len(ranked) < 2:
        return np.nan
    inside = max(int(np.ceil(0.9 * len(ranked))), 2)
    start = int((ranked[inside - 1 :] - ranked[: len(ranked) - inside + 1]).argmin())
    kept = np.asarray(ranked[start : start + inside], np.float64)
    mean = kept.mean()
    return float(kept.std() / mean) if mean != 0 else np.nan


def _moments(values: Array) -> tuple[float, float, float, float]:
    if len(values) < LEAST or values.mean() == 0:
        return np.nan, np.nan, np.nan, np.nan
    rng, n = np.random.default_rng(len(values)), len(values)
    ranked = np.sort(values)
    drawn = [
        relative_width(np.repeat(ranked, np.bincount(rng.integers(0, n, n), minlength=n)))
        for _ in range(_DRAWS)
    ]
    error = float(values.std(ddof=1) / np.sqrt(n))
    return float(values.mean()), error, relative_width(ranked), float(np.nanstd(drawn))

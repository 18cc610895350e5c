"""Response and resolution in bins of incident energy, with errors."""

from __future__ import annotations

__all__ = ["Linearity", "energy_edges", "linearity"]

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_FEWEST, _MOST, _PER_BIN = 3, 12, 40


@dataclass(frozen=True)
class Linearity:
    """Response of a sample in each bin of energy; NaN where a bin has too few showers.

    Attributes:
        energy: Mean incident energy, MeV.
        showers: Number of showers.
        response: Mean of `E_tot / E_inc`.
        response_error: Its standard error.
        resolution: Standard deviation over mean.
        resolution_error: Its standard error, from the fourth moment.
    """

    energy: Array
    showers: NDArray[np.int64]
    response: Array
    response_error: Array
    resolution: Array
    resolution_error: Array


def energy_edges(energy: NDArray[np.floating]) -> Array:
    """Choose bins of incident energy for a sample: one for each energy if there are few, else up to 12.

    Equal bins, or equal in the logarithm where the energies span more than a decade and a half evenly in it.

    Args:
        energy: Incident energies of Geant4's showers, MeV.

    Returns:
        Edges, increasing.
    """
    values = np.unique(np.asarray(energy, np.float64))
    if len(values) <= _MOST:
        return _around(values)
    count = int(np.clip(len(energy) // _PER_BIN, _FEWEST, _MOST))
    quarter, most = np.quantile(energy, [0.25, 0.95])
    space = np.geomspace if most > 30 * quarter else np.linspace
    edges = space(values[0], values[-1], count + 1)
    edges[-1] = np.nextafter(values[-1], np.inf)
    return np.asarray(edges, np.float64)


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


def _moments(values: Array) -> tuple[float, float, float, float]:
    n = len(values)
    if n < 5 or values.mean() == 0:
        return np.nan, np.nan, np.nan, np.nan
    mean, sigma = values.mean(), values.std(ddof=1)
    if sigma == 0:
        return float(mean), 0.0, 0.0, 0.0
    excess = np.mean((values - mean) ** 4) / sigma**4 - 1
    relative = np.sqrt(excess / (4 * n) + (sigma / mean) ** 2 / n)
    return float(mean), float(sigma / np.sqrt(n)), float(sigma / mean), float(sigma / mean * relative)


def _around(values: Array) -> Array:
    between = (values[1:] + values[:-1]) / 2
    return np.array([values[0] * 0.9, *between, values[-1] * 1.1])

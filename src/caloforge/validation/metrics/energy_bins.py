"""Bins of incident energy: of equal width, or with equally many showers."""

from __future__ import annotations

__all__ = ["energy_edges", "equal_shares", "fixed_energies"]

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_FEWEST, _MOST, _PER_BIN = 3, 12, 40


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


def fixed_energies(energy: NDArray[np.floating]) -> Array:
    """Return the incident energies of a sample if they are a few fixed ones, up to 12; otherwise none.

    Args:
        energy: Incident energies of Geant4's showers, MeV.

    Returns:
        Energies, increasing, shape `(k,)`, MeV.

    Example:
        >>> fixed_energies(np.repeat([5e3, 2e4], 100)).tolist()
        [5000.0, 20000.0]
    """
    values = np.unique(np.asarray(energy, np.float64))
    return values if len(values) <= min(_MOST, len(energy) // 2) else values[:0]


def equal_shares(values: NDArray[np.floating], most: int, least: int = 1) -> Array:
    """Cut values into bins that hold equally many of them.

    Args:
        values: Of Geant4's showers, shape `(n,)`.
        most: How many bins at most; fewer where values repeat.
        least: How many values a bin should have.

    Returns:
        Inner edges, increasing, shape `(bins - 1,)`.
    """
    count = int(np.clip(len(values) // least, 1, most))
    return np.unique(np.quantile(np.asarray(values), np.linspace(0, 1, count + 1)[1:-1])).astype(np.float64)


def _around(values: Array) -> Array:
    between = (values[1:] + values[:-1]) / 2
    return np.array([values[0] * 0.9, *between, values[-1] * 1.1])

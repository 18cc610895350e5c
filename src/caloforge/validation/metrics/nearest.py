"""Distance of showers to the nearest training shower."""

from __future__ import annotations

__all__ = ["nearest_training"]

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from caloforge.validation.metrics.neighbours import squared_distances

Array = NDArray[np.float64]
Single = NDArray[np.float32]

_QUERIES = 256


def nearest_training(
    cells: csr_array, energy: Single, training: csr_array, training_energy: Single, window: int
) -> tuple[Array, NDArray[np.int64]]:
    """Return distance to and row of the nearest training shower of comparable incident energy.

    Distances are Euclidean, between cells over the incident energy.

    Args:
        cells: Energies, shape `(n, n_cells)`, MeV.
        energy: Incident energies, shape `(n,)`, MeV.
        training: Energies, shape `(m, n_cells)`, MeV.
        training_energy: Incident energies, shape `(m,)`, MeV.
        window: How many training showers, those nearest in rank of incident energy, are looked at.

    Returns:
        Two arrays of shape `(n,)`.
    """
    order, by_energy = np.argsort(energy, kind="stable"), np.argsort(training_energy, kind="stable")
    window = min(window, len(by_energy))
    rank = np.searchsorted(training_energy[by_energy], energy[order])
    first = np.clip(rank - window // 2, 0, len(by_energy) - window)
    distance, row = np.empty(len(order)), np.empty(len(order), np.int64)
    start = 0
    while start < len(order):
        # so many queries that their windows together are at most a quarter wider
        last = int(np.searchsorted(first, first[start] + window // 4, side="right"))
        stop = min(start + _QUERIES, last)
        mine, low = order[start:stop], first[start:stop]
        start = stop
        near = by_energy[low[0] : low[-1] + window]
        squares = squared_distances(_shares(cells, energy, mine), _shares(training, training_energy, near))
        at = np.arange(len(near)) + low[0]
        squares[(at < low[:, None]) | (at >= low[:, None] + window)] = np.inf
        best = squares.argmin(axis=1)
        row[mine] = near[best]
        # once more without the rounding of the matrix product, which hides how near the nearest is
        apart = _shares(cells, energy, mine) - _shares(training, training_energy, near[best])
        distance[mine] = np.sqrt(np.einsum("ij,ij->i", apart, apart, dtype=np.float64))
    return distance, row


def _shares(cells: csr_array, energy: Single, rows: NDArray[np.int64]) -> Single:
    return np.asarray(cells[rows].toarray() / energy[rows, None], np.float32)

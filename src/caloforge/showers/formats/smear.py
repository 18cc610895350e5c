"""Cells as points that lie anywhere in them, for formats of points."""

from __future__ import annotations

__all__ = ["smeared"]

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from caloforge.showers.formats.hits import cell_at

if TYPE_CHECKING:
    from caloforge.detector import Detector
    from caloforge.showers.sparse import Sparse

_SEED = 20
_TRIES = 3  # float32 takes less than one place of 10,000 over a border, so three miss hardly ever


def smeared(detector: Detector, hits: Sparse, first: int) -> NDArray[np.float32]:
    """Return a place in the cell of each hit, uniform in its area, shape `(hits, 2)`, x and y in mm.

    As float32, a place is in the same cell; where no try is, it is the middle. Places depend on the cells
    of a shower and its number alone.

    Args:
        detector: Whose cells.
        hits: Of some showers.
        first: Number of the first of these.
    """
    cell = hits.index.astype(np.int64)
    layer = detector.layer_of_cell[cell]
    tries = np.concatenate([np.empty((0, _TRIES, 3)), *_uniform(np.diff(hits.offset), first)])
    places = detector.positions[cell, :2].astype(np.float32)
    missing = np.arange(len(cell))
    for number in range(_TRIES):
        tried = _within(detector, cell[missing], tries[missing, number]).astype(np.float32)
        found = cell_at(detector, layer[missing], *tried.T) == cell[missing]
        places[missing[found]] = tried[found]
        missing = missing[~found]
    return places


def _uniform(counts: NDArray[np.int64], first: int) -> list[NDArray[np.float64]]:
    """Numbers from 0 to 1 for the hits of each shower."""
    return [
        np.random.default_rng([_SEED, number]).random((count, _TRIES, 3))
        for number, count in enumerate(counts.tolist(), first)
    ]


def _within(detector: Detector, cell: NDArray[np.int64], uniform: NDArray[np.float64]) -> NDArray[np.float64]:
    places, layer = np.empty((len(cell), 2)), detector.layer_of_cell[cell]
    start = np.array([found.cells.start for found in detector.layers])
    for grid in {found.grid for found in detector.layers}:
        here = np.flatnonzero(np.isin(layer, [i.index for i in detector.layers if i.grid == grid]))
        places[here] = grid.within(cell[here] - start[layer[here]], uniform[here])
    return places

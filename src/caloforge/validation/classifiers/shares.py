"""Cells as boosted trees see them: log-shares of the layers' energies in few steps, of the cells hit most."""

from __future__ import annotations

__all__ = ["Shares", "share_inputs"]

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array, vstack

from caloforge.validation.inputs.sample import Sample
from caloforge.validation.metrics.shares import log_shares

MOST_CELLS = 150
"""Cells that the trees see."""

STEPS = 64
"""Steps of a log-share, the floor being one of them."""

_SOME = 10_000


@dataclass(frozen=True)
class Shares:
    """Cells of two samples as whole numbers, which trees need not sort again.

    Attributes:
        steps: Step of each log-share, 0 at the floor, shape `(2 n, k)`: Geant4 first.
        layer: Layer of each of the `k` cells.
    """

    steps: NDArray[np.uint8]
    layer: NDArray[np.int64]


def share_inputs(first: Sample, second: Sample) -> Shares:
    """Return log10 of cells' shares of their layers' energies, floored at 1e-5, in 64 steps.

    The cells are those that most showers hit, with more than the floor. Steps hold equally many hits. Both
    are chosen over the two samples together, whichever shower is whose.

    Args:
        first: Geant4.
        second: What is to be told from it.
    """
    showers = min(first.cells.shape[0], second.cells.shape[0])
    both = csr_array(vstack([s.cells[:showers] for s in (first, second)], format="csr"))
    heights = log_shares(first.detector, both)
    hits, sums = (
        np.bincount(heights.indices, w, minlength=first.detector.n_cells) for w in (None, heights.data)
    )
    # many cells near the axis are hit in every shower: of these the hardest hit go first
    best = np.lexsort((-sums, -hits))[: min(MOST_CELLS, np.count_nonzero(hits))]
    cells = np.sort(best)
    return Shares(_steps(csc_array(heights[:, cells])), first.detector.layer_of_cell[cells])


def _steps(heights: csc_array) -> NDArray[np.uint8]:
    """Cut the hits of each cell at their quantiles; what is not hit stays 0."""
    out = np.zeros(heights.shape, np.uint8)
    quantiles = np.linspace(0, 1, STEPS)[1:-1]
    for cell, column in enumerate(out.T):
        mine = slice(heights.indptr[cell], heights.indptr[cell + 1])
        hits = heights.data[mine]
        # rows of a column are in no order that knows of the labels: every so-many-th stands for all
        some = hits[:: -(-len(hits) // _SOME)]
        column[heights.indices[mine]] = 1 + np.searchsorted(np.unique(np.quantile(some, quantiles)), hits)
    return out

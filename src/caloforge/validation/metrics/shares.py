"""How a layer's energy is shared among its cells, as logarithms: what single cells do whatever the energy."""

from __future__ import annotations

__all__ = ["DECADES", "layer_sums", "log_shares"]

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from caloforge.detector import Detector

DECADES = 5.0
"""Shares are followed down to 1e-5 of the layer's energy; a cell with less counts as not hit."""


def layer_sums(detector: Detector, cells: csr_array) -> NDArray[np.float64]:
    """Return the energy of each layer, shape `(n, n_layers)`, MeV.

    Args:
        detector: What was hit.
        cells: Shape `(n, n_cells)`, MeV.
    """
    member = np.arange(len(detector.layers)) == detector.layer_of_cell[:, None]
    return np.asarray(cells.astype(np.float64) @ member.astype(np.float64))


def log_shares(detector: Detector, cells: csr_array) -> csr_array:
    """Return log10 of each cell's share of its layer's energy, in decades above the floor of 1e-5.

    At the floor and below it is 0, so the result is as sparse as the showers.

    Args:
        detector: What was hit.
        cells: Shape `(n, n_cells)`, MeV.

    Returns:
        Shape `(n, n_cells)`, 0 to 5, single precision.
    """
    row = np.repeat(np.arange(cells.shape[0]), np.diff(cells.indptr))
    total = layer_sums(detector, cells)[row, detector.layer_of_cell[cells.indices]]
    with np.errstate(divide="ignore", invalid="ignore"):
        height = np.maximum(np.nan_to_num(np.log10(cells.data / total), nan=-np.inf) + DECADES, 0.0)
    # a copy: eliminating zeros moves the indices, which are those of the showers
    out = csr_array((height.astype(np.float32), cells.indices, cells.indptr), shape=cells.shape, copy=True)
    out.eliminate_zeros()
    return out

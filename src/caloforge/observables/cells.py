"""How the energy is shared among cells: hits, sparsity and the brightest cells."""

from __future__ import annotations

__all__ = ["brightest", "energy_ratio", "hits", "sparsity"]

import numpy as np
from numpy.typing import NDArray

from caloforge.observables.shapes import Shapes

Array = NDArray[np.float64]


def hits(shapes: Shapes) -> Array:
    """Return the number of cells with energy above the threshold, `(n,)`."""
    return np.asarray(shapes.hits.sum(axis=1), np.float64)


def sparsity(shapes: Shapes, layer: int) -> Array:
    """Return the share of the layer's cells that have no energy, `(n,)` (arXiv 2106.05285)."""
    return np.asarray(1.0 - shapes.hits[:, layer] / shapes.detector.layers[layer].n_cells)


def brightest(shapes: Shapes, layer: int, rank: int = 0) -> Array:
    """Return the energy of the brightest cell over that of its layer, `(n,)`; NaN if empty.

    Args:
        shapes: The showers.
        layer: Index of the layer.
        rank: 0 for the brightest cell, 1 for the next, up to 4.
    """
    energy = shapes.layer_energy[:, layer]
    return np.asarray(shapes.brightest[:, layer, rank] / np.where(energy > 0, energy, np.nan))


def energy_ratio(shapes: Shapes, layer: int) -> Array:
    """Return $(E_1-E_2)/(E_1+E_2)$ of the two brightest cells, `(n,)`; NaN if the layer is empty."""
    first, second = shapes.brightest[:, layer, 0], shapes.brightest[:, layer, 1]
    total = first + second
    return np.asarray((first - second) / np.where(total > 0, total, np.nan))

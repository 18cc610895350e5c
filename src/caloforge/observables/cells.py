"""How the energy is shared among cells: hits, sparsity and the brightest cells."""

from __future__ import annotations

__all__ = [
    "brightest",
    "energy_ratio",
    "hits",
    "hits_above",
    "hottest_cell",
    "hottest_layer",
    "hottest_position",
    "layer_hits",
    "shower_sparsity",
    "sparsity",
]

import numpy as np
from numpy.typing import NDArray

from caloforge.observables.moments import ratio
from caloforge.observables.shapes import Shapes

Array = NDArray[np.float64]


def hits(shapes: Shapes) -> Array:
    """Return the number of cells with energy above the detector's threshold, `(n,)`."""
    return np.asarray(shapes.hits.sum(axis=1), np.float64)


def hits_above(shapes: Shapes, energy: float) -> Array:
    """Return the number of cells with at least `energy` MeV, `(n,)`."""
    return np.asarray(shapes.hits_above(energy), np.float64)


def layer_hits(shapes: Shapes, layer: int) -> Array:
    """Return the number of the layer's cells with energy above the detector's threshold, `(n,)`."""
    return np.asarray(shapes.hits[:, layer], np.float64)


def sparsity(shapes: Shapes, layer: int) -> Array:
    """Return the share of the layer's cells that have no energy, `(n,)` (arXiv 2106.05285)."""
    return np.asarray(1.0 - shapes.hits[:, layer] / shapes.detector.layers[layer].n_cells)


def shower_sparsity(shapes: Shapes) -> Array:
    """Return the share of all cells that have no energy, `(n,)`."""
    return np.asarray(1.0 - shapes.hits.sum(axis=1) / shapes.detector.n_cells)


def brightest(shapes: Shapes, layer: int, rank: int = 0) -> Array:
    """Return the energy of the brightest cell over that of its layer, `(n,)`; NaN if empty.

    Args:
        shapes: The showers.
        layer: Index of the layer.
        rank: 0 for the brightest cell, 1 for the next, up to 4.
    """
    return ratio(shapes.brightest[:, layer, rank], shapes.layer_energy[:, layer])


def energy_ratio(shapes: Shapes, layer: int) -> Array:
    """Return $(E_1-E_2)/(E_1+E_2)$ of the two brightest cells, `(n,)`; NaN if the layer is empty."""
    first, second = shapes.brightest[:, layer, 0], shapes.brightest[:, layer, 1]
    return ratio(first - second, first + second)


def hottest_cell(shapes: Shapes) -> Array:
    """Return the energy of the cell that has most, `(n,)`, MeV."""
    return np.asarray(shapes.cells[np.arange(len(shapes)), shapes.hottest], np.float64)


def hottest_layer(shapes: Shapes) -> Array:
    """Return the number of the layer of the hottest cell, `(n,)`; NaN for an empty shower."""
    return np.where(shapes.energy > 0, shapes.detector.layer_of_cell[shapes.hottest], np.nan)


def hottest_position(shapes: Shapes, axis: str) -> Array:
    """Return the centre of the hottest cell along `x` or `y`, `(n,)`, mm; NaN for an empty shower."""
    position = shapes.detector.positions[shapes.hottest, "xy".index(axis)]
    return np.where(shapes.energy > 0, position, np.nan)

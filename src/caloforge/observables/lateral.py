"""How wide: centre, width and skewness of the shower across each layer and across all, and its radius."""

from __future__ import annotations

__all__ = [
    "centroid",
    "measured_phi",
    "measured_theta",
    "radius_of",
    "shower_centroid",
    "shower_skewness",
    "shower_width",
    "skewness",
    "tower_share",
    "width",
]

import numpy as np
from numpy.typing import NDArray

from caloforge.observables.geometry import ring_edges
from caloforge.observables.moments import ratio
from caloforge.observables.shapes import Shapes

Array = NDArray[np.float64]


def centroid(shapes: Shapes, layer: int, axis: str) -> Array:
    """Return the energy-weighted mean of `axis` (`x`, `y`, `r`) in one layer, `(n,)`, mm; NaN if empty."""
    return shapes.lateral(axis).mean[:, layer]


def width(shapes: Shapes, layer: int, axis: str) -> Array:
    """Return the energy-weighted standard deviation of `axis` in one layer, `(n,)`, mm; NaN if empty."""
    return shapes.lateral(axis).width[:, layer]


def skewness(shapes: Shapes, layer: int, axis: str) -> Array:
    """Return the energy-weighted skewness of `axis` in one layer, `(n,)`; NaN without a width."""
    return shapes.lateral(axis).skewness[:, layer]


def shower_centroid(shapes: Shapes, axis: str) -> Array:
    """Return the energy-weighted mean of `axis` over all layers that resolve it, `(n,)`, mm."""
    return shapes.shower_lateral(axis).mean


def shower_width(shapes: Shapes, axis: str) -> Array:
    """Return the energy-weighted standard deviation of `axis` over all layers that resolve it, `(n,)`, mm."""
    return shapes.shower_lateral(axis).width


def shower_skewness(shapes: Shapes, axis: str) -> Array:
    """Return the energy-weighted skewness of `axis` over all layers that resolve it, `(n,)`."""
    return shapes.shower_lateral(axis).skewness


def radius_of(shapes: Shapes, share: float) -> Array:
    """Return the radius about the detector's axis that contains `share` of the energy, `(n,)`, mm.

    Energy is spread evenly over each cell's area, and over each ring. NaN for an empty shower.
    """
    edges = np.square(ring_edges(shapes.detector))
    inside = np.cumsum(shapes.rings, axis=1)
    wanted = share * inside[:, -1:]
    ring = np.argmax(inside >= wanted, axis=1)[:, None]
    here = np.take_along_axis(shapes.rings, ring, axis=1)
    part = 1 - ratio(np.take_along_axis(inside, ring, axis=1) - wanted, here)
    square = edges[ring] + part * (edges[ring + 1] - edges[ring])
    return np.asarray(np.sqrt(square[:, 0]), np.float64)


def tower_share(shapes: Shapes) -> Array:
    """Return $R_9$, the share of the energy in 3 x 3 towers around the hottest one, `(n,)`.

    A tower is a cell through all layers, which must have one cartesian grid (arXiv 1912.06794).
    """
    grid = shapes.detector.layers[0].grid
    nx, ny = grid.shape
    towers = shapes.towers(grid)
    hottest = np.divmod(towers.argmax(axis=1), ny)
    padded = np.pad(towers.reshape(-1, nx, ny), ((0, 0), (1, 1), (1, 1)))
    row = np.arange(len(shapes))
    window = [padded[row, hottest[0] + i, hottest[1] + j] for i in range(3) for j in range(3)]
    return ratio(np.sum(window, axis=0), shapes.energy)


def measured_theta(shapes: Shapes) -> Array:
    """Return the angle to z of the line through the layers' barycentres, `(n,)`, rad; NaN in one layer."""
    return np.asarray(np.arctan(np.hypot(*shapes.slopes.T)), np.float64)


def measured_phi(shapes: Shapes) -> Array:
    """Return the azimuth of the line through the layers' barycentres, `(n,)`, rad; NaN in one layer."""
    return np.arctan2(shapes.slopes[:, 1], shapes.slopes[:, 0])

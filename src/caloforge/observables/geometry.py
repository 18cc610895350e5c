"""What observables need of a detector's grids: axes that cells resolve, powers of positions, rings."""

from __future__ import annotations

__all__ = ["AXES", "grids", "has_axis", "middles", "powers", "resolves", "ring_edges", "ring_shares"]

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array, vstack

from caloforge.detector import CartesianGrid, Detector, Layer, NearestGrid, PolarGrid
from caloforge.detector.grids import Grid

Array = NDArray[np.float64]

AXES = ("x", "y", "r")
"""Lateral axes: two across the layer and the distance to the detector's axis."""

_MOST_RINGS = 256


def has_axis(layer: Layer, axis: str) -> bool:
    """Say whether the cells of `layer` are cut along `axis`: x and y or r, depending on its grid."""
    grid = layer.grid
    if isinstance(grid, CartesianGrid):
        return axis != "r" and grid.cells["xy".index(axis)] > 1
    if isinstance(grid, PolarGrid):
        return grid.n_r > 1 if axis == "r" else grid.alpha > 1
    return axis != "r" and len(grid.bins("xy".index(axis))[0]) > 2


def resolves(layer: Layer, axis: str) -> bool:
    """Say whether positions along `axis` are known in `layer`; unlike `has_axis`, x and y together give r."""
    if axis == "r" and not isinstance(layer.grid, PolarGrid):
        return has_axis(layer, "x") and has_axis(layer, "y")
    return has_axis(layer, axis)


def middles(detector: Detector) -> Array:
    """Return the depth of the middle of each layer, shape `(n_layers,)`, mm."""
    return np.array([(layer.start + layer.end) / 2 for layer in detector.layers])


@lru_cache(maxsize=64)
def powers(grid: Grid) -> Array:
    """Return 1 and x, x², x³, y ... r³ of each cell's centre, shape `(n_cells, 10)`, in powers of mm."""
    x, y = grid.centres().T
    columns = [axis**k for axis in (x, y, np.hypot(x, y)) for k in (1, 2, 3)]
    return np.stack([np.ones_like(x), *columns], axis=1)


def grids(detector: Detector) -> dict[Grid, list[Layer]]:
    """Return the layers of each distinct grid."""
    found: dict[Grid, list[Layer]] = {}
    for layer in detector.layers:
        found.setdefault(layer.grid, []).append(layer)
    return found


@lru_cache(maxsize=16)
def ring_edges(detector: Detector) -> tuple[float, ...]:
    """Return borders of rings around the detector's axis that follow all its grids, mm.

    Rings of cells are taken as they are; rectangles are cut into rings of half their shorter side,
    polygons of half their pitch.
    """
    edges = {0.0}
    for grid in grids(detector):
        if isinstance(grid, PolarGrid):
            edges.update(grid.r_edges)
        else:
            corner = float(np.hypot(*grid.reach))
            side = min(grid.cell) if isinstance(grid, CartesianGrid) else grid.pitch
            count = int(min(np.ceil(corner / (side / 2)), _MOST_RINGS))
            edges.update(np.round(np.linspace(0.0, corner, count + 1), 9).tolist())
    return tuple(sorted(edges))


@lru_cache(maxsize=16)
def ring_shares(grid: Grid, edges: tuple[float, ...]) -> csr_array:
    """Return the share of each cell's area in each ring, shape `(n_cells, n_rings)`."""
    if isinstance(grid, PolarGrid):
        return _shares_of_rings(grid, np.asarray(edges))
    if isinstance(grid, CartesianGrid):
        return _shares_of_rectangles(grid, np.asarray(edges))
    return _shares_of_polygons(grid, np.asarray(edges))


def _shares_of_rings(grid: PolarGrid, edges: Array) -> csr_array:
    low, high = np.square(grid.r_edges[:-1]), np.square(grid.r_edges[1:])
    inner, outer = np.square(edges[:-1]), np.square(edges[1:])
    overlap = np.minimum(high[:, None], outer) - np.maximum(low[:, None], inner)
    shares = np.maximum(overlap, 0.0) / (high - low)[:, None]
    return vstack([csr_array(shares)] * grid.alpha, format="csr")


def _shares_of_rectangles(grid: CartesianGrid, edges: Array) -> csr_array:
    # counted at points that lie denser than the rings
    pitch = float(np.hypot(*grid.reach)) / (2 * (len(edges) - 1))
    many = [max(1, int(np.ceil(side / pitch))) for side in grid.cell]
    x, y = (_points(width, n * m) for width, n, m in zip(grid.window, grid.cells, many, strict=True))
    ring = np.searchsorted(edges, np.hypot(x[:, None], y), side="right") - 1
    column, row = (np.repeat(np.arange(n), m) for n, m in zip(grid.cells, many, strict=True))
    cell = column[:, None] * grid.cells[1] + row
    where = (cell.ravel(), ring.ravel())  # points of one cell in one ring add up
    each = np.full(cell.size, 1 / (many[0] * many[1]))
    return coo_array((each, where), shape=(grid.n_cells, len(edges) - 1)).tocsr()


def _shares_of_polygons(grid: NearestGrid, edges: Array) -> csr_array:
    # counted as well, and at the centre of each cell, so that the smallest has a point
    pitch = float(np.hypot(*grid.reach)) / (2 * (len(edges) - 1))
    x, y = (_points(2 * most, int(np.ceil(2 * most / pitch))) for most in grid.reach)
    points = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2)
    cell = grid.index(*points.T)
    points, cell = points[cell >= 0], cell[cell >= 0]
    points, cell = np.concatenate([points, grid.centres()]), np.append(cell, np.arange(grid.n_cells))
    ring = np.searchsorted(edges[:-1], np.hypot(*points.T), side="right") - 1
    each = 1 / np.bincount(cell)[cell]
    return coo_array((each, (cell, ring)), shape=(grid.n_cells, len(edges) - 1)).tocsr()


def _points(width: float, count: int) -> Array:
    return np.asarray((np.arange(count) + 0.5) * (width / count) - width / 2, np.float64)

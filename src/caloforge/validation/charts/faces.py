"""Energy maps of a layer, or of a whole shower from the front and from the side, to scale in mm."""

from __future__ import annotations

__all__ = ["even_layers", "front_face", "layer_face", "main_layers", "shower_face", "side_face"]

import numpy as np
from numpy.typing import NDArray

from caloforge.detector import CartesianGrid, Detector, Grid, NearestGrid, PolarGrid
from caloforge.validation.charts import Face

Array = NDArray[np.float64]

_FINE = 96
"""Sectors of a drawn circle; a ring that is one cell would be a straight line otherwise."""


def even_layers(detector: Detector) -> bool:
    """Say whether there are several layers and all share one grid, so that they can be added up."""
    layers = detector.layers
    return len(layers) > 1 and all(layer.grid == layers[0].grid for layer in layers)


def layer_face(detector: Detector, layer: int, cells: Array) -> Face:
    """Map one layer of a shower `(n_cells,)` seen along the depth."""
    wanted = detector.layers[layer]
    return _of_grid(wanted.grid, cells[wanted.cells].reshape(wanted.shape))


def front_face(detector: Detector, cells: Array) -> Face:
    """Add up the layers of a shower `(n_cells,)`, which must share one grid."""
    layer = detector.layers[0]
    return _of_grid(layer.grid, cells.reshape(detector.n_layers, *layer.shape).sum(axis=0))


def side_face(detector: Detector, cells: Array) -> Face:
    """Map depth against y, or against the radius; layers must share one grid."""
    layer = detector.layers[0]
    polar = isinstance(layer.grid, PolarGrid)
    across, values = _up(layer.grid, cells.reshape(detector.n_layers, *layer.shape))
    nominal = detector.depth_is_nominal
    ends = [item.end for item in detector.layers]
    depth = np.arange(len(ends) + 1) if nominal else np.array([detector.layers[0].start, *ends])
    x, y = np.meshgrid(depth, across, indexing="ij")
    labels = ("layer" if nominal else "depth [mm]", "r [mm]" if polar else "y [mm]")
    return Face(x, y, values, labels, square=False)


def _up(grid: Grid, values: Array) -> tuple[Array, Array]:
    """Edges along y, or along the radius, and energies of layers `(n_layers, *shape)` between them."""
    if isinstance(grid, NearestGrid):
        edges, row = grid.bins(1)
        return edges, np.stack([np.bincount(row, v, len(edges) - 1) for v in values.reshape(len(values), -1)])
    # the axis that is summed is x, or the angle: the first of the grid in both
    return np.asarray(grid.r_edges) if isinstance(grid, PolarGrid) else grid.y_edges, values.sum(axis=1)


def shower_face(detector: Detector, cells: Array) -> Face:
    """Map a shower `(n_cells,)` in one panel: all layers, or the second where grids differ."""
    if even_layers(detector):
        return front_face(detector, cells)
    return layer_face(detector, min(1, detector.n_layers - 1), cells)


def main_layers(detector: Detector, mean_cells: Array, most: int) -> list[int]:
    """Return at most `most` neighbouring layers around the maximum of a mean shower `(n_cells,)`."""
    energy = np.bincount(detector.layer_of_cell, mean_cells, minlength=detector.n_layers)
    start = int(np.clip(int(energy.argmax()) - most // 2, 0, max(0, detector.n_layers - most)))
    return list(range(start, min(start + most, detector.n_layers)))


def _of_grid(grid: Grid, values: Array) -> Face:
    if isinstance(grid, PolarGrid):
        times = max(1, -(-_FINE // grid.alpha))
        alpha = np.linspace(-np.pi, np.pi, grid.alpha * times + 1)
        a, r = np.meshgrid(alpha, np.asarray(grid.r_edges), indexing="ij")
        return Face(r * np.cos(a), r * np.sin(a), np.repeat(values, times, axis=0), ("x [mm]", "y [mm]"))
    if isinstance(grid, CartesianGrid):
        x, y = np.meshgrid(grid.x_edges, grid.y_edges, indexing="ij")
        return Face(x, y, values, ("x [mm]", "y [mm]"))
    most = max(map(len, grid.polygons))
    corners = np.stack([np.pad(p, ((0, most - len(p)), (0, 0)), mode="edge") for p in grid.polygons])
    return Face(corners[:, :, 0], corners[:, :, 1], values.ravel(), ("x [mm]", "y [mm]"))

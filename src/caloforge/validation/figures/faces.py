"""Energy maps of a layer, or of a whole shower from the front and from the side, to scale in mm."""

from __future__ import annotations

__all__ = ["Face", "draw_face", "front_face", "layer_face", "side_face"]

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize
from numpy.typing import NDArray

from caloforge.detector import Detector, Grid, PolarGrid

Array = NDArray[np.float64]
_FINE = 96
"""Sectors of a drawn circle; a ring that is one cell would be a straight line otherwise."""


@dataclass(frozen=True)
class Face:
    """A map of energies.

    Attributes:
        x: Corners, shape `(a + 1, b + 1)`.
        y: Corners, same shape.
        values: One per cell, shape `(a, b)`.
        labels: What the axes are.
        square: Whether both axes have one scale.
    """

    x: Array
    y: Array
    values: Array
    labels: tuple[str, str]
    square: bool = True


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
    # the axis that is summed is x, or the angle: the first of the grid in both
    values = cells.reshape(detector.n_layers, *layer.shape).sum(axis=1)
    across = np.asarray(layer.grid.r_edges) if isinstance(layer.grid, PolarGrid) else layer.grid.y_edges
    nominal = detector.depth_is_nominal
    ends = [item.end for item in detector.layers]
    depth = np.arange(len(ends) + 1) if nominal else np.array([detector.layers[0].start, *ends])
    x, y = np.meshgrid(depth, across, indexing="ij")
    labels = ("layer" if nominal else "z [mm]", "r [mm]" if polar else "y [mm]")
    return Face(x, y, values, labels, square=False)


def _of_grid(grid: Grid, values: Array) -> Face:
    if isinstance(grid, PolarGrid):
        times = max(1, -(-_FINE // grid.alpha))
        alpha = np.linspace(-np.pi, np.pi, grid.alpha * times + 1)
        a, r = np.meshgrid(alpha, np.asarray(grid.r_edges), indexing="ij")
        return Face(r * np.cos(a), r * np.sin(a), np.repeat(values, times, axis=0), ("x [mm]", "y [mm]"))
    x, y = np.meshgrid(grid.x_edges, grid.y_edges, indexing="ij")
    return Face(x, y, values, ("x [mm]", "y [mm]"))


def draw_face(axes: Axes, face: Face, norm: Normalize, colours: Colormap) -> ScalarMappable:
    """Draw a map; cells without energy stay empty."""
    shown = np.ma.masked_invalid(np.where(face.values == 0, np.nan, face.values))
    straight = np.ptp(face.x, axis=1).max() == 0 and np.ptp(face.y, axis=0).max() == 0
    if straight and _even(face.x[:, 0]) and _even(face.y[0]):
        # stored as one pixel per cell: small, and sharp at any size
        extent = (face.x[0, 0], face.x[-1, 0], face.y[0, 0], face.y[0, -1])
        drawn: ScalarMappable = axes.imshow(
            shown.T,
            origin="lower",
            extent=extent,
            norm=norm,
            cmap=colours,
            interpolation="none",
            aspect="auto",
        )
    else:
        drawn = axes.pcolormesh(face.x, face.y, shown, norm=norm, cmap=colours, rasterized=True)
    axes.set_aspect("equal" if face.square else "auto")
    return drawn


def _even(edges: Array) -> bool:
    return bool(np.allclose(np.diff(edges), edges[1] - edges[0]))

"""Layers' cells in colour, as the particle sees them: x to the right, y up, cells without energy white."""

from __future__ import annotations

__all__ = ["draw_faces", "draw_mosaic"]

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from caloforge.detector import CartesianGrid, NearestGrid, PolarGrid

if TYPE_CHECKING:
    from caloforge.detector import Layer

_COLOURS, _INK, _GREY = "magma_r", "#222222", "#777777"
_PIECES = 72  # straight pieces that a circle is drawn with


def draw_faces(axes: Sequence[Any], layers: Sequence[Layer], cells: NDArray[Any], norm: Any) -> Any:
    """Draw one layer on each of the axes, with its scale in mm.

    Args:
        axes: matplotlib axes, one per layer.
        layers: The layers.
        cells: Energies of all cells of the detector, shape `(n_cells,)`.
        norm: From energy to colour.

    Returns:
        What a colour bar needs.
    """
    drawn = None
    for ax, layer in zip(axes, layers, strict=True):
        drawn = _cells(ax, layer, cells, norm)
        ax.use_sticky_edges = False
        ax.margins(0.01)
        ax.set_aspect("equal")
        ax.set_title(_title(layer), fontsize=9, color=_INK, pad=3)
        ax.tick_params(labelsize=7, colors=_GREY)
        ax.spines[:].set_visible(False)
        if isinstance(layer.grid, PolarGrid) and not _to_scale(layer.grid):
            ax.set_xticks([])
            ax.set_yticks([])
            ax.set_xlabel(f"r to {layer.grid.r_edges[-1]:g} mm\nrings drawn equally wide", fontsize=8)
        else:
            ax.set_xlabel("x [mm]", fontsize=8)
            ax.set_ylabel("y [mm]", fontsize=8)
    return drawn


def draw_mosaic(ax: Any, layers: Sequence[Layer], cells: NDArray[Any], norm: Any, columns: int) -> Any:
    """Draw many layers on one axes, row by row and equally large; arguments as in `draw_faces`.

    One axes per layer would take ten times as long.
    """
    drawn = None
    for i, layer in enumerate(layers):
        row, column = divmod(i, columns)
        size = 1 / (2 * max(layer.grid.reach))
        right, up = 1.06 * column, -1.17 * row
        drawn = _cells(ax, layer, cells, norm, size, (right, up))
        ax.text(right, up + 0.52, _title(layer), fontsize=6.5, color=_INK, ha="center", va="bottom")
    ax.use_sticky_edges = False
    ax.margins(0.005)
    ax.set_aspect("equal")
    ax.set_axis_off()
    return drawn


def _cells(
    ax: Any,
    layer: Layer,
    cells: NDArray[Any],
    norm: Any,
    size: float = 1.0,
    middle: tuple[float, float] = (0.0, 0.0),
) -> Any:
    """Draw a layer, each mm as long as `size`, about its middle."""
    right, up = middle
    if isinstance(layer.grid, NearestGrid):
        return _polygons(ax, [size * p + middle for p in layer.grid.polygons], _energies(layer, cells), norm)
    (x, y), outline = _corners(layer), _outline(layer)
    ax.plot(size * outline[0] + right, size * outline[1] + up, color=_GREY, linewidth=0.5)
    return _mesh(ax, size * x + right, size * y + up, _energies(layer, cells), norm)


def _polygons(ax: Any, polygons: Sequence[NDArray[Any]], energy: Any, norm: Any) -> Any:
    from matplotlib.collections import PolyCollection

    # As wide as the colour reaches: white lines between cells would look like gaps.
    drawn = PolyCollection(polygons, array=energy.ravel(), cmap=_COLOURS, norm=norm, edgecolors="face")
    drawn.set(linewidths=0.2, rasterized=True)
    below = PolyCollection(polygons, facecolors="none", edgecolors=_GREY, linewidths=0.15)
    ax.add_collection(below)
    return ax.add_collection(drawn)


def _mesh(ax: Any, x: NDArray[Any], y: NDArray[Any], energy: Any, norm: Any) -> Any:
    pieces = (x.shape[0] - 1) // energy.shape[0]
    energy = np.repeat(energy, pieces, axis=0)
    return ax.pcolormesh(x, y, energy, cmap=_COLOURS, norm=norm, rasterized=True, linewidth=0)


def _energies(layer: Layer, cells: NDArray[Any]) -> Any:
    energy = cells[layer.cells].reshape(layer.shape)
    return np.ma.masked_less_equal(np.ma.masked_invalid(energy), 0)


def _title(layer: Layer) -> str:
    return layer.name.replace("_", " ")


def _corners(layer: Layer) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Corners of the cells in mm, first axis x or (in straight pieces) alpha, second y or r."""
    if isinstance(layer.grid, CartesianGrid):
        x, y = np.meshgrid(layer.grid.x_edges, layer.grid.y_edges, indexing="ij")
        return x, y
    assert isinstance(layer.grid, PolarGrid)
    alpha = _angles(layer.grid)
    edges = np.asarray(layer.grid.r_edges)
    radii = edges if _to_scale(layer.grid) else np.linspace(edges[0], edges[-1], len(edges))
    return np.outer(np.cos(alpha), radii), np.outer(np.sin(alpha), radii)


def _outline(layer: Layer) -> NDArray[np.float64]:
    across, up = layer.grid.reach
    if isinstance(layer.grid, CartesianGrid):
        return np.array([[-across, across, across, -across, -across], [-up, -up, up, up, -up]])
    assert isinstance(layer.grid, PolarGrid)
    alpha = _angles(layer.grid)
    return np.stack([across * np.cos(alpha), up * np.sin(alpha)])


def _angles(grid: PolarGrid) -> NDArray[np.float64]:
    return np.linspace(-math.pi, math.pi, grid.alpha * math.ceil(_PIECES / grid.alpha) + 1)


def _to_scale(grid: PolarGrid) -> bool:
    """Whether the narrowest ring can be seen beside the widest."""
    widths = np.diff(grid.r_edges)
    return bool(widths.max() < 10 * widths.min())

"""The face of a layer: its cells as a particle sees them, with the first two of the vector marked."""

from __future__ import annotations

__all__ = ["draw_face", "mark_legend"]

import math
from typing import Any

import numpy as np

from caloforge.detector.drawing.lines import some
from caloforge.detector.drawing.palette import CELL, FIRST, GREY, INK, SECOND
from caloforge.detector.grids import CartesianGrid, PolarGrid
from caloforge.detector.nearest import NearestGrid
from caloforge.detector.readout import Layer
from caloforge.detector.summary import cell_count, cell_size

_SHARE = 10  # circles and crossing lines take longer than parallel ones
_CIRCLE = np.linspace(-math.pi, math.pi, 361)


def draw_face(ax: Any, layer: Layer) -> None:
    """Draw the cells of one layer to scale; cells 0 and 1 of the layer are coloured."""
    if isinstance(layer.grid, CartesianGrid):
        _cartesian(ax, layer.grid)
    elif isinstance(layer.grid, PolarGrid):
        _polar(ax, layer.grid)
    else:
        _polygons(ax, layer.grid)
    title = f"{layer.name}: {cell_count(layer.grid).replace(' (', ' cells (')}\nof {cell_size(layer.grid)}"
    ax.set_title(title, fontsize=8.5, color=INK)
    across, up = layer.grid.reach
    ax.set_xlim(-1.03 * across, 1.03 * across)
    ax.set_ylim(-1.03 * up, 1.03 * up)
    ax.set_aspect("equal")
    ax.set_xlabel("x [mm]", fontsize=8.5, color=INK)
    ax.set_ylabel("y [mm]", fontsize=8.5, color=INK)
    ax.tick_params(labelsize=7.5, colors=GREY)
    for spine in ax.spines.values():
        spine.set_visible(False)


def mark_legend(area: Any) -> None:
    """Explain the coloured cells, below the faces."""
    from matplotlib.patches import Patch

    handles = [Patch(facecolor=FIRST, label="cell 0"), Patch(facecolor=SECOND, label="cell 1 of the layer")]
    area.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=8)


def _cartesian(ax: Any, grid: CartesianGrid) -> None:
    from matplotlib.collections import LineCollection
    from matplotlib.patches import Rectangle

    (wx, wy), (dx, dy) = grid.window, grid.cell
    ax.add_patch(Rectangle((-wx / 2, -wy / 2), wx, wy, facecolor=CELL, edgecolor=INK, lw=1.0))
    for i, colour in _marks(grid.n_cells):
        x, y = grid.centres()[i]
        ax.add_patch(Rectangle((x - dx / 2, y - dy / 2), dx, dy, facecolor=colour, edgecolor="none"))
    across = [[(x, -wy / 2), (x, wy / 2)] for x in some(grid.x_edges, _SHARE)]
    up = [[(-wx / 2, y), (wx / 2, y)] for y in some(grid.y_edges, _SHARE)]
    ax.add_collection(LineCollection(across + up, colors=INK, linewidths=_width(max(grid.cells))))


def _polar(ax: Any, grid: PolarGrid) -> None:
    from matplotlib.collections import LineCollection
    from matplotlib.patches import Wedge

    r_min, r_max = grid.r_edges[0], grid.r_edges[-1]
    ax.add_patch(Wedge((0, 0), r_max, 0, 360, width=r_max - r_min, facecolor=CELL, edgecolor="none"))
    sector = 360 / grid.alpha
    for i, colour in _marks(grid.n_cells):
        alpha, ring = divmod(i, grid.n_r)
        low, high = grid.r_edges[ring : ring + 2]
        first = -180 + alpha * sector
        ax.add_patch(Wedge((0, 0), high, first, first + sector, width=high - low, facecolor=colour))
    circles = [
        np.column_stack([r * np.cos(_CIRCLE), r * np.sin(_CIRCLE)])
        for r in some(grid.r_edges, _SHARE)
        if r > 0
    ]
    edges = some(grid.alpha_edges[:-1], _SHARE) if grid.alpha > 1 else ()
    spokes = [[(r * math.cos(a), r * math.sin(a)) for r in (r_min, r_max)] for a in edges]
    width = _width(max(2 * grid.n_r, grid.alpha))
    ax.add_collection(LineCollection([*circles, *spokes], colors=INK, linewidths=width))


def _polygons(ax: Any, grid: NearestGrid) -> None:
    from matplotlib.collections import PolyCollection

    colours = [CELL] * grid.n_cells
    for i, colour in _marks(grid.n_cells):
        colours[i] = colour
    width = _width(math.isqrt(grid.n_cells))
    ax.add_collection(PolyCollection(grid.polygons, facecolors=colours, edgecolors=INK, linewidths=width))


def _marks(n_cells: int) -> list[tuple[int, str]]:
    return list(enumerate((FIRST, SECOND)))[:n_cells]


def _width(lines: int) -> float:
    return 0.7 if lines < 30 else 0.35

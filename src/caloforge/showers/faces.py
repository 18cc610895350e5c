"""One layer's cells in colour, as the particle sees them."""

from __future__ import annotations

__all__ = ["draw_face"]

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from caloforge.detector import CartesianGrid, PolarGrid

if TYPE_CHECKING:
    from caloforge.detector import Layer

_COLOURS, _INK, _GREY = "magma_r", "#222222", "#777777"


def draw_face(ax: Any, layer: Layer, cells: NDArray[Any], norm: Any, large: bool) -> Any:
    """Draw one layer, x to the right and y up; cells without energy stay white.

    Args:
        ax: matplotlib axes.
        layer: The layer.
        cells: Its cells' energies, shape `(n_cells,)`.
        norm: From energy to colour.
        large: Whether there is room for a scale in mm.

    Returns:
        What a colour bar needs.
    """
    energy = np.ma.masked_less_equal(np.ma.masked_invalid(cells.reshape(layer.shape)), 0)
    style = {"cmap": _COLOURS, "norm": norm, "rasterized": True, "linewidth": 0}
    ax.set_aspect("equal")
    ax.set_title(layer.name.replace("_", " "), fontsize=9 if large else 6.5, color=_INK, pad=2)
    ax.tick_params(labelsize=7, colors=_GREY)
    if isinstance(layer.grid, CartesianGrid):
        drawn = ax.pcolormesh(layer.grid.x_edges, layer.grid.y_edges, energy.T, **style)
        ax.spines[:].set(color=_GREY, linewidth=0.5)
        _label(ax, "x [mm]", scale=large)
    else:
        drawn = _polar(ax, layer.grid, energy, style)
        rings = "" if _to_scale(layer.grid) else "\nrings drawn equally wide"
        ax.spines[:].set_visible(False)
        _label(ax, f"r to {layer.grid.r_edges[-1]:g} mm{rings}" if large else "", scale=False)
    return drawn


def _label(ax: Any, text: str, scale: bool) -> None:
    if scale:
        ax.set_ylabel("y [mm]", fontsize=8)
    else:
        ax.set_xticks([])
        ax.set_yticks([])
    if scale or text.startswith("r "):
        ax.set_xlabel(text, fontsize=8)


def _polar(ax: Any, grid: PolarGrid, energy: Any, style: dict[str, Any]) -> Any:
    """Draw sectors as short straight pieces, in x and y."""
    pieces = math.ceil(72 / grid.alpha)
    alpha = np.linspace(-math.pi, math.pi, grid.alpha * pieces + 1)
    edges = np.asarray(grid.r_edges)
    radii = edges if _to_scale(grid) else np.linspace(edges[0], edges[-1], len(edges))
    x, y = np.outer(np.cos(alpha), radii), np.outer(np.sin(alpha), radii)
    mesh = ax.pcolormesh(x, y, np.repeat(energy, pieces, axis=0), **style)
    ax.plot(x[:, -1], y[:, -1], color=_GREY, linewidth=0.5)
    reach = 1.03 * radii[-1]
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach))
    return mesh


def _to_scale(grid: PolarGrid) -> bool:
    """Whether the narrowest ring can be seen beside the widest."""
    widths = np.diff(grid.r_edges)
    return bool(widths.max() < 10 * widths.min())

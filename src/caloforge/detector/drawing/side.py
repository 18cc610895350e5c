"""The side view: slabs coloured by material, readout layers and their cell borders, the particle."""

from __future__ import annotations

__all__ = ["draw_barrel", "draw_legend", "draw_readout_only", "draw_side"]

from collections.abc import Sequence
from typing import Any

import numpy as np

from caloforge.detector.detector import Detector
from caloforge.detector.drawing.lines import some
from caloforge.detector.drawing.palette import ACTIVE_HATCH, CELL, FIRST, GREY, INK, material_colours
from caloforge.detector.grids import CartesianGrid, Grid, PolarGrid
from caloforge.detector.readout import Layer
from caloforge.detector.stack import Fan, Layered, Row
from caloforge.detector.summary import depth_axis, layer_groups

_MOST_LABELS = 6  # above the stack, side by side
_MOST_NAMES = 60  # that can be told from each other


def draw_side(ax: Any, detector: Detector) -> None:
    """Draw the stack and the readout in depth (across) and y (up), to scale."""
    half, cropped = _half_height(detector)
    _slabs(ax, detector, half)
    reach = max(layer.grid.reach[1] for layer in detector.layers)
    _cells(ax, detector.layers)
    _brackets(ax, detector, half)
    margin = 0.24 * max(detector.depth, half)
    _particle(ax, margin)
    ax.set_xlim(-margin, 1.03 * detector.depth)
    ax.set_ylim(-half * 1.02, half * 1.02)
    ax.set_aspect("equal", adjustable="box", anchor="W")
    _axes(ax, f"depth along {depth_axis(detector)} [mm]", _up(detector))
    ax.set_title("Side view, to scale", fontsize=10, color=INK, loc="left", pad=42)
    ax.text(
        1.03,
        0,
        _facts(detector, reach, cropped),
        transform=ax.transAxes,
        fontsize=8.5,
        color=GREY,
        va="bottom",
    )


def _half_height(detector: Detector) -> tuple[float, bool]:
    """Return how far up to draw: all of the stack, or what is near the readout if the stack is far wider."""
    reach = max(layer.grid.reach[1] for layer in detector.layers)
    size = detector.size or (reach,)
    stack = size[0] if detector.shape == "barrel" else size[1] / 2
    near = 1.35 * max(reach, 0.3 * detector.depth)
    return (near, True) if stack > 1.3 * near else (stack, False)


def _up(detector: Detector) -> str:
    return "along the barrel [mm]" if detector.shape == "barrel" else "y [mm]"


def _facts(detector: Detector, reach: float, cropped: bool) -> str:
    size = detector.size or ()
    barrel = detector.shape == "barrel"
    lines = [
        f"{len(detector.slabs)} {'tubes' if barrel else 'slabs'}, {detector.depth:g} mm deep",
        f"{2 * size[0]:g} mm long" if barrel else f"{size[0]:g} x {size[1]:g} mm wide",
        f"readout {2 * reach:g} mm wide",
    ]
    return "\n".join([*lines, "only the middle is drawn"] if cropped else lines)


def _slabs(ax: Any, detector: Detector, half: float) -> None:
    from matplotlib.collections import PolyCollection

    colours = material_colours(detector)
    pieces = [piece for slab in detector.slabs for piece in _pieces(slab, half)]
    boxes, fills = [box for box, _ in pieces], [colours[material] for _, material in pieces]
    # Snapping to pixels would make equal thin slabs look unequal.
    ax.add_collection(PolyCollection(boxes, facecolors=fills, edgecolors="none", zorder=1, snap=False))


def _pieces(slab: Layered, half: float) -> list[tuple[list[tuple[float, float]], str]]:
    """Corners and material of what is seen of a slab where x is 0."""
    if isinstance(slab, Row) and slab.across == "y":
        return [(_box(slab.start, slab.end, plate.start, plate.end), plate.material) for plate in slab.plates]
    seen = next(plate for plate in slab.plates if not isinstance(slab, Row) or plate.end > 0)
    return [(_box(slab.start, slab.end, -half, half), seen.material)]


def _box(start: float, end: float, low: float, high: float) -> list[tuple[float, float]]:
    return [(start, low), (end, low), (end, high), (start, high)]


def _cells(ax: Any, layers: Sequence[Layer]) -> None:
    from matplotlib.collections import LineCollection

    lines, frames = [], []
    for layer in layers:
        up = _borders(layer.grid)
        lines += [[(layer.start, y), (layer.end, y)] for y in some(up, len(layers))]
        frames += [[(z, up[0]), (z, up[-1])] for z in (layer.start, layer.end)]
        frames += [[(layer.start, y), (layer.end, y)] for y in (up[0], up[-1])]
    thin = 0.35 if len(lines) < 1500 else 0.2
    ax.add_collection(LineCollection(lines, colors=INK, linewidths=thin, alpha=0.45, zorder=2, snap=False))
    ax.add_collection(
        LineCollection(frames, colors=INK, linewidths=1.2 if len(layers) < 10 else 0.5, zorder=3)
    )


def _borders(grid: Grid) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Cell borders along y; rings are cut on both sides of the axis, polygons lie in rows."""
    if isinstance(grid, CartesianGrid):
        return grid.y_edges
    if not isinstance(grid, PolarGrid):
        return grid.bins(1)[0]
    return np.unique([-edge for edge in grid.r_edges] + list(grid.r_edges))


def _brackets(ax: Any, detector: Detector, half: float) -> None:
    """Mark above the stack where the layers are, groups of equal layers together."""
    groups = layer_groups(detector)
    for group in groups:
        start, end = group[0].start, group[-1].end
        arrow = {"arrowstyle": "<->", "color": INK, "lw": 0.9, "shrinkA": 0, "shrinkB": 0}
        y = half * 1.07
        ax.annotate("", (start, y), (end, y), arrowprops=arrow, annotation_clip=False)
        narrow = (end - start) < 0.06 * detector.depth
        text = _label(group)
        if len(groups) > _MOST_LABELS:
            place = {"ha": "left", "va": "bottom", "rotation": 60}
            ax.text((start + end) / 2, half * 1.09, group[0].name, fontsize=7, color=INK, **place)
        elif not narrow or len(detector.layers) < 6:
            ax.text((start + end) / 2, half * 1.1, text, ha="center", va="bottom", fontsize=8, color=INK)


def _label(group: Sequence[Layer]) -> str:
    if len(group) == 1:
        return f"{group[0].name}\n{group[0].thickness:g} mm"
    return f"{len(group)} layers\nof {group[0].thickness:g} mm"


def _particle(ax: Any, margin: float) -> None:
    arrow = {"arrowstyle": "-|>", "color": FIRST, "lw": 2, "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", (0, 0), (-0.9 * margin, 0), arrowprops=arrow, zorder=5)
    ax.text(-0.52 * margin, 0.07 * margin, "particle", color=FIRST, fontsize=8, ha="center", va="bottom")


def draw_legend(ax: Any, detector: Detector) -> None:
    """Explain the colours, right of the side view."""
    from matplotlib.patches import Patch

    active = {plate.material for plate in detector.plates if plate.active}
    handles = [
        Patch(
            facecolor=colour,
            edgecolor=INK if name in active else "#9aa5b1",
            hatch=ACTIVE_HATCH if name in active else None,
            linewidth=0.5,
            label=f"{name} (active)" if name in active else name,
        )
        for name, colour in material_colours(detector).items()
    ]
    ax.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(1.02, 1.0),
        frameon=False,
        fontsize=8.5,
        borderaxespad=0,
    )


def _axes(ax: Any, across: str, up: str) -> None:
    ax.set_xlabel(across, color=INK, fontsize=9)
    ax.set_ylabel(up, color=INK, fontsize=9)
    ax.tick_params(labelsize=8, colors=GREY)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color("#b8c1cb")


def draw_readout_only(ax: Any, detector: Detector) -> None:
    """Draw cells' borders against layers where no material stack is known; the depth is not to scale."""
    from matplotlib.collections import LineCollection, PolyCollection

    areas, lines = [], []
    for layer in detector.layers:
        edges = _borders(layer.grid)
        left, right = layer.index + 0.06, layer.index + 0.94
        areas.append([(left, edges[0]), (right, edges[0]), (right, edges[-1]), (left, edges[-1])])
        lines += [[(left, y), (right, y)] for y in some(edges, detector.n_layers)]
    ax.add_collection(PolyCollection(areas, facecolors=CELL))
    ax.add_collection(LineCollection(lines, colors=INK, linewidths=0.5))
    half = max(layer.grid.reach[1] for layer in detector.layers)
    ax.annotate(
        "",
        (0, 0),
        (-0.6, 0),
        arrowprops={"arrowstyle": "-|>", "color": FIRST, "lw": 2, "shrinkB": 0},
        zorder=5,
    )
    ax.set_xlim(-0.7, detector.n_layers)
    ax.set_ylim(-1.05 * half, 1.05 * half)
    up = "r [mm]" if all(layer.grid.kind == "polar" for layer in detector.layers) else "y [mm]"
    named = detector.layers[:: 1 + detector.n_layers // _MOST_NAMES]
    ax.set_xticks([layer.index + 0.5 for layer in named])
    ax.set_xticklabels([layer.name for layer in named])
    _axes(ax, "layers, in order of depth (their thickness is not known)", up)
    ax.set_title("Side view: cell borders to scale, depth not", fontsize=10, color=INK, loc="left")


def draw_barrel(ax: Any, detector: Detector) -> None:
    """Draw the barrel's cross-section to scale with the readout around the particle."""
    from matplotlib.collections import LineCollection
    from matplotlib.patches import Annulus, Rectangle

    inner = detector.inner_radius or 0.0
    outer = inner + detector.depth
    ax.add_patch(Annulus((0, 0), outer, detector.depth * 0.9999, facecolor="#c9d3de", edgecolor=INK, lw=0.8))
    for slab in detector.slabs:
        if isinstance(slab, Fan):
            ax.add_collection(LineCollection(_spokes(slab), colors=INK, linewidths=0.25))
    reach = max(layer.grid.reach[0] for layer in detector.layers)
    end = detector.layers[-1].end
    ax.add_patch(
        Rectangle((inner, -reach), end, 2 * reach, facecolor="none", edgecolor=FIRST, lw=1.2, zorder=4)
    )
    arrow = {"arrowstyle": "-|>", "color": FIRST, "lw": 2, "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", (inner, 0), (0, 0), arrowprops=arrow, zorder=5)
    ax.text(0.5 * inner, 0.04 * outer, "particle", color=FIRST, fontsize=8, ha="center", va="bottom")
    ax.text(0, -0.5 * inner, f"inner radius {inner:g} mm\nouter radius {outer:g} mm", ha="center", fontsize=8)
    ax.set_xlim(-1.05 * outer, 1.05 * outer)
    ax.set_ylim(-1.05 * outer, 1.05 * outer)
    ax.set_aspect("equal")
    ax.set_axis_off()
    ax.set_title("Cross-section to scale, readout in red", fontsize=10, color=INK)


def _spokes(fan: Fan) -> list[list[tuple[float, float]]]:
    """At most 192 of the plates, as lines."""
    lines = []
    for azimuth in np.linspace(0, 2 * np.pi, min(fan.around, 192), endpoint=False):
        across = azimuth + fan.angle
        x, y = fan.radius * np.cos(azimuth), fan.radius * np.sin(azimuth)
        lines.append([(x + way * np.cos(across), y + way * np.sin(across)) for way in fan.reach(0.0)])
    return lines

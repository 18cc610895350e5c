"""One period of each repeating part of the stack, enlarged, with its slabs' thicknesses."""

from __future__ import annotations

__all__ = ["MAX_RUNS", "draw_zoom"]

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from caloforge.detector.detector import Detector
from caloforge.detector.drawing.palette import ACTIVE_HATCH, GREY, INK, material_colours
from caloforge.detector.stack import Fan, Row, Slab
from caloforge.detector.summary import StackRun

MAX_RUNS = 3
_HEIGHT = 0.42
_ROOM_FOR_TEXT = 0.022  # of the width, per character
_LABELS_APART = 0.027  # of the width


def draw_zoom(ax: Any, detector: Detector, runs: Sequence[StackRun]) -> None:
    """Draw one period of the first few runs below each other, to one common scale."""
    shown = runs[:MAX_RUNS]
    longest = max(run.slabs[-1].end - run.slabs[0].start for run in shown)
    colours = material_colours(detector)
    for row, run in enumerate(shown):
        for slab in run.slabs:
            start = slab.start - run.slabs[0].start
            if isinstance(slab, Row):
                _row(ax, slab, start, -row, colours, longest)
            elif isinstance(slab, Fan):
                _fan(ax, slab, start, -row, colours)
            else:
                _slab(ax, slab, start, -row, colours[slab.material], longest)
        _labels(ax, run, -row, longest)
    ax.set_xlim(-0.01 * longest, 1.04 * longest)
    ax.set_ylim(-len(shown) + 0.5, 0.5)
    ax.set_yticks([-row - _HEIGHT / 2 for row in range(len(shown))], [f"{run.repeat} x" for run in shown])
    ax.tick_params(labelsize=8.5, colors=INK, left=False)
    ax.set_xlabel("mm", fontsize=9, color=INK)
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
    ax.spines["bottom"].set_color("#b8c1cb")
    more = f" (first {MAX_RUNS} of {len(runs)} sequences)" if len(runs) > MAX_RUNS else ""
    ax.set_title(
        f"The sequence of slabs, enlarged; thickness in mm{more}", fontsize=10, color=INK, loc="left"
    )


def _fan(ax: Any, fan: Fan, start: float, top: float, colours: dict[str, str]) -> None:
    """Draw one sequence of plates where their inner ends are; the height is not to the scale of the depth."""
    from matplotlib.patches import Polygon, Rectangle

    box = Rectangle((start, top - _HEIGHT), fan.thickness, _HEIGHT, edgecolor=INK, lw=0.5)
    active = fan.filling.active
    box.set(facecolor=colours[fan.filling.material], hatch=ACTIVE_HATCH if active else None)
    ax.add_patch(box)
    circumference = 2 * math.pi * (fan.radius + fan.thickness / 2) / fan.around
    for number, plate in enumerate(fan.sequence):
        low = top - _HEIGHT + _HEIGHT * (number + 0.5) / len(fan.sequence)
        half = _HEIGHT * plate.thickness / circumference / 2
        ends = (start, low - half), (start + fan.thickness, low - half)
        corners = [*ends, *((x, y + 2 * half) for x, y in reversed(ends))]
        hatch = ACTIVE_HATCH if plate.active else None
        ax.add_patch(Polygon(corners, facecolor=colours[plate.material], edgecolor=INK, lw=0.5, hatch=hatch))
    plates = " + ".join(f"{plate.material} {plate.thickness:g}" for plate in fan.sequence)
    turn = f"{fan.around} around, inclined {math.degrees(fan.angle):g} deg"
    between = f"{fan.filling.material}{' active' if active else ''}"
    words = f"{fan.thickness:g} mm deep, {turn}: {plates}, between them {between}"
    ax.text(start, top + 0.04, words, fontsize=7.5, ha="left", va="bottom", color=GREY)


def _row(ax: Any, row: Row, start: float, top: float, colours: dict[str, str], longest: float) -> None:
    """Draw one sequence of plates; they fill the height, which is not to the scale of the depth."""
    from matplotlib.patches import Rectangle

    for plate in row.sequence:
        low, high = (top - _HEIGHT + _HEIGHT * y / row.period for y in (plate.start, plate.end))
        box = Rectangle((start, low), row.thickness, high - low, edgecolor=INK, lw=0.5)
        box.set(facecolor=colours[plate.material], hatch=ACTIVE_HATCH if plate.active else None)
        ax.add_patch(box)
    plates = " + ".join(
        f"{plate.material} {plate.thickness:g}{' active' if plate.active else ''}" for plate in row.sequence
    )
    words = f"{row.thickness:g} mm deep, across {row.across}"
    if row.thickness > 0.9 * longest:  # others have no room for more
        words += f": {plates}"
    ax.text(start, top + 0.04, words, fontsize=7.5, ha="left", va="bottom", color=GREY)


def _slab(ax: Any, slab: Slab, start: float, top: float, colour: str, longest: float) -> None:
    from matplotlib.patches import Rectangle

    box = Rectangle((start, top - _HEIGHT), slab.thickness, _HEIGHT, facecolor=colour, edgecolor=INK, lw=0.5)
    if slab.active:
        box.set_hatch(ACTIVE_HATCH)
    ax.add_patch(box)
    if _has_room(slab, longest):
        behind = {"facecolor": colour, "edgecolor": "none", "pad": 1.5}
        place = {"ha": "center", "va": "center", "bbox": behind, "color": _readable(colour)}
        ax.text(start + slab.thickness / 2, top - _HEIGHT / 2, _words(slab), fontsize=8, **place)


def _labels(ax: Any, run: StackRun, top: float, longest: float) -> None:
    """Write the thickness of thin slabs above them, apart, each with a line to its slab."""
    thin = [slab for slab in run.slabs if isinstance(slab, Slab) and not _has_room(slab, longest)]
    middles = [(slab.start + slab.end) / 2 - run.slabs[0].start for slab in thin]
    for slab, middle, place in zip(thin, middles, spread(middles, _LABELS_APART * longest), strict=True):
        ax.plot([middle, place], [top, top + 0.06], color=GREY, lw=0.5, clip_on=False)
        turned = {"rotation": 55, "rotation_mode": "anchor"}
        ax.text(place, top + 0.08, f"{slab.thickness:g}", fontsize=7.5, ha="left", color=GREY, **turned)


def spread(places: Sequence[float], gap: float) -> NDArray[np.float64]:
    """Move increasing places as little as possible, in squares, until no two are nearer than `gap`."""
    if not places:
        return np.empty(0)
    shifts = gap * np.arange(len(places))
    moved: NDArray[np.float64] = np.asarray(isotonic_regression(np.asarray(places) - shifts).x) + shifts
    return moved


def _words(slab: Slab) -> str:
    return f"{slab.material} {slab.thickness:g} mm{' active' if slab.active else ''}"


def _has_room(slab: Slab, longest: float) -> bool:
    return slab.thickness > _ROOM_FOR_TEXT * len(_words(slab)) * longest


def _readable(background: str) -> str:
    red, green, blue = (int(background[i : i + 2], 16) for i in (1, 3, 5))
    return INK if 0.3 * red + 0.59 * green + 0.11 * blue > 140 else "white"

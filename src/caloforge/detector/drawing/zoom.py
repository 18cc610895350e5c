"""One period of each repeating part of the stack, enlarged, with its slabs' thicknesses."""

from __future__ import annotations

__all__ = ["draw_zoom"]

from collections.abc import Sequence
from typing import Any

from caloforge.detector.detector import Detector
from caloforge.detector.drawing.palette import INK, material_colours
from caloforge.detector.summary import StackRun

_MAX_RUNS = 3


def draw_zoom(ax: Any, detector: Detector, runs: Sequence[StackRun]) -> None:
    """Draw one period of the first few runs below each other, to one common scale."""
    from matplotlib.patches import Rectangle

    colours = material_colours(detector)
    shown = runs[:_MAX_RUNS]
    for row, run in enumerate(shown):
        start = run.slabs[0].start
        for slab in run.slabs:
            corner = (slab.start - start, -row - 0.42)
            style = {"facecolor": colours[slab.material], "edgecolor": INK, "lw": 0.5}
            ax.add_patch(Rectangle(corner, slab.thickness, 0.42, **style))
            middle = slab.start - start + slab.thickness / 2
            ax.text(
                middle, -row + 0.03, f"{slab.thickness:g}", rotation=55, fontsize=7.5, ha="left", color=INK
            )
    longest = max(run.slabs[-1].end - run.slabs[0].start for run in shown)
    ax.set_xlim(-0.01 * longest, 1.04 * longest)
    ax.set_ylim(-len(shown) + 0.45, 0.55)
    ax.set_yticks([-row - 0.21 for row in range(len(shown))], [f"{run.repeat} x" for run in shown])
    ax.tick_params(labelsize=8.5, colors=INK, left=False)
    ax.set_xlabel("mm", fontsize=9, color=INK)
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
    more = f" (first {_MAX_RUNS} of {len(runs)} sequences)" if len(runs) > _MAX_RUNS else ""
    ax.set_title(
        f"The sequence of slabs, enlarged; thickness in mm{more}", fontsize=10, color=INK, loc="left"
    )

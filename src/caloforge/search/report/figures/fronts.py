"""Two objectives of all trials, and the Pareto front."""

from __future__ import annotations

__all__ = ["fronts"]

from itertools import combinations

import numpy as np

from caloforge.search.report.figures.drawing import BOX, HEIGHT, KINDS, WIDTH, Drawing, cloud
from caloforge.search.report.figures.scales import Axis, value_axis
from caloforge.search.report.view import View
from caloforge.validation.figures.legend import legend
from caloforge.validation.figures.panel import Panel
from caloforge.validation.figures.plate import Box, Plate

_MOST = 1200


def fronts(view: View) -> list[Drawing]:
    """Draw each pair of objectives; none if there is one objective or no finished trial."""
    if not view.finished.any():
        return []
    pairs = list(combinations(range(len(view.objectives)), 2))
    return [_pair(view, a, b, max(200, _MOST // len(pairs))) for a, b in pairs]


def _pair(view: View, a: int, b: int, most: int) -> Drawing:
    shown = view.thinned(np.flatnonzero(view.finished), most)
    across, up = value_axis(view.values[:, a]), value_axis(view.values[:, b])
    plate = Plate(WIDTH, HEIGHT)
    box = Box(BOX.left, BOX.bottom, BOX.right, BOX.top - 20.0)
    panel = Panel(plate, box, across.ends, up.ends, across.log, up.log)
    if len(view.objectives) == 2:
        _stairs(panel, view, across, up)
    x = across.held(view.values[shown, a])
    cloud(panel, view, shown, x, view.values[shown, b], [view.title(i) for i in shown])
    panel.frame(view.objectives[a], view.objectives[b])
    beyond = ["beyond"] if (view.finished & ~view.kept).any() else []
    entries = [KINDS[kind] for kind in ("finished", "best", *beyond)]
    legend(plate, Box(0, HEIGHT - 20, WIDTH, HEIGHT), entries)
    names = f"{view.objectives[a]} and {view.objectives[b]}"
    many = int(view.finished.sum())
    left_out = f" {len(shown):,} of {many:,} trials are drawn." if len(shown) < many else ""
    caption = (
        "Best: the Pareto front, trials that no other beats in all objectives. Trials beyond a constraint "
        f"cannot be on it. What is far above the rest is drawn at the edge.{left_out}"
    )
    return Drawing(f"front-{a}-{b}", names, caption, (plate,))


def _stairs(panel: Panel, view: View, across: Axis, up: Axis) -> None:
    """Join the front: what lies above the stairs is beaten."""
    front = view.values[view.front]
    if not len(front):
        return
    front = np.unique(front, axis=0)
    x = np.append(np.repeat(front[:, 0], 2), across.high)
    y = np.concatenate([[up.high], np.repeat(front[:, 1], 2)])
    panel.line(x, y, "candidate-2", 1.0, dashed=True)

"""Each trial's objective in the order of the trials, and the best so far."""

from __future__ import annotations

__all__ = ["history"]

import numpy as np

from caloforge.search.report.figures.drawing import BOX, KINDS, WIDTH, Drawing, cloud
from caloforge.search.report.figures.scales import value_axis
from caloforge.search.report.view import View
from caloforge.validation.figures.legend import Entry, legend
from caloforge.validation.figures.panel import Panel
from caloforge.validation.figures.plate import Box, Plate

_MOST = 1500
_HEIGHT, _LEGEND, _STRIP = 310.0, 36.0, 10.0
"""In points: of all, of the legend, of a row of trials without a value."""


def history(view: View, objective: int) -> Drawing | None:
    """Draw the history of one objective; None if no trial has finished."""
    if not view.finished.any():
        return None
    name, values = view.objectives[objective], view.values[:, objective]
    axis = value_axis(values)
    plate = Plate(WIDTH, _HEIGHT)
    box = Box(BOX.left, BOX.bottom, BOX.right, _HEIGHT - _LEGEND - 3 * _STRIP)
    span = max(float(view.numbers.max()), 8.0)  # less would have ticks between trials
    ends = -0.02 * span, 1.02 * span
    panel = Panel(plate, box, ends, axis.ends, y_log=axis.log)
    shown = view.thinned(np.flatnonzero(view.finished), _MOST)
    at = view.numbers[shown].astype(np.float64)
    cloud(panel, view, shown, at, values[shown], [view.title(i) for i in shown])
    _best_so_far(panel, view, objective)
    lost = _without_value(plate, panel, view)
    panel.frame("trial", name)
    legend(plate, Box(0, _HEIGHT - _LEGEND, WIDTH, _HEIGHT), _entries(view, lost))
    return Drawing(f"history-{objective}", f"{name} of each trial", _caption(view, len(shown)), (plate,))


def _best_so_far(panel: Panel, view: View, objective: int) -> None:
    kept = np.flatnonzero(view.kept)
    if not len(kept):
        return
    best = np.minimum.accumulate(view.values[kept, objective])
    new = np.flatnonzero(np.diff(best, prepend=np.inf) < 0)
    x = np.append(view.numbers[kept[new]], view.numbers.max()).astype(np.float64)
    panel.line(np.repeat(x, 2)[1:-1], np.repeat(best[new], 2), "candidate-2", 1.3)


def _without_value(plate: Plate, panel: Panel, view: View) -> list[Entry]:
    """Draw trials that were stopped or failed in a strip above the panel."""
    found = []
    for row, (state, colour, shape) in enumerate((("pruned", "floor", "down"), ("failed", "off", "plus"))):
        here = [i for i, trial in enumerate(view.trials) if trial["state"] in _states(state)]
        if not here:
            continue
        here = view.thinned(here, _MOST // 3)
        x = panel.across(view.numbers[here].astype(np.float64))
        y = np.full(len(here), panel.box.top + (row + 1.4) * _STRIP)
        plate.marks(np.column_stack([x, y]), shape, 1.9, colour, [_why(view, i) for i in here])
        found.append(
            Entry("stopped early" if state == "pruned" else "failed or lost", colour, shape, lined=False)
        )
    return found


def _states(state: str) -> tuple[str, ...]:
    return ("failed", "lost") if state == "failed" else (state,)


def _why(view: View, i: int) -> str:
    trial = view.trials[i]
    return f"trial {trial['number']}: {trial['state']}" + (f", {trial['failed']}" if trial["failed"] else "")


def _entries(view: View, lost: list[Entry]) -> list[Entry]:
    kinds = ["finished", "best"] + (["beyond"] if (view.finished & ~view.kept).any() else [])
    return [KINDS[kind] for kind in kinds] + lost


def _caption(view: View, shown: int) -> str:
    best = "the Pareto front" if len(view.objectives) > 1 else "the best tenth"
    many = int(view.finished.sum())
    left_out = (
        f" Of {many:,} finished trials {shown:,} are drawn, the best among them." if shown < many else ""
    )
    return (
        f"The line is the best so far within all constraints; best: {best}. Trials without a value stand "
        f"above the frame; triangles at its upper edge lie beyond it.{left_out}"
    )

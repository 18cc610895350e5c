"""What trials reported while they ran, and where some were stopped."""

from __future__ import annotations

__all__ = ["curves"]

import numpy as np

from caloforge.search.report.figures.drawing import BOX, Drawing
from caloforge.search.report.figures.scales import value_axis
from caloforge.search.report.view import View
from caloforge.validation.figures.legend import Entry, legend
from caloforge.validation.figures.panel import Panel
from caloforge.validation.figures.plate import Box, Plate

_MOST = 300
_WHOLE = 9
"""What successive halving counts a whole training as."""
_WIDTH, _HEIGHT = 640.0, 300.0


def curves(view: View) -> Drawing | None:
    """Draw the objective over parts of a training, or over folds; None if no trial reported anything."""
    told = [i for i, trial in enumerate(view.trials) if trial["reported"] and _known(view, i)]
    if not told:
        return None
    shown = view.thinned(told, _MOST)
    lines = {i: np.array(_known(view, i), np.float64) for i in shown}
    every = np.concatenate(list(lines.values()))
    axis = value_axis(every[:, 1])
    plate = Plate(_WIDTH, _HEIGHT)
    steps = value_axis(every[:, 0], decades=0.9)
    box = Box(BOX.left, BOX.bottom, _WIDTH - 8.0, _HEIGHT - 30.0)
    panel = Panel(plate, box, steps.ends, axis.ends, steps.log, axis.log)
    for kind, colour, width in (
        ("stopped", "floor", 0.7),
        ("finished", "geant4", 0.7),
        ("best", "candidate-2", 1.3),
    ):
        _lines(panel, view, [i for i in shown if _kind(view, i) == kind], lines, colour, width)
    step = "ninths of a training" if view.record["settings"]["halving"] else "fold"
    panel.frame(step, view.objectives[0])
    entries = [
        Entry("stopped early", "floor", "down", thin=True),
        Entry("finished", "geant4"),
        Entry("best", "candidate-2"),
    ]
    legend(plate, Box(0, _HEIGHT - 24, _WIDTH, _HEIGHT), entries)
    left_out = f" {len(shown):,} of {len(told):,} trials are drawn." if len(shown) < len(told) else ""
    alone = " Each value is that of one fold." if step == "fold" else ""
    caption = f"A triangle is where a trial was stopped, as others were better.{alone}{left_out}"
    return Drawing("curves", f"{view.objectives[0]} while the trials ran", caption, (plate,), wide=True)


def _known(view: View, i: int) -> list[tuple[float, float]]:
    """Return steps and values of a trial that are known; of successive halving the end is one of them."""
    trial = view.trials[i]
    end = [(_WHOLE, trial["objectives"][view.objectives[0]])] if view.finished[i] else []
    steps = [*trial["reported"], *(end if view.record["settings"]["halving"] else [])]
    return [(float(step), float(value)) for step, value in steps if value is not None]


def _kind(view: View, i: int) -> str:
    if view.best[i]:
        return "best"
    return "finished" if view.finished[i] else "stopped"


def _lines(
    panel: Panel, view: View, places: list[int], lines: dict[int, np.ndarray], colour: str, width: float
) -> None:
    parts = [np.column_stack([panel.across(lines[i][:, 0]), panel.up(lines[i][:, 1])]) for i in places]
    with panel.plate.inside(panel.box):
        panel.plate.stroke(parts, colour, width, titles=[view.title(i) for i in places])
    ended = [i for i in places if view.trials[i]["state"] == "pruned"]
    if ended:
        x, y = np.array([lines[i][-1] for i in ended]).T
        panel.marks(x, y, "down", 2.0, colour, [view.title(i) for i in ended])

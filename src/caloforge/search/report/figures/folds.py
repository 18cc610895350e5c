"""What the folds of the best trials gave, one by one."""

from __future__ import annotations

__all__ = ["folds"]

import numpy as np

from caloforge.search.report.figures.drawing import Drawing
from caloforge.search.report.figures.scales import value_axis
from caloforge.search.report.view import View
from caloforge.validation.figures.panel import Panel
from caloforge.validation.figures.plate import Box, Plate
from caloforge.validation.report.text import number

_BEST = 20
_WIDTH, _HEIGHT = 640.0, 260.0
_BOX = Box(52.0, 40.0, 632.0, 250.0)


def folds(view: View, objective: int) -> Drawing | None:
    """Draw folds, mean and standard deviation of the best 20 trials; None if there are no folds."""
    name = view.objectives[objective]
    shown = [i for i in view.ranked if name in view.trials[i]["spread"]]
    shown = sorted(shown, key=lambda i: (not view.kept[i], view.values[i, objective]))[:_BEST]
    if not shown:
        return None
    single = [[fold.get(name) for fold in view.trials[i]["folds"]] for i in shown]
    mean = view.values[shown, objective]
    spread = np.array([view.trials[i]["spread"][name] for i in shown], np.float64)
    # An error bar that reaches below zero has no place on a logarithmic axis: the folds decide it.
    axis = value_axis(
        np.array([v for row in single for v in row if v is not None] + [*mean, *(mean + spread)])
    )
    plate = Plate(_WIDTH, _HEIGHT)
    panel = Panel(plate, _BOX, (-0.6, len(shown) - 0.4), axis.ends, y_log=axis.log)
    x = np.arange(len(shown), dtype=np.float64)
    panel.bars(x, mean - spread, mean + spread, "geant4", 1.4)
    _folds(panel, view, shown, single, name)
    found = zip(shown, mean.tolist(), spread.tolist(), strict=True)
    titles = [f"trial {view.numbers[i]}: {name} {number(m, s)}" for i, m, s in found]
    panel.marks(x, axis.held(mean), "diamond", 3.2, "candidate-2", titles)
    panel.frame("trial, the best first", name, columns=[str(view.numbers[i]) for i in shown])
    return Drawing(
        f"folds-{objective}",
        f"{name} of the folds of the best trials",
        "A diamond is the mean over the folds of a trial, the bar their standard deviation, a dot a fold. "
        "Where bars overlap, the order of the trials is not sure.",
        (plate,),
        wide=True,
    )


def _folds(panel: Panel, view: View, shown: list[int], single: list[list[float | None]], name: str) -> None:
    for column, (i, row) in enumerate(zip(shown, single, strict=True)):
        y = np.array([np.nan if value is None else value for value in row], np.float64)
        x = column + 0.24 * (np.arange(len(y)) - (len(y) - 1) / 2) / max(1, len(y) - 1)
        titles = [f"trial {view.numbers[i]}, fold {k}: {name} {number(v)}" for k, v in enumerate(y)]
        panel.marks(x, np.minimum(y, panel.y_ends[1]), "circle", 1.6, "floor", titles)

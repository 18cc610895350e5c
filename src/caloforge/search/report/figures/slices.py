"""An objective against one parameter, over all trials in which it was in use."""

from __future__ import annotations

__all__ = ["slices"]

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caloforge.search.report.figures.drawing import Drawing, cloud
from caloforge.search.report.figures.scales import Scale, scale, value_axis
from caloforge.search.report.view import View, label
from caloforge.validation.figures.panel import Panel
from caloforge.validation.figures.plate import Box, Plate
from caloforge.validation.figures.style import short

Array = NDArray[np.float64]
_WIDTH, _HEIGHT = 340.0, 230.0
_BOX = Box(50.0, 40.0, 332.0, 222.0)
_MOST_IN_ALL, _FEWEST, _MOST = 10_000, 60, 400
_ROOM = 280.0
"""For the names of choices, in points."""


def slices(view: View, objective: int) -> list[Drawing]:
    """Draw an objective against each parameter that a finished trial used."""
    parameters = view.record["parameters"]
    panels = max(1, len(parameters) * len(view.objectives))
    most = int(np.clip(_MOST_IN_ALL / panels, _FEWEST, _MOST))
    return [made for p in parameters if (made := _slice(view, objective, p, most)) is not None]


def _slice(view: View, objective: int, parameter: Mapping[str, Any], most: int) -> Drawing | None:
    name = parameter["name"]
    used = [i for i in np.flatnonzero(view.finished).tolist() if name in view.trials[i]["values"]]
    if not used:
        return None
    shown = view.thinned(used, most)
    found, axis = scale(parameter), value_axis(view.values[:, objective])
    x = _apart(found, found.at([view.trials[i]["values"][name] for i in shown]))
    plate = Plate(_WIDTH, _HEIGHT)
    panel = Panel(plate, _BOX, found.axis.ends, axis.ends, found.axis.log, axis.log)
    titles = [f"{view.title(i, objective)}\n{label(view.trials[i]['values'][name])}" for i in shown]
    cloud(panel, view, shown, x, view.values[shown, objective], titles)
    letters = max(4, int(_ROOM / 5.5 / max(1, len(found.names))))
    panel.frame(name, view.objectives[objective], columns=[short(n, letters) for n in found.names])
    return Drawing(
        f"slice-{objective}-{name}",
        f"{view.objectives[objective]} against {name}",
        _caption(view, len(used), len(shown)),
        (plate,),
    )


def _apart(found: Scale, x: Array) -> Array:
    """Move points of one choice apart, each by its place among the trials."""
    if not found.names:
        return x
    golden = (np.arange(len(x)) * 0.6180339887) % 1
    return x + 0.5 * (golden - 0.5)


def _caption(view: View, used: int, shown: int) -> str:
    finished = int(view.finished.sum())
    parts = [f"In use in {used:,} of {finished:,} finished trials."] if used < finished else []
    parts += [f"{shown:,} of {used:,} trials are drawn, the best among them."] if shown < used else []
    return " ".join(parts)

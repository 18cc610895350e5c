"""All parameters side by side: each trial is a line through its values to its objectives."""

from __future__ import annotations

__all__ = ["parallel"]

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caloforge.search.report.figures.drawing import Drawing
from caloforge.search.report.figures.scales import Axis, Scale, scale, value_axis
from caloforge.search.report.view import View
from caloforge.validation.figures.glyphs import SIZE, width
from caloforge.validation.figures.panel import fitting
from caloforge.validation.figures.plate import Plate
from caloforge.validation.figures.style import short
from caloforge.validation.figures.ticks import ticks

Array = NDArray[np.float64]
_MOST, _AXES = 400, 12
_HEIGHT, _APART = 340.0, 108.0
_BOTTOM, _TOP, _UNUSED = 44.0, 290.0, 24.0
"""Heights in points: of the axes' ends, and of the place for parameters that are not in use."""
_SMALL, _LARGE = 10.5, 12.5


@dataclass(frozen=True)
class _Column:
    """One vertical axis: its name, where it stands, its scale and the height of each shown trial."""

    name: str
    x: float
    scale: Scale
    heights: Array


def parallel(view: View) -> Drawing | None:
    """Draw parallel coordinates of finished trials; None if there are none."""
    if not view.finished.any() or not view.record["parameters"]:
        return None
    shown = view.thinned(np.flatnonzero(view.finished), _MOST)
    names = _chosen(view)
    columns = _columns(view, shown, names)
    plate = Plate(_APART * len(columns) + 24.0, _HEIGHT)
    for best, colour, thick in ((False, "floor", 0.6), (True, "candidate-2", 1.2)):
        rows = [row for row, i in enumerate(shown) if view.best[i] == best]
        lines = [np.array([(c.x, c.heights[row]) for c in columns]) for row in rows]
        titles = [f"{view.title(shown[row])}\n{view.settings_of(shown[row], names)}" for row in rows]
        plate.stroke(lines, colour, thick, 0.9 if best else 0.5, titles=titles)
    for column in columns:
        _axis(plate, column, room=_APART - 14.0)
    return Drawing(
        "parallel", "All parameters at once", _caption(view, len(shown), len(names)), (plate,), wide=True
    )


def _chosen(view: View) -> list[str]:
    """Return the names of the parameters that are drawn: the most important of many."""
    names = [parameter["name"] for parameter in view.record["parameters"]]
    shares = view.record["importances"].values()
    weight = {name: sum(share.get(name, 0.0) for share in shares) for name in names}
    most = sorted(names, key=lambda name: -weight[name])[:_AXES]
    return [name for name in names if name in most]


def _columns(view: View, shown: list[int], names: list[str]) -> list[_Column]:
    known = {parameter["name"]: scale(parameter) for parameter in view.record["parameters"]}
    found = [(name, known[name], [view.trials[i]["values"].get(name) for i in shown]) for name in names]
    found += [
        (name, Scale(value_axis(view.values[:, k])), view.values[shown, k].tolist())
        for k, name in enumerate(view.objectives)
    ]
    return [
        _Column(name, _APART * (k + 0.5) + 12.0, its, _heights(its, its.at(values)))
        for k, (name, its, values) in enumerate(found)
    ]


def _heights(found: Scale, values: Array) -> Array:
    share = found.axis.share(found.axis.held(values))
    return np.where(np.isnan(share), _UNUSED, _BOTTOM + share * (_TOP - _BOTTOM))


def _axis(plate: Plate, column: _Column, room: float) -> None:
    plate.stroke([np.array([(column.x, _BOTTOM), (column.x, _TOP)])], "ink", 1.0)
    name = short(column.name.rpartition(".")[2], 18)
    plate.text(column.x, _TOP + 14, name, fitting(name, room, _LARGE), "middle")
    parent = short(column.name.rpartition(".")[0], 22)
    plate.text(
        column.x,
        _TOP + 30,
        parent,
        fitting(parent, room, _SMALL) if parent else _SMALL,
        "middle",
        colour="soft",
    )
    for height, text in _marks(column.scale):
        plate.stroke([np.array([(column.x - 3, height), (column.x, height)])], "ink", 0.8)
        _readable(plate, column.x + 5, height - 0.36 * _SMALL, short(text, 14))
    if (column.heights == _UNUSED).any():
        _readable(plate, column.x + 5, _UNUSED - 0.36 * _SMALL, "not in use")


def _readable(plate: Plate, x: float, y: float, text: str) -> None:
    """Write a label upon lines."""
    right = x + width(text) * _SMALL / SIZE + 1.5
    box = np.array([(x - 1.5, y - 2.5), (right, y - 2.5), (right, y + _SMALL - 1), (x - 1.5, y + _SMALL - 1)])
    plate.fill([box] if text else [], "raised", 0.75)
    plate.text(x, y, text, _SMALL)


def _marks(found: Scale) -> list[tuple[float, str]]:
    """Return heights and texts of an axis."""
    axis: Axis = found.axis
    if found.names:
        places, texts = np.arange(len(found.names), dtype=np.float64), found.names
    else:
        made = ticks(axis.low, axis.high, axis.log, 5)
        places, texts = made.major, made.labels
        texts = tuple(
            f"{text} {made.factor}" if made.factor and i == len(texts) - 1 else text
            for i, text in enumerate(texts)
        )
    heights = _BOTTOM + axis.share(places) * (_TOP - _BOTTOM)
    return list(zip(heights.tolist(), texts, strict=True))


def _caption(view: View, shown: int, axes: int) -> str:
    best = "on the Pareto front" if len(view.objectives) > 1 else "the best tenth"
    many, all_axes = int(view.finished.sum()), len(view.record["parameters"])
    parts = [f"Each line is a trial: its parameters, then its objectives; coloured: {best}."]
    parts += [f"{shown:,} of {many:,} trials are drawn."] if shown < many else []
    parts += [f"Of {all_axes} parameters the {axes} most important are drawn."] if axes < all_axes else []
    return " ".join(parts)

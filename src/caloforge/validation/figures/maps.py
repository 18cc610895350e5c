"""Maps of cells or matrices, each with its colour scale."""

from __future__ import annotations

__all__ = ["map_plates"]

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import matplotlib as mpl
import numpy as np
from matplotlib.colors import to_hex
from numpy.typing import NDArray

from caloforge.validation.charts import Face, Map, Maps
from caloforge.validation.figures.panel import Panel, fitting
from caloforge.validation.figures.plate import Box, Plate
from caloforge.validation.figures.ticks import ticks

Array = NDArray[np.float64]
WIDTH, HEIGHT = 259.0, 223.0
_BOX = Box(46.0, 38.0, 207.0, 199.0)
_LEVELS = 96
_TITLE = 160.0
"""Room for the title of a panel, up to that of its scale."""
_DECADES = 5
_SMALL, _TICKS_MOST = 7.5, 16


@dataclass(frozen=True)
class Scale:
    """Colours of values.

    Attributes:
        low: Value of the first colour.
        high: Value of the last.
        log: Whether colours go with the logarithm.
        colours: Name of matplotlib's colour map.
        title: What stands above the bar.
    """

    low: float
    high: float
    log: bool
    colours: str
    title: str

    def levels(self, values: Array) -> NDArray[np.int64]:
        """Return the number of the colour of each value; -1 for none."""
        low, high = (np.log(self.low), np.log(self.high)) if self.log else (self.low, self.high)
        with np.errstate(divide="ignore", invalid="ignore"):
            share = ((np.log(values) if self.log else values) - low) / (high - low)
        level = np.clip(np.nan_to_num(share, posinf=1.0, neginf=0.0), 0, 1) * (_LEVELS - 1)
        return np.where(np.isnan(values), -1, np.round(level)).astype(np.int64)

    def colour(self, level: int) -> str:
        """Return a colour as `#rrggbb`."""
        return str(to_hex(mpl.colormaps[self.colours](level / (_LEVELS - 1))))


def map_plates(chart: Maps) -> list[Plate]:
    """Draw each panel on its own plate, so that a page can set them side by side or one below the other."""
    energy = _energy_scale([panel.face for panel in chart.panels if panel.scale == "energy"])
    deviation = _deviation_scale([panel.face for panel in chart.panels if panel.scale == "deviation"])
    return [_plate(panel, _scale(panel, energy, deviation)) for panel in chart.panels]


def _scale(panel: Map, energy: Scale, deviation: Scale) -> Scale:
    if panel.scale in ("energy", "deviation"):
        return energy if panel.scale == "energy" else deviation
    if panel.scale == "ratio":
        return Scale(0.5, 2.0, True, "RdBu_r", "")
    if panel.scale == "correlation":
        return Scale(-1.0, 1.0, False, "RdBu_r", "")
    known = np.abs(panel.face.values[np.isfinite(panel.face.values)])
    most = float(known.max()) if known.size and known.max() > 0 else 1.0
    return Scale(-most, most, False, "PuOr_r", "")


def _energy_scale(faces: Sequence[Face]) -> Scale:
    """Return a logarithmic scale that ends at the largest energy, over at most five decades."""
    values = np.concatenate([face.values.ravel() for face in faces]) if faces else np.empty(0)
    filled = values[np.isfinite(values) & (values > 0)]
    if len(filled) == 0:
        return Scale(0.1, 1.0, True, "viridis", "MeV")
    largest = float(filled.max())
    smallest = max(float(np.quantile(filled, 0.02)), largest * 10**-_DECADES)
    return Scale(min(smallest, largest / 2), largest, True, "viridis", "MeV")


def _deviation_scale(faces: Sequence[Face]) -> Scale:
    """Return a scale about 0 that few values are beyond, so that one wild cell does not fade all others."""
    values = np.concatenate([face.values.ravel() for face in faces]) if faces else np.empty(0)
    known = values[np.isfinite(values)]
    most = float(np.quantile(np.abs(known), 0.98)) if known.size else 0.0
    most = most if most > 0 else 1.0
    if known.size and known.min() >= 0:  # a distance has one side only
        return Scale(0.0, most, False, "Oranges", "")
    return Scale(-most, most, False, "PuOr_r", "")


def _plate(panel: Map, scale: Scale) -> Plate:
    plate = Plate(WIDTH, HEIGHT)
    face, box = panel.face, _BOX
    values = np.where(face.values == 0, np.nan, face.values) if panel.scale == "energy" else face.values
    x_ends, y_ends = (_ends(c) for c in (face.x, face.y))
    if panel.ticks:
        y_ends = (y_ends[1], y_ends[0])  # matrices are read from the top
    if face.square:
        box = _square(box, abs(x_ends[1] - x_ends[0]), abs(y_ends[1] - y_ends[0]))
    axes = Panel(plate, box, x_ends, y_ends)
    _draw_cells(axes, face, values, scale)
    plate.text(_BOX.left, 208.0, panel.name, fitting(panel.name, _TITLE, 10.5))
    if panel.ticks:
        _matrix_frame(axes, panel.ticks)
    else:
        axes.frame(*face.labels)
    _bar(plate, box, scale)
    return plate


def _ends(corners: Array) -> tuple[float, float]:
    return float(corners.min()), float(corners.max())


def _square(box: Box, across: float, up: float) -> Box:
    room = min((box.right - box.left) / across, (box.top - box.bottom) / up)
    return Box(box.left, box.top - room * up, box.left + room * across, box.top)


def _draw_cells(axes: Panel, face: Face, values: Array, scale: Scale) -> None:
    """Draw cells, all of one colour at once."""
    cells = face.corners(axes.across(face.x), axes.up(face.y))
    levels = scale.levels(np.asarray(values, np.float64))
    for level in np.unique(levels[levels >= 0]).tolist():
        axes.plate.fill(list(cells[levels == level]), scale.colour(level))


def _matrix_frame(axes: Panel, names: Sequence[str]) -> None:
    """Name rows, and columns by their numbers; of many rows only some."""
    box, plate, n = axes.box, axes.plate, len(names)
    corners = np.array(
        [(box.left, box.bottom), (box.right, box.bottom), (box.right, box.top), (box.left, box.top)]
    )
    plate.stroke([corners[[0, 1, 2, 3, 0, 1]]], "ink", 0.9)
    every = -(-n // _TICKS_MOST)
    size = min(_SMALL, 0.8 * every * (box.top - box.bottom) / n)
    for i in range(0, n, every):
        y = box.top - (i + 0.5) * (box.top - box.bottom) / n
        x = box.left + (i + 0.5) * (box.right - box.left) / n
        plate.text(box.left - 3, y - 0.36 * size, names[i], size, "right")
        plate.text(x + 0.36 * size, box.bottom - 3, names[i], size, "right", upwards=True)


def _bar(plate: Plate, box: Box, scale: Scale) -> None:
    """Draw the scale of colours at the right."""
    left, right = box.right + 9, box.right + 17
    steps = np.linspace(box.bottom, box.top, 33)
    for i, (low, high) in enumerate(pairwise(steps)):
        corners = np.array([(left, low), (right, low), (right, high + 0.3), (left, high + 0.3)])
        plate.fill([corners], scale.colour(round(i / 31 * (_LEVELS - 1))))
    outline = np.array([(left, box.bottom), (right, box.bottom), (right, box.top), (left, box.top)])
    plate.stroke([outline[[0, 1, 2, 3, 0, 1]]], "ink", 0.6)
    plate.text(left, box.top + 5, scale.title, 9)
    if scale.log and scale.high / scale.low <= 4.0001:
        labels: tuple[str, ...] = ("0.5", "0.7", "1", "1.4", "2")
        major = np.array([0.5, 0.7, 1, 1.4, 2])
        inside = (major >= scale.low) & (major <= scale.high)
        major, labels = major[inside], tuple(t for t, i in zip(labels, inside, strict=True) if i)
    else:
        found = ticks(scale.low, scale.high, scale.log, 5)
        major, labels = found.major, found.labels
    on = Panel(plate, box, (0.0, 1.0), (scale.low, scale.high), y_log=scale.log)
    for y, label in zip(on.up(major).tolist(), labels, strict=True):
        plate.stroke([np.array([(right, y), (right - 3, y)])], "ink", 0.6)
        plate.text(right + 3, y - 3, label, 8.5)

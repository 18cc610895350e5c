"""Named points, and those that no other beats in both coordinates."""

from __future__ import annotations

__all__ = ["points_plate"]

import numpy as np
from numpy.typing import NDArray

from caloforge.validation.charts import Point, Points
from caloforge.validation.figures.glyphs import SIZE, width
from caloforge.validation.figures.panel import Panel
from caloforge.validation.figures.plate import Box, Plate
from caloforge.validation.figures.style import MARKERS, Look, short

Array = NDArray[np.float64]
WIDTH, HEIGHT = 432.0, 281.0
_BOX = Box(52.0, 40.0, 424.0, 270.0)
_NAME = 9.5


def points_plate(chart: Points, look: Look) -> Plate:
    """Draw points with names beside them, and the Pareto front if the chart wants it."""
    plate = Plate(WIDTH, HEIGHT)
    x, y = (np.array([getattr(p, key) for p in chart.points]) for key in ("x", "y"))
    x_error, y_error = (np.array([getattr(p, f"{key}_error") for p in chart.points]) for key in ("x", "y"))
    x_ends = _ends(x, x_error, chart.log_x, 0.16)
    y_ends = _ends(y, y_error, chart.log_y, 0.12)
    panel = Panel(plate, _BOX, x_ends, y_ends, chart.log_x, chart.log_y)
    if chart.pareto:
        _front(panel, x, y)
    places = look.places(chart.points)
    for point, place in zip(chart.points, places, strict=True):
        _draw(panel, point, place)
    _names(panel, chart.points, panel.across(x), panel.up(y))
    panel.frame(chart.x, chart.y)
    return plate


def _ends(values: Array, errors: Array, log: bool, room: float) -> tuple[float, float]:
    known = np.isfinite(values) & ((values > 0) | (not log))
    if not known.any():
        return (0.1, 1.0) if log else (0.0, 1.0)
    if log:
        low, high = float(np.log10(values[known].min())), float(np.log10(values[known].max()))
        span = max(high - low, 1.0)
        return float(10 ** (low - room * span)), float(10 ** (high + room * span))
    errors = np.nan_to_num(errors)[known]
    low, high = float((values[known] - errors).min()), float((values[known] + errors).max())
    span = (high - low) or max(abs(high), 1.0)
    return low - room * span, high + room * span


def _front(panel: Panel, x: Array, y: Array) -> None:
    """Join the points that no other beats in both, as stairs."""
    order = [i for i in np.lexsort((y, x)) if np.isfinite(x[i]) and np.isfinite(y[i])]
    front: list[int] = []
    for i in order:
        if not front or y[i] < y[front[-1]]:
            front.append(int(i))
    if not front:
        return
    across = np.concatenate([np.repeat(x[front], 2), [panel.x_ends[1]]])
    up = np.concatenate([[panel.y_ends[1]], np.repeat(y[front], 2)])
    panel.line(across, up, "floor", 1.0, dashed=True)


def _draw(panel: Panel, point: Point, place: int) -> None:
    colour = f"candidate-{place}" if point.role == "candidate" else point.role
    shape = MARKERS[place] if point.role == "candidate" else "circle"
    x, y = np.array([point.x]), np.array([point.y])
    if point.y_error > 0:
        panel.bars(x, y - point.y_error, y + point.y_error, colour, 1.0)
    if point.x_error > 0:
        panel.line(np.array([point.x - point.x_error, point.x + point.x_error]), np.repeat(y, 2), colour, 1.0)
    panel.marks(x, y, shape, 4.2, colour)


def _names(panel: Panel, points: tuple[Point, ...], x: Array, y: Array) -> None:
    """Write each name on the side where it covers least."""
    taken = [(a - 5, b - 5, a + 5, b + 5) for a, b in zip(x.tolist(), y.tolist(), strict=True)]
    for i, point in enumerate(points):
        if not (np.isfinite(x[i]) and np.isfinite(y[i])):
            continue
        name = short(point.name, 28)
        wide = width(name) * _NAME / SIZE
        sides = [(7, 5), (-7 - wide, -13), (7, -13), (-7 - wide, 5), (-wide / 2, 9), (-wide / 2, -17)]
        boxes = [(x[i] + dx, y[i] + dy, x[i] + dx + wide, y[i] + dy + _NAME) for dx, dy in sides]
        best = min(boxes, key=lambda box: _covered(box, taken))
        taken.append(best)
        panel.plate.text(float(best[0]), float(best[1]) + 1, name, _NAME)


def _covered(box: tuple[float, float, float, float], taken: list[tuple[float, float, float, float]]) -> float:
    """Return the area that a name shares with others, and much more for leaving the frame."""
    area = 0.0
    for other in taken:
        wide = min(box[2], other[2]) - max(box[0], other[0])
        high = min(box[3], other[3]) - max(box[1], other[1])
        area += max(wide, 0.0) * max(high, 0.0)
    inside = box[0] > _BOX.left and box[2] < _BOX.right and box[1] > _BOX.bottom and box[3] < _BOX.top
    return area + (0.0 if inside else 1e4)

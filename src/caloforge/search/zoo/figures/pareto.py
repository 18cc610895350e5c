"""Quality against time: a point for each member, the front as stairs, the floor as a line."""

from __future__ import annotations

__all__ = ["pareto"]

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from caloforge.search.report.figures.drawing import BOX, HEIGHT, WIDTH, Drawing
from caloforge.search.report.figures.scales import Axis, value_axis
from caloforge.search.zoo.choice import on_front
from caloforge.search.zoo.families import FAMILIES, Family
from caloforge.search.zoo.metrics import METRICS
from caloforge.search.zoo.words import figure_text, ms_text
from caloforge.validation.figures.glyphs import SIZE, width
from caloforge.validation.figures.legend import Entry, legend, legend_height
from caloforge.validation.figures.panel import Panel
from caloforge.validation.figures.plate import Box, Plate

if TYPE_CHECKING:
    from caloforge.search.zoo.record import Member, Zoo

Array = NDArray[np.float64]
_LOOKS: dict[Family, tuple[str, str]] = {
    "fit": ("candidate-0", "circle"),
    "tuned": ("candidate-1", "square"),
    "flow": ("candidate-2", "diamond"),
    "matching": ("candidate-3", "up"),
    "evolved": ("candidate-4", "down"),
    "GAN": ("candidate-5", "plus"),
    "other": ("geant4", "circle"),
}
_RADIUS, _NAME = 3.2, 8.5  # of a point, and size of its name, in points
_LINE = Entry("Geant4 beside Geant4", "floor")
_FRONT = Entry("front", "ink", thin=True)


def pareto(zoo: Zoo, metric: str, batch: int) -> Drawing | None:
    """Draw a figure against the time of a shower; None if no member has the figure.

    Args:
        zoo: The members and the floor.
        metric: Of `METRICS`.
        batch: Showers of a call.
    """
    members = [one for one in zoo.members if metric in one.figures]
    if not members:
        return None
    floor = zoo.floor.get(metric)
    ms = np.array([one.ms(batch) for one in members])
    found = [one.figures[metric] for one in members]
    value, error = np.array([f.value for f in found]), np.array([f.error for f in found])
    levels = np.array([] if floor is None else [floor.value])
    # Room on both sides for the names.
    across = Axis(float(ms.min()) / 2.5, float(ms.max()) * 2.5, True)
    up = _linear(np.concatenate([value - error, value + error, levels]))
    entries = _entries(members, floor is not None)
    high = legend_height(entries, WIDTH)
    plate = Plate(WIDTH, HEIGHT + high)
    panel = Panel(plate, BOX, across.ends, up.ends, x_log=True)
    if floor is not None:
        panel.level(floor.value, _LINE.colour, 1.4)
    _stairs(panel, ms, value, on_front(members, metric, floor, batch), (across.high, up.high))
    panel.bars(ms, value - error, value + error, "soft", 0.8)
    for i, one in enumerate(members):
        colour, marker = _LOOKS[one.family]
        panel.marks(ms[i : i + 1], value[i : i + 1], marker, _RADIUS, colour, [_told(one, metric, batch)])
    panel.frame("ms per shower, one core", METRICS[metric].replace("10³", "$10^3$"))
    _write_names(plate, panel.across(ms), panel.up(value), [one.name for one in members])
    legend(plate, Box(0, HEIGHT, WIDTH, HEIGHT + high), entries)
    alone = "one shower at a time" if batch == 1 else f"{batch} showers a call"
    return Drawing(
        f"{metric}-{batch}",
        f"{METRICS[metric]}, {alone}",
        "Lower is nearer to Geant4, left is quicker. Whatever lies above the stairs is beaten in both.",
        (plate,),
    )


def _linear(values: Array) -> Axis:
    axis = value_axis(values, decades=np.inf)
    room = 0.06 * (axis.high - axis.low)  # for names at the edges
    return Axis(axis.low - room, max(axis.high, float(values.max())) + room, False)


def _entries(members: Sequence[Member], floor: bool) -> list[Entry]:
    there = [name for name in FAMILIES if any(one.family == name for one in members)]
    families = [Entry(name, *_LOOKS[name], lined=False) for name in there]
    return [*families, _FRONT, *([_LINE] if floor else [])]


def _stairs(
    panel: Panel, ms: Array, value: Array, front: NDArray[np.bool_], ends: tuple[float, float]
) -> None:
    order = np.argsort(ms[front], kind="stable")
    x, y = ms[front][order], value[front][order]
    # Two whose figures are the floor but for chance are on the front together: the stairs never rise.
    y = np.minimum.accumulate(y)
    panel.line(
        np.append(np.repeat(x, 2), ends[0]),
        np.concatenate([[ends[1]], np.repeat(y, 2)]),
        _FRONT.colour,
        0.9,
        True,
    )


def _told(one: Member, metric: str, batch: int) -> str:
    timing = one.timing(batch)
    return f"{one.name}: {figure_text(one, metric)}, {ms_text(one, batch)} in {timing.runtime}; {one.family}"


def _write_names(plate: Plate, x: Array, y: Array, names: Sequence[str]) -> None:
    """Write each name beside its point, where it covers no other name and no point."""
    taken = [(a - _RADIUS, b - _RADIUS, a + _RADIUS, b + _RADIUS) for a, b in zip(x, y, strict=True)]
    for a, b, name in zip(x.tolist(), y.tolist(), names, strict=True):
        wide = width(name) * _NAME / SIZE
        places = [
            (a - _RADIUS - 3 - wide, b - 3),  # there are no stairs
            (a + _RADIUS + 3, b - _NAME - 1),
            (a + _RADIUS + 3, b + 3),
            (a - wide / 2, b - _RADIUS - _NAME),
            (a - wide / 2, b + _RADIUS + 2),
        ]
        boxes = [(left, low - 1, left + wide, low + _NAME - 1) for left, low in places]
        best = min(range(len(boxes)), key=lambda i: (_overlaps(boxes[i], taken), i))
        taken.append(boxes[best])
        plate.text(*places[best], name, _NAME)


def _overlaps(box: tuple[float, ...], taken: Sequence[tuple[float, ...]]) -> int:
    outside = box[0] < BOX.left or box[2] > BOX.right or box[1] < BOX.bottom or box[3] > BOX.top
    meets = [box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3] for b in taken]
    return sum(meets) + 10 * outside

"""The ancestors of the front's members: who came from whom, and how."""

from __future__ import annotations

__all__ = ["ancestors", "ancestry"]

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from caloforge.search.report.figures.drawing import Drawing
from caloforge.search.topology.figures.marks import WAYS, told
from caloforge.validation.figures.legend import Entry, legend, legend_height
from caloforge.validation.figures.panel import Panel
from caloforge.validation.figures.plate import Box, Plate

if TYPE_CHECKING:
    from caloforge.search.topology.individual import Individual
    from caloforge.search.topology.store import State

_WIDTH, _ROW, _LEFT, _BOTTOM = 880.0, 22.0, 14.0, 40.0
_FRONT = Entry("member of the front", "ink", "diamond", lined=False)


def ancestry(state: State, members: Sequence[Individual]) -> Drawing:
    """Draw the tree: generations from left to right, a row for each lineage."""
    known = {one.number: one for one in state.individuals}
    shown = ancestors(members, known)
    rows = _rows(members, known)
    entries = [entry for way, entry in WAYS.items() if any(one.way == way for one in shown)] + [_FRONT]
    high, tall = legend_height(entries, _WIDTH), _BOTTOM + _ROW * (max(rows.values()) + 1.5)
    plate = Plate(_WIDTH, tall + high)
    last = max(float(max(one.generation for one in shown)), 1.0)
    box = Box(_LEFT, _BOTTOM, _WIDTH - 30, tall)
    ends = box.bottom, box.top
    panel = Panel(plate, box, (-0.3, last + 0.3), ends)
    place = {one.number: (float(one.generation), _BOTTOM + _ROW * (0.9 + rows[one.number])) for one in shown}
    at = {n: (float(panel.across(np.array([x]))[0]), y) for n, (x, y) in place.items()}
    for one in shown:
        for parent in one.parents:
            plate.stroke(
                [_bent(at[parent], at[one.number])], WAYS[one.way].colour, 1.2, titles=[_came(one, parent)]
            )
    on_front = {one.number for one in members}
    for one in shown:
        mark = _FRONT if one.number in on_front else WAYS[one.way]
        size = 4.2 if one.number in on_front else 3.0
        plate.marks(np.array([at[one.number]]), mark.marker, size, mark.colour, [told(one)])
        plate.text(at[one.number][0], at[one.number][1] + 5.5, str(one.number), 8.0, "middle")
    for generation in _ticks(int(last)):
        x = float(panel.across(np.array([float(generation)]))[0])
        plate.text(x, 22.0, str(generation), 9.5, "middle")
    plate.text(box.right, 7.0, "generation", 11.0, "right")
    legend(plate, Box(0, tall, _WIDTH, tall + high), entries)
    return Drawing(
        "ancestry",
        "Ancestors of the front",
        "A line goes from a parent to its child, in the colour of how the child was made; numbers name "
        "individuals. Those without a descendant on the front are left out.",
        (plate,),
        wide=True,
    )


def ancestors(members: Sequence[Individual], known: Mapping[int, Individual]) -> list[Individual]:
    """Return members and all that they came from, by number."""
    found: dict[int, Individual] = {}
    todo = list(members)
    while todo:
        one = todo.pop()
        if one.number not in found:
            found[one.number] = one
            todo.extend(known[parent] for parent in one.parents)
    return [found[number] for number in sorted(found)]


def _rows(members: Sequence[Individual], known: Mapping[int, Individual]) -> dict[int, int]:
    """Give each lineage a row of its own: an individual stands in that of its first descendant."""
    rows: dict[int, int] = {}
    row = -1
    todo = [(one.number, True) for one in reversed(members)]
    while todo:
        number, new = todo.pop()
        if number in rows:
            continue
        row += new
        rows[number] = row
        parents = known[number].parents
        todo += [(parent, i > 0) for i, parent in reversed(list(enumerate(parents)))]
    return rows


def _bent(begin: tuple[float, float], end: tuple[float, float]) -> np.ndarray:
    """A line that is level at both ends."""
    share = np.linspace(0, 1, 17)
    rise = share**2 * (3 - 2 * share)
    return np.column_stack([begin[0] + share * (end[0] - begin[0]), begin[1] + rise * (end[1] - begin[1])])


def _came(one: Individual, parent: int) -> str:
    return f"{one.number} came from {parent}: {WAYS[one.way].name}"


def _ticks(last: int) -> range:
    return range(0, last + 1, max(1, -(-last // 12)))

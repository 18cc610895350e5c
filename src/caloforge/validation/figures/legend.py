"""The legend of a figure: a swatch and a name for each sample."""

from __future__ import annotations

__all__ = ["Entry", "legend", "legend_height"]

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from caloforge.validation.figures.glyphs import SIZE, width
from caloforge.validation.figures.plate import Box, Plate

_SIZE, _LINE, _SWATCH, _GAP = 9.5, 13.5, 15.0, 4.0


@dataclass(frozen=True)
class Entry:
    """A sample in a legend.

    Attributes:
        name: What it is called.
        colour: Its colour.
        marker: Shape of its points, or empty.
        filled: Whether it is an area.
        thin: Whether it is a thin line.
        lined: Whether there is a line at all; points alone have none.
    """

    name: str
    colour: str
    marker: str = ""
    filled: bool = False
    thin: bool = False
    lined: bool = True


def legend_height(entries: Sequence[Entry], room: float) -> float:
    """Return the height of a legend in points.

    Args:
        entries: What it says.
        room: How wide it may be.
    """
    return _LINE * len(_rows(entries, room)) + 8 if entries else 0.0


def legend(plate: Plate, box: Box, entries: Sequence[Entry]) -> None:
    """Draw a legend at the top right of a box, filled from the left, line by line."""
    rows = _rows(entries, box.right - box.left)
    if not rows:
        return
    columns = _columns(rows)
    left = box.right - 8 - sum(columns)
    for i, row in enumerate(rows):
        y = box.top - 6 - _LINE * (i + 0.72)
        for entry, x in zip(row, left + np.cumsum([0.0, *columns])[: len(row)], strict=True):
            _swatch(plate, entry, float(x), y + 3.2)
            plate.text(float(x) + _SWATCH + _GAP, y, entry.name, _SIZE)


def _rows(entries: Sequence[Entry], room: float) -> list[list[Entry]]:
    """Break entries into lines: as many columns as fit."""
    for count in range(min(len(entries), 4), 0, -1):
        rows = [list(entries[i : i + count]) for i in range(0, len(entries), count)]
        if sum(_columns(rows)) <= room - 16 or count == 1:
            return rows
    return []


def _columns(rows: Sequence[Sequence[Entry]]) -> list[float]:
    count = max(len(row) for row in rows)
    widths = [max(_wide(row[i]) for row in rows if i < len(row)) for i in range(count)]
    return [*(w + 12 for w in widths[:-1]), widths[-1]]


def _wide(entry: Entry) -> float:
    return _SWATCH + _GAP + width(entry.name) * _SIZE / SIZE


def _swatch(plate: Plate, entry: Entry, x: float, y: float) -> None:
    if entry.filled:
        corners = np.array([(x, y - 4), (x + _SWATCH, y - 4), (x + _SWATCH, y + 4), (x, y + 4)])
        plate.fill([corners], entry.colour, 0.28)
        plate.stroke([corners[[3, 2]]], entry.colour, 1.1)
        return
    if entry.lined:
        plate.stroke([np.array([(x, y), (x + _SWATCH, y)])], entry.colour, 0.9 if entry.thin else 1.4)
    if entry.marker:
        plate.marks(np.array([[x + _SWATCH / 2, y]]), entry.marker, 2.2, entry.colour)

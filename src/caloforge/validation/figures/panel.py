"""Axes of a figure: data to points, curves, bands and points, frame and ticks."""

from __future__ import annotations

__all__ = ["Panel", "fitting"]

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from caloforge.validation.figures.glyphs import SIZE, width
from caloforge.validation.figures.plate import Box, Plate
from caloforge.validation.figures.ticks import Ticks, named_ticks, ratio_ticks, ticks

Array = NDArray[np.float64]
_MAJOR, _MINOR = 5.0, 2.8
TICK_SIZE, LABEL_SIZE = 9.5, 11.0


class Panel:
    """A rectangle with two axes.

    Args:
        plate: What is drawn on.
        box: Where.
        x: Ends of the horizontal axis.
        y: Ends of the vertical axis.
        x_log: Whether the horizontal axis is logarithmic.
        y_log: Whether the vertical axis is logarithmic.
    """

    def __init__(
        self,
        plate: Plate,
        box: Box,
        x: tuple[float, float],
        y: tuple[float, float],
        x_log: bool = False,
        y_log: bool = False,
    ) -> None:
        self.plate, self.box = plate, box
        self.x_ends, self.y_ends, self.x_log, self.y_log = x, y, x_log, y_log

    def across(self, values: Array) -> Array:
        """Return horizontal positions in points."""
        return _placed(values, self.x_ends, self.x_log, self.box.left, self.box.right)

    def up(self, values: Array) -> Array:
        """Return vertical positions in points; what has no logarithm lies far below."""
        return _placed(values, self.y_ends, self.y_log, self.box.bottom, self.box.top)

    def steps(self, edges: Array, values: Array, colour: str, width: float, dashed: bool = False) -> None:
        """Draw a histogram's outline, interrupted where it is not finite."""
        x, y = self.across(np.repeat(edges, 2)[1:-1]), self.up(np.repeat(values, 2))
        with self.plate.inside(self.box):
            self.plate.stroke(_runs(x, y), colour, width, dashed=dashed)

    def area(self, edges: Array, values: Array, colour: str, opacity: float) -> None:
        """Fill a histogram."""
        low = np.full(len(values), self.y_ends[0])
        self.band(edges, low, values, colour, opacity, steps=True)

    def band(self, x: Array, low: Array, high: Array, colour: str, opacity: float, steps: bool) -> None:
        """Fill between two curves, at positions or, as steps, between edges."""
        if steps:
            x, low, high = np.repeat(x, 2)[1:-1], np.repeat(low, 2), np.repeat(high, 2)
        known = np.isfinite(low) & np.isfinite(high)
        across, bottom, top = self.across(x), self.up(low), self.up(high)
        parts = []
        for run in _known_runs(known):
            there = np.column_stack([across[run], top[run]])
            back = np.column_stack([across[run], bottom[run]])[::-1]
            parts.append(np.concatenate([there, back]))
        with self.plate.inside(self.box):
            self.plate.fill(parts, colour, opacity)

    def line(self, x: Array, y: Array, colour: str, width: float, dashed: bool = False) -> None:
        """Draw a line through points, interrupted where it is not finite."""
        with self.plate.inside(self.box):
            self.plate.stroke(_runs(self.across(x), self.up(y)), colour, width, dashed=dashed)

    def bars(self, x: Array, low: Array, high: Array, colour: str, width: float) -> None:
        """Draw vertical error bars."""
        at = self.across(x)
        ends = np.stack([np.column_stack([at, self.up(low)]), np.column_stack([at, self.up(high)])], axis=1)
        with self.plate.inside(self.box):
            self.plate.stroke(list(ends), colour, width)

    def marks(
        self, x: Array, y: Array, shape: str, radius: float, colour: str, titles: Sequence[str] = ()
    ) -> None:
        """Draw markers; those on the border are whole."""
        at = np.column_stack([self.across(x), self.up(y)])
        box = self.box
        seen = (at[:, 0] >= box.left - 0.1) & (at[:, 0] <= box.right + 0.1)
        seen &= (at[:, 1] >= box.bottom - 0.1) & (at[:, 1] <= box.top + 0.1)
        told = [titles[i] for i in np.flatnonzero(seen).tolist()] if titles else ()
        self.plate.marks(at[seen], shape, radius, colour, told)

    def level(self, y: float, colour: str, width: float, dashed: bool = False) -> None:
        """Draw a horizontal line."""
        self.line(np.array(self.x_ends), np.array([y, y]), colour, width, dashed)

    def frame(
        self,
        x: str = "",
        y: str = "",
        numbers: bool = True,
        about: float | None = None,
        columns: Sequence[str] = (),
        rows: Sequence[str] = (),
    ) -> None:
        """Draw frame, ticks on all sides, numbers and labels.

        Args:
            x: Label of the horizontal axis.
            y: Label of the vertical axis.
            numbers: Whether the horizontal axis has numbers.
            about: For an axis of ratios: the vertical axis has numbers at one and so far above and below it.
            columns: What stands at 0, 1, ... of the horizontal axis instead of numbers.
            rows: What stands at 0, 1, ... of the vertical axis instead of numbers.
        """
        box = self.box
        corners = [(box.left, box.bottom), (box.right, box.bottom), (box.right, box.top), (box.left, box.top)]
        closed = np.array([*corners, corners[0], corners[1]])
        reach = int(np.clip((box.right - box.left) / 34, 3, 8))
        horizontal = named_ticks(columns) if columns else ticks(*self.x_ends, self.x_log, reach)
        vertical = named_ticks(rows) if rows else ticks(*self.y_ends, self.y_log)
        if about is not None:
            vertical = ratio_ticks(about, self.y_ends)
        self.plate.stroke([closed], "ink", 0.9)
        self._tick_marks(horizontal, vertical)
        if numbers:
            self._numbers_below(horizontal, x)
        self._numbers_left(vertical, y, about is not None)

    def _tick_marks(self, horizontal: Ticks, vertical: Ticks) -> None:
        box, parts = self.box, []
        for values, size in ((horizontal.major, _MAJOR), (horizontal.minor, _MINOR)):
            for at in self.across(values).tolist():
                parts += [((at, box.bottom), (at, box.bottom + size)), ((at, box.top), (at, box.top - size))]
        for values, size in ((vertical.major, _MAJOR), (vertical.minor, _MINOR)):
            for at in self.up(values).tolist():
                parts += [((box.left, at), (box.left + size, at)), ((box.right, at), (box.right - size, at))]
        self.plate.stroke([np.array(part) for part in parts], "ink", 0.7)

    def _numbers_below(self, found: Ticks, label: str) -> None:
        box = self.box
        y = box.bottom - TICK_SIZE - 3.5
        for at, text in zip(self.across(found.major).tolist(), found.labels, strict=True):
            self.plate.text(at, y, text, TICK_SIZE, "middle")
        if found.factor:
            label = f"{label} {found.factor}" if label else found.factor
        self.plate.text(box.right, y - LABEL_SIZE - 3.5, label, fitting(label, box.right - 4), "right")

    def _numbers_left(self, found: Ticks, label: str, middle: bool) -> None:
        box = self.box
        for at, text in zip(self.up(found.major).tolist(), found.labels, strict=True):
            self.plate.text(box.left - 4, at - 0.36 * TICK_SIZE, text, TICK_SIZE, "right")
        if found.factor:
            self.plate.text(box.left, box.top + 3.5, found.factor, TICK_SIZE, "left")
        size = fitting(label, box.top - box.bottom)
        x = LABEL_SIZE + 1.0
        y = (box.top + box.bottom) / 2 if middle else box.top
        self.plate.text(x, y, label, size, "middle" if middle else "right", upwards=True)


def fitting(label: str, room: float, most: float = LABEL_SIZE) -> float:
    """Return the font size, at most `most`, in which a label fits into `room` points."""
    return min(most, room / max(width(label) / SIZE, 1e-9))


def _placed(values: Array, ends: tuple[float, float], log: bool, first: float, last: float) -> Array:
    low, high = ends
    values = np.asarray(values, np.float64)
    if log:
        low, high = np.log10(low), np.log10(high)
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.where(values > 0, np.log10(values), np.where(np.isnan(values), np.nan, -1e3))
    share = np.clip((values - low) / (high - low), -2, 3)  # far outside is outside
    return np.asarray(first + share * (last - first))


def _known_runs(known: NDArray[np.bool_]) -> list[slice]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], known, [False]]).astype(np.int8)))
    return [slice(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _runs(x: Array, y: Array) -> list[Array]:
    points = np.column_stack([x, y])
    return [points[run] for run in _known_runs(np.asarray(np.isfinite(points).all(axis=1)))]

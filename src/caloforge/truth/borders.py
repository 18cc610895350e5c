"""Where straight steps cross the borders of cells, exactly: planes, circles and rays.

A step runs from `start` to `end`; a crossing is the part t of its length, 0 < t < 1, at which a border lies.
"""

from __future__ import annotations

__all__ = ["CartesianBins", "Cuts", "Pieces", "PolarBins", "crossings", "cut", "joined"]

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float64]
Whole = NDArray[np.int64]


class Cuts(NamedTuple):
    """Crossings: which line, and at which part of its length; shape `(m,)` each, in any order."""

    line: Whole
    t: Real


class Pieces(NamedTuple):
    """Lines cut into pieces: which line, the share of its energy, from where to where."""

    line: Whole
    share: Real
    start: Real
    end: Real

    @property
    def middle(self) -> Real:
        """A point that lies in the same cell as the whole piece."""
        return (self.start + self.end) / 2


def crossings(first: Real, last: Real, low: Whole, high: Whole, edges: Real) -> Cuts:
    """Cuts of lines by planes: `low` and `high` count the edges at or below each end's coordinate."""
    line, step = _counted(np.abs(high - low))
    edge = edges[np.minimum(low, high)[line] + step]
    return Cuts(line, (edge - first[line]) / (last - first)[line])


def _counted(count: Whole) -> tuple[Whole, Whole]:
    """Each line as often as `count` says, and the times 0, 1, ... that it has come before."""
    line = np.repeat(np.arange(len(count)), count)
    return line, np.arange(len(line)) - np.repeat(np.cumsum(count) - count, count)


def cut(start: Real, end: Real, cuts: Cuts) -> Pieces:
    """Cut lines at all their crossings.

    Args:
        start: Shape `(n, k)`.
        end: Shape `(n, k)`.
        cuts: Crossings of these lines; a line without any stays one piece.

    Returns:
        Pieces, ordered by line and along it; the shares of a line add up to 1.
    """
    each = np.arange(len(start))
    line = np.concatenate([each, cuts.line, each])
    t = np.concatenate([np.zeros(len(each)), np.clip(cuts.t, 0.0, 1.0), np.ones(len(each))])
    order = np.lexsort((t, line))
    line, t = line[order], t[order]
    keep = (line[1:] == line[:-1]) & (t[1:] > t[:-1])
    line, begin, stop = line[:-1][keep], t[:-1][keep], t[1:][keep]
    first, along = start[line], (end - start)[line]
    return Pieces(line, stop - begin, first + begin[:, None] * along, first + stop[:, None] * along)


@dataclass(frozen=True)
class CartesianBins:
    """Cells of a cartesian grid, and as many like them outside: numbers are not limited to the window.

    Args:
        cells: Number of cells in x and y.
        cell: Width of a cell in x and y.
    """

    cells: tuple[int, int]
    cell: tuple[float, float]

    def place(self, points: Real) -> tuple[Whole, Whole]:
        """Cell numbers in x and y of points, shape `(n, 2 or more)`; negative or too large outside."""
        return self._number(points, 0), self._number(points, 1)

    def _number(self, points: Real, axis: int) -> Whole:
        # In place, since this is what reading out costs most: every deposit comes by here twice.
        number = points[:, axis] * (1 / self.cell[axis])
        number += self.cells[axis] / 2
        return np.floor(number, out=number).astype(np.int64)

    def flat(self, place: tuple[Whole, Whole]) -> tuple[Whole, Whole]:
        """Flat index in the grid, and which of them mean nothing because they lie outside."""
        (ix, iy), (nx, ny) = place, self.cells
        outside = (ix < 0) | (ix >= nx) | (iy < 0) | (iy >= ny)
        index = ix * ny
        index += iy
        return index, np.flatnonzero(outside)

    def crossed(self, start: Real, end: Real) -> tuple[tuple[Whole, Whole], Whole]:
        """The cell of each line's start, and which lines leave it."""
        first, last = self.place(start), self.place(end)
        return first, np.flatnonzero((first[0] != last[0]) | (first[1] != last[1]))

    def cuts(self, start: Real, end: Real) -> Cuts:
        """All crossings of cell borders."""
        parts = []
        for axis in range(2):
            low, high = self._number(start, axis), self._number(end, axis)
            base, top = min(low.min(), high.min()), max(low.max(), high.max())
            edges = (np.arange(base + 1, top + 1) - self.cells[axis] / 2) * self.cell[axis]
            parts.append(crossings(start[:, axis], end[:, axis], low - base, high - base, edges))
        return joined(parts)


@dataclass(frozen=True)
class PolarBins:
    """Cells of a polar grid; ring 0 is a hole in the middle, if there is one, and the last is outside.

    Args:
        r_edges: Radii of the circles, increasing.
        alpha: Number of sectors.
    """

    r_edges: Real
    alpha: int

    def place(self, points: Real) -> tuple[Whole, Whole]:
        """Sector, and number of circles at or inside the radius, of points of shape `(n, 2 or more)`."""
        turn = np.arctan2(points[:, 1], points[:, 0]) / (2 * math.pi) + 0.5
        sector = np.floor(turn * self.alpha).astype(np.int64) % self.alpha
        return sector, self._ring(np.hypot(points[:, 0], points[:, 1]))

    def flat(self, place: tuple[Whole, Whole]) -> tuple[Whole, Whole]:
        """Flat index in the grid, and which of them mean nothing because they lie outside."""
        sector, ring = place
        n_r = len(self.r_edges) - 1
        return sector * n_r + ring - 1, np.flatnonzero((ring < 1) | (ring > n_r))

    def crossed(self, start: Real, end: Real) -> tuple[tuple[Whole, Whole], Whole]:
        """The cell of each line's start, and which lines leave it, be it to come back."""
        first, last = self.place(start), self.place(end)
        leaves = (first[0] != last[0]) | (first[1] != last[1])
        turns = np.flatnonzero(_come_nearer_between(start, end))
        near = self._ring(_Chord(start[turns], end[turns]).radius_nearest)
        leaves[turns] |= near != first[1][turns]
        return first, np.flatnonzero(leaves)

    def cuts(self, start: Real, end: Real) -> Cuts:
        """All crossings of circles and rays."""
        return joined([*self._circles(start, end), self._rays(start, end)])

    def _ring(self, radius: Real) -> Whole:
        return np.searchsorted(self.r_edges, radius, side="right").astype(np.int64)

    def _circles(self, start: Real, end: Real) -> list[Cuts]:
        """Crossings on the way towards the axis, and on the way away from it."""
        chord = _Chord(start, end)
        near = self._ring(chord.radius_nearest)
        parts = []
        for points, sign in ((start, -1.0), (end, 1.0)):
            far = self._ring(np.hypot(points[:, 0], points[:, 1]))
            line, step = _counted(np.maximum(far - near, 0))
            radius = self.r_edges[near[line] + step]
            half = np.sqrt(np.maximum(radius**2 - chord.distance[line] ** 2, 0.0)) / chord.length[line]
            parts.append(Cuts(line, chord.nearest[line] + sign * half))
        return parts

    def _rays(self, start: Real, end: Real) -> Cuts:
        width = 2 * math.pi / self.alpha
        first = np.arctan2(start[:, 1], start[:, 0])
        # A line that misses the axis sweeps less than half a turn.
        sweep = np.mod(np.arctan2(end[:, 1], end[:, 0]) - first + math.pi, 2 * math.pi) - math.pi
        low = np.floor((first + math.pi) / width).astype(np.int64)
        high = np.floor((first + sweep + math.pi) / width).astype(np.int64)
        line, step = _counted(np.abs(high - low))
        angle = (np.minimum(low, high)[line] + 1 + step) * width - math.pi
        along, (ux, uy) = (end - start)[line], (np.cos(angle), np.sin(angle))
        across = ux * along[:, 1] - uy * along[:, 0]
        beside = ux * start[line, 1] - uy * start[line, 0]
        return Cuts(line, np.divide(-beside, across, out=np.zeros_like(across), where=across != 0))


def _come_nearer_between(start: Real, end: Real) -> NDArray[np.bool_]:
    """Which lines are nearest to the axis somewhere between their ends."""
    x, y = end[:, 0] - start[:, 0], end[:, 1] - start[:, 1]
    return (start[:, 0] * x + start[:, 1] * y < 0) & (end[:, 0] * x + end[:, 1] * y > 0)


class _Chord:
    """Each line's closest approach to the axis."""

    def __init__(self, start: Real, end: Real) -> None:
        along = (end - start)[:, :2]
        square = (along**2).sum(1)
        self.length = np.sqrt(square)
        towards = -(start[:, :2] * along).sum(1)
        self.nearest = np.divide(towards, square, out=np.zeros_like(square), where=square > 0)
        closest = start[:, :2] + self.nearest[:, None] * along
        self.distance = np.hypot(closest[:, 0], closest[:, 1])
        within = start[:, :2] + np.clip(self.nearest, 0.0, 1.0)[:, None] * along
        self.radius_nearest = np.hypot(within[:, 0], within[:, 1])


def joined(parts: list[Cuts]) -> Cuts:
    """Put crossings of the same lines together."""
    return Cuts(np.concatenate([part.line for part in parts]), np.concatenate([part.t for part in parts]))

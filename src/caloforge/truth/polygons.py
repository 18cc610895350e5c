"""Where straight steps cross the borders of cells that own the points nearest to their centre, exactly.

Along a line, the square of the distance to a centre less that to another is linear in the part t of its
length. The cells that it crosses are therefore found one after the other: of all cells beside the one where
the line is, the next is the first to become as near.
"""

from __future__ import annotations

__all__ = ["NearestBins"]

from dataclasses import dataclass

import numpy as np

from caloforge.detector import NearestGrid
from caloforge.detector.nearest import Diagram, diagram
from caloforge.truth.borders import Cuts, Real, Whole, joined


@dataclass(frozen=True)
class NearestBins:
    """Cells of a grid of polygons; what is not read out is numbered behind them.

    Args:
        grid: The grid.
        unit: What points are measured in, mm.
    """

    grid: NearestGrid
    unit: float

    def place(self, points: Real) -> tuple[Whole, Whole]:
        """Number of the nearest centre, and 1 beyond the outline, of points of shape `(n, 2 or more)`."""
        here, found = self._mm(points), diagram(self.grid)
        beyond = np.asarray((found.beyond(here) > 0).any(axis=1), np.int64)
        return found.nearest(here), beyond

    def flat(self, place: tuple[Whole, Whole]) -> tuple[Whole, Whole]:
        """Flat index in the grid, and which of them mean nothing because they lie outside."""
        cell, beyond = place
        outside: Whole = np.flatnonzero((cell >= self.grid.n_cells) | (beyond > 0))
        return cell.copy(), outside

    def crossed(self, start: Real, end: Real) -> tuple[tuple[Whole, Whole], Whole]:
        """The cell of each line's start, and which lines leave it."""
        first, last = self.place(start), self.place(end)
        stays = (first[0] == last[0]) & (first[1] + last[1] == 0)
        leaves = np.flatnonzero(~stays)
        found = diagram(self.grid)
        both = np.minimum(found.beyond(self._mm(start[leaves])), found.beyond(self._mm(end[leaves])))
        return first, leaves[~(both > 0).any(axis=1)]  # what is beyond one side all along crosses no cell

    def cuts(self, start: Real, end: Real) -> Cuts:
        """All crossings of borders between cells, and of the outline."""
        first, along, found = self._mm(start), self._mm(end) - self._mm(start), diagram(self.grid)
        line, cell = np.arange(len(first)), found.nearest(first)
        parts = [_outline(found, first, along)]
        while len(line):
            cell, t = _next(found, cell, first[line], along[line])
            here = np.flatnonzero(t < 1)
            line, cell = line[here], cell[here]
            parts.append(Cuts(line, t[here]))
        return joined(parts)

    def _mm(self, points: Real) -> Real:
        return points[:, :2] * self.unit


def _next(found: Diagram, cell: Whole, first: Real, along: Real) -> tuple[Whole, Real]:
    """The cell that each line enters when it leaves `cell`, and where; infinity if it never does.

    Each cell's centre lies further along the line than the one before, so that a line comes to its end
    however numbers are rounded.
    """
    beside = found.beside[cell, : found.count[cell].max()]
    centre = found.points[cell][:, None]
    other = found.points[beside]
    away = other - centre
    rate = np.einsum("nki,ni->nk", away, along)
    # As near to both: |p - a| = |p - b|, with p = first + t along.
    middle = 0.5 * (other + centre) - first[:, None]
    gap = np.einsum("nki,nki->nk", away, middle)
    t = np.full(rate.shape, np.inf)
    np.divide(gap, rate, out=t, where=rate > 0)
    which = t.argmin(axis=1)
    each = np.arange(len(cell))
    return beside[each, which], t[each, which]


def _outline(found: Diagram, first: Real, along: Real) -> Cuts:
    """Crossings of the lines on which the outline's sides lie."""
    begin, finish = found.beyond(first), found.beyond(first + along)
    line, side = np.nonzero((begin > 0) != (finish > 0))
    return Cuts(line, begin[line, side] / (begin - finish)[line, side])

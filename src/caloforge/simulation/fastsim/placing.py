"""Where the cells of a bundle's showers lie in the readout of an event: moved by whole cells."""

from __future__ import annotations

__all__ = ["Lattice", "Placing"]

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from caloforge.detector import CartesianGrid, Detector, Layer
from caloforge.errors import BundleError

Real = NDArray[np.float64]
Whole = NDArray[np.int64]
_SEARCHED = 4096  # cells of the widest layer within which grids must come to lie on each other again
_ALIGNED = 1e-6  # of a cell


@dataclass(frozen=True)
class Lattice:
    """Distances along one axis by which a shower may be moved: whole cells in every layer.

    Args:
        first: The smallest one of 0 or more, mm.
        period: Between two of them, mm; infinite if there is only one.
    """

    first: float
    period: float

    def nearest(self, low: Real, high: Real) -> Real:
        """Return the smallest move in each interval; where there is none, the one nearest to it."""
        wanted = np.clip(0.0, low, high)
        if not np.isfinite(self.period):
            return np.full(len(wanted), self.first)
        below = self.first + np.floor((wanted - self.first) / self.period) * self.period
        above = below + self.period
        far_below = np.maximum(low - below, 0.0) + _ALIGNED * (wanted - below)
        far_above = np.maximum(above - high, 0.0) + _ALIGNED * (above - wanted)
        return np.asarray(np.where(far_below <= far_above, below, above))


class _Block(NamedTuple):
    """Neighbouring layers of equal grids: their cells in both vectors, and their grids."""

    cells: slice
    to_cells: slice
    layers: int
    grid: CartesianGrid
    to_grid: CartesianGrid


class Placing:
    """Puts showers of one detector into the readout of another that differs in its windows only.

    A planar stack is the same everywhere in x and y: a shower may be moved, but only such that its cells
    fall on cells. What leaves the readout is lost. What would enter it from beyond the shower's own window
    was not generated.

    Args:
        detector: Whose cells the showers have.
        target: Whose cells are filled; see `check_fit` for what must agree.

    Attributes:
        lattice: By how much showers may be moved in x and y.

    Raises:
        BundleError: The cells of the two never fall on each other.
    """

    def __init__(self, detector: Detector, target: Detector) -> None:
        self._blocks = list(_blocks(detector, target))
        self._same = all(block.grid == block.to_grid for block in self._blocks)
        self.lattice = (_lattice(self._blocks, 0), _lattice(self._blocks, 1))
        self._window = np.max([block.grid.reach for block in self._blocks], axis=0)
        self._room = np.asarray(target.size) / 2 - self._window

    def fits(self, moves: Real) -> NDArray[np.bool_]:
        """Say which moves, shape `(n, 2)`, leave the window of the shower within the material."""
        # A shower that was simulated in the middle knows nothing of an edge.
        return np.asarray((np.abs(moves) <= np.maximum(self._room, 0.0) + _ALIGNED).all(axis=1))

    def add(
        self, cells: NDArray[np.float32], showers: NDArray[np.float32], event: Whole, moves: Real
    ) -> None:
        """Add showers to events.

        Args:
            cells: Energies of the events, changed in place, shape `(n_events, n_cells of target)`.
            showers: Shape `(n, n_cells of detector)`.
            event: Which event each shower belongs to, increasing, shape `(n,)`.
            moves: From `lattice`, shape `(n, 2)`, mm.
        """
        if self._same and not moves.any():
            _add_rows(cells, showers, event)
            return
        for move, rows in _groups(moves):
            for block in self._blocks:
                self._add_block(cells, showers[rows], event[rows], block, move)

    def _add_block(
        self,
        cells: NDArray[np.float32],
        showers: NDArray[np.float32],
        event: Whole,
        block: _Block,
        move: Real,
    ) -> None:
        source = showers[:, block.cells].reshape(-1, block.layers, *block.grid.shape)
        target = cells[:, block.to_cells].reshape(-1, block.layers, *block.to_grid.shape)
        x, to_x = _overlap(block, move, 0)
        y, to_y = _overlap(block, move, 1)
        _add_rows(target[:, :, to_x, to_y], source[:, :, x, y], event)


def _add_rows(cells: NDArray[np.float32], showers: NDArray[np.float32], event: Whole) -> None:
    first = np.flatnonzero(np.r_[True, event[1:] != event[:-1]]) if len(event) else np.empty(0, np.int64)
    if len(first) == len(event):
        cells[event] += showers
    else:
        cells[event[first]] += np.add.reduceat(showers, first, axis=0)


def _groups(moves: Real) -> Iterator[tuple[Real, Whole]]:
    """Each move with the rows that have it, in order."""
    found, which = np.unique(moves, axis=0, return_inverse=True)
    order = np.argsort(which.ravel(), kind="stable")
    ends = np.cumsum(np.bincount(which.ravel(), minlength=len(found)))
    for number, move in enumerate(found):
        yield move, order[ends[number - 1] if number else 0 : ends[number]]


def _overlap(block: _Block, move: Real, axis: int) -> tuple[slice, slice]:
    """Which cells of a shower lie in the target, and which cells of the target they are."""
    offset = round(_offset(block, axis, float(move[axis])))
    n, to_n = block.grid.cells[axis], block.to_grid.cells[axis]
    first, last = max(0, -offset), min(n, to_n - offset)
    last = max(first, last)
    return slice(first, last), slice(first + offset, last + offset)


def _offset(block: _Block, axis: int, move: float) -> float:
    """By how many cells numbers grow when a shower is moved."""
    return ((block.to_grid.window[axis] - block.grid.window[axis]) / 2 + move) / block.grid.cell[axis]


def _blocks(detector: Detector, target: Detector) -> Iterator[_Block]:
    pairs = zip(detector.layers, target.layers, strict=True)
    for (grid, to_grid), found in groupby(pairs, key=_grids):
        group = list(found)
        (first, to_first), (last, to_last) = group[0], group[-1]
        cells = slice(first.cells.start, last.cells.stop)
        to_cells = slice(to_first.cells.start, to_last.cells.stop)
        yield _Block(cells, to_cells, len(group), grid, to_grid)


def _grids(pair: tuple[Layer, Layer]) -> tuple[CartesianGrid, CartesianGrid]:
    one, other = pair[0].grid, pair[1].grid
    assert isinstance(one, CartesianGrid)
    assert isinstance(other, CartesianGrid)
    return one, other


def _lattice(blocks: list[_Block], axis: int) -> Lattice:
    """Find the moves that are whole cells in all layers, among those that are in the widest."""
    widest = max(blocks, key=lambda block: block.grid.cell[axis])
    step = widest.grid.cell[axis]
    moves = (np.arange(_SEARCHED) - _offset(widest, axis, 0.0) % 1.0) * step
    whole = moves >= -_ALIGNED * step
    for block in blocks:
        offset = (moves + _offset(block, axis, 0.0) * block.grid.cell[axis]) / block.grid.cell[axis]
        whole &= np.abs(offset - np.rint(offset)) < _ALIGNED * np.maximum(1.0, np.abs(offset))
    found = moves[whole]
    if not len(found):
        raise BundleError(
            "the cells of the bundle's showers never fall on cells of this detector",
            where=f"{'xy'[axis]}: {step:g} mm wide cells",
            cure="choose windows that differ by an even number of cells in every layer",
        )
    return Lattice(float(found[0]), float(found[1] - found[0]) if len(found) > 1 else np.inf)

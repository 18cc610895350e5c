"""Which showers come when: an epoch's order by arithmetic alone, so that it can be entered anywhere.

An epoch is a line of blocks of neighbouring showers in random order. The line is cut into up to sixteen lanes
of equal length, and every batch takes the same number of showers from each. Some batches at a time make a
round, for which each lane gives its next piece, mixed. So a batch is drawn from many places of the files,
little is held at a time, and one of several processes reads nothing but the lanes that its share comes from.
"""

from __future__ import annotations

__all__ = ["Order", "Piece", "Round"]

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_LANES = 16
_LANE = 1024  # showers that a lane holds at least: a shorter one would always show the same together
_BLOCK = 256  # showers in a block: enough that seeking is free
_ROUND = 8192  # showers in a round at most, unless a batch has more
_CELLS = 1 << 26  # cells in a round at most, empty ones counted: this bounds the memory

_BLOCKS, _ROWS = 1, 2  # tell random numbers of one seed apart


class Piece(NamedTuple):
    """Neighbouring showers of one file."""

    file: int
    start: int
    stop: int


class Round(NamedTuple):
    """What to read, and how the rows that were read, put one after the other, become batches."""

    pieces: list[Piece]
    order: NDArray[np.int64]


class _Line(NamedTuple):
    blocks: NDArray[np.int64]  # in their order
    ends: NDArray[np.int64]  # rows up to the end of each
    first: int  # row where the first lane starts


class Order:
    """The order of the showers of all epochs.

    Args:
        spans: First row and the one after the last of each file's part.
        batch: Showers in a batch.
        seed: Seed of the order.
        n_cells: Cells of a shower, empty ones counted.

    Attributes:
        rows: Showers in all parts.
        steps: Batches in an epoch, all full; what is left over is different in each epoch.
        round_steps: Batches in a round; the last round of an epoch may have fewer.
        rounds: Rounds in an epoch.
    """

    def __init__(self, spans: Sequence[tuple[int, int]], batch: int, seed: int, n_cells: int) -> None:
        self.rows = sum(stop - start for start, stop in spans)
        self.steps = self.rows // batch
        self._batch, self._seed = batch, seed
        most = max(1, min(_ROUND, _CELLS // n_cells))
        self.round_steps = max(1, min(most // batch, self.steps))
        self.rounds = math.ceil(self.steps / self.round_steps)
        self._blocks = _cut(spans, max(1, min(_BLOCK, most // _LANES)))
        lanes = math.gcd(_LANES, batch)
        while lanes > 1 and self.rows < lanes * _LANE:
            lanes //= 2
        self._lanes, self._lane, self._share = lanes, self.rows // lanes, batch // lanes
        self._line = lru_cache(maxsize=2)(self._lay)

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in self.__dict__.items() if name != "_line"}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._line = lru_cache(maxsize=2)(self._lay)

    def round(self, epoch: int, number: int, part: tuple[int, int] = (0, 1)) -> Round:
        """The batches `number * round_steps` and following of an epoch, or a slice of each of them.

        Args:
            epoch: Number of the epoch.
            number: Number of the round.
            part: `(rank, size)`: of every batch the slice from `rank / size` on, of a length of `1 / size`.
        """
        rank, size = part
        low, high = rank * self._batch // size, (rank + 1) * self._batch // size
        first, last = low // self._share, math.ceil(high / self._share)
        pieces: list[Piece] = []
        columns, read = [], 0
        for lane in range(first, last):
            found, mixed = self._piece(epoch, number, lane)
            pieces += found
            columns.append(mixed + read)
            read += sum(piece.stop - piece.start for piece in found)
        order = np.concatenate(columns, axis=1)
        begin = first * self._share
        return Round(pieces, order[:, low - begin : high - begin].ravel())

    def _piece(self, epoch: int, number: int, lane: int) -> tuple[list[Piece], NDArray[np.int64]]:
        """What a lane gives to a round: where to read it, and its rows, shape `(steps, share)`."""
        line = self._line(epoch)
        start, begin = line.first + lane * self._lane, number * self.round_steps
        steps = min(self.round_steps, self.steps - begin)
        first, last = start + begin * self._share, start + (begin + steps) * self._share
        if number == self.rounds - 1:
            last = start + self._lane  # so that chance says what is left over
        random = np.random.default_rng((self._seed, _ROWS, epoch, number, lane))
        mixed = random.permutation(last - first)[: steps * self._share]
        return self._pieces(line, first, last), mixed.reshape(steps, self._share)

    def _pieces(self, line: _Line, first: int, last: int) -> list[Piece]:
        """Where to find the rows between two places of the line."""
        found = []
        at = int(np.searchsorted(line.ends, first, side="right"))
        while first < last:
            file, start, stop = (int(value) for value in self._blocks[line.blocks[at]])
            begin = int(line.ends[at]) - (stop - start)
            end = min(last, int(line.ends[at]))
            found.append(Piece(file, start + first - begin, start + end - begin))
            first, at = end, at + 1
        return found

    def _lay(self, epoch: int) -> _Line:
        random = np.random.default_rng((self._seed, _BLOCKS, epoch))
        blocks = random.permutation(len(self._blocks))
        ends = np.cumsum(self._blocks[blocks, 2] - self._blocks[blocks, 1])
        spare = self.rows - self._lanes * self._lane
        return _Line(blocks, ends, int(random.integers(spare + 1)))


def _cut(spans: Sequence[tuple[int, int]], rows: int) -> NDArray[np.int64]:
    """Blocks of all files as file, start and stop, shape `(blocks, 3)`."""
    blocks = []
    for file, (start, stop) in enumerate(spans):
        starts = np.arange(start, stop, rows)
        stops = np.minimum(starts + rows, stop)
        blocks.append(np.stack([np.full_like(starts, file), starts, stops], axis=1))
    return np.concatenate(blocks).astype(np.int64)

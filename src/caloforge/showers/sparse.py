"""Showers as compressed sparse rows: only the cells that hold energy."""

from __future__ import annotations

__all__ = ["Sparse", "index_type", "of_all"]

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caloforge.errors import ShowersError
from caloforge.showers.incident import Incident
from caloforge.showers.times import check_times


@dataclass(frozen=True, eq=False)
class Sparse:
    """Some showers, without their empty cells.

    Attributes:
        incident: The particles, `n` rows.
        offset: Where each shower starts in `index` and `energy`, shape `(n + 1,)`, int64, from 0.
        index: Cell numbers, increasing within a shower, shape `(hits,)`, uint16 or uint32.
        energy: Cell energies in MeV, shape `(hits,)`, float32.
        overflow: Energy outside each layer's grid in MeV, shape `(n, n_layers)`, or None.
        n_cells: Cells of the detector.
        time: Cell times in ns, shape `(hits,)`, float32, or None.
    """

    incident: Incident
    offset: NDArray[np.int64]
    index: NDArray[np.unsignedinteger]
    energy: NDArray[np.float32]
    overflow: NDArray[np.float32] | None
    n_cells: int
    time: NDArray[np.float32] | None = None

    @classmethod
    def of(
        cls,
        incident: Incident,
        cells: NDArray[np.float32],
        overflow: NDArray[np.float32] | None,
        time: NDArray[np.float32] | None = None,
    ) -> Sparse:
        """Drop the empty cells of `cells` and `time`, shape `(n, n_cells)`."""
        n, n_cells = cells.shape
        flat = np.flatnonzero(cells != 0)  # twice as fast as on the numbers themselves
        offset = np.searchsorted(flat, np.arange(n + 1, dtype=np.int64) * n_cells)
        index = (flat - np.repeat(np.arange(n) * n_cells, np.diff(offset))).astype(index_type(n_cells))
        times = None if time is None else time.ravel()[flat]
        return cls(incident, offset, index, cells.ravel()[flat], overflow, n_cells, times)

    @classmethod
    def concat(cls, parts: Sequence[Sparse]) -> Sparse:
        """Join showers of one detector one after the other; what all parts have is kept."""
        starts = np.cumsum([0, *(len(part.index) for part in parts)])
        offsets = [part.offset[:-1] + start for part, start in zip(parts, starts[:-1], strict=True)]
        return cls(
            Incident.concat([part.incident for part in parts]),
            np.concatenate([*offsets, starts[-1:]]),
            np.concatenate([part.index for part in parts]),
            np.concatenate([part.energy for part in parts]),
            of_all([part.overflow for part in parts]),
            parts[0].n_cells,
            of_all([part.time for part in parts]),
        )

    def __len__(self) -> int:
        return len(self.incident)

    def __getitem__(self, rows: slice) -> Sparse:
        """Neighbouring showers, without copying their cells."""
        start, stop, _ = rows.indices(len(self))
        stop = max(start, stop)
        offset = self.offset[start : stop + 1]
        hits = slice(int(offset[0]), int(offset[-1]))
        outside = None if self.overflow is None else self.overflow[start:stop]
        index, energy = self.index[hits], self.energy[hits]
        time = None if self.time is None else self.time[hits]
        return Sparse(
            self.incident[start:stop], offset - offset[0], index, energy, outside, self.n_cells, time
        )

    def take(self, rows: NDArray[np.integer]) -> Sparse:
        """The showers at `rows`, in that order."""
        start, stop = self.offset[:-1][rows], self.offset[1:][rows]
        offset = np.concatenate([[0], np.cumsum(stop - start)])
        # Joining slices takes about half the time that picking single cells does.
        hits = [slice(*ends) for ends in zip(start.tolist(), stop.tolist(), strict=True)] or [slice(0)]
        index = np.concatenate([self.index[cells] for cells in hits])
        energy = np.concatenate([self.energy[cells] for cells in hits])
        time = None if self.time is None else np.concatenate([self.time[cells] for cells in hits])
        outside = None if self.overflow is None else self.overflow[rows]
        return Sparse(self.incident[rows], offset, index, energy, outside, self.n_cells, time)

    def dense(self) -> NDArray[np.float32]:
        """All cells, empty ones too, shape `(n, n_cells)`, MeV."""
        return self._dense(self.energy)

    def times(self) -> NDArray[np.float32] | None:
        """Time of all cells, 0 of empty ones, shape `(n, n_cells)`, ns, or None."""
        return None if self.time is None else self._dense(self.time)

    def _dense(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        cells = np.zeros((len(self), self.n_cells), np.float32)
        first = np.repeat(np.arange(len(self)) * self.n_cells, np.diff(self.offset))
        cells.ravel()[first + self.index] = values
        return cells

    def check(self, where: object) -> Sparse:
        """Return self if these rows are a possible set of showers.

        Raises:
            ShowersError: Offsets that go back, cell numbers beyond the detector or out of order, times
                that are no numbers.
        """
        counts = np.diff(self.offset)
        if len(self.offset) != len(self) + 1 or self.offset[0] or (counts < 0).any():
            raise _damaged("the row offsets are not increasing", where)
        if self.offset[-1] != len(self.index) or len(self.index) != len(self.energy):
            raise _damaged("the row offsets point outside the stored cells", where)
        if len(self.index) and int(self.index.max()) >= self.n_cells:
            raise ShowersError(
                "damaged shower file: a cell number is outside the detector",
                where=where,
                got=int(self.index.max()),
                expected=f"0 to {self.n_cells - 1}",
                cure="make or copy the file again",
            )
        if not self.energy.all():  # a block of the disk that was never written reads as zeros
            raise _damaged("a stored cell holds no energy", where)
        rises = self.index[1:] > self.index[:-1]
        inner = self.offset[1:-1]
        rises[inner[(inner > 0) & (inner < len(self.index))] - 1] = True  # from one shower to the next
        if not rises.all():
            raise _damaged("the cell numbers of a shower are not increasing", where)
        if self.time is not None:
            check_times(self.time, where)
        return self


def of_all(parts: Sequence[NDArray[np.float32] | None]) -> NDArray[np.float32] | None:
    """Join what all parts have, or return None."""
    there = [part for part in parts if part is not None]
    return np.concatenate(there) if len(there) == len(parts) else None


def index_type(n_cells: int) -> type[np.unsignedinteger]:
    """The smallest type that numbers all cells."""
    return np.uint16 if n_cells <= 1 << 16 else np.uint32


def _damaged(what: str, where: object) -> ShowersError:
    return ShowersError(f"damaged shower file: {what}", where=where, cure="make or copy the file again")

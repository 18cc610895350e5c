"""Hits with places, put into the cells that they lie in; what lies outside is counted."""

from __future__ import annotations

__all__ = ["Hits", "HitsFile", "cell_at", "layer_at"]

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from caloforge.showers.formats.base import ForeignFile
from caloforge.showers.formats.deposits import divided
from caloforge.showers.formats.storage import Opened
from caloforge.showers.times import mean_times

if TYPE_CHECKING:
    from caloforge.detector import Detector
    from caloforge.showers.container import Showers
    from caloforge.showers.incident import Incident

FileT = TypeVar("FileT", bound=Opened)
_AT_ONCE = 4096  # incident particles


@dataclass(frozen=True)
class Hits:
    """Hits of some showers.

    Attributes:
        offset: Where each shower begins, shape `(n + 1,)`.
        cell: Number of the cell of each hit, -1 outside, shape `(hits,)`.
        energy: Energy of each hit in MeV, shape `(hits,)`.
    """

    offset: NDArray[np.int64]
    cell: NDArray[np.int64]
    energy: NDArray[np.float64]

    def dense(self, n_cells: int) -> NDArray[np.float32]:
        """All cells, shape `(n, n_cells)`, MeV; hits of one cell are added up."""
        return self.sums(self.energy, n_cells).astype(np.float32)

    def times(self, time: NDArray[np.floating], n_cells: int) -> NDArray[np.float32]:
        """The time of all cells in ns of that of each hit; hits of one cell have their mean."""
        return mean_times(self.sums(self.energy * time, n_cells), self.sums(self.energy, n_cells))

    def sums(self, values: NDArray[np.float64], n_cells: int) -> NDArray[np.float64]:
        """Sums over the hits of each cell, shape `(n, n_cells)`."""
        n = len(self.offset) - 1
        shower = np.repeat(np.arange(n), np.diff(self.offset))
        inside = self.cell >= 0
        flat = (shower * n_cells + self.cell)[inside]
        cells = np.bincount(flat, values[inside], minlength=n * n_cells)
        return cells.astype(np.float64, copy=False).reshape(n, n_cells)


def layer_at(detector: Detector, depth: NDArray[np.floating]) -> NDArray[np.int64]:
    """Index of the layer at each depth in mm, shape `(hits,)`; -1 where there is none.

    A layer owns its front, not its back.
    """
    start = np.array([layer.start for layer in detector.layers])
    end = np.array([layer.end for layer in detector.layers])
    layer = np.searchsorted(start, depth, side="right") - 1
    return np.where((layer >= 0) & (depth < end[layer]), layer, -1)


def cell_at(
    detector: Detector, layer: NDArray[np.int64], x: NDArray[np.floating], y: NDArray[np.floating]
) -> NDArray[np.int64]:
    """Number of the cell at each place, shape `(hits,)`; -1 where there is none.

    Args:
        detector: Whose cells.
        layer: Index of the layer; what is none of the detector's is outside.
        x: In mm from the middle of the layer's grid.
        y: The same.
    """
    first = np.array([found.cells.start for found in detector.layers])
    cell = np.full(len(layer), -1, np.int64)
    for grid in {found.grid for found in detector.layers}:
        here = np.flatnonzero(np.isin(layer, [i.index for i in detector.layers if i.grid == grid]))
        at = grid.index(x[here], y[here])
        cell[here] = np.where(at < 0, -1, first[layer[here]] + at)
    return cell


class HitsFile(ForeignFile[FileT]):
    """Frame of a reader of files that hold hits; those outside the cells are left out and counted.

    Attributes:
        deposits: Whether the energies are deposits, to be divided by the sampling fraction.
    """

    deposits = False
    _opened_with: tuple[str, ...] | None = None  # the notes of its opening
    _seen = 0  # showers whose hits were counted
    _hits_seen = _hits_outside = 0
    _energy_seen = _energy_outside = 0.0

    def __init__(self, file: FileT, detector: Detector | None, pdg: int | None) -> None:
        super().__init__(file, detector, pdg)
        if self.deposits:
            self.notes = (*self.notes, *divided(self.detector))

    @abstractmethod
    def _hits(self, start: int, stop: int) -> Hits: ...

    def _cells(self, start: int, stop: int) -> NDArray[np.float32]:
        hits = self._hits(start, stop)
        self._count(hits, start, stop)
        return hits.dense(self.detector.n_cells)

    def _count(self, hits: Hits, start: int, stop: int) -> None:
        first = hits.offset[min(max(self._seen - start, 0), stop - start)]
        self._seen = max(self._seen, stop)
        outside = hits.cell[first:] < 0
        energy = np.nan_to_num(hits.energy[first:], posinf=0.0, neginf=0.0)
        self._hits_seen += len(outside)
        self._energy_seen += float(energy.sum())
        self._hits_outside += int(outside.sum())
        self._energy_outside += float(energy[outside].sum())

    def raw(self, start: int, stop: int) -> Showers:
        if self._opened_with is None:
            self._opened_with = self.notes
        showers = super().raw(start, stop)
        self.notes = (*self._opened_with, *self._counted())
        return showers

    def _counted(self) -> tuple[str, ...]:
        """What was seen in the showers that were read."""
        if not self._hits_outside:
            return ()
        share = 100 * self._energy_outside / self._energy_seen if self._energy_seen else 0.0
        hits = f"{self._hits_outside:,} of {self._hits_seen:,} hits with {share:.3g}% of the energy"
        return (f"outside all cells, and left out: {hits}",)

    def incident(self) -> Incident:
        """The incident columns of all showers, read piece by piece."""
        from caloforge.showers.incident import Incident

        spans = list(self.spans(_AT_ONCE)) or [(0, 0)]
        return Incident.concat([self.columns(start, stop) for start, stop in spans])

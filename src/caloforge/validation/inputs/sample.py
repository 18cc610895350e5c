"""What is kept of a sample after one pass over its showers; memory does not grow with the showers."""

from __future__ import annotations

__all__ = ["SPECTRUM_EDGES", "Pass", "Sample", "collect"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import blake2b
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from caloforge.detector import Detector
from caloforge.hdf5.output import hdf5_into
from caloforge.observables import (
    Shapes,
    calochallenge_features,
    evaluate,
    high_level_features,
    observables_for,
)
from caloforge.showers import Incident, Showers
from caloforge.validation.inputs.source import Source
from caloforge.validation.inputs.split import Rows

SPECTRUM_EDGES = np.logspace(-6, 6, 241)
"""Bins of the cell spectrum in MeV: twenty per decade from 1 eV to 1 TeV, fixed so that one pass suffices."""

MOST_CELLS = 50_000_000
"""Energies of cells that a sample keeps for studies of whole showers, 400 MB."""


@dataclass
class Sample:
    """One of the samples of a validation.

    Attributes:
        name: What figures call it.
        detector: What was hit.
        incident: Incident particles, `n` rows.
        names: Observables that `column` knows.
        block: Random block of each shower, shape `(n,)`: what resampling moves.
        counts: Showers in each block, shape `(blocks,)`.
        images: Sum of the cells over the showers of each block, shape `(blocks, n_cells)`, MeV.
        spectrum: Cells per bin of `SPECTRUM_EDGES` in each block, shape `(blocks, n_bins)`.
        chosen: Rows of at most 20,000 showers in random order, shape `(m,)`.
        features: High-level features of these as in CaloFlow, shape `(m, n_features)`.
        challenge: The same as in the CaloChallenge, of which FPD and KPD are made; the first column is the
            incident energy. Shape `(m, n_challenge)`.
        cells: Cells of the first `c` of these, shape `(c, n_cells)`, MeV; `c` is limited by memory.
    """

    name: str
    detector: Detector
    incident: Incident
    names: tuple[str, ...]
    block: NDArray[np.int64]
    counts: NDArray[np.int64]
    images: NDArray[np.float64]
    spectrum: NDArray[np.int64]
    chosen: NDArray[np.int64]
    features: NDArray[np.float32]
    challenge: NDArray[np.float32]
    cells: csr_array
    _table: Path

    def __len__(self) -> int:
        return len(self.block)

    def column(self, name: str) -> NDArray[np.float32]:
        """Return an observable of every shower, shape `(n,)`, NaN where undefined; read from disk.

        Args:
            name: One of `names`.
        """
        with h5py.File(self._table, "r") as file:
            return np.asarray(file["values"][self.names.index(name)])

    @property
    def energies(self) -> NDArray[np.float32]:
        """Incident energy of each of the `chosen` showers, shape `(m,)`, MeV."""
        return self.incident.energy[self.chosen]

    def only(self, rows: NDArray[np.int64]) -> Sample:
        """Return the sample with some of its `chosen` showers, which is what classifiers see.

        Whatever is kept of all showers stays as it is.

        Args:
            rows: Which of them, increasing: `0 .. m - 1`.
        """
        return replace(
            self,
            chosen=self.chosen[rows],
            features=self.features[rows],
            challenge=self.challenge[rows],
            cells=self.cells[rows[rows < self.cells.shape[0]]],
        )

    @cached_property
    def mean_cells(self) -> NDArray[np.float64]:
        """Mean energy of each cell, shape `(n_cells,)`, MeV."""
        return np.asarray(self.images.sum(axis=0) / len(self))

    @property
    def block_means(self) -> NDArray[np.float64]:
        """Mean energy of each cell in each block, shape `(blocks, n_cells)`, MeV."""
        return np.asarray(self.images / self.counts[:, None])


@dataclass
class Pass:
    """Everything one pass over a file gives.

    Attributes:
        samples: One sample per set of rows asked for.
        digests: Hash of each shower with energy, over the whole file.
        empty: Showers without energy, over the whole file.
    """

    samples: list[Sample]
    digests: NDArray[np.uint64]
    empty: int


def collect(
    source: Source,
    wanted: Sequence[tuple[str, Rows]],
    folder: Path,
    advance: Callable[[int], None],
    keep_cells: bool = True,
) -> Pass:
    """Read a file once and keep what studies need.

    Args:
        source: The showers.
        wanted: Name and rows of each sample to make of them.
        folder: Where the samples' observables go; must outlive them.
        advance: Called with the number of showers just read.
        keep_cells: Whether studies of whole showers follow.
    """
    gathers = [_Gather(source, name, rows, folder, keep_cells) for name, rows in wanted]
    digests, start, empty = [np.zeros(0, np.uint64)], 0, 0
    for showers in source.chunks():
        for gather in gathers:
            gather.add(start, showers)
        filled = showers.cells.any(axis=1)
        empty += int((~filled).sum())
        digests.append(_digests(showers.cells[filled]))
        start += len(showers)
        advance(len(showers))
    return Pass([gather.sample() for gather in gathers], np.concatenate(digests), empty)


@dataclass
class _Gather:
    """The growing parts of one sample."""

    source: Source
    name: str
    rows: Rows
    folder: Path
    keep_cells: bool
    features: list[NDArray[np.float32]] = field(default_factory=list)
    challenge: list[NDArray[np.float32]] = field(default_factory=list)
    cells: list[csr_array] = field(default_factory=list)
    done: int = 0
    most: int | None = None

    def __post_init__(self) -> None:
        self.observables = observables_for(self.source.detector)
        blocks = int(self.rows.block.max()) + 1
        self.images = np.zeros((blocks, self.source.detector.n_cells))
        self.spectrum = np.zeros((blocks, len(SPECTRUM_EDGES) - 1), np.int64)
        # rank of a shower among the chosen, or more than there are
        self.rank = np.full(len(self.rows.index), len(self.rows.index), np.int64)
        self.rank[self.rows.chosen] = np.arange(len(self.rows.chosen))
        self.table = self.folder / f"sample-{len(list(self.folder.iterdir()))}.h5"
        with self.table.open("w+b") as table, hdf5_into(table) as file:
            file.create_dataset("values", (len(self.observables), len(self.rows.index)), np.float32)

    def add(self, start: int, showers: Showers) -> None:
        low, high = np.searchsorted(self.rows.index, [start, start + len(showers)])
        if low == high:
            return
        shapes = Shapes(showers[self.rows.index[low:high] - start])
        with self.table.open("r+b") as table, hdf5_into(table, "r+") as file:
            file["values"][:, low:high] = evaluate(self.observables, shapes).T
        block = self.rows.block[low:high]
        self.images += _sum_by_block(shapes.cells, block, len(self.images))
        self.spectrum += _spectrum_by_block(shapes.cells, block, len(self.images))
        self._keep(shapes, self.rank[low:high])

    def _keep(self, shapes: Shapes, rank: NDArray[np.int64]) -> None:
        chosen = rank < len(self.rows.chosen)
        self.features.append(high_level_features(shapes)[chosen])
        self.challenge.append(calochallenge_features(shapes)[chosen])
        if self.most is None:
            hits = max(1.0, np.count_nonzero(shapes.cells) / len(shapes))
            self.most = min(len(self.rows.chosen), int(MOST_CELLS / hits)) if self.keep_cells else 0
        self.cells.append(csr_array(shapes.cells[rank < self.most]))

    def sample(self) -> Sample:
        most = self.most or 0
        rank = self.rank[self.rank < len(self.rows.chosen)]
        cells = vstack(self.cells, format="csr")[np.argsort(rank[rank < most])]
        return Sample(
            name=self.name,
            detector=self.source.detector,
            incident=self.source.incident[self.rows.index],
            names=tuple(observable.name for observable in self.observables),
            block=self.rows.block,
            counts=np.bincount(self.rows.block, minlength=len(self.images)),
            images=self.images,
            spectrum=self.spectrum,
            chosen=self.rows.chosen,
            features=np.concatenate(self.features)[np.argsort(rank)],
            challenge=np.concatenate(self.challenge)[np.argsort(rank)],
            cells=cells,
            _table=self.table,
        )


def _sum_by_block(cells: NDArray[np.float32], block: NDArray[np.int64], blocks: int) -> NDArray[np.float64]:
    member = (block == np.arange(blocks)[:, None]).astype(np.float32)
    return np.asarray(member @ cells, np.float64)


def _spectrum_by_block(
    cells: NDArray[np.float32], block: NDArray[np.int64], blocks: int
) -> NDArray[np.int64]:
    """Count cells with energy by block and bin; what is outside the bins goes to the outermost."""
    n_bins = len(SPECTRUM_EDGES) - 1
    row, column = np.nonzero(cells)
    decade = np.log10(cells[row, column])
    index = np.clip((decade + 6) * (n_bins / 12), 0, n_bins - 1).astype(np.int64)
    flat = np.bincount(block[row] * n_bins + index, minlength=blocks * n_bins)
    return flat.reshape(blocks, n_bins)


def _digests(cells: NDArray[np.float32]) -> NDArray[np.uint64]:
    data = b"".join(blake2b(row.tobytes(), digest_size=8).digest() for row in cells)
    return np.frombuffer(data, np.uint64)

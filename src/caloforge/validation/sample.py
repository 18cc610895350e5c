"""What is kept of a sample after one pass over its showers: numbers per shower, sums per block of cells."""

from __future__ import annotations

__all__ = ["SPECTRUM_EDGES", "Sample", "collect"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from caloforge.observables import Observable, Shapes, evaluate, high_level_features
from caloforge.showers import Incident, Showers
from caloforge.validation.source import Source
from caloforge.validation.split import Rows

SPECTRUM_EDGES = np.logspace(-6, 6, 241)
"""Bins of the cell spectrum in MeV: twenty per decade from 1 eV to 1 TeV, fixed so that one pass suffices."""


@dataclass
class Sample:
    """One of the three samples of a comparison.

    Attributes:
        incident: Incident particles, `n` rows.
        energy: Energy in all cells, shape `(n,)`, MeV.
        values: Observables, shape `(n, n_observables)`, NaN where undefined.
        features: What the classifier sees, shape `(n, n_features)`.
        block: Block of each shower, shape `(n,)`.
        counts: Showers in each block, shape `(blocks,)`.
        images: Sum of the cells over the showers of each block, shape `(blocks, n_cells)`, MeV.
        spectrum: Cells per bin of `SPECTRUM_EDGES` in each block, shape `(blocks, n_bins)`.
    """

    incident: Incident
    energy: NDArray[np.float64]
    values: NDArray[np.float32]
    features: NDArray[np.float32]
    block: NDArray[np.int64]
    counts: NDArray[np.int64]
    images: NDArray[np.float64]
    spectrum: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.values)

    @property
    def response(self) -> NDArray[np.float64]:
        """Energy in all cells over the incident energy, shape `(n,)`."""
        return np.asarray(self.energy / self.incident.energy, np.float64)

    @property
    def mean_cells(self) -> NDArray[np.float64]:
        """Mean energy of each cell, shape `(n_cells,)`, MeV."""
        return np.asarray(self.images.sum(axis=0) / len(self))

    @property
    def mean_cells_error(self) -> NDArray[np.float64]:
        """Standard error of `mean_cells`, from the scatter of the blocks, shape `(n_cells,)`, MeV."""
        return np.asarray(self.block_means.std(axis=0, ddof=1) / np.sqrt(len(self.counts)))

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
        picked: The showers that were asked for by row number, in that order.
    """

    samples: list[Sample]
    digests: NDArray[np.uint64]
    empty: int
    picked: Showers


@dataclass
class _Gather:
    """The growing parts of one sample."""

    rows: Rows
    images: NDArray[np.float64]
    spectrum: NDArray[np.int64]
    energy: list[NDArray[np.float64]] = field(default_factory=list)
    values: list[NDArray[np.float32]] = field(default_factory=list)
    features: list[NDArray[np.float32]] = field(default_factory=list)

    def add(self, start: int, showers: Showers, observables: Sequence[Observable]) -> None:
        low, high = np.searchsorted(self.rows.index, [start, start + len(showers)])
        shapes = Shapes(showers[self.rows.index[low:high] - start])
        block = self.rows.block[low:high]
        self.energy.append(shapes.energy)
        self.values.append(evaluate(observables, shapes))
        self.features.append(high_level_features(shapes))
        self.images += _sum_by_block(shapes.cells, block, len(self.images))
        self.spectrum += _spectrum_by_block(shapes.cells, block, len(self.images))

    def sample(self, incident: Incident) -> Sample:
        return Sample(
            incident[self.rows.index],
            np.concatenate(self.energy),
            np.concatenate(self.values),
            np.concatenate(self.features),
            self.rows.block,
            np.bincount(self.rows.block, minlength=len(self.images)),
            self.images,
            self.spectrum,
        )


def collect(
    source: Source,
    wanted: Sequence[Rows],
    observables: Sequence[Observable],
    picks: NDArray[np.int64],
    advance: Callable[[int], None],
) -> Pass:
    """Read a file once and keep what a report needs; memory for cells does not grow with the showers.

    Args:
        source: The showers.
        wanted: Rows of each sample.
        observables: What to compute per shower.
        picks: Rows of showers to keep whole.
        advance: Called with the number of showers just read.
    """
    blocks = [int(rows.block.max()) + 1 for rows in wanted]
    n_cells, n_bins = source.detector.n_cells, len(SPECTRUM_EDGES) - 1
    gathers = [
        _Gather(rows, np.zeros((b, n_cells)), np.zeros((b, n_bins), np.int64))
        for rows, b in zip(wanted, blocks, strict=True)
    ]
    digests, kept, start, empty = [], [], 0, 0
    asked = np.argsort(picks, kind="stable")
    ascending = picks[asked]
    for showers in source.chunks():
        for gather in gathers:
            gather.add(start, showers, observables)
        filled = showers.cells.any(axis=1)
        empty += int((~filled).sum())
        digests.append(_digests(showers.cells[filled]))
        kept.append(showers[ascending[(ascending >= start) & (ascending < start + len(showers))] - start])
        start += len(showers)
        advance(len(showers))
    samples = [gather.sample(source.incident) for gather in gathers]
    return Pass(samples, np.concatenate(digests), empty, Showers.concat(kept)[np.argsort(asked)])


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

"""An observable of one sample, with the blocks that resampling moves."""

from __future__ import annotations

__all__ = ["Column"]

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from caloforge.validation.inputs.sample import Sample

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Column:
    """An observable of one sample.

    Attributes:
        name: Name of the sample.
        values: Shape `(n,)`, NaN where undefined.
        block: Block of each shower, shape `(n,)`.
        blocks: Number of blocks of the sample.
    """

    name: str
    values: NDArray[np.float32]
    block: NDArray[np.int64]
    blocks: int

    @classmethod
    def of(cls, sample: Sample, observable: str) -> Column:
        """Read an observable of a sample from disk."""
        return cls(sample.name, sample.column(observable), sample.block, len(sample.counts))

    def __getitem__(self, rows: NDArray[np.bool_]) -> Column:
        """Keep some of the showers; they stay in their blocks."""
        return Column(self.name, self.values[rows], self.block[rows], self.blocks)

    @cached_property
    def ranked(self) -> NDArray[np.float32]:
        """The defined values in rising order."""
        return self._order[0]

    @cached_property
    def ranked_block(self) -> NDArray[np.int64]:
        """Blocks of the showers with `ranked` values, in the same order."""
        return self._order[1]

    @cached_property
    def _order(self) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        known = np.isfinite(self.values)
        values, block = self.values[known], self.block[known]
        order = np.argsort(values)
        return values[order], block[order]

    @property
    def mean(self) -> float:
        """Mean of the defined values, NaN if there are none."""
        return float(self.ranked.mean(dtype=np.float64)) if len(self.ranked) else np.nan

    @property
    def sigma(self) -> float:
        """Standard deviation of the defined values, NaN if there are none."""
        return float(self.ranked.std(dtype=np.float64)) if len(self.ranked) else np.nan

    def counts(self, edges: Array) -> NDArray[np.int64]:
        """Return counts in the bins, then below, above and undefined: shape `(len(edges) + 2,)`."""
        below = np.searchsorted(self.ranked, edges)
        known = len(self.ranked)
        return np.array([*np.diff(below), below[0], known - below[-1], len(self.values) - known])

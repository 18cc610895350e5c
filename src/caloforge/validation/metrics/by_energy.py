"""Response of a sample in bins of incident energy, by block: its means and widths in every resampling."""

from __future__ import annotations

__all__ = ["ByEnergy", "width"]

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caloforge.validation.inputs.sample import Sample
from caloforge.validation.metrics.linearity import LEAST, relative_width

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ByEnergy:
    """Responses of one or more samples by energy bin and block.

    Attributes:
        sums: Sum of the responses, then number of showers, of each block in each bin, `(blocks, 2, bins)`.
        ranked: Responses in each bin, in rising order.
        block: Their blocks.
    """

    sums: Array
    ranked: list[Array]
    block: list[NDArray[np.int64]]

    @classmethod
    def of(cls, sample: Sample, edges: Array) -> ByEnergy:
        """Sort the responses of a sample into bins of energy."""
        values = np.asarray(sample.column("response"), np.float64)
        where = np.digitize(sample.incident.energy, edges) - 1
        blocks, bins = len(sample.counts), len(edges) - 1
        inside = (where >= 0) & (where < bins) & np.isfinite(values)
        flat = sample.block[inside] * bins + where[inside]
        sums = [np.bincount(flat, weights, blocks * bins) for weights in (values[inside], None)]
        rows = [np.flatnonzero(inside & (where == i)) for i in range(bins)]
        rows = [r[np.argsort(values[r])] for r in rows]
        return cls(
            np.stack([np.reshape(s, (blocks, bins)) for s in sums], axis=1).astype(np.float64),
            [values[r] for r in rows],
            [sample.block[r] for r in rows],
        )

    def joined(self, other: ByEnergy) -> ByEnergy:
        """Return the blocks of both, those of the other after one's own."""
        blocks, ranked, block = len(self.sums), [], []
        for i in range(len(self.ranked)):
            values = np.concatenate([self.ranked[i], other.ranked[i]])
            order = np.argsort(values, kind="stable")
            ranked.append(values[order])
            block.append(np.concatenate([self.block[i], other.block[i] + blocks])[order])
        return ByEnergy(np.concatenate([self.sums, other.sums]), ranked, block)

    def widths(self, i: int, weights: Array) -> Array:
        """Return the relative width in bin `i` in each resampling, NaN where it has too few showers.

        Args:
            i: Which bin.
            weights: How often each block counts, shape `(resamplings, blocks)`.
        """
        return np.array([width(self.ranked[i], w[self.block[i]]) for w in weights])


def width(ranked: Array, weights: Array) -> float:
    """Return standard deviation over mean in the narrowest interval with 90 % of weighted values.

    Args:
        ranked: Values in rising order.
        weights: How often each counts, whole numbers.
    """
    if weights.sum() < LEAST:
        return np.nan
    once = weights.max() <= 1
    found = relative_width(ranked[weights > 0] if once else np.repeat(ranked, weights.astype(np.int64)))
    return found if found > 0 else np.nan

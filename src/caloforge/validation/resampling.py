"""Resampling of whole blocks of showers: the null distribution of a distance, and its uncertainty."""

from __future__ import annotations

__all__ = ["BOOTSTRAPS", "SPLITS", "Resampling", "bootstraps", "splits"]

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SPLITS = 200
"""Random ways to cut the pooled Geant4 showers in two; a corrected p-value is never below 1 / 201."""

BOOTSTRAPS = 50
_WEIGHTS_AT_ONCE = 2_000_000


@dataclass(frozen=True)
class Resampling:
    """How often each block counts.

    Attributes:
        first: Shape `(resamplings, blocks)`.
        second: Shape `(resamplings, blocks)`.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]

    @classmethod
    def identity(cls, blocks: int) -> Resampling:
        """Take the first `blocks` once as the first sample and the next as the second."""
        one = np.repeat([1, 0], blocks)[None]
        return cls(one, 1 - one)

    def parts(self, values: int) -> Iterator[Resampling]:
        """Yield a few resamplings at a time, so that their weights of `values` values fit into memory."""
        step = max(1, _WEIGHTS_AT_ONCE // values)
        for start in range(0, len(self.first), step):
            rows = slice(start, start + step)
            yield Resampling(self.first[rows], self.second[rows])


def splits(blocks: int, seed: int) -> Resampling:
    """Cut `2 * blocks` blocks in two halves at random, 200 times.

    If both samples come from one distribution, these are as good as the cut at hand: the distances they give
    are what chance alone does at this sample size.
    """
    rng = np.random.default_rng([seed, 2])
    halves = np.repeat([1, 0], blocks)
    first = np.stack([rng.permutation(halves) for _ in range(SPLITS)])
    return Resampling(first, 1 - first)


def bootstraps(blocks: int, seed: int) -> Resampling:
    """Draw the blocks of both samples with replacement, 50 times."""
    rng = np.random.default_rng([seed, 3])
    even = np.full(blocks, 1 / blocks)
    first, second = (rng.multinomial(blocks, even, BOOTSTRAPS) for _ in range(2))
    nothing = np.zeros_like(first)
    return Resampling(np.hstack([first, nothing]), np.hstack([nothing, second]))

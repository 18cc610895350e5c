"""Resampling of whole blocks of showers: exchanges of two or three samples, and bootstraps."""

from __future__ import annotations

__all__ = ["BOOTSTRAPS", "SPLITS", "Resampling", "bootstraps", "deals", "redraws", "splits"]

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SPLITS = 200
"""Random ways to cut two samples together in two again; a corrected p-value is never below 1 / 201."""

BOOTSTRAPS = 50


@dataclass(frozen=True)
class Resampling:
    """How often each block of two samples counts.

    Attributes:
        first: Shape `(resamplings, 2 * blocks)`.
        second: Shape `(resamplings, 2 * blocks)`.
    """

    first: Array
    second: Array

    def __call__(self, first: NDArray[np.floating], second: NDArray[np.floating]) -> tuple[Array, Array]:
        """Add up what is known of blocks, as counts of their showers.

        Args:
            first: Sums of each block of the first sample, shape `(blocks, k)`; float32 if counts of showers.
            second: The same of the second sample.

        Returns:
            Sums of the resampled samples, each of shape `(resamplings, k)`.
        """
        both = np.concatenate([first, second])
        # single precision holds whole numbers up to 16 million, and is twice as fast
        kind = np.float32 if both.dtype == np.float32 else np.float64
        one, two = (weights.astype(kind) @ both for weights in (self.first, self.second))
        return np.asarray(one, np.float64), np.asarray(two, np.float64)

    def difference(
        self, first: NDArray[np.float32], second: NDArray[np.float32], sizes: tuple[Array, Array]
    ) -> NDArray[np.float32]:
        """Add up blocks of each sample, divide by its size, and subtract: in one product, single precision.

        Args:
            first: Sums of each block of the first sample, shape `(blocks, k)`.
            second: The same of the second sample.
            sizes: What each resampled sum is divided by, shape `(resamplings,)`; NaN where it is 0.

        Returns:
            Shape `(resamplings, k)`.
        """
        one, two = (np.where(size > 0, size, np.nan)[:, None] for size in sizes)
        signed = (self.first / one - self.second / two).astype(np.float32)
        with np.errstate(invalid="ignore"):
            return np.asarray(signed @ np.concatenate([first, second]))


def splits(blocks: int, seed: int) -> Resampling:
    """Cut `2 * blocks` blocks in two halves at random: first as they are, then 200 times at random.

    If both samples come from one distribution, each of these is as good as the cut at hand: the distances
    they give are what chance alone does at this sample size.

    Args:
        blocks: Blocks in each of the two samples.
        seed: Seed of the choice.
    """
    rng = np.random.default_rng([seed, 2])
    halves = np.repeat([1.0, 0.0], blocks)
    first = np.stack([halves, *(rng.permutation(halves) for _ in range(SPLITS))])
    return Resampling(first, 1 - first)


def bootstraps(blocks: int, seed: int) -> Resampling:
    """Draw the blocks of both samples with replacement, 50 times.

    Args:
        blocks: Blocks in each of the two samples.
        seed: Seed of the choice.
    """
    rng = np.random.default_rng([seed, 3])
    even = np.full(blocks, 1 / blocks)
    first, second = (rng.multinomial(blocks, even, BOOTSTRAPS).astype(np.float64) for _ in range(2))
    nothing = np.zeros_like(first)
    return Resampling(np.hstack([first, nothing]), np.hstack([nothing, second]))


def deals(blocks: int, seed: int) -> Array:
    """Deal the blocks of reference, floor and candidate anew: first as they are, then 200 times at random.

    Args:
        blocks: Blocks in each of the three samples.
        seed: Seed of the choice.

    Returns:
        How often each block counts in each of the three, shape `(3, 201, 3 * blocks)`.
    """
    rng = np.random.default_rng([seed, 5])
    owner = np.repeat(np.arange(3), blocks)
    owners = np.stack([owner, *(rng.permutation(owner) for _ in range(SPLITS))])
    return np.asarray(owners == np.arange(3)[:, None, None], np.float64)


def redraws(blocks: int, seed: int) -> Array:
    """Draw the blocks of reference, floor and candidate with replacement, 50 times.

    Args:
        blocks: Blocks in each of the three samples.
        seed: Seed of the choice.

    Returns:
        As `deals`, shape `(3, 50, 3 * blocks)`.
    """
    rng = np.random.default_rng([seed, 6])
    drawn = np.zeros((3, BOOTSTRAPS, 3, blocks))
    for i in range(3):
        drawn[i, :, i] = rng.multinomial(blocks, np.full(blocks, 1 / blocks), BOOTSTRAPS)
    return drawn.reshape(3, BOOTSTRAPS, 3 * blocks)

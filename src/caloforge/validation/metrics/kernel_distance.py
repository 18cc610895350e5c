"""Kernel physics distance (KPD) of two sets of features: all batches from one pass over the kernel matrix."""

from __future__ import annotations

__all__ = ["KernelSums", "draw_batches", "kernel_sums", "kpd", "plain_kpd", "tile_counts"]

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

DRAWS = 25
BATCH = 10_000
_TILE = 512
_TILES = 20
"""At least so many tiles, for there must be something to permute."""


@dataclass(frozen=True)
class KernelSums:
    """Sums of a kernel matrix.

    Attributes:
        tiles: Sum over each tile, shape `(tiles, tiles)`.
        draws: Sum over each pair of batches drawn from the rows and the columns, shape `(draws,)`.
        diagonal: Sum of the diagonal in each batch, shape `(draws,)`; 0 if the sets are different.
    """

    tiles: Array
    draws: Array
    diagonal: Array


def draw_batches(m: int, seed: int) -> NDArray[np.float32]:
    """Return how often each of `m` rows is in each batch drawn with replacement, shape `(DRAWS, m)`."""
    rng = np.random.default_rng([seed, 13])
    size = min(BATCH, max(2, m // 2))
    return np.stack([np.bincount(rng.integers(m, size=size), minlength=m) for _ in range(DRAWS)]).astype(
        np.float32
    )


def kernel_sums(
    a: NDArray[np.float32], b: NDArray[np.float32], drawn_a: NDArray[np.float32], drawn_b: NDArray[np.float32]
) -> KernelSums:
    r"""Sum up the kernel $(x\cdot y/d+1)^4$ of all pairs, tile by tile.

    Args:
        a: Features, shape `(m, d)`.
        b: Features, shape `(n, d)`; the same object as `a` for a set with itself.
        drawn_a: How often each row of `a` is in each batch, shape `(draws, m)`.
        drawn_b: How often each row of `b` is in each batch, shape `(draws, n)`.
    """
    same = a is b
    rows, columns = _tiles(len(a)), _tiles(len(b))
    tiles, draws = np.zeros((len(rows), len(columns))), np.zeros(len(drawn_a))
    scaled = a / np.float32(a.shape[1])
    for i, row in enumerate(rows):
        # the first weight is one for every row: the sum of the tile itself
        left = np.vstack([np.ones((1, row.stop - row.start), np.float32), drawn_a[:, row]])
        for j, column in enumerate(columns):
            if same and j < i:
                continue
            summed = left @ _kernel(scaled[row], b[column])
            tiles[i, j] = summed[0].sum(dtype=np.float64)
            twice = 2.0 if same and i != j else 1.0
            draws += twice * np.einsum("kn,kn->k", summed[1:], drawn_b[:, column], dtype=np.float64)
    if same:
        tiles += np.triu(tiles, 1).T
    return KernelSums(tiles, draws, drawn_a @ _diagonal(a) if same else np.zeros(len(drawn_a)))


def _tiles(m: int) -> list[slice]:
    count = max(-(-m // _TILE), min(m, _TILES))
    edges = np.linspace(0, m, count + 1).astype(int).tolist()
    return [slice(*pair) for pair in pairwise(edges)]


def _kernel(scaled: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    kernel = scaled @ other.T
    kernel += 1
    kernel *= kernel
    kernel *= kernel
    return kernel


def _diagonal(a: NDArray[np.float32]) -> Array:
    squares = np.einsum("ij,ij->i", a, a, dtype=np.float64)
    return np.asarray((1 + squares / a.shape[1]) ** 4)


def kpd(aa: KernelSums, bb: KernelSums, ab: KernelSums, size: int) -> tuple[float, float]:
    """Return the kernel physics distance of arXiv 2211.10295 and its error.

    As jetnet does it: the median over batches of the quadratic estimate of the squared maximum mean
    discrepancy, and half of their 16 to 84 % range.

    Args:
        aa: Geant4 with itself.
        bb: The candidate with itself.
        ab: Geant4 with the candidate.
        size: Showers in a batch.
    """
    pairs = size * (size - 1)
    values = (aa.draws - aa.diagonal) / pairs + (bb.draws - bb.diagonal) / pairs - 2 * ab.draws / size**2
    low, middle, high = np.percentile(values, [16.275, 50, 83.725])
    return float(middle), float(high - low) / 2


def plain_kpd(aa: KernelSums, bb: KernelSums, ab: KernelSums, counts: Array, cuts: int, seed: int) -> Array:
    """Return what batches give on average for random halves of two samples that are one, shape `(cuts,)`.

    Args:
        aa: First sample with itself.
        bb: Second sample with itself.
        ab: First with second.
        counts: Rows in each tile of the first sample, and of the second.
        cuts: How many.
        seed: Seed of the cuts.
    """
    rng = np.random.default_rng([seed, 14])
    both = np.block([[aa.tiles, ab.tiles], [ab.tiles.T, bb.tiles]])
    half = np.repeat([1.0, 0.0], [len(aa.tiles), len(bb.tiles)])
    # +1 and -1 with sizes: the quadratic form of the difference of two means
    first = np.stack([rng.permutation(half) for _ in range(cuts)])
    second = 1 - first
    signed = first / (first @ counts)[:, None] - second / (second @ counts)[:, None]
    return np.asarray(np.einsum("ki,ij,kj->k", signed, both, signed))


def tile_counts(m: int) -> Array:
    """Return the rows in each tile of `m` rows."""
    return np.array([tile.stop - tile.start for tile in _tiles(m)], np.float64)

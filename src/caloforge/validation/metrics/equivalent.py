"""How many showers it takes to tell two samples apart: Kolmogorov-Smirnov tests of growing subsamples."""

from __future__ import annotations

__all__ = ["PAIRS", "Ladder", "Ranks", "crossing", "scaled_ks"]

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caloforge.validation.inputs.resampling import Resampling

Array = NDArray[np.float64]
PAIRS, NULL_PAIRS = 50, 200
_FINE = 200
_SMALLEST = 10
_STEPS = (1, 2, 3, 5, 7)
_LARGEST_PART = 0.5


@dataclass(frozen=True)
class Ladder:
    """Sizes of subsamples, and which showers or blocks each pair of them consists of.

    Up to a 200th of the sample, pairs are disjoint chunks of it in random order; above, they are random
    unions of its blocks. The largest holds half of the showers: larger ones would have so many in common
    that one chance difference of the whole samples would show in most pairs.

    Attributes:
        small: Sizes of the chunks, in showers.
        large: Sizes of the unions, in blocks.
        sizes: All of these in showers, rising.
        pairs: Unions for two samples, `PAIRS` rows for each of `large`.
        null: The same for disjoint subsamples of two Geant4 samples together, `NULL_PAIRS` rows each.
        order: Random orders that chunks are cut from: of the first sample, of the second, of both together.
    """

    small: tuple[int, ...]
    large: tuple[int, ...]
    sizes: Array
    pairs: Resampling
    null: Resampling
    order: tuple[NDArray[np.int64], ...]

    @classmethod
    def of(cls, showers: int, blocks: int, seed: int) -> Ladder:
        """Choose sizes and pairs.

        Args:
            showers: Showers in each sample.
            blocks: Blocks in each sample.
            seed: Seed of the choice.
        """
        each = showers / blocks
        steps = [s * 10**k for k in range(8) for s in _STEPS]
        small = tuple(s for s in steps if _SMALLEST <= s <= showers // NULL_PAIRS)
        large = tuple(s for s in steps if s <= _LARGEST_PART * blocks and s * each >= _SMALLEST)
        rng = np.random.default_rng([seed, 4])
        return cls(
            small,
            large,
            np.array([*small, *(m * each for m in large)]),
            Resampling(*(_unions(blocks, large, rng, PAIRS, side) for side in (0, 1))),
            _disjoint(blocks, large, rng),
            tuple(rng.permutation(n) for n in (showers, showers, 2 * showers)),
        )


def _unions(
    blocks: int, large: Sequence[int], rng: np.random.Generator, pairs: int, side: int
) -> NDArray[np.float64]:
    out = np.zeros((len(large) * pairs, 2 * blocks))
    for i, m in enumerate(np.repeat(large, pairs)):
        out[i, side * blocks + rng.permutation(blocks)[:m]] = 1
    return out


def _disjoint(blocks: int, large: Sequence[int], rng: np.random.Generator) -> Resampling:
    out = np.zeros((2, len(large) * NULL_PAIRS, 2 * blocks))
    for i, m in enumerate(np.repeat(large, NULL_PAIRS)):
        order = rng.permutation(2 * blocks)
        out[0, i, order[:m]] = out[1, i, order[m : 2 * m]] = 1
    return Resampling(out[0], out[1])


@dataclass(frozen=True)
class Ranks:
    """An observable of one sample, as fine bins of about 200 quantiles; what is undefined comes first.

    Attributes:
        index: Fine bin of each shower, shape `(n,)`.
        below: Showers up to each fine bin in each block, shape `(blocks, bins)`.
        counts: Showers in each block.
    """

    index: NDArray[np.int64]
    below: NDArray[np.float32]
    counts: NDArray[np.int64]

    @classmethod
    def of(
        cls, columns: Sequence[NDArray[np.floating]], blocks: Sequence[NDArray[np.int64]]
    ) -> tuple[Ranks, ...]:
        """Prepare an observable of all samples.

        Args:
            columns: Its values in each sample.
            blocks: Block of each shower in each sample.
        """
        pooled = np.sort(np.concatenate([c[np.isfinite(c)] for c in columns]))
        at = np.linspace(0, max(len(pooled) - 1, 0), _FINE).round().astype(np.int64)
        edges = np.unique(pooled[at]) if len(pooled) else pooled
        return tuple(cls._of(c, b, edges) for c, b in zip(columns, blocks, strict=True))

    @classmethod
    def _of(
        cls, values: NDArray[np.floating], block: NDArray[np.int64], edges: NDArray[np.floating]
    ) -> Ranks:
        index = np.where(np.isfinite(values), np.searchsorted(edges, values, "right"), 0)
        counts = np.bincount(block)
        width = len(edges) + 1
        inside = np.bincount(block * width + index, minlength=len(counts) * width)
        below = np.cumsum(inside.reshape(len(counts), width), axis=1)
        return cls(index, below.astype(np.float32), counts)

    def chunks(self, size: int, pairs: int, order: NDArray[np.int64]) -> Array:
        """Return cumulative distributions of disjoint chunks, shape `(pairs, bins)`."""
        width = self.below.shape[1]
        index = self.index[order[: pairs * size]].reshape(pairs, size)
        flat = np.bincount((np.arange(pairs)[:, None] * width + index).ravel(), minlength=pairs * width)
        return np.asarray(np.cumsum(flat.reshape(pairs, width), axis=1) / size)


def scaled_ks(first: Ranks, second: Ranks, ladder: Ladder, *, null: bool = False) -> Array:
    r"""Return $D\sqrt{n/2}$ of every pair of subsamples, shape `(sizes, pairs)`.

    Args:
        first: Geant4.
        second: A candidate; or Geant4 again, whose showers `null` mixes with the first's.
        ladder: The pairs.
        null: Whether to draw both members of a pair from both samples together.
    """
    pairs = NULL_PAIRS if null else PAIRS
    rows = [_of_chunks(first, second, size, ladder.order, null) for size in ladder.small]
    way = ladder.null if null else ladder.pairs
    showers = np.concatenate([first.counts, second.counts])
    sizes = way.first @ showers, way.second @ showers
    apart = np.abs(way.difference(first.below, second.below, sizes)).max(axis=1)
    scale = np.sqrt(sizes[0] * sizes[1] / (sizes[0] + sizes[1]))
    return np.vstack([*rows, (apart * scale).reshape(len(ladder.large), pairs)])


def _of_chunks(
    first: Ranks, second: Ranks, size: int, order: tuple[NDArray[np.int64], ...], null: bool
) -> Array:
    if not null:
        apart = first.chunks(size, PAIRS, order[0]) - second.chunks(size, PAIRS, order[1])
        return np.asarray(np.abs(apart).max(axis=1) * np.sqrt(size / 2))
    both = Ranks(np.concatenate([first.index, second.index]), first.below, first.counts)
    parts = both.chunks(size, 2 * NULL_PAIRS, order[2])
    return np.asarray(np.abs(parts[::2] - parts[1::2]).max(axis=1) * np.sqrt(size / 2))


def crossing(sizes: Array, rates: Array, level: float = 0.5) -> float:
    """Return the size at which a rate first reaches `level`, between sizes by their logarithm.

    Args:
        sizes: Rising, shape `(k,)`.
        rates: Shape `(k,)`.
        level: What is to be reached.

    Returns:
        The smallest size if it is reached there, infinity if it is never reached.

    Example:
        >>> round(crossing(np.array([10.0, 1000.0]), np.array([0.0, 1.0])))
        100
    """
    reached = np.flatnonzero(rates >= level)
    if len(reached) == 0:
        return np.inf
    i = int(reached[0])
    if i == 0:
        return float(sizes[0])
    share = (level - rates[i - 1]) / (rates[i] - rates[i - 1])
    return float(sizes[i - 1] * (sizes[i] / sizes[i - 1]) ** share)

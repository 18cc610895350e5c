"""Which showers stand for Geant4, for the floor and for each candidate, and in which block each is."""

from __future__ import annotations

__all__ = ["CHOSEN", "Plan", "Rows", "all_rows", "plan"]

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caloforge.errors import ValidationError

BLOCKS = 100
"""Random blocks of a sample; resampling whole blocks needs no more memory than this many sums."""

CHOSEN = 20_000
"""Most showers of a sample whose features and cells are kept: what classifiers learn from."""


@dataclass(frozen=True)
class Rows:
    """The showers of one sample inside a file.

    Attributes:
        index: Row numbers in the file, increasing, shape `(n,)`.
        block: Random block of each, `0 .. blocks - 1`, all blocks of nearly the same size.
        chosen: At most 20,000 of `0 .. n - 1` in random order.
    """

    index: NDArray[np.int64]
    block: NDArray[np.int64]
    chosen: NDArray[np.int64]


@dataclass(frozen=True)
class Plan:
    """Samples of the same size.

    Attributes:
        reference: Rows of the reference file.
        floor: Rows of the floor file, or of the reference if `halves`.
        candidates: Rows of each candidate's file.
        halves: Whether the floor is the other half of the reference.
        blocks: Blocks per sample.
    """

    reference: Rows
    floor: Rows
    candidates: tuple[Rows, ...]
    halves: bool
    blocks: int

    @property
    def size(self) -> int:
        """Showers in each of the samples."""
        return len(self.reference.index)


def plan(reference: int, candidates: Sequence[int], floor: int | None, seed: int) -> Plan:
    """Choose samples of the same size at random.

    Without a floor file the reference is cut in two random halves: the first is compared with the candidates
    and with the second. A candidate with as many showers as the reference was probably generated with the
    reference's own incident energies, so its rows are those of the second half: otherwise candidate and
    reference would share energies that reference and floor do not, and the candidate would look too good.

    Args:
        reference: Showers in the reference file.
        candidates: Showers in each candidate's file.
        floor: Showers in the floor file, None to cut the reference.
        seed: Seed of the choice.

    Raises:
        ValidationError: Fewer than two showers would be left in a sample.
    """
    rng = np.random.default_rng([seed, 1])
    size = min(reference // 2 if floor is None else min(reference, floor), *candidates)
    _enough(size, reference, candidates, floor)
    order = rng.permutation(reference)
    first, second = order[:size], order[reference - size :]
    if floor is not None:
        second = rng.permutation(floor)[:size]
    others = [
        second if floor is None and count == reference else rng.permutation(count)[:size]
        for count in candidates
    ]
    blocks = min(BLOCKS, size)
    one, two, *rest = (_rows(rows, blocks, rng) for rows in (first, second, *others))
    return Plan(one, two, tuple(rest), halves=floor is None, blocks=blocks)


def all_rows(count: int, seed: int) -> Rows:
    """Take all showers of a file, as of the training showers, which need no size of their own."""
    return _rows(np.arange(count), min(BLOCKS, count), np.random.default_rng([seed, 7]))


def _rows(rows: NDArray[np.int64], blocks: int, rng: np.random.Generator) -> Rows:
    block = rng.permutation(np.arange(len(rows)) % blocks)
    return Rows(np.sort(rows), block, rng.permutation(len(rows))[:CHOSEN])


def _enough(size: int, reference: int, candidates: Sequence[int], floor: int | None) -> None:
    if size >= 2:
        return
    counts = f"reference {reference}, candidate {', '.join(map(str, candidates))}"
    raise ValidationError(
        "too few showers to compare",
        got=counts if floor is None else f"{counts}, floor {floor}",
        expected="2 or more in each sample, 4 in a reference that is also the floor, thousands to learn from",
        cure="produce more showers",
    )

"""Which showers stand for Geant4, for the floor and for the candidate, and in which block each is."""

from __future__ import annotations

__all__ = ["Plan", "Rows", "plan"]

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caloforge.errors import ValidationError

BLOCKS = 20
"""Random blocks of a sample; resampling whole blocks needs no more memory than this many sums."""


@dataclass(frozen=True)
class Rows:
    """The showers of one sample inside a file.

    Attributes:
        index: Row numbers, increasing.
        block: Random block of each, `0 .. blocks - 1`, all blocks of nearly the same size.
    """

    index: NDArray[np.int64]
    block: NDArray[np.int64]


@dataclass(frozen=True)
class Plan:
    """Three samples of the same size.

    Attributes:
        reference: Rows of the reference file.
        floor: Rows of the floor file, or of the reference if `halves`.
        candidate: Rows of the candidate file.
        halves: Whether the floor is the other half of the reference.
        blocks: Blocks per sample.
    """

    reference: Rows
    floor: Rows
    candidate: Rows
    halves: bool
    blocks: int

    @property
    def size(self) -> int:
        """Showers in each of the three samples."""
        return len(self.reference.index)


def plan(reference: int, candidate: int, floor: int | None, seed: int) -> Plan:
    """Choose three samples of the same size at random.

    Without a floor file the reference is cut in two random halves: the first is compared with the candidate
    and with the second. A candidate with as many showers as the reference was probably generated with the
    reference's own incident energies, so its rows are those of the second half: otherwise candidate and
    reference would share energies that reference and floor do not, and the candidate would look too good.

    Args:
        reference: Showers in the reference file.
        candidate: Showers in the candidate file.
        floor: Showers in the floor file, None to cut the reference.
        seed: Seed of the choice.

    Raises:
        ValidationError: Fewer than two showers would be left in a sample.
    """
    rng = np.random.default_rng([seed, 1])
    size = min(reference // 2 if floor is None else min(reference, floor), candidate)
    _enough(size, reference, candidate, floor)
    order = rng.permutation(reference)
    first, second = order[:size], order[reference - size :]
    if floor is not None:
        second = rng.permutation(floor)[:size]
        other = rng.permutation(candidate)[:size]
    else:
        other = second if candidate == reference else rng.permutation(candidate)[:size]
    blocks = min(BLOCKS, size)
    one, two, three = (_rows(rows, blocks, rng) for rows in (first, second, other))
    return Plan(one, two, three, halves=floor is None, blocks=blocks)


def _rows(rows: NDArray[np.int64], blocks: int, rng: np.random.Generator) -> Rows:
    return Rows(np.sort(rows), rng.permutation(np.arange(len(rows)) % blocks))


def _enough(size: int, reference: int, candidate: int, floor: int | None) -> None:
    if size >= 2:
        return
    counts = f"reference {reference}, candidate {candidate}"
    raise ValidationError(
        "too few showers to compare",
        got=counts if floor is None else f"{counts}, floor {floor}",
        expected="2 or more in each sample, 4 in a reference that is also the floor, thousands to learn from",
        cure="produce more showers",
    )

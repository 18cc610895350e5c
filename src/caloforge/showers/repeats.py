"""Showers that are in a file more than once, bit for bit."""

from __future__ import annotations

__all__ = ["Repeats"]

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from caloforge.showers.sparse import Sparse


class Repeats:
    """Keeps 8 bytes that stand for each shower, and its number.

    Chance makes two of ten million alike once in 400,000 files.
    """

    def __init__(self) -> None:
        self._digests: list[NDArray[np.uint64]] = []
        self._numbers: list[NDArray[np.int64]] = []
        self._seen = 0

    def add(self, rows: Sparse) -> None:
        """Take in the next showers; those without energy are all alike, and no repetition."""
        offset = rows.offset.tolist()
        index, energy = rows.index.astype("<u4"), rows.energy
        hit = np.flatnonzero(np.diff(rows.offset))
        digests = b"".join(
            blake2b(index[a:b].tobytes() + energy[a:b].tobytes(), digest_size=8).digest()
            for a, b in ((offset[i], offset[i + 1]) for i in hit.tolist())
        )
        self._digests.append(np.frombuffer(digests, np.uint64))
        self._numbers.append(hit + self._seen)
        self._seen += len(rows)

    def found(self) -> tuple[int, tuple[int, int] | None]:
        """Return how many showers were there before, and the numbers, from 0, of the first two alike."""
        if not self._digests:
            return 0, None
        digests, numbers = np.concatenate(self._digests), np.concatenate(self._numbers)
        _, first, of = np.unique(digests, return_index=True, return_inverse=True)
        again = np.flatnonzero(first[of] != np.arange(len(digests)))
        if not len(again):
            return 0, None
        return len(again), (int(numbers[first[of[again[0]]]]), int(numbers[again[0]]))

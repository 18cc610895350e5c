"""Geant4's deposits as columns: which shower, which slab, how much, from where to where, and when."""

from __future__ import annotations

__all__ = ["Clock", "Seen", "Steps", "collect"]

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_WORD = 8  # bytes; calzone's records are made of such words

Seen = Callable[[NDArray[Any]], NDArray[np.float64]]
"""From calzone's records of a slab to what is seen of each deposit, MeV."""

Clock = Callable[[NDArray[Any]], NDArray[np.float64]]
"""From calzone's records of a slab to the times at which each deposit begins and ends, ns, shape `(n, 2)`."""


@dataclass(frozen=True)
class Steps:
    """Deposits of some showers, slab by slab, in an order that depends on each shower alone.

    Attributes:
        shower: Number of the shower in its batch, shape `(n,)`.
        per_slab: Number of deposits in each slab, shape `(n_slabs,)`.
        energy: MeV, shape `(n,)`.
        start: Where the energy begins to be lost, cm, Geant4's axes, shape `(n, 3)`.
        end: Where that ends; equal to `start` for a deposit in one point.
        time: When it begins and ends, ns, shape `(n, 2)`, or None where nobody asks.
    """

    shower: NDArray[np.int64]
    per_slab: NDArray[np.int64]
    energy: NDArray[np.float64]
    start: NDArray[np.float64]
    end: NDArray[np.float64]
    time: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.energy)

    def parts(self, size: int) -> Iterator[Steps]:
        """Cut into parts of `size` deposits, in order."""
        ends = np.concatenate([[0], np.cumsum(self.per_slab)])
        for first in range(0, len(self), size):
            rows = slice(first, first + size)
            per_slab = np.diff(np.clip(ends, first, first + size))
            time = None if self.time is None else self.time[rows]
            start, end = self.start[rows], self.end[rows]
            yield Steps(self.shower[rows], per_slab, self.energy[rows], start, end, time)


def collect(
    deposits: Mapping[str, Any],
    paths: Sequence[str | None],
    n_showers: int,
    seen: Mapping[int, Seen],
    clock: Clock | None = None,
) -> list[Steps]:
    """Join calzone's deposits of all slabs.

    Args:
        deposits: What `Simulation.run` returned with detailed deposits.
        paths: calzone's names of the slabs, in depth order; None for those that do not count.
        n_showers: Showers of the batch.
        seen: By the number of the slab: what is seen of its deposits, where that is not all.
        clock: Tells the times of deposits.

    Returns:
        The deposits along lines, then those in points.
    """
    # Slab by slab and not in the order of the dict, which is that of the batch's first hits: the order of
    # summation, and so the last bit of a cell, must not depend on what else is in the batch.
    found = [None if path is None else deposits.get(path) for path in paths]
    lines = [None if here is None else here.line for here in found]
    points = [None if here is None else here.point for here in found]
    kinds = (lines, "end"), (points, "position")
    return [steps for kind in kinds for steps in _steps(*kind, n_showers, seen, clock)]


def _steps(
    records: Sequence[Any], last: str, n_showers: int, seen: Mapping[int, Seen], clock: Clock | None
) -> list[Steps]:
    """Join the records of all slabs, whose fields run from `value` over places to `last`.

    The fields are copied as one block: field by field would be several times slower, since records are
    long and do not fit the caches.
    """
    present = [array for array in records if array is not None]
    if not present:
        return []
    kind = present[0].dtype
    first, words = kind.fields["value"][1] // _WORD, kind.itemsize // _WORD
    stop = (kind.fields[last][1] + kind[last].itemsize) // _WORD
    block = np.concatenate([array.view(np.float64).reshape(-1, words)[:, first:stop] for array in present])
    shower = (
        np.concatenate([array["event"].view(np.int64) for array in present])
        if n_showers > 1
        else np.broadcast_to(np.int64(0), len(block))
    )
    per_slab = np.array([0 if array is None else len(array) for array in records])
    ends = np.cumsum(per_slab)
    for slab, of in seen.items():
        if per_slab[slab]:
            block[ends[slab] - per_slab[slab] : ends[slab], 0] = of(records[slab])
    time = None if clock is None else np.concatenate([clock(array) for array in present])
    return [Steps(shower, per_slab, block[:, 0], block[:, 1:4], block[:, -3:], time)]

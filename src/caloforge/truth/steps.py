"""Geant4's deposits as columns: which shower, which slab, how much, from where to where."""

from __future__ import annotations

__all__ = ["Steps", "collect"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caloforge.truth.geometry import CM, slab_path

_REAL = 8  # calzone's records are made of eight-byte words


@dataclass(frozen=True)
class Steps:
    """Deposits of some showers, in an order that depends on the shower alone.

    Attributes:
        shower: Number of the shower in its batch, shape `(n,)`.
        slab: Number of the slab, shape `(n,)`.
        energy: MeV, shape `(n,)`.
        start: Where the energy begins to be lost, mm, Geant4's axes, shape `(n, 3)`.
        end: Where that ends; equal to `start` for a deposit in one point.
    """

    shower: NDArray[np.int64]
    slab: NDArray[np.int64]
    energy: NDArray[np.float64]
    start: NDArray[np.float64]
    end: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.energy)


def collect(deposits: Mapping[str, Any], n_slabs: int) -> Steps:
    """Join calzone's deposits of all slabs.

    Args:
        deposits: What `Simulation.run` returned with detailed deposits.
        n_slabs: Slabs of the detector.
    """
    # Slab by slab and not in the order of the dict, which is that of the batch's first hits: the order of
    # summation, and so the last bit of a cell, must not depend on what else is in the batch.
    found = [(slab, deposits[path]) for slab in range(n_slabs) if (path := slab_path(slab)) in deposits]
    lines = [(slab, here.line) for slab, here in found]
    points = [(slab, here.point) for slab, here in found]
    line, point = _words(lines, "value", "end"), _words(points, "value", "position")
    return Steps(
        np.concatenate([_events(lines), _events(points)]),
        np.concatenate([_slabs(lines), _slabs(points)]),
        np.concatenate([line[:, 0], point[:, 0]]),
        np.concatenate([line[:, 1:4], point[:, 1:4]]) * CM,
        np.concatenate([line[:, 4:7], point[:, 1:4]]) * CM,
    )


def _words(records: Sequence[tuple[int, Any]], first: str, last: str) -> NDArray[np.float64]:
    """The neighbouring fields from `first` to `last`, as columns of one array.

    Copying them as a block is several times faster than field by field: the records are 120 bytes long and
    do not fit the caches.
    """
    if not records:
        return np.empty((0, 7))
    kind = records[0][1].dtype
    begin = kind.fields[first][1] // _REAL
    stop = (kind.fields[last][1] + kind[last].itemsize) // _REAL
    words = kind.itemsize // _REAL
    return np.concatenate([a.view(np.float64).reshape(-1, words)[:, begin:stop] for _, a in records])


def _events(records: Sequence[tuple[int, Any]]) -> NDArray[np.int64]:
    if not records:
        return np.empty(0, np.int64)
    return np.concatenate([array["event"].view(np.int64) for _, array in records])


def _slabs(records: Sequence[tuple[int, Any]]) -> NDArray[np.int64]:
    counts = [len(array) for _, array in records]
    return np.repeat(np.array([slab for slab, _ in records], np.int64), counts)

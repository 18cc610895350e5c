"""A hall of fame: what won before is met again, so that nobody wins by what the others have forgotten."""

from __future__ import annotations

__all__ = ["Archive"]

from typing import Any

import numpy as np
from numpy.typing import NDArray

from caloforge.evolution.noise import random_generator

_ARCHIVE = 1 << 62  # tells its random numbers from those of an algorithm of the same seed


class Archive:
    """Some of all that were ever put in, each with the same chance (reservoir sampling).

    Competitors without a memory may go round in circles (arXiv:2507.13157; Rosin and Belew, Evolutionary
    Computation 5 (1997) 1).

    Args:
        room: How many it holds; 0: none.
        size: Genes of each.
        seed: 0 to 2^62 - 1; what is kept depends on it and on how many were put in alone.
    """

    def __init__(self, room: int, size: int, seed: int) -> None:
        self.room, self._seed = room, seed
        self.genes = np.zeros((0, size), np.float32)
        self.seen = 0

    def __len__(self) -> int:
        return len(self.genes)

    def put(self, genes: NDArray[np.float32]) -> None:
        """Put one in, shape `(size,)`; where there is no room it takes the place of another, or none."""
        self.seen += 1
        if len(self) < self.room:
            self.genes = np.concatenate([self.genes, genes[None]])
            return
        place = int(random_generator(self._seed + _ARCHIVE, self.seen).integers(self.seen))
        if place < self.room:
            self.genes[place] = genes

    def state(self) -> dict[str, NDArray[Any]]:
        """Return all that it needs to go on."""
        return {"genes": self.genes.copy(), "seen": np.array(self.seen)}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Go on from a `state`."""
        self.genes, self.seen = np.array(state["genes"], np.float32), int(state["seen"])

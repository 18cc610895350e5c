"""Distances by which a shower may be moved so that its cells fall on cells in every layer."""

from __future__ import annotations

__all__ = ["NEAR", "Lattice"]

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float64]
NEAR = 1e-6
"""How near two numbers are that are meant to be equal, mm or cells."""
_SEARCHED = 4096  # cells of the widest layer within which grids must come to lie on each other again


@dataclass(frozen=True)
class Lattice:
    """Distances along one axis by which a shower may be moved: whole cells in every layer.

    Args:
        first: The smallest one of 0 or more, mm.
        period: Between two of them, mm; infinite if there is only one.
    """

    first: float
    period: float

    @classmethod
    def of(cls, pitch: Real, margin: Real) -> Lattice | None:
        """Find the moves that are whole cells in all layers, among those that are in the widest.

        Args:
            pitch: Size of the cells of each layer, mm.
            margin: How many cells of its target lie beside each layer in its middle; may be half ones.

        Returns:
            None if there is no such move.
        """
        widest = int(np.argmax(pitch))
        step = float(pitch[widest])
        moves = (np.arange(_SEARCHED) - margin[widest] % 1.0) * step
        offset = moves[:, None] / pitch + margin
        near = np.abs(offset - np.rint(offset)) < NEAR * np.maximum(1.0, np.abs(offset))
        found = moves[near.all(axis=1) & (moves >= -NEAR * step)]
        if not len(found):
            return None
        return cls(float(found[0]), float(found[1] - found[0]) if len(found) > 1 else np.inf)

    def nearest(self, low: Real, high: Real) -> Real:
        """Return the smallest move in each interval; where there is none, the one nearest to it."""
        wanted = np.clip(0.0, low, high)
        if not np.isfinite(self.period):
            return np.full(len(wanted), self.first)
        below = self.first + np.floor((wanted - self.first) / self.period) * self.period
        above = below + self.period
        far_below = np.maximum(low - below, 0.0) + NEAR * (wanted - below)
        far_above = np.maximum(above - high, 0.0) + NEAR * (above - wanted)
        return np.asarray(np.where(far_below <= far_above, below, above))

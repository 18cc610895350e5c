"""Convex polygons cut into triangles, for places that are uniform in them."""

from __future__ import annotations

__all__ = ["Triangles"]

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float64]
Whole = NDArray[np.int64]


@dataclass(frozen=True)
class Triangles:
    """Triangles of some polygons, one polygon after the other.

    Attributes:
        corners: Of each triangle, shape `(t, 3, 2)`, mm.
        area: Of all triangles before each one, and of all, shape `(t + 1,)`, mm2.
        first: Where each polygon begins, and the number of triangles, shape `(polygons + 1,)`.
    """

    corners: Real
    area: Real
    first: Whole

    @classmethod
    def of(cls, polygons: Sequence[Real]) -> Triangles:
        """Cut each polygon, corners counter-clockwise, `(k, 2)`, from its first corner to all others."""
        corners = np.concatenate([_fan(polygon) for polygon in polygons])
        one, other = (corners[:, i] - corners[:, 0] for i in (1, 2))
        area = 0.5 * (one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0])
        first = np.cumsum([0, *(len(polygon) - 2 for polygon in polygons)])
        return cls(corners, np.concatenate([[0.0], np.cumsum(area)]), first)

    def within(self, polygon: Whole, uniform: Real) -> Real:
        """Return a place in each of these polygons, shape `(n, 2)`, from numbers from 0 to 1, `(n, 3)`."""
        begin, end = self.first[polygon], self.first[polygon + 1]
        before, after = self.area[begin], self.area[end]
        chosen = np.searchsorted(self.area, before + uniform[:, 0] * (after - before), side="right") - 1
        # Sums are rounded: without this, a place could be in the triangle next to the polygon's last one.
        corners = self.corners[np.clip(chosen, begin, end - 1)]
        along, across = np.sqrt(uniform[:, 1]), uniform[:, 2]
        weights = np.stack([1 - along, along * (1 - across), along * across], axis=1)
        return np.asarray((weights[:, :, None] * corners).sum(axis=1))


def _fan(polygon: Real) -> Real:
    others = polygon[1:]
    first = np.broadcast_to(polygon[0], (len(others) - 1, 2))
    return np.stack([first, others[:-1], others[1:]], axis=1)

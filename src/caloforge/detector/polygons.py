"""Convex polygons: what lines leave of one, its area, and whether it is one."""

from __future__ import annotations

__all__ = ["clipped", "is_convex", "signed_area"]

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float64]
_Corner = tuple[float, float, int]  # x, y, and what is behind the side that begins here


def signed_area(corners: Real) -> float:
    """Return the area of a polygon, shape `(k, 2)`; negative if its corners go clockwise."""
    x, y = corners.T
    return float(0.5 * (x @ np.roll(y, -1) - y @ np.roll(x, -1)))


def is_convex(corners: Real) -> bool:
    """Whether a polygon, corners counter-clockwise, turns left at each corner and once in all."""
    sides = np.roll(corners, -1, axis=0) - corners
    after = np.roll(sides, -1, axis=0)
    turns = np.arctan2(sides[:, 0] * after[:, 1] - sides[:, 1] * after[:, 0], (sides * after).sum(axis=1))
    return bool((turns > 0).all() and np.isclose(turns.sum(), 2 * np.pi))


def clipped(outline: Real, lines: Iterable[tuple[Sequence[float], float, int]]) -> tuple[Real, list[int]]:
    """Cut a convex polygon by lines, each of which leaves what lies at its inner side.

    Args:
        outline: Corners, counter-clockwise, shape `(k, 2)`.
        lines: Outward normal, its product with any point of the line, and the line's own number.

    Returns:
        Corners of what is left, none if nothing is, and the number of the line along which the side after
        each corner runs; -1 is the outline.
    """
    kept: list[_Corner] = [(x, y, -1) for x, y in outline.tolist()]
    for (nx, ny), offset, number in lines:
        kept = _cut(kept, nx, ny, offset, number)
    return np.array([corner[:2] for corner in kept]).reshape(-1, 2), [corner[2] for corner in kept]


def _cut(corners: list[_Corner], nx: float, ny: float, offset: float, number: int) -> list[_Corner]:
    beyond = [nx * x + ny * y - offset for x, y, _ in corners]
    if max(beyond, default=0.0) <= 0:
        return corners
    kept: list[_Corner] = []
    for i, (x, y, behind) in enumerate(corners):
        after = (i + 1) % len(corners)
        here, there = beyond[i], beyond[after]
        if here <= 0:
            kept.append((x, y, behind))
        if (here <= 0) != (there <= 0):
            t = here / (here - there)
            crossing = x + t * (corners[after][0] - x), y + t * (corners[after][1] - y)
            kept.append((*crossing, number if here <= 0 else behind))
    return kept

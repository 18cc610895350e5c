"""The Pareto front: what nothing else beats in everything."""

from __future__ import annotations

__all__ = ["front"]

import numpy as np
from numpy.typing import NDArray


def front(values: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Say which points no other beats: is as small in all coordinates and smaller in one.

    Args:
        values: Shape `(points, objectives)`, finite. Equal points are on the front together.

    Returns:
        Shape `(points,)`.

    Example:
        >>> front(np.array([[1.0, 3.0], [2.0, 2.0], [2.0, 3.0], [3.0, 1.0]])).tolist()
        [True, True, False, True]
    """
    # In this order a point can be beaten by earlier ones alone, so each is held against the front so far.
    order = np.lexsort(values.T[::-1])
    kept: list[int] = []
    for i in order.tolist():
        rivals = values[kept]
        beaten = (rivals <= values[i]).all(axis=1) & (rivals < values[i]).any(axis=1)
        if not beaten.any():
            kept.append(i)
    found = np.zeros(len(values), np.bool_)
    found[kept] = True
    return found

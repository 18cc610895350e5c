"""NSGA-II: who lives on and who has children, with several objectives (Deb et al., IEEE TEC 6 (2002) 182)."""

from __future__ import annotations

__all__ = ["Standing", "crowding", "hypervolume", "ranks", "stand", "survivors", "tournament"]

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caloforge.search.report.fronts import front

Values = NDArray[np.float64]
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Standing:
    """How individuals compare with one another.

    Attributes:
        rank: Number of the front that each is on, `(n,)`; 0 is the best.
        crowding: How far its neighbours on that front are apart, `(n,)`.
    """

    rank: Numbers
    crowding: Values

    def order(self) -> Numbers:
        """Return all individuals, the best first: by rank, then the lonelier first, then as they came."""
        return np.lexsort((-self.crowding, self.rank))


def stand(values: Values, violation: Values) -> Standing:
    """Compare individuals.

    Args:
        values: Objectives, `(n, objectives)`, finite, smaller is better.
        violation: By how much each breaks a constraint, `(n,)`; 0: not at all.
    """
    rank = ranks(values, violation)
    apart = np.zeros(len(values))
    for number in np.unique(rank):
        apart[rank == number] = crowding(values[rank == number])
    return Standing(rank, apart)


def ranks(values: Values, violation: Values) -> Numbers:
    """Return the number of each individual's front.

    Those that break a constraint come behind all others, and the less the better (constrained domination).

    Args:
        values: As in `stand`.
        violation: As in `stand`.
    """
    found = np.zeros(len(values), np.int64)
    left, number = np.flatnonzero(violation <= 0), 0
    while len(left):
        on = front(values[left])
        found[left[on]] = number
        left, number = left[~on], number + 1
    broken = violation > 0
    _, place = np.unique(violation[broken], return_inverse=True)
    found[broken] = number + place
    return found


def crowding(values: Values) -> Values:
    """Return how far the neighbours of each point of a front are apart, as shares of the front's extent.

    Points at an end of an objective are infinitely far from others.

    Args:
        values: Objectives of one front, `(n, objectives)`.

    Example:
        >>> crowding(np.array([[0.0, 4.0], [1.0, 2.0], [4.0, 0.0]])).tolist()
        [inf, 2.0, inf]
    """
    apart = np.zeros(len(values))
    for column in values.T:
        order = np.argsort(column, kind="stable")
        inner, extent = order[1:-1], column[order[-1]] - column[order[0]]
        apart[order[[0, -1]]] = np.inf
        if extent > 0:
            apart[inner] += (column[order[2:]] - column[order[:-2]]) / extent
    return apart


def survivors(standing: Standing, count: int) -> Numbers:
    """Return those that live on, `(count,)`, the best first."""
    return standing.order()[:count]


def tournament(standing: Standing, rng: np.random.Generator) -> int:
    """Draw two different individuals, and return the better one."""
    one, other = rng.choice(len(standing.rank), 2, replace=False).tolist()
    keys = [(standing.rank[i], -standing.crowding[i]) for i in (one, other)]
    return int(one if keys[0] <= keys[1] else other)


def hypervolume(values: Values, reference: Values) -> float:
    """Return the area that points of two objectives dominate, up to a reference point.

    Args:
        values: `(n, 2)`; points beyond the reference count nothing.
        reference: `(2,)`.

    Example:
        >>> hypervolume(np.array([[1.0, 2.0], [2.0, 1.0]]), np.array([3.0, 3.0]))
        3.0
    """
    inside = values[(values < reference).all(axis=1)]
    area, ceiling = 0.0, float(reference[1])
    for x, y in inside[np.lexsort(inside.T[::-1])].tolist():
        if y < ceiling:
            area += (float(reference[0]) - x) * (ceiling - y)
            ceiling = y
    return area

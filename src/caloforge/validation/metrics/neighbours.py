"""Nearest neighbours of showers in the space of cells: precision, recall, density and coverage."""

from __future__ import annotations

__all__ = ["PRDC", "Manifold", "jackknife", "prdc", "radii", "squared_distances"]

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Single = NDArray[np.float32]

PRDC = ("precision", "recall", "density", "coverage")
_GROUPS = 20
_ROWS = 512


@dataclass(frozen=True)
class Manifold:
    """What the balls around two sets of points say, by group so that groups can be left out.

    Attributes:
        inside: Balls of each group of reference points that hold a test point, shape `(groups, tests)`.
        covering: Whether a ball around any test point of a group holds a reference point, shape
            `(groups, references)`.
        covered: Whether the ball of a reference point holds any test point of a group, same shape.
        k: Neighbours that define the radii.
    """

    inside: NDArray[np.int64]
    covering: NDArray[np.bool_]
    covered: NDArray[np.bool_]
    k: int

    def metrics(self, left_out: int | None = None) -> Array:
        """Return precision, recall, density and coverage, shape `(4,)`; without one group of both sets.

        Args:
            left_out: Index of the group, None for all points.
        """
        groups = len(self.inside)
        kept = np.arange(groups) != (-1 if left_out is None else left_out)
        tests, references = (_kept(x.shape[1], groups, left_out) for x in (self.inside, self.covered))
        inside = self.inside[kept][:, tests].sum(axis=0)
        covering, covered = (x[kept][:, references].any(axis=0) for x in (self.covering, self.covered))
        return np.array([(inside > 0).mean(), covering.mean(), inside.mean() / self.k, covered.mean()])


def prdc(reference: Single, test: Single, reference_radii: Single, test_radii: Single, k: int) -> Manifold:
    """Count who lies in whose ball (arXiv 2002.09797).

    Args:
        reference: Points, shape `(m, d)`, in random order.
        test: Points, shape `(n, d)`, in random order.
        reference_radii: Squared distance of each reference point to its k-th neighbour, shape `(m,)`.
        test_radii: The same of the test points, shape `(n,)`.
        k: Neighbours.
    """
    rows, columns = _groups(len(reference)), _groups(len(test))
    groups = min(len(rows), len(columns))
    rows, columns = _groups(len(reference), groups), _groups(len(test), groups)
    inside = np.zeros((groups, len(test)), np.int64)
    covering, covered = (np.zeros((groups, len(reference)), bool) for _ in range(2))
    for i, row in enumerate(rows):
        distance = squared_distances(reference[row], test)
        in_reference, in_test = distance < reference_radii[row, None], distance < test_radii
        inside[i] = in_reference.sum(axis=0)
        for j, column in enumerate(columns):
            covered[j, row] = in_reference[:, column].any(axis=1)
            covering[j, row] = in_test[:, column].any(axis=1)
    return Manifold(inside, covering, covered, k)


def jackknife(manifold: Manifold) -> Array:
    """Return the standard errors of precision, recall, density and coverage, shape `(4,)`.

    One group of the reference and one of the test points are left out at a time; radii stay as they are.
    """
    groups = len(manifold.inside)
    without = np.stack([manifold.metrics(group) for group in range(groups)])
    return np.asarray(np.sqrt((groups - 1) * without.var(axis=0)))


def radii(points: Single, k: int) -> Single:
    """Return the squared distance of each point to its k-th nearest other point, shape `(n,)`.

    Args:
        points: Shape `(n, d)`.
        k: Which neighbour; the farthest point if there are fewer.
    """
    n = len(points)
    nearest, out = min(k, n - 1) - 1, np.empty(n, np.float32)
    for start in range(0, n, _ROWS):
        distance = squared_distances(points[start : start + _ROWS], points)
        rows = np.arange(len(distance))
        distance[rows, start + rows] = np.inf
        out[start : start + _ROWS] = np.partition(distance, nearest, axis=1)[:, nearest]
    return out


def squared_distances(a: Single, b: Single) -> Single:
    """Return squared Euclidean distances, shape `(len(a), len(b))`, by one matrix product."""
    squares = np.einsum("ij,ij->i", a, a)[:, None] + np.einsum("ij,ij->i", b, b)
    squares -= 2 * (a @ b.T)
    # rounding makes the distance of equal points a little less or more than 0
    return np.asarray(np.maximum(squares, 0, out=squares))


def _groups(n: int, count: int = _GROUPS) -> list[slice]:
    edges = np.linspace(0, n, min(count, n) + 1).astype(int).tolist()
    return [slice(*pair) for pair in pairwise(edges)]


def _kept(n: int, groups: int, left_out: int | None) -> NDArray[Any]:
    kept = np.ones(n, bool)
    if left_out is not None:
        kept[_groups(n, groups)[left_out]] = False
    return kept

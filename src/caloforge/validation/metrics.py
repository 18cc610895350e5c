"""Distances of one-dimensional distributions: separation power, Wasserstein-1, Kolmogorov-Smirnov."""

from __future__ import annotations

__all__ = ["Ranked", "kolmogorov_smirnov", "separation_power", "wasserstein"]

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def separation_power(first: ArrayLike, second: ArrayLike) -> Array:
    r"""Return $S=\frac12\sum_i (p_i-q_i)^2/(p_i+q_i)$ of two histograms: 0 alike, 1 without overlap.

    The "triangular discrimination" of arXiv 2009.03796, eq. 15, as in the CaloChallenge (arXiv 2410.21611).
    For two samples of `n` showers of one distribution it is about `bins / (2 n)`, never 0.

    Args:
        first: Counts, shape `(..., bins)`; normalised here.
        second: Counts, same shape.

    Returns:
        Shape `(...)`; NaN where a histogram is empty.

    Example:
        >>> float(separation_power([1, 1, 0], [0, 1, 1]))
        0.5
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        p, q = _unit(first), _unit(second)
        terms = np.where(p + q == 0, 0.0, (p - q) ** 2 / (p + q))
    return np.asarray(0.5 * terms.sum(axis=-1))


def wasserstein(first: ArrayLike, second: ArrayLike) -> float:
    r"""Return $W_1=\int|F-G|\,dx$ of two samples, in the unit of the values.

    Args:
        first: Values; NaN are left out.
        second: Values; NaN are left out.

    Returns:
        NaN if a sample has no defined value.

    Example:
        >>> wasserstein([0.0, 1.0], [0.5, 1.5])
        0.5
    """
    a, b = np.ravel(first), np.ravel(second)
    member = np.repeat([True, False], [len(a), len(b)])[None]
    ranked = Ranked.of(np.concatenate([a, b]), np.array([0.0, 1.0]))
    return float(ranked.distances(member, ~member)[1][0])


def kolmogorov_smirnov(first: ArrayLike, second: ArrayLike) -> tuple[float, float]:
    r"""Return the largest distance of two cumulative distributions and its asymptotic p-value.

    Args:
        first: Values.
        second: Values.

    Returns:
        Distance and p-value $2\sum_{k}(-1)^{k-1}e^{-2k^2\lambda^2}$, $\lambda=D\sqrt{nm/(n+m)}$.
    """
    a, b = np.sort(np.ravel(first)), np.sort(np.ravel(second))
    both = np.concatenate([a, b])
    apart = np.searchsorted(a, both, "right") / len(a) - np.searchsorted(b, both, "right") / len(b)
    distance = float(np.abs(apart).max())
    scaled = distance**2 * len(a) * len(b) / (len(a) + len(b))
    if scaled < 0.04:  # the series does not converge there, and the p-value is 1
        return distance, 1.0
    k = np.arange(1, 101)
    p = 2 * np.sum((-1.0) ** (k - 1) * np.exp(-2 * k**2 * scaled))
    return distance, float(np.clip(p, 0.0, 1.0))


@dataclass(frozen=True)
class Ranked:
    """Values of two samples together, sorted once, so that many resamplings of them are cheap.

    Attributes:
        order: Sorting order of all values, NaN last.
        gaps: Steps between neighbouring defined values.
        borders: How many values lie below each bin's edge, then below infinity, then all with NaN.
    """

    order: NDArray[np.int64]
    gaps: Array
    borders: NDArray[np.int64]

    @classmethod
    def of(cls, values: NDArray[np.floating], edges: Array) -> Ranked:
        """Sort `values` and find the bins' borders; what is below, above or undefined has bins of its own.

        Args:
            values: Values of all samples, shape `(m,)`.
            edges: Edges of the histogram.
        """
        order = np.argsort(values, kind="stable")
        ranked = np.asarray(values, np.float64)[order]
        defined = int(np.count_nonzero(~np.isnan(ranked)))
        inside = np.searchsorted(ranked[:defined], edges)
        return cls(order, np.diff(ranked[:defined]), np.array([*inside, defined, len(values)]))

    def distances(
        self, first: NDArray[np.integer | np.bool_], second: NDArray[np.integer | np.bool_]
    ) -> tuple[Array, Array]:
        """Return separation power and Wasserstein distance for each resampling.

        Args:
            first: How often each value counts in the first sample, shape `(resamplings, m)`.
            second: The same for the second sample.

        Returns:
            Two arrays of shape `(resamplings,)`; the distance is NaN where a sample has no defined value.
        """
        a, b = self._cumulative(first), self._cumulative(second)
        return separation_power(self._bins(a), self._bins(b)), self._area(a, b)

    def histogram(self, member: NDArray[np.integer | np.bool_]) -> NDArray[np.int64]:
        """Return counts below, in each bin, above, and undefined: shape `(bins + 3,)`."""
        return np.asarray(self._bins(self._cumulative(member[None]))[0])

    def _cumulative(self, weights: NDArray[np.integer | np.bool_]) -> NDArray[np.int64]:
        total = np.cumsum(weights[:, self.order], axis=1, dtype=np.int64)
        return np.pad(total, ((0, 0), (1, 0)))

    def _bins(self, cumulative: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.diff(cumulative[:, self.borders], axis=1, prepend=0)

    def _area(self, a: NDArray[np.int64], b: NDArray[np.int64]) -> Array:
        defined = self.borders[-2]
        with np.errstate(divide="ignore", invalid="ignore"):
            apart = a[:, 1:defined] / a[:, [defined]] - b[:, 1:defined] / b[:, [defined]]
        return np.where((a[:, defined] > 0) & (b[:, defined] > 0), np.abs(apart) @ self.gaps, np.nan)


def _unit(counts: ArrayLike) -> Array:
    counts = np.asarray(counts, np.float64)
    return np.asarray(counts / counts.sum(axis=-1, keepdims=True))

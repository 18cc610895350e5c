"""Distances of two distributions: exact from sorted values, and from counts for many resamplings at once."""

from __future__ import annotations

__all__ = [
    "chi2",
    "cumulative_difference",
    "kolmogorov_smirnov",
    "moments",
    "separation_power",
    "sorted_distances",
    "wasserstein",
]

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


def chi2(first: ArrayLike, second: ArrayLike) -> Array:
    r"""Return $\chi^2/\mathrm{ndf}$ for two histograms of one distribution, 1 on average if they are.

    Pearson's test of homogeneity: $\sum_i(\sqrt{M/N}\,a_i-\sqrt{N/M}\,b_i)^2/(a_i+b_i)$ for counts $a_i$ of
    $N$ and $b_i$ of $M$ showers, over the number of bins that either fills, less one.

    Args:
        first: Counts, shape `(..., bins)`.
        second: Counts, same shape.

    Returns:
        Shape `(...)`; NaN where a histogram is empty or all lies in one bin.

    Example:
        >>> float(chi2([10, 10], [14, 6]))
        1.6666666666666667
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    n, m = a.sum(axis=-1, keepdims=True), b.sum(axis=-1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(a + b == 0, 0.0, (np.sqrt(m / n) * a - np.sqrt(n / m) * b) ** 2 / (a + b))
        free = np.count_nonzero(a + b, axis=-1) - 1
        return np.asarray(np.where(free > 0, terms.sum(axis=-1) / free, np.nan))


def wasserstein(first: ArrayLike, second: ArrayLike) -> float:
    r"""Return $W_1=\int|F-G|\,dx$ of two samples, in the unit of the values.

    Args:
        first: Values; what is not finite is left out.
        second: Values; what is not finite is left out.

    Returns:
        NaN if a sample has no defined value.

    Example:
        >>> wasserstein([0.0, 1.0], [0.5, 1.5])
        0.5
    """
    return sorted_distances(_ranked(first), _ranked(second))[1]


def kolmogorov_smirnov(first: ArrayLike, second: ArrayLike) -> tuple[float, float]:
    r"""Return the largest distance of two cumulative distributions and its asymptotic p-value.

    Args:
        first: Values; what is not finite is left out.
        second: Values; what is not finite is left out.

    Returns:
        Distance and p-value $2\sum_{k}(-1)^{k-1}e^{-2k^2\lambda^2}$, $\lambda=D\sqrt{nm/(n+m)}$; NaN if a
        sample has no defined value.
    """
    a, b = _ranked(first), _ranked(second)
    distance = sorted_distances(a, b)[0]
    if np.isnan(distance):
        return distance, np.nan
    scaled = distance**2 * len(a) * len(b) / (len(a) + len(b))
    if scaled < 0.04:  # the series does not converge there, and the p-value is 1
        return distance, 1.0
    k = np.arange(1, 101)
    p = 2 * np.sum((-1.0) ** (k - 1) * np.exp(-2 * k**2 * scaled))
    return distance, float(np.clip(p, 0.0, 1.0))


def sorted_distances(first: NDArray[np.floating], second: NDArray[np.floating]) -> tuple[float, float]:
    """Return the Kolmogorov-Smirnov and the Wasserstein distance of two sorted samples, both exact.

    Args:
        first: Finite values in rising order.
        second: Finite values in rising order.

    Returns:
        NaN twice if a sample is empty.
    """
    if len(first) == 0 or len(second) == 0:
        return np.nan, np.nan
    both = np.sort(np.concatenate([first, second]))
    below = [np.searchsorted(run, both[:-1], "right") / len(run) for run in (first, second)]
    apart = np.abs(below[0] - below[1])
    # equal neighbours have no gap, and what is between them is no value of a cumulative distribution
    gaps = np.diff(both.astype(np.float64))
    largest = apart[gaps > 0].max(initial=0.0)
    return float(largest), float(apart @ gaps)


def cumulative_difference(first: Array, second: Array) -> Array:
    """Return the difference of the cumulative distributions after each bin, shape `(..., bins)`.

    Args:
        first: Counts, shape `(..., bins)`.
        second: Counts, same shape.

    Returns:
        NaN where a histogram is empty.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.cumsum(_unit(first) - _unit(second), axis=-1))


def moments(values: NDArray[np.floating]) -> tuple[float, float, float, float]:
    """Return mean and standard deviation, each followed by its standard error.

    Args:
        values: Values; what is not finite is left out.

    Returns:
        NaN where fewer than two values are defined. The error of the standard deviation is right for any
        distribution, to first order in `1 / n`: it rests on the fourth moment.
    """
    known = np.asarray(values, np.float64)
    known = known[np.isfinite(known)]
    n = len(known)
    if n < 2:
        return np.nan, np.nan, np.nan, np.nan
    mean, sigma = known.mean(), known.std(ddof=1)
    fourth = np.mean((known - mean) ** 4)
    of_sigma = np.sqrt(max(fourth - sigma**4, 0.0) / n) / (2 * sigma) if sigma > 0 else 0.0
    return float(mean), float(sigma / np.sqrt(n)), float(sigma), float(of_sigma)


def _ranked(values: ArrayLike) -> NDArray[np.float64]:
    known = np.ravel(np.asarray(values, np.float64))
    return np.sort(known[np.isfinite(known)])


def _unit(counts: ArrayLike) -> Array:
    counts = np.asarray(counts, np.float64)
    return np.asarray(counts / counts.sum(axis=-1, keepdims=True))

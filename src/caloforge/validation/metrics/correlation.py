"""Pearson correlations from sums over blocks of showers, and how far two matrices are apart."""

from __future__ import annotations

__all__ = ["Products", "largest_difference", "pearson", "products", "rms_difference"]

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Products:
    """Sums over each block of showers.

    Attributes:
        counts: Shape `(blocks, 1)`.
        sums: Of the values, shape `(blocks, k)`.
        squares: Of products of two values, shape `(blocks, k * k)`.
    """

    counts: Array
    sums: Array
    squares: Array


def products(values: Array, block: NDArray[np.int64], blocks: int) -> Products:
    """Add up values and their products; showers with an undefined value are left out.

    Args:
        values: Shape `(n, k)`, best about their mean and over their spread.
        block: Block of each shower, shape `(n,)`.
        blocks: Number of blocks.
    """
    known = np.isfinite(values).all(axis=1)
    order = np.argsort(block[known], kind="stable")
    x, counts = values[known][order], np.bincount(block[known], minlength=blocks)
    k, edges = x.shape[1], np.concatenate([[0], np.cumsum(counts)])
    sums, squares = np.empty((blocks, k)), np.empty((blocks, k * k))
    for i in range(blocks):
        part = x[edges[i] : edges[i + 1]]
        sums[i], squares[i] = part.sum(axis=0), (part.T @ part).ravel()
    return Products(np.asarray(counts[:, None], np.float64), sums, squares)


def pearson(counts: Array, sums: Array, squares: Array) -> Array:
    """Return correlation coefficients; what does not vary is correlated with nothing.

    Args:
        counts: Shape `(r, 1)`.
        sums: Shape `(r, k)`.
        squares: Shape `(r, k * k)`.

    Returns:
        Shape `(r, k, k)`, with ones on the diagonal.
    """
    k, n = sums.shape[1], np.maximum(counts, 1.0)
    mean = sums / n
    covariance = (squares / n).reshape(-1, k, k) - mean[:, :, None] * mean[:, None, :]
    variance = np.einsum("rkk->rk", covariance)
    # the difference of equal numbers leaves some rounding
    varies = variance > 1e-10 * np.einsum("rkk->rk", (squares / n).reshape(-1, k, k))
    scale = np.where(varies, np.sqrt(np.where(varies, variance, 1.0)), np.inf)
    out = np.clip(covariance / scale[:, :, None] / scale[:, None, :], -1, 1)
    out[:, np.arange(k), np.arange(k)] = 1.0
    return np.asarray(out)


def rms_difference(a: Array, b: Array) -> Array:
    """Return the root mean square difference of the entries off the diagonal, shape `(r,)`.

    Times the root of the number of these entries it is the Frobenius norm of the difference.

    Args:
        a: Shape `(r, k, k)` with `k` of 2 or more.
        b: Same shape.
    """
    k = a.shape[1]
    return np.asarray(np.sqrt(np.sum((a - b) ** 2, axis=(1, 2)) / (k * (k - 1))))


def largest_difference(a: Array, b: Array) -> Array:
    """Return the largest absolute difference of the entries, shape `(r,)`.

    Args:
        a: Shape `(r, k, k)`.
        b: Same shape.
    """
    return np.asarray(np.abs(a - b).max(axis=(1, 2)))

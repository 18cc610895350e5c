"""Fitness as ranks: only the order of individuals counts, not how far they are apart."""

from __future__ import annotations

__all__ = ["by_rank", "centred_ranks", "natural_utilities"]

import numpy as np
from numpy.typing import NDArray


def by_rank(fitness: NDArray[np.float64], utilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the utility of each individual; equal ones share theirs.

    Args:
        fitness: Shape `(population,)`; smaller is better.
        utilities: Of the best, the second, and so on.
    """
    _, rank, ties = np.unique(fitness, return_inverse=True, return_counts=True)
    sums = np.add.reduceat(utilities, np.concatenate([[0], np.cumsum(ties)[:-1]]))
    shared: NDArray[np.float64] = (sums / ties)[rank]
    return shared


def centred_ranks(population: int) -> NDArray[np.float64]:
    """Return the utilities of OpenAI's evolution strategy (arXiv:1703.03864): from 1/2 down to -1/2."""
    return np.linspace(0.5, -0.5, population)


def natural_utilities(population: int) -> NDArray[np.float64]:
    """Return those of natural evolution strategies (arXiv:1106.4487), logarithmic over the better half."""
    raw = np.maximum(0.0, np.log(population / 2 + 1) - np.log(np.arange(1, population + 1)))
    utilities: NDArray[np.float64] = raw / raw.sum() - 1 / population
    return utilities

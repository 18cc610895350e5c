"""What is no shower, and what becomes of a fitness that is no number."""

from __future__ import annotations

__all__ = ["all_numbers", "broken"]

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from caloforge.errors import TrainingError

_WORST = 2.0  # times the worst that is a number: what is none


def broken(made: Tensor) -> Tensor:
    """Say whose showers are no numbers, or all empty: `(individuals, n, n_cells)` to `(individuals,)`."""
    flat = made.flatten(1)
    return ~flat.isfinite().all(1) | (flat.nan_to_num(0, 0, 0).amax(1) <= 0)


def all_numbers(fitness: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    """Make the worst of what is not finite, and say how many these are."""
    good = np.isfinite(fitness)
    if not good.any():
        raise TrainingError(
            "not one individual of a generation makes showers",
            expected="numbers, and some energy in the cells",
            cure="start anew with a smaller sigma, power, rate or first in objective.algorithm, "
            "or with another schedule.seed",
        )
    worst = fitness[good].max()
    return np.where(good, fitness, worst + (_WORST - 1) * abs(worst) + 1), int((~good).sum())

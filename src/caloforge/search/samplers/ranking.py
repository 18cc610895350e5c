"""Which finished trials are good: diverged trainings and broken constraints come last."""

from __future__ import annotations

__all__ = ["Standing", "fronts", "standing"]

from math import inf, isfinite
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

Standing = tuple[float, float, float]
"""Smaller is better; the last two count among equals."""


def standing(trial: FrozenTrial) -> Standing:
    """Place a finished trial of one objective among the others.

    Kept constraints by the objective; then trials that were stopped early, those that came farthest first;
    then broken constraints, by how much they are broken together; then trainings that diverged.
    """
    from optuna.trial import TrialState

    if trial.state == TrialState.PRUNED:
        step, value = max(trial.intermediate_values.items(), default=(-1, inf))
        return 1.0, -float(step), value
    if not all(map(isfinite, trial.values)):
        return 3.0, inf, inf
    violation = sum(value for value in trial.constraints.values() if value > 0)
    return (2.0, violation, 0.0) if violation else (0.0, trial.values[0], 0.0)


def fronts(values: NDArray[np.float64], enough: int) -> list[int]:
    """Return rows that no other row beats in all columns, then those that only these beat, and so on.

    Args:
        values: Shape (trials, objectives), smaller is better.
        enough: Rows after which no further front is begun.
    """
    left, found = np.arange(len(values)), list[int]()
    while len(left) and len(found) < enough:
        first = _front(values[left])
        found.extend(left[first].tolist())
        left = left[~first]
    return found


def _front(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which rows no other row dominates."""
    rows, front = np.lexsort(values.T[::-1]), np.zeros(len(values), bool)
    while len(rows):
        best, front[rows[0]] = values[rows[0]], True
        rest = rows[1:]
        rows = rest[(values[rest] < best).any(1) | (values[rest] == best).all(1)]
    return front

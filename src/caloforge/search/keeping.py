"""Which runs of a search stay on disk."""

from __future__ import annotations

__all__ = ["best_trials", "tidy"]

import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from optuna.trial import TrialState

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

_KEPT = 10  # in each objective


def best_trials(trials: Sequence[FrozenTrial], objective: int = 0) -> list[FrozenTrial]:
    """Return trials that were trained and are within all constraints, the best one first.

    Args:
        trials: Of a study.
        objective: Number of the figure that decides; the others decide between equals.
    """
    fit = [
        trial
        for trial in trials
        if trial.state is TrialState.COMPLETE
        and all(math.isfinite(value) for value in trial.values)
        and all(violation <= 0 for violation in trial.constraints.values())
    ]
    return sorted(fit, key=lambda trial: (trial.values[objective], *trial.values, trial.number))


def tidy(
    folder: Path, trials: Sequence[FrozenTrial], objectives: int, gone: frozenset[int] = frozenset()
) -> frozenset[int]:
    """Remove runs that are not among the best, and what only a training under way needs of the others.

    Args:
        folder: Of the study.
        trials: Of the study.
        objectives: How many figures are made small.
        gone: Numbers of trials whose runs were removed before.

    Returns:
        The same with those that were removed now.
    """
    over = {t.number for t in trials if t.state.is_finished()}
    kept = {t.number for i in range(objectives) for t in best_trials(trials, i)[:_KEPT]}
    # One that is tried again is in the folder of its first try.
    under_way = {t.user_attrs.get("run") for t in trials if t.number not in over}
    for number in over - gone:
        run = trials[number].user_attrs.get("run")
        if run is None or run in under_way:
            continue
        if number in kept:
            for checkpoint in (folder / run).glob("**/checkpoint"):
                shutil.rmtree(checkpoint, ignore_errors=True)
        elif trials[number].state is not TrialState.FAIL:  # it may be tried again
            shutil.rmtree(folder / run, ignore_errors=True)
    return frozenset(over - kept)

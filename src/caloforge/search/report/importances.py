"""Which parameters decide whether a trial is among the best, and what chance alone would say."""

from __future__ import annotations

__all__ = ["importances"]

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from optuna import Study
    from optuna.trial import FrozenTrial

Shares = dict[str, dict[str, float]]
_FEWEST, _TENTH = 10, 0.1
_DEALS, _FEWEST_DEALS, _DRAWN = 20, 6, 20_000
"""How often trials are dealt anew: with many trials chance does little, and each deal takes long."""


def importances(study: Study, objectives: Sequence[str]) -> tuple[Shares, Shares]:
    """Measure importances with Optuna's PED-ANOVA (arXiv:2304.10255, with conditions arXiv:2601.20800).

    It compares where each parameter lies in the best tenth of the trials with where it lies in all of them.
    What it finds in few trials may be chance: the same is measured with any trials for the best tenth.

    Args:
        study: The study; conditional parameters count where they were in use.
        objectives: Names of its objectives.

    Returns:
        For each objective the share of each parameter, the largest first, as `get_param_importances` gives
        it; and the share that chance alone reaches in about one of twenty cases, perhaps above 1. Both are
        empty for less than ten finished trials, and for values that say nothing.
    """
    active = _active(study)
    shares: Shares = {}
    chance: Shares = {}
    levels: dict[int, dict[str, float]] = {}
    for i, name in enumerate(objectives):
        values = _finite(active, i)
        found = _measure(active, values) if len(values) >= _FEWEST else {}
        total = sum(found.values())
        shares[name] = {key: value / total for key, value in found.items()} if total > 0 else {}
        best = _in_best(np.array(list(values.values()))) if shares[name] else 0
        if best not in levels:
            levels[best] = _by_chance(active, list(values), best) if best else {}
        chance[name] = {key: levels[best][key] / total for key in shares[name]}
    return shares, chance


def _measure(study: Study, values: Mapping[int, float]) -> dict[str, float]:
    """Return the importance of each parameter for small values, by number of the trial; not normalised."""
    from optuna.importance import PedAnovaImportanceEvaluator

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that small targets are good, and of regimes with few trials
        return PedAnovaImportanceEvaluator().evaluate(study, target=lambda t: values.get(t.number, np.inf))


def _in_best(values: NDArray[np.float64]) -> int:
    """Return how many trials are in the best tenth: more if some have the same value."""
    cut = np.partition(values, place := math.ceil(_TENTH * len(values)) - 1)[place]
    return int((values <= cut).sum())


def _by_chance(study: Study, numbers: Sequence[int], best: int) -> dict[str, float]:
    """Return what importances reach where any trials are the best: mean and two standard deviations."""
    rng = np.random.default_rng(0)
    found: dict[str, list[float]] = {}
    for _ in range(int(np.clip(_DRAWN // len(numbers), _FEWEST_DEALS, _DEALS))):
        dealt = rng.permutation(len(numbers)) >= best  # 0 for those that are said to be the best
        for key, value in _measure(study, dict(zip(numbers, dealt.tolist(), strict=True))).items():
            found.setdefault(key, []).append(value)
    return {key: float(np.mean(values) + 2 * np.std(values, ddof=1)) for key, values in found.items()}


def _finite(study: Study, objective: int) -> dict[int, float]:
    values = {trial.number: float(trial.values[objective]) for trial in _complete(study)}
    return {key: value for key, value in values.items() if math.isfinite(value)}


def _complete(study: Study) -> list[FrozenTrial]:
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def _active(study: Study) -> Study:
    """Return the finished trials without parameters that were drawn but not in use, as flat samplers do."""
    trials = _complete(study)
    if all(set(trial.params) <= set(trial.user_attrs.get("values", trial.params)) for trial in trials):
        return study
    from optuna import create_study
    from optuna.trial import create_trial

    copy = create_study(directions=study.directions)
    for trial in trials:
        used = [name for name in trial.params if name in trial.user_attrs.get("values", trial.params)]
        copy.add_trial(
            create_trial(
                values=trial.values,
                params={name: trial.params[name] for name in used},
                distributions={name: trial.distributions[name] for name in used},
            )
        )
    return copy

"""Which parameters decide whether a trial is among the best, and what chance alone would say."""

from __future__ import annotations

__all__ = ["importances"]

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

Shares = dict[str, dict[str, float]]
_FEWEST = 10
_SHUFFLES, _CHANCE = 20, 0.95


def importances(study: Study, objectives: Sequence[str]) -> tuple[Shares, Shares]:
    """Measure importances with Optuna's PED-ANOVA (arXiv:2304.10255; conditional parameters: arXiv:2601.20800).

    It compares where each parameter lies in the best tenth of the trials with where it lies in all of them. What
    it finds in few trials may be chance: the same is measured with the objective's values shuffled among the
    trials.

    Args:
        study: The study; conditional parameters count where they were in use.
        objectives: Names of its objectives.

    Returns:
        For each objective the share of each parameter, the largest first, as `get_param_importances` gives it;
        and the share that chance alone reaches in one of twenty cases, above 1 if nothing was found. Both are
        empty for less than ten finished trials, and for values that say nothing.
    """
    active = _active(study)
    shares: Shares = {}
    chance: Shares = {}
    for i, name in enumerate(objectives):
        found = _measure(active, i)
        total = sum(found.values())
        shares[name] = {key: value / total for key, value in found.items()} if total > 0 else {}
        level = _by_chance(active, i) if total > 0 else {}
        chance[name] = {key: level[key] / total for key in shares[name]}
    return shares, chance


def _measure(study: Study, objective: int, values: dict[int, float] | None = None) -> dict[str, float]:
    """Return the importance of each parameter, not normalised, of `values` by trial or the objective's."""
    from optuna.importance import PedAnovaImportanceEvaluator

    def target(trial: FrozenTrial) -> float:
        return float(trial.values[objective]) if values is None else values.get(trial.number, np.inf)

    if sum(np.isfinite(target(trial)) for trial in _complete(study)) < _FEWEST:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that small targets are good, and of regimes with few trials
        return PedAnovaImportanceEvaluator().evaluate(study, target=target)


def _by_chance(study: Study, objective: int) -> dict[str, float]:
    known = {t.number: t.values[objective] for t in _complete(study) if np.isfinite(t.values[objective])}
    rng = np.random.default_rng(0)
    found: dict[str, list[float]] = {}
    for _ in range(_SHUFFLES):
        shuffled = dict(zip(known, rng.permutation(list(known.values())).tolist(), strict=True))
        for key, value in _measure(study, objective, shuffled).items():
            found.setdefault(key, []).append(value)
    return {key: float(np.quantile(values, _CHANCE)) for key, values in found.items()}


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

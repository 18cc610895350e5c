"""A study as a sampler sees it: with some of its trials, so that their number costs little."""

from __future__ import annotations

__all__ = ["Glimpse", "Selection", "everything", "levelled", "nothing", "ranked", "thinned"]

import copy
from bisect import bisect
from collections.abc import Callable, Container
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState, create_trial

from caloforge.search.samplers.history import History
from caloforge.search.samplers.ranking import Standing, fronts, standing

if TYPE_CHECKING:
    from optuna.study import Study

_LATEST = 1000
_BEST = 25  # TPE's density of good trials is made of 25 at most
_OTHERS = 100  # of all, evenly over the study
_RUNNING = 100
_HUGE = 1e200

Selection = Callable[[History], list[FrozenTrial]]
"""Which of a study's trials, in the order of their numbers, a sampler sees."""


class Glimpse:
    """A study that shows some of its trials and is the study itself in everything else.

    Args:
        study: The study.
        trials: What it shows, in the order of their numbers.
    """

    def __init__(self, study: Study, trials: list[FrozenTrial]) -> None:
        self._study, self._shown = study, trials

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    def get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Return what is shown, as `Study.get_trials` does."""
        shown = [trial for trial in self._shown if states is None or trial.state in states]
        return copy.deepcopy(shown) if deepcopy else shown

    def _get_trials(
        self,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
        use_cache: bool = False,  # noqa: ARG002
    ) -> list[FrozenTrial]:
        # What Optuna's own samplers call.
        return self.get_trials(deepcopy, states)


def everything(history: History) -> list[FrozenTrial]:
    """All trials."""
    return list(history.trials)


def nothing(history: History) -> list[FrozenTrial]:  # noqa: ARG001
    """For what learns nothing."""
    return []


def ranked(history: History) -> list[FrozenTrial]:
    """The last trials, which hold the state of CMA-ES; broken constraints count as large values."""
    last = history.told[-_LATEST:]
    return [_punished(trial) for trial in last if trial.state == TrialState.COMPLETE]


def _punished(trial: FrozenTrial) -> FrozenTrial:
    place, violation, _ = standing(trial)
    if place == 2:
        trial = copy.copy(trial)
        trial.values = [_HUGE * violation]
    return trial


def levelled(select: Selection) -> Selection:
    """For Gaussian processes: all figures are finite, and all trials have all constraints.

    Infinite figures count as the largest finite one, and constraints that a trial lacks, as one that diverged
    does, as broken by as much as the worst.
    """

    def level(history: History) -> list[FrozenTrial]:
        trials = select(history)
        complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
        if not complete:
            return trials
        values = np.array([trial.values for trial in complete])
        worst = np.where(np.isfinite(values), values, -np.inf).max(0)
        worst[~np.isfinite(worst)] = 0.0
        broken: dict[str, float] = {}
        for trial in complete:
            for name, value in trial.constraints.items():
                broken[name] = max(value, broken.get(name, 1.0))
        return [_level(trial, worst, broken) for trial in trials]

    return level


def _level(trial: FrozenTrial, worst: NDArray[np.float64], broken: dict[str, float]) -> FrozenTrial:
    if trial.state != TrialState.COMPLETE:
        return trial
    constraints = {name: trial.constraints.get(name, value) for name, value in broken.items()}
    if np.isfinite(trial.values).all() and constraints == trial.constraints:
        return trial
    values = np.where(np.isfinite(trial.values), trial.values, worst).tolist()
    told = create_trial(
        values=values, params=trial.params, distributions=trial.distributions, constraints=constraints
    )
    told.number = trial.number
    return told


def thinned() -> Selection:
    """The best trials and some of the rest, evenly over the study, for what describes densities.

    Up to 100 finished trials are all shown. Beyond, the best 25 stay, and the rest is described by 100 of
    them: its density stays what it was, only less finely drawn.
    """
    order: list[tuple[Standing, int]] = []

    def select(history: History) -> list[FrozenTrial]:
        for entry in ((standing(trial), trial.number) for trial in history.new):
            place = bisect(order, entry)
            if not place or order[place - 1] != entry:
                order.insert(place, entry)
        chosen = {t.number: t for t in _evenly(history.running, _RUNNING) + _evenly(history.told, _OTHERS)}
        chosen |= {number: history.trials[number] for number in _best(history, order)}
        return [chosen[number] for number in sorted(chosen)]

    return select


def _best(history: History, order: list[tuple[Standing, int]]) -> list[int]:
    """Numbers of the best trials: of several objectives, those that fewest others beat in all of them."""
    first = [number for _, number in order[:_BEST]]
    if not first or len(history.trials[first[0]].values or ()) < 2:
        return first
    kept = [number for (place, _, _), number in order if place == 0]
    rows = fronts(np.array([history.trials[number].values for number in kept]), _BEST)
    return [kept[row] for row in rows[: 2 * _BEST]] + first[: _BEST - len(rows)]


def _evenly(trials: list[FrozenTrial], most: int) -> list[FrozenTrial]:
    if len(trials) <= most:
        return trials
    return [trials[i] for i in np.linspace(0, len(trials) - 1, most).astype(int)]

"""A study as a sampler sees it: with some of its trials, so that asking costs the same however many there are."""

from __future__ import annotations

__all__ = ["Glimpse", "Selection", "everything", "ranked", "thinned"]

import copy
from collections.abc import Callable, Container, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.search.samplers.ranking import Standing, fronts, standing

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial, TrialState

_LATEST = 1000
_BEST = 50  # TPE's density of good trials is made of 25 at most
_OTHERS = 350  # as many of the rest, evenly over time
_RUNNING = 100
_HUGE = 1e200

Selection = Callable[[Sequence["FrozenTrial"]], list["FrozenTrial"]]
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
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        # What Optuna's own samplers call.
        return self.get_trials(deepcopy, states)


def everything(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """All trials, read once for each that is asked for."""
    return list(trials)


def ranked(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The last trials, which hold the state of CMA-ES; broken constraints count as large values."""
    from optuna.trial import TrialState

    complete = [trial for trial in trials[-_LATEST:] if trial.state == TrialState.COMPLETE]
    return [_punished(trial) for trial in complete]


def _punished(trial: FrozenTrial) -> FrozenTrial:
    place, violation, _ = standing(trial)
    if place == 2:
        trial = copy.copy(trial)
        trial.values = [_HUGE * violation]
    return trial


def thinned() -> Selection:
    """The best trials and some of the rest, evenly over the study, for what describes densities.

    Up to 400 finished trials are all shown. Beyond, the good ones stay whole, and the rest is described by
    350 of them: its density stays what it was, only less finely drawn.
    """
    known: dict[int, Standing] = {}

    def select(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        from optuna.trial import TrialState

        used = [t for t in trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
        running = [t for t in trials if t.state == TrialState.RUNNING]
        if len(used) > _BEST + _OTHERS:
            known.update((t.number, standing(t)) for t in used if t.number not in known)
            used = _thin(used, [known[t.number] for t in used])
        return sorted(used + _evenly(running, _RUNNING), key=lambda trial: trial.number)

    return select


def _thin(trials: list[FrozenTrial], standings: list[Standing]) -> list[FrozenTrial]:
    best = _best(trials, np.array(standings))
    chosen = set(best)
    rest = [trial for i, trial in enumerate(trials) if i not in chosen]
    return [trials[i] for i in best] + _evenly(rest, _OTHERS)


def _best(trials: list[FrozenTrial], standings: np.ndarray[Any, np.dtype[np.float64]]) -> list[int]:
    order = np.lexsort(standings.T[::-1])
    kept = np.flatnonzero(standings[:, 0] == 0)
    if len(trials[0].values or ()) < 2 or len(kept) < _BEST:
        return [int(i) for i in order[:_BEST]]
    first = fronts(np.array([trials[i].values for i in kept]), _BEST)
    return [int(kept[i]) for i in first[: 2 * _BEST]]


def _evenly(trials: list[FrozenTrial], most: int) -> list[FrozenTrial]:
    if len(trials) <= most:
        return trials
    return [trials[i] for i in np.linspace(0, len(trials) - 1, most).astype(int)]

"""The trials of a study as they come to an end, without looking at each of them again and again."""

from __future__ import annotations

__all__ = ["History"]

from bisect import insort
from collections.abc import Sequence

from optuna.trial import FrozenTrial, TrialState

_TELLING = (TrialState.COMPLETE, TrialState.PRUNED)


class History:
    """What a sampler knows of a study.

    Attributes:
        trials: All trials, in the order of their numbers.
        told: Those that came to an end which tells something, in the same order. Failed ones tell nothing.
        new: Those of `told` that were not there before.
        running: Those that are being tried.
    """

    def __init__(self) -> None:
        self.trials: Sequence[FrozenTrial] = ()
        self.told: list[FrozenTrial] = []
        self.new: list[FrozenTrial] = []
        self.running: list[FrozenTrial] = []
        self._open: list[int] = []
        self._seen = 0  # storages in memory hand out the list that they go on with

    def update(self, trials: Sequence[FrozenTrial]) -> None:
        """Take notice of what has happened.

        Args:
            trials: All trials of the study. A finished trial never changes, and the number of a trial is its
                place.
        """
        looked_at = [trials[i] for i in self._open] + list(trials[self._seen :])
        self.trials, self._seen = trials, len(trials)
        self.new = [trial for trial in looked_at if trial.state in _TELLING]
        self.running = [trial for trial in looked_at if trial.state == TrialState.RUNNING]
        self._open = [trial.number for trial in looked_at if not trial.state.is_finished()]
        for trial in self.new:
            insort(self.told, trial, key=lambda one: one.number)

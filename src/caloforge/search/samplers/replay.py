"""State that follows from finished trials alone, and is kept from trial to trial."""

from __future__ import annotations

__all__ = ["Replay"]

from bisect import bisect, insort
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Generic, TypeVar

from caloforge.search.samplers.history import History

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

State = TypeVar("State")
_KEPT = 64


class Replay(Generic[State]):
    """Goes through the finished trials in the order in which they finished.

    Any process comes to the same state from the same trials. Where a trial turns up late that finished before
    others, it goes back to a state before that.

    Args:
        start: The state before any trial.
        step: Returns the state after one more trial, and leaves the one before as it is.
    """

    def __init__(self, start: State, step: Callable[[State, FrozenTrial], State]) -> None:
        self._step = step
        self._order: list[tuple[datetime, int]] = []  # when trials finished, and their numbers
        self._states = [(0, start)]  # how many trials, and the state after them

    def after(self, history: History) -> State:
        """Return the state after all that was told."""
        for trial in history.new:
            self._insert(trial)
        count, state = self._states[-1]
        for _, number in self._order[count:]:
            count, state = count + 1, self._step(state, history.trials[number])
            if count > len(self._order) - _KEPT:
                self._states.append((count, state))
        self._states = self._states[:1] + self._states[1:][-_KEPT:]
        return state

    def _insert(self, trial: FrozenTrial) -> None:
        if trial.datetime_complete is None:
            raise ValueError(f"trial {trial.number} has not finished")
        entry = (trial.datetime_complete, trial.number)
        place = bisect(self._order, entry)
        if place and self._order[place - 1] == entry:
            return  # several draws for one trial see the same news
        insort(self._order, entry)
        while self._states[-1][0] > place:
            self._states.pop()

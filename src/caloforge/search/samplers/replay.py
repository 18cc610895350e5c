"""State that follows from finished trials alone, kept from trial to trial so that nothing is computed twice."""

from __future__ import annotations

__all__ = ["Replay"]

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from caloforge.search.samplers.whole import completed

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

State = TypeVar("State")
_KEPT = 64


class Replay(Generic[State]):
    """Goes through the finished trials in the order in which they finished.

    Any process comes to the same state from the same trials. Where a trial turns up late that finished before
    others, it goes back to the last state before that.

    Args:
        start: The state before any trial.
        step: Returns the state after one more trial, and leaves the one before as it is.
    """

    def __init__(self, start: State, step: Callable[[State, FrozenTrial], State]) -> None:
        self._step = step
        self._order: list[int] = []
        self._states = [(0, start)]  # number of trials, and the state after them

    def after(self, trials: Sequence[FrozenTrial]) -> State:
        """Return the state after all trials that came to an end."""
        finished = sorted(completed(trials), key=lambda t: (t.datetime_complete, t.number))
        order = [trial.number for trial in finished]
        self._back_to(_common(self._order, order))
        count, state = self._states[-1]
        for i, trial in enumerate(finished[count:], start=count + 1):
            state = self._step(state, trial)
            if i > len(finished) - _KEPT:
                self._states.append((i, state))
        self._order, self._states = order, self._states[:1] + self._states[1:][-_KEPT:]
        return state

    def _back_to(self, count: int) -> None:
        while self._states[-1][0] > count:
            self._states.pop()


def _common(first: list[int], second: list[int]) -> int:
    """How many numbers both begin with."""
    if second[: len(first)] == first:
        return len(first)
    return next(i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b)

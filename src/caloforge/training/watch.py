"""Notices early that a training has gone wrong, and says what to do."""

from __future__ import annotations

__all__ = ["Watch"]

import math
from collections.abc import Mapping
from typing import NoReturn

from caloforge.errors import TrainingError

_DEAD_STEPS = 100
_SATURATED_STEPS = 2000
_SATURATED = 1e-4  # cross entropy of a critic that is 99.99 % sure


class Watch:
    """Looks at the mean losses since the last look and raises when going on is pointless.

    A generator is dead when its showers are empty or all alike; a critic is saturated when it has been sure
    of every shower for so long that nothing is left to learn from it.

    Args:
        saturates: The critic's losses are cross entropies. Wasserstein's have no floor: they go on teaching.
    """

    def __init__(self, saturates: bool = True) -> None:
        self._saturates = saturates
        self._dead = 0
        self._saturated = 0

    def look(self, losses: Mapping[str, float], steps: int, total: int) -> None:
        """Check one window.

        Args:
            losses: Means over the window.
            steps: Steps in the window.
            total: Steps of the whole training so far.

        Raises:
            TrainingError: The training has diverged.
        """
        broken = [name for name, value in losses.items() if not math.isfinite(value)]
        if broken:
            _stop("the training diverged: losses are no longer numbers", ", ".join(broken), total, "rate")
        empty = losses["response"] <= 0 or losses["spread"] <= 0
        self._dead = self._dead + steps if empty else 0
        if self._dead >= _DEAD_STEPS:
            what = "empty" if losses["response"] <= 0 else "all alike"
            _stop(
                "the generator is dead: its showers are " + what, f"{self._dead} steps of it", total, "rate"
            )
        sure = self._saturates and losses["critic_real"] < _SATURATED and losses["critic_fake"] < _SATURATED
        self._saturated = self._saturated + steps if sure else 0
        if self._saturated >= _SATURATED_STEPS:
            got = f"both of its losses below {_SATURATED:g} for {self._saturated} steps"
            _stop("the critic has won: the generator learns nothing from it any more", got, total, "critic")


def _stop(problem: str, got: str, total: int, what: str) -> NoReturn:
    cures = {
        "rate": "start anew with a smaller --set objective.generator_rate=... or another schedule.seed",
        "critic": "start anew with a smaller --set objective.critic_rate=...",
    }
    raise TrainingError(
        problem,
        where=f"step {total}",
        got=got,
        cure=cures[what] + "; the run keeps its last good weights and checkpoint",
    )

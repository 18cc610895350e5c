"""Notices early that a training has gone wrong, and says what to do."""

from __future__ import annotations

__all__ = ["Fault", "Watch"]

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from caloforge.errors import TrainingError

_DEAD_STEPS = 100
_ANEW = "another schedule.seed"


@dataclass(frozen=True)
class Fault:
    """Something that makes it pointless to go on.

    Attributes:
        sign: Finds it in the mean losses since the last look: the problem and what was seen, or None.
        patience: Steps in a row that it may last.
        cure: What to start anew with.
    """

    sign: Callable[[Mapping[str, float]], tuple[str, str] | None]
    patience: int
    cure: str


class Watch:
    """Looks at the mean losses since the last look and raises when going on is pointless.

    Every training is watched for losses that are no numbers, and for a generator that is dead: its showers
    are empty or all alike.

    Args:
        faults: What an objective is watched for besides.
        rates: Names of the learning rates, of which the generator's may be too large.
    """

    def __init__(self, faults: Iterable[Fault] = (), rates: Iterable[str] = ("generator",)) -> None:
        smaller = "a smaller --set objective.generator_rate=... or " if "generator" in rates else ""
        cure = smaller + _ANEW
        self._faults = (Fault(_broken, 0, cure), Fault(_dead, _DEAD_STEPS, cure), *faults)
        self._lasted = [0] * len(self._faults)

    def look(self, losses: Mapping[str, float], steps: int, total: int) -> None:
        """Check one window.

        Args:
            losses: Means over the window.
            steps: Steps in the window.
            total: Steps of the whole training so far.

        Raises:
            TrainingError: The training has diverged.
        """
        for number, fault in enumerate(self._faults):
            found = fault.sign(losses)
            self._lasted[number] = self._lasted[number] + steps if found else 0
            if found and self._lasted[number] >= fault.patience:
                problem, got = found
                raise TrainingError(
                    problem,
                    where=f"step {total}",
                    got=f"{got} for {self._lasted[number]} steps" if fault.patience else got,
                    cure=f"start anew with {fault.cure}; the run keeps its last good weights and checkpoint",
                )


def _broken(losses: Mapping[str, float]) -> tuple[str, str] | None:
    names = [name for name, value in losses.items() if not math.isfinite(value)]
    return ("the training diverged: losses are no longer numbers", ", ".join(names)) if names else None


def _dead(losses: Mapping[str, float]) -> tuple[str, str] | None:
    """Objectives that make no showers while they learn do not tell."""
    response, spread = losses.get("response", 1.0), losses.get("spread", 1.0)
    if response > 0 and spread > 0:
        return None
    what = "empty" if response <= 0 else "all alike"
    return (
        f"the generator is dead: its showers are {what}",
        f"response {response:.3g}, spread {spread:.3g} GeV",
    )

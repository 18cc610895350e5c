"""Learning rates in the course of a training: a function of the step alone, so that resuming is exact."""

from __future__ import annotations

__all__ = ["rate_factor"]

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from caloforge.training.recipe import ScheduleSettings

_STAIRS = 20  # an epoch: the published two-dimensional 3DGAN lowered its rates after each of 20 files


def rate_factor(schedule: ScheduleSettings, step: int, steps: int) -> float:
    """Return what the learning rates are multiplied with.

    Args:
        schedule: The recipe's.
        step: Steps done so far.
        steps: Steps of an epoch.
    """
    warm = min(1.0, (step + 1) / schedule.warm_up) if schedule.warm_up else 1.0
    if schedule.rates == "exponential":
        epochs = math.floor(_STAIRS * step / steps) / _STAIRS
        return warm * math.exp(-schedule.decay * max(0.0, epochs - schedule.decay_after))
    if schedule.rates == "cosine":
        total = schedule.epochs * steps
        past = max(0, step - schedule.warm_up) / max(1, total - schedule.warm_up)
        return warm * (1 + math.cos(math.pi * min(1.0, past))) / 2
    return warm

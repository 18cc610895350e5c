"""A running average of a generator's weights, which is steadier than any one step of it."""

from __future__ import annotations

__all__ = ["begin_alone", "follow", "follow_alone", "start_average"]

from copy import deepcopy
from typing import TYPE_CHECKING

import torch

from caloforge.training.objectives.gradients import make_optimiser

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from caloforge.models.base import Generator
    from caloforge.training.objectives.base import Objective
    from caloforge.training.objectives.settings import GradientSettings


def start_average(generator: Generator) -> Generator:
    """Return a copy of a generator, which nothing but `follow` changes."""
    return deepcopy(generator).requires_grad_(False)


@torch.no_grad()
def follow(average: Generator, generator: Generator, optimiser: Optimizer, memory: float) -> None:
    """Move the average a little towards the generator, the statistics of its norms too.

    Args:
        average: From `start_average`.
        generator: What it follows.
        optimiser: Of the generator; knows how many steps were taken.
        memory: Share of the old average that stays; less at first, as what the generator was before it
            learned is no part of what is wanted.
    """
    (state, *_) = optimiser.state.values()
    device = next(iter(average.state_dict().values())).device
    steps = torch.as_tensor(state["step"], device=device)
    move = 1 - ((1 + steps) / (10 + steps)).clamp(max=memory)
    for mean, value in zip(average.state_dict().values(), generator.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(value, move.to(mean.dtype))


def begin_alone(objective: Objective, settings: GradientSettings) -> None:
    """Make the optimiser of an objective whose generator alone learns, and its average if one is wanted."""
    generator = objective.generator
    objective.rates = {"generator": settings.generator_rate}
    objective.optimisers = {"generator": make_optimiser(generator, settings.generator_rate, settings)}
    if settings.average:
        objective.modules["average"] = objective.result = start_average(generator)


def follow_alone(objective: Objective, settings: GradientSettings) -> None:
    """Let the average, if there is one, follow the step that such a generator has taken."""
    if settings.average:
        follow(objective.result, objective.generator, objective.optimisers["generator"], settings.average)

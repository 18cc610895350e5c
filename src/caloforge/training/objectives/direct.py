"""The objective of models that say themselves how well they fit real showers."""

from __future__ import annotations

__all__ = ["DirectObjective"]

from typing import TYPE_CHECKING, cast

import torch

from caloforge.models.blocks.processes import rank
from caloforge.training.objectives.average import begin_alone, follow_alone
from caloforge.training.objectives.base import Objective
from caloforge.training.objectives.gradients import descend, in_parts

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from caloforge.models.base import Generator
    from caloforge.models.transport.generator import TransportGenerator
    from caloforge.training.hardware import Hardware
    from caloforge.training.objectives.base import Task
    from caloforge.training.objectives.settings import DirectSettings

_SEEDS = 1 << 62


class DirectObjective(Objective):
    """Follows the gradient of the generator's own losses; no shower is made on the way.

    Args:
        generator: It has `losses`.
        settings: The `objective` part of a recipe.
        hardware: Where and how precisely it is computed.
        accumulate: Parts of a batch that are computed one after another before a step.
    """

    shown = {"whole": "whole shower", "cells": "cells"}  # noqa: RUF012 - a class variable of the contract

    def __init__(
        self, generator: TransportGenerator, settings: DirectSettings, hardware: Hardware, accumulate: int = 1
    ) -> None:
        super().__init__(generator, hardware)
        self.learner, self.settings, self.accumulate = generator, settings, accumulate

    @classmethod
    def of(cls, generator: Generator, task: Task) -> Self:
        settings = cast("DirectSettings", task.recipe.objective)
        learner = cast("TransportGenerator", generator)
        return cls(learner, settings, task.hardware, task.recipe.schedule.accumulate)

    def begin(self) -> None:
        super().begin()
        begin_alone(self, self.settings)

    def step(self, cells: Tensor, incident: Tensor) -> dict[str, Tensor]:
        """Learn from one batch of real showers; returns `whole` and `cells`.

        Each process draws random numbers of its own, and all go on with the same ones afterwards.
        """
        parts = in_parts(self.accumulate, cells, incident)
        losses = (self.learner.losses(real, given) for real, given in parts)
        seed = int(torch.randint(_SEEDS, ())) + rank()
        device = self.hardware.device
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            optimiser, longest = self.optimisers["generator"], self.settings.longest
            terms = descend(self.generator, optimiser, losses, self.accumulate, longest)
        follow_alone(self, self.settings)
        return terms

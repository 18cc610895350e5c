"""The objective of models that say themselves how well they fit real showers."""

from __future__ import annotations

__all__ = ["DirectObjective"]

from typing import TYPE_CHECKING, cast

from caloforge.training.objectives.average import follow, start_average
from caloforge.training.objectives.base import Objective
from caloforge.training.objectives.gradients import descend, in_parts, make_optimiser

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from caloforge.models.base import Generator
    from caloforge.models.transport.generator import TransportGenerator
    from caloforge.training.hardware import Hardware
    from caloforge.training.objectives.base import Task
    from caloforge.training.objectives.settings import DirectSettings


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
        self.rates = {"generator": self.settings.generator_rate}
        self.optimisers = {
            "generator": make_optimiser(self.generator, self.settings.generator_rate, self.settings)
        }
        if self.settings.average:
            self.modules["average"] = self.result = start_average(self.generator)

    def step(self, cells: Tensor, incident: Tensor) -> dict[str, Tensor]:
        """Learn from one batch of real showers; returns `whole` and `cells`."""
        parts = in_parts(self.accumulate, cells, incident)
        losses = (self.learner.losses(real, given) for real, given in parts)
        optimiser = self.optimisers["generator"]
        terms = descend(self.generator, optimiser, losses, self.accumulate, self.settings.longest)
        if self.settings.average:
            follow(self.result, self.generator, optimiser, self.settings.average)
        return terms

"""The objective without a critic: observables of generated showers are to be distributed as Geant4's."""

from __future__ import annotations

__all__ = ["DistanceObjective"]

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from caloforge.evolution.fitness.fitness import Fitness
from caloforge.evolution.fitness.settings import FitnessSettings
from caloforge.models.blocks.energy_distance import of_the_same
from caloforge.models.blocks.processes import gather
from caloforge.training.objectives.average import begin_alone, follow_alone
from caloforge.training.objectives.base import Objective
from caloforge.training.objectives.gradients import descend, energies, in_parts, own_noise

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Self

    from caloforge.models.base import Generator
    from caloforge.training.hardware import Hardware
    from caloforge.training.objectives.base import Task
    from caloforge.training.objectives.settings import DistanceSettings


class DistanceObjective(Objective):
    """Follows the gradient of the energy distance of observables, for the particles of each batch.

    Args:
        generator: Whose showers are to become like Geant4's.
        observer: What measures showers.
        settings: The `objective` part of a recipe.
        hardware: Where and how precisely it is computed.
        accumulate: Parts of a batch that are computed one after another before a step.
    """

    shown = {"distance": "energy distance"}  # noqa: RUF012 - a class variable of the contract

    def __init__(
        self,
        generator: Generator,
        observer: Fitness,
        settings: DistanceSettings,
        hardware: Hardware,
        accumulate: int = 1,
    ) -> None:
        super().__init__(generator, hardware)
        self.observer, self.settings, self.accumulate = observer, settings, accumulate
        self.networks["observer"] = observer

    @classmethod
    def of(cls, generator: Generator, task: Task) -> Self:
        settings = cast("DistanceSettings", task.recipe.objective)
        particles = getattr(task.recipe.model, "particles", ())
        observer = Fitness(task.detector, FitnessSettings(), generator.conditions, particles)
        return cls(generator, observer, settings, task.hardware, task.recipe.schedule.accumulate)

    def begin(self) -> None:
        super().begin()
        begin_alone(self, self.settings)

    def step(self, cells: Tensor, incident: Tensor) -> dict[str, Tensor]:
        """Learn from one batch of real showers; returns `distance` and `energies`."""
        noise = own_noise(self.generator, len(incident), self.hardware.device)
        sums: list[Tensor] = []

        def losses() -> Iterator[dict[str, Tensor]]:
            for seed, given, real in in_parts(self.accumulate, noise, incident, cells):
                with self.hardware.autocast():
                    made = self.generator(seed, given)
                sums.append(torch.stack([made.detach().sum(1), real.sum(1)]))
                yield {"distance": self._distance(made.float(), real, given)}

        terms = descend(self.generator, self.optimisers["generator"], losses(), self.accumulate)
        follow_alone(self, self.settings)
        return terms | energies(*torch.cat(sums, dim=1))

    def _distance(self, made: Tensor, real: Tensor, incident: Tensor) -> Tensor:
        given = self.observer.incidence(incident)
        seen, truth = (self.observer.observe(cells, incident) for cells in (made, real))
        return of_the_same(*(gather(part) for part in (seen, truth, given))).mean()

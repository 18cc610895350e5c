"""A toy: energy distance of cells, without a critic; as a file of `training/objectives/` would be."""

from __future__ import annotations

__all__ = ["ToyObjective"]

from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from caloforge.training.objectives.average import follow, start_average
from caloforge.training.objectives.base import Objective
from caloforge.training.objectives.gradients import descend, energies, in_parts, make_optimiser, own_noise

if TYPE_CHECKING:
    from typing_extensions import Self

    from caloforge.models.base import Generator
    from caloforge.training.objectives.base import Task
    from caloforge.training.objectives.settings import ToySettings


class ToyObjective(Objective):
    """Brings generated showers near to the real ones of the same incident particles."""

    def __init__(self, generator: Generator, settings: ToySettings, task: Task) -> None:
        super().__init__(generator, task.hardware)
        self.settings, self.accumulate = settings, task.recipe.schedule.accumulate

    @classmethod
    def of(cls, generator: Generator, task: Task) -> Self:
        return cls(generator, cast("ToySettings", task.recipe.objective), task)

    def begin(self) -> None:
        super().begin()
        self.rates["generator"] = self.settings.generator_rate
        self.optimisers["generator"] = make_optimiser(
            self.generator, self.settings.generator_rate, self.settings
        )
        if self.settings.average:
            self.modules["average"] = self.result = start_average(self.generator)

    def step(self, cells: Tensor, incident: Tensor) -> dict[str, Tensor]:
        noise = own_noise(self.generator, len(cells), self.hardware.device)
        sums: list[Tensor] = []

        def losses() -> Iterator[dict[str, Tensor]]:
            for seed, real, given in in_parts(self.accumulate, noise, cells, incident):
                with self.hardware.autocast():
                    made = self.generator(seed, given)
                sums.append(torch.stack([made.detach().sum(1), real.sum(1)]))
                yield {"generator": _distance(made / given[:, :1], real / given[:, :1])}

        told = descend(self.generator, self.optimisers["generator"], losses(), self.accumulate)
        if self.settings.average:
            follow(self.result, self.generator, self.optimisers["generator"], self.settings.average)
        return told | energies(*torch.cat(sums, dim=1))


def _distance(made: Tensor, real: Tensor) -> Tensor:
    """Energy distance of two samples of vectors."""
    n = len(made)
    between = torch.cdist(made, real).mean()
    within = [torch.cdist(x, x).sum() / (n * (n - 1)) for x in (made, real)]
    return 2 * between - within[0] - within[1]

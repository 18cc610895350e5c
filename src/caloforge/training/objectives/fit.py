"""The objective of models that are fitted: what they measured of real showers is all of it."""

from __future__ import annotations

__all__ = ["FitObjective"]

from typing import TYPE_CHECKING, NoReturn

from caloforge.training.objectives.base import Objective

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from caloforge.models.base import Generator
    from caloforge.training.objectives.base import Task


class FitObjective(Objective):
    """Has nothing to step through."""

    learns = False

    @classmethod
    def of(cls, generator: Generator, task: Task) -> Self:
        return cls(generator, task.hardware)

    def step(self, cells: Tensor, incident: Tensor) -> NoReturn:
        raise NotImplementedError("a fit has no steps")

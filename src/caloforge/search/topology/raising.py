"""From an unborn genome to an individual: its weights evolve for some steps, then it is judged."""

from __future__ import annotations

__all__ = ["Raised", "Raiser"]

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
import torch
from safetensors.torch import load, save
from threadpoolctl import threadpool_limits
from torch import Tensor

from caloforge.errors import RecipeError, TrainingError
from caloforge.evolution.population.showers import noise_for
from caloforge.models.blocks.threads import one_thread
from caloforge.models.grown.generator import GrownGenerator
from caloforge.training.objectives.base import Task
from caloforge.training.objectives.evolution.elsewhere import Reading
from caloforge.training.objectives.evolution.objective import EvolutionObjective

if TYPE_CHECKING:
    from caloforge.detector import Detector
    from caloforge.evolution.fitness.fitness import Fitness
    from caloforge.evolution.settings import EvolutionSettings
    from caloforge.models.settings import GrownSettings
    from caloforge.training.recipe import Recipe

_NOISE, _WEIGHTS = 52, 53  # tell these random numbers apart from others of the seed


class Raised(NamedTuple):
    """What became of an unborn genome.

    Attributes:
        weights: Its generator's tensors, as safetensors.
        terms: Of the fitness and their sum, `fitness`, on showers that select; infinite: it makes none.
        course: The best fitness in each step.
    """

    weights: bytes
    terms: dict[str, float]
    course: tuple[float, ...]


class Raiser:
    """Raises one genome after the other, here or on a worker, with the same result.

    The individuals that an algorithm proposes for a genome's weights are of one shape, so each of its steps
    judges them in the batched pass of `evolution.population`; genomes are done one by one.

    Args:
        recipe: Of the evolution.
        detector: Whose showers.
        fitness: Which has measured real showers.
        paths: Shower files, under these names on every machine.
    """

    def __init__(self, recipe: Recipe, detector: Detector, fitness: Fitness, paths: Sequence[Path]) -> None:
        self._recipe, self._detector, self._fitness = recipe, detector, fitness
        self._paths = [path.absolute() for path in paths]
        self._reading: Reading | None = None

    def __call__(self, number: int, model: GrownSettings, weights: bytes, first: int, steps: int) -> Raised:
        """Raise a genome.

        Args:
            number: Names it, and with the recipe's seed decides what is random.
            model: Its settings.
            weights: Its tensors, as safetensors.
            first: Number of the first batch, the same for all that are born together.
            steps: Generations of its weights.
        """
        with threadpool_limits(1), one_thread(), torch.random.fork_rng([]):
            random = np.random.default_rng((self._recipe.schedule.seed, _WEIGHTS, number))
            torch.manual_seed(int(random.integers(2**62)))
            objective = self._objective(model, load(weights), int(random.integers(2**62)))
            course = tuple(self._evolve(objective, first, steps))
            tensors = {
                name: value.cpu().contiguous() for name, value in objective.generator.state_dict().items()
            }
            return Raised(save(tensors), self._judge(objective), course)

    def close(self) -> None:
        """Close the shower files."""
        if self._reading is not None:
            self._reading.data.close()

    def _objective(self, model: GrownSettings, weights: dict[str, Tensor], seed: int) -> EvolutionObjective:
        recipe = member_recipe(self._recipe, model)
        seeded = recipe.schedule.model_copy(update={"seed": seed})
        generator = GrownGenerator(self._detector, model)
        if self._reading is None:
            self._reading = Reading(recipe, self._paths, self._detector, generator.conditions)
        task = Task(
            recipe.model_copy(update={"schedule": seeded}),
            self._detector,
            self._reading.data,
            self._reading.hardware,
        )
        objective = EvolutionObjective.of(generator, task)  # sees how weights of such a network are drawn
        generator.load_state_dict(weights)
        objective.fitness.load_state_dict(self._fitness.state_dict())
        objective.warm = True
        objective.begin()
        return objective

    def _evolve(self, objective: EvolutionObjective, first: int, steps: int) -> Iterator[float]:
        assert self._reading is not None
        for number in range(first, first + steps):
            try:
                told = objective.step(*self._reading.batch(number))
            except TrainingError:  # none of its neighbours makes showers: it is judged as it is
                return
            yield float(told["best"])

    @torch.no_grad()
    def _judge(self, objective: EvolutionObjective) -> dict[str, float]:
        """Judge by showers that select; all individuals get the same noise for the same showers."""
        assert self._reading is not None
        generator, fitness, seed = objective.generator, objective.fitness, self._recipe.schedule.seed
        cells, incident = judging(self._reading, cast("EvolutionSettings", self._recipe.objective).again)
        made = generator(noise_for(generator, incident, (seed, _NOISE)), incident).unsqueeze(0)
        terms = fitness(made, cells, incident, fitness.along((seed, _NOISE)))
        return {name: float(term[0]) for name, term in terms.items()}


def judging(reading: Reading, most: int) -> tuple[Tensor, Tensor]:
    """Return the showers that judge individuals: at most the first half of those that select.

    The others tell what the front is worth, as no generation saw them.

    Raises:
        RecipeError: There are none.
    """
    selection = reading.data.selection
    showers = None if selection is None else reading.selected(min(most, len(selection) // 2))
    if showers is None or len(showers[0]) < 2:
        raise RecipeError(
            "too few showers select, and those judge the individuals",
            where="data.select",
            got=0 if selection is None else len(selection),
            expected="at least 4",
            cure="give more showers, or --set data.select=0.15",
        )
    return showers


def member_recipe(recipe: Recipe, model: GrownSettings) -> Recipe:
    """Return the recipe of one generator: its own stages, which stay as they are."""
    return recipe.model_copy(update={"model": model, "topology": None})

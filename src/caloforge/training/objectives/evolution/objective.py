"""The objective without a gradient: a population, of which each step judges a generation."""

from __future__ import annotations

__all__ = ["EvolutionObjective"]

import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from caloforge.errors import RunError
from caloforge.evolution.evolving import Evolving, evolved, initial
from caloforge.evolution.fitness.faulty import all_numbers
from caloforge.evolution.fitness.fitness import Fitness
from caloforge.evolution.judge import Judge
from caloforge.training.objectives.base import Objective
from caloforge.training.objectives.evolution.alone import alone
from caloforge.training.objectives.evolution.elsewhere import Elsewhere, Spread, Terms, selected
from caloforge.training.objectives.evolution.kept import Kept
from caloforge.training.objectives.gradients import energies
from caloforge.training.pretrained import run_folder
from caloforge.training.run import Run
from caloforge.training.weights import weights_below

if TYPE_CHECKING:
    from typing_extensions import Self

    from caloforge.evolution.algorithms.base import Generation
    from caloforge.evolution.settings import EvolutionSettings
    from caloforge.models.base import Generator
    from caloforge.training.objectives.base import Task


class EvolutionObjective(Objective):
    """Lets a population of generators have children; the best of it is the generator.

    All individuals of a generation make showers of the same noise for the particles of one batch, and are
    compared with its showers. Those whose showers are no numbers, or empty, count as the worst.

    Args:
        generator: Whose weights evolve.
        fitness: What they are judged by.
        settings: The `objective` part of a recipe.
        task: What it learns from, and where: in this process, or on a cluster.
    """

    shown = {"best": "best", "median": "median", "worst": "worst"}  # noqa: RUF012 - of the contract

    def __init__(
        self,
        generator: Generator,
        fitness: Fitness,
        settings: EvolutionSettings,
        task: Task,
    ) -> None:
        super().__init__(generator, task.hardware)
        self.settings, self.fitness, self.task = settings, fitness, task
        self.networks["fitness"] = fitness
        self._evolved = evolved(generator, settings.evolve)
        self._initial = initial(generator, self._evolved)
        self._judge: Judge | None = None
        self._spread: Spread | None = None
        self._since, self._evaluated = time.monotonic(), 0

    @classmethod
    def of(cls, generator: Generator, task: Task) -> Self:
        settings = cast("EvolutionSettings", task.recipe.objective)
        alone(task.recipe)
        particles = getattr(task.recipe.model, "particles", ())
        fitness = Fitness(task.detector, settings.fitness, generator.conditions, particles)
        return cls(generator, fitness, settings, task)

    def begin(self) -> None:
        super().begin()
        self.generator.eval()
        self.fitness.eval()
        settings = self.settings
        self.evolving = Evolving(
            self._evolved,
            self._initial,
            self.warm,
            settings.algorithm,
            settings.coding,
            self._seed,
            self._examples(),
        )
        self.algorithm = self.evolving.algorithm
        self.modules["evolution"] = Kept(algorithm=self.algorithm)

    def step(self, cells: Tensor, incident: Tensor) -> dict[str, Tensor]:
        """Judge a generation by one batch of real showers, and let it have children.

        Args:
            cells: `(n, n_cells)` MeV, on the device.
            incident: `(n, k)` MeV, rad, mm.

        Returns:
            Numbers that stay on the host: fitness of the `best`, the `median` and the `worst`; its standard
            `deviation`; how many `individuals` there were, and how many were `faulty`; bytes of one, `bytes`;
            for each term that of the best; and `energies` of the generator that has come out of it.

        Raises:
            TrainingError: Not one of the individuals makes showers.
        """
        judge = self._judged(incident)
        generation = self.algorithm.ask()
        terms = self._terms(judge, generation, (cells, incident))
        fitness, faulty = all_numbers(terms["fitness"])
        self._evaluated += len(fitness)
        self.algorithm.tell(fitness)
        self._choose(judge, (cells, incident))
        self.evolving.give_best()
        made = judge.showers(self.algorithm.generation - 1, incident)
        best = int(fitness.argmin())
        told = {
            "best": fitness[best],
            "median": np.median(fitness),
            "worst": fitness.max(),
            "deviation": fitness.std(),
            "individuals": len(fitness),
            "faulty": faulty,
            "bytes": np.mean([len(one) for one in generation.chromosomes]),
            **{f"best_{name}": values[best] for name, values in terms.items() if name != "fitness"},
        }
        numbers = {name: torch.tensor(float(value)) for name, value in told.items()}
        return numbers | energies(made.sum(1).cpu(), cells.sum(1).cpu())

    def note(self, losses: Mapping[str, float]) -> str:
        now = time.monotonic()
        speed = self._evaluated / max(now - self._since, 1e-9)
        self._since, self._evaluated = now, 0
        return (
            f"best {losses['best']:.4g}, median {losses['median']:.4g} ± {losses['deviation']:.2g}, "
            f"{speed:.0f} evaluations/s"
        )

    def compile(self) -> None:
        """Networks of a population are not compiled: each has weights of its own."""

    def close(self) -> None:
        if self._spread is not None:
            self._spread.close()

    @property
    def _seed(self) -> int:
        return self.task.recipe.schedule.seed

    def _examples(self) -> list[dict[str, NDArray[np.float32]]]:
        """Weights of the trained runs that the coding takes its directions from."""
        coding = self.settings.coding
        if coding.kind != "directions":
            return []
        found = []
        for folder in coding.runs:
            run = Run.open(run_folder(Path(folder)))
            weights = weights_below(run.read(run.weights)[0], "generator")
            found.append({name: weights[name].numpy() for name in self._evolved if name in weights})
            _of_the_same_model(found[-1], self._evolved, folder)
        return found

    @cached_property
    def _selected(self) -> tuple[Tensor, Tensor] | None:
        task = self.task
        return selected(task.data, self.generator.conditions, task.hardware.device, self.settings.again)

    def _judged(self, incident: Tensor) -> Judge:
        if self._judge is None:
            judge = Judge(
                self.generator, self.fitness, self.evolving.coding, self.settings, incident, self._seed
            )
            self._judge = judge
            if self.task.cluster is not None:
                there = Elsewhere(judge.copy(), self.task.recipe, self.task.data.paths, self.settings.again)
                self._spread = Spread(self.task.cluster, there)
        return self._judge

    def _terms(
        self, judge: Judge, individuals: Generation, showers: tuple[Tensor, Tensor], elite: bool = False
    ) -> Terms:
        """Judge individuals here, or elsewhere, where the showers are read anew."""
        number = self.algorithm.generation - elite
        parts = [(individuals.shared, part, number) for part in judge.parts(individuals)]
        if self._spread is not None:
            judged = self._spread((*part, elite) for part in parts)
            self.elsewhere += sum(spent for _, spent in judged)
            found = [terms for terms, _ in judged]
        else:
            found = [judge(*part, *showers, elite=elite) for part in parts]
        return {name: np.concatenate([one[name] for one in found]) for name in found[0]}

    def _choose(self, judge: Judge, batch: tuple[Tensor, Tensor]) -> None:
        """Judge the elites again, on showers that select; where none do, on those of the batch."""
        elites = self.algorithm.elites()
        if elites is None:
            return
        terms = self._terms(judge, elites, self._selected or batch, elite=True)
        self.algorithm.choose(all_numbers(terms["fitness"])[0])


def _of_the_same_model(
    weights: Mapping[str, NDArray[np.float32]], wanted: Mapping[str, Tensor], folder: str
) -> None:
    for name, weight in wanted.items():
        got = weights[name].shape if name in weights else None
        if got != tuple(weight.shape):
            raise RunError(
                "this run has another model than the recipe, so its weights show no directions",
                where=folder,
                got=f"{name} of shape {got}" if got else f"no {name}",
                expected=f"{name} of shape {tuple(weight.shape)}",
                cure="name runs with the recipe's own section model in objective.coding.runs",
            )

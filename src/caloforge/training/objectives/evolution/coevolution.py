"""Two populations against each other: an adversarial training without gradients."""

from __future__ import annotations

__all__ = ["CoevolutionObjective"]

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from caloforge.errors import RecipeError
from caloforge.evolution.algorithms import make_algorithm
from caloforge.evolution.archive import Archive
from caloforge.evolution.codings import make_coding
from caloforge.evolution.fitness.fitness import Fitness
from caloforge.evolution.judge import all_numbers, evolved, initial, one_thread
from caloforge.evolution.noise import random_generator
from caloforge.evolution.population.pieces import Pieces
from caloforge.evolution.population.readings import Meetings, readings_of_each
from caloforge.evolution.population.showers import batchable, showers_of_each
from caloforge.models import build_critic
from caloforge.models.blocks.energy_distance import directions
from caloforge.models.blocks.noise import draw_noise
from caloforge.training.objectives.base import Objective
from caloforge.training.objectives.evolution.alone import alone
from caloforge.training.objectives.evolution.kept import Kept
from caloforge.training.objectives.gradients import energies

if TYPE_CHECKING:
    from typing_extensions import Self

    from caloforge.evolution.algorithms.base import Algorithm
    from caloforge.evolution.codings.base import Coding
    from caloforge.evolution.settings import AlgorithmSettings, CoevolutionSettings
    from caloforge.models.base import Critic, Generator
    from caloforge.training.objectives.base import Task

_MEET, _NOISE = 1 << 61, 44  # tell random numbers apart
_TRIED = 9
_JUDGES = "trunk.*", "body.*"


class Side:
    """One of the two populations.

    Args:
        weights: Those that evolve, by name.
        algorithm: How.
        settings: Of the objective.
        warm: Whether they were given.
        seed: Of all random numbers of this side.
        begin: Where an initialisation draws around, and how widely.
    """

    def __init__(
        self,
        weights: Mapping[str, nn.Parameter],
        algorithm: AlgorithmSettings,
        settings: CoevolutionSettings,
        warm: bool,
        seed: int,
        begin: tuple[dict[str, NDArray[np.float32]], dict[str, float]],
    ) -> None:
        centre, spread = begin
        if warm:
            centre = {name: weight.detach().cpu().numpy() for name, weight in weights.items()}
        shapes = {name: tuple(weight.shape) for name, weight in weights.items()}
        self.weights, self._seed = weights, seed
        self.device = next(iter(weights.values())).device
        self.coding: Coding = make_coding(settings.coding, shapes, centre, spread).to(self.device)
        self.algorithm: Algorithm[Any] = make_algorithm(
            algorithm.beginning_with(warm), self.coding.start, self.coding.spread, seed, self.coding.evolving
        )
        self.archive = Archive(settings.archive, self.coding.size, seed)

    def genes(self) -> NDArray[np.float32]:
        """Return those of this generation, `(population, size)`."""
        generation = self.algorithm.ask()
        return self.algorithm.decode(generation.shared, generation.chromosomes, self.coding.size)

    def opponents(self, genes: NDArray[np.float32], count: int) -> NDArray[np.float32]:
        """Return some of this generation and, if there are any, as many of those who won before."""
        random = random_generator(self._seed + _MEET, self.algorithm.generation)
        old = min(count // 2, len(self.archive))
        now = random.choice(len(genes), min(count - old, len(genes)), replace=False)
        before = random.choice(len(self.archive), old, replace=False) if old else np.zeros(0, np.int64)
        return np.concatenate([genes[now], self.archive.genes[before]])

    def decoded(self, genes: NDArray[np.float32]) -> dict[str, Tensor]:
        """Return weights of individuals, `(k, *shape)` each."""
        return self.coding.decode(torch.from_numpy(np.ascontiguousarray(genes)).to(self.device))

    def learn(self, losses: Tensor) -> tuple[NDArray[np.float64], int]:
        """Let the next generation be born; return the fitness of this one, and how many were faulty."""
        fitness, faulty = all_numbers(losses.double().cpu().numpy())
        self.algorithm.tell(fitness)
        self.archive.put(self.algorithm.best())
        return fitness, faulty

    def give(self) -> None:
        """Let the network have the weights of the best."""
        with torch.no_grad():
            for name, value in self.decoded(self.algorithm.best()[None]).items():
                self.weights[name].copy_(value[0])


class CoevolutionObjective(Objective):
    """Generators and critics evolve against each other (after arXiv:2507.13157).

    In each generation everyone meets some of the other side: half of this generation, half of a hall of fame.
    Generators are worth how real the critics call their showers; critics, how well they tell these from
    Geant4's. Each generation is replaced as a whole: an elite would win against opponents that are gone.

    Args:
        generator: What is wanted.
        critic: What judges.
        settings: The `objective` part of a recipe.
        task: What it learns from, and where.
    """

    shown = {"generator": "generators", "critic": "critics"}  # noqa: RUF012 - of the contract

    def __init__(
        self, generator: Generator, critic: Critic, settings: CoevolutionSettings, task: Task
    ) -> None:
        super().__init__(generator, task.hardware)
        self.critic, self.settings, self.task = critic, settings, task
        self.networks["critic"] = critic
        self.fitness: Fitness | None = None
        if settings.fitness is not None:
            particles = getattr(task.recipe.model, "particles", ())
            self.fitness = Fitness(task.detector, settings.fitness, generator.conditions, particles)
            self.networks["fitness"] = self.fitness
        # Of the critic, what estimates the incident energy has no part in this.
        self._evolved = evolved(generator, ("*",)), evolved(critic, _JUDGES)
        self._initial = [initial(weights) for weights in self._evolved]
        self._way: tuple[bool, Pieces] | None = None

    @classmethod
    def of(cls, generator: Generator, task: Task) -> Self:
        alone(task.recipe)
        if task.cluster is not None:
            raise RecipeError(
                "two populations against each other evolve in one process",
                where="--jobs or --cluster",
                cure="leave it out",
            )
        settings = cast("CoevolutionSettings", task.recipe.objective)
        return cls(generator, build_critic(task.recipe.model, task.detector), settings, task)

    def begin(self) -> None:
        super().begin()
        for network in self.networks.values():
            network.eval()
        settings, seed = self.settings, self.task.recipe.schedule.seed
        self.makers, self.critics = (
            Side(weights, algorithm, settings, self.warm, seed + number, begin)
            for number, (weights, algorithm, begin) in enumerate(
                zip(self._evolved, (settings.algorithm, settings.critics), self._initial, strict=True)
            )
        )
        self.modules["evolution"] = Kept(
            generators=self.makers.algorithm,
            critics=self.critics.algorithm,
            past_generators=self.makers.archive,
            past_critics=self.critics.archive,
        )

    @torch.no_grad()
    def step(self, cells: Tensor, incident: Tensor) -> dict[str, Tensor]:
        """Let one generation of each side meet.

        Returns:
            Best losses, `generator` and `critic`, their medians and `deviation`s; how many were `faulty`; and
            `energies` of the generator that has come out of it.
        """
        with one_thread():
            makers, critics = self.makers.genes(), self.critics.genes()
            noise, number = self._noise(incident), self.makers.algorithm.generation
            losses = self._generators(makers, critics, cells, incident, noise, number)
            self_losses = self._critics(makers, critics, cells, incident, noise)
            found = {"generator": self.makers.learn(losses), "critic": self.critics.learn(self_losses)}
            for side in (self.makers, self.critics):
                side.give()
            made: Tensor = self.generator(noise, incident)
        told: dict[str, float] = {}
        for name, (fitness, faulty) in found.items():
            told |= {
                name: fitness.min(),
                f"{name}_median": float(np.median(fitness)),
                f"{name}_faulty": faulty,
            }
        told["deviation"] = found["generator"][0].std()
        numbers = {name: torch.tensor(float(value)) for name, value in told.items()}
        return numbers | energies(made.sum(1).cpu(), cells.sum(1).cpu())

    def note(self, losses: Mapping[str, float]) -> str:
        return (
            f"generators {losses['generator']:.3f} (median {losses['generator_median']:.3f}), "
            f"critics {losses['critic']:.3f} ({losses['critic_median']:.3f})"
        )

    def compile(self) -> None:
        """Networks of a population are not compiled: each has weights of its own."""

    def _generators(
        self,
        makers: NDArray[np.float32],
        critics: NDArray[np.float32],
        cells: Tensor,
        incident: Tensor,
        noise: Tensor,
        number: int,
    ) -> Tensor:
        """What each generator is worth to some critics, and to physics."""
        judges = self.critics.opponents(critics, self.settings.opponents)
        weights = self.critics.decoded(judges)
        found: list[Tensor] = []
        for showers in self._showers(makers, noise, incident):
            said = self._said(weights, len(judges), showers, incident)
            losses = Meetings.of(said.new_zeros(len(judges), 1), said).generators
            if self.fitness is not None:
                losses = losses + self.fitness(showers, cells, incident, self._along(number))["fitness"]
            found.append(losses.masked_fill(_broken(showers), torch.inf))
        return torch.cat(found)

    def _critics(
        self,
        makers: NDArray[np.float32],
        critics: NDArray[np.float32],
        cells: Tensor,
        incident: Tensor,
        noise: Tensor,
    ) -> Tensor:
        """What each critic is worth before real showers and those of some generators."""
        chosen = self.makers.opponents(makers, self.settings.opponents)
        showers = torch.cat(list(self._showers(chosen, noise, incident))).nan_to_num(0, 0, 0)
        found: list[Tensor] = []
        for first in range(0, len(critics), self.settings.opponents):
            part = critics[first : first + self.settings.opponents]
            weights = self.critics.decoded(part)
            real = readings_of_each(self.critic, weights, len(part), cells, incident)
            found.append(Meetings.of(real, self._said(weights, len(part), showers, incident)).critics)
        return torch.cat(found)

    def _showers(self, genes: NDArray[np.float32], noise: Tensor, incident: Tensor) -> list[Tensor]:
        """Showers of generators in pieces, `(k, n, n_cells)` each."""
        if self._way is None:
            at_once = batchable(self.generator, self.makers.weights, incident[:_TRIED])
            memory = self.settings.memory_mb << 20
            pieces = Pieces.measured(self.generator, self.makers.weights, incident, memory)
            self._way = at_once, pieces
        at_once, pieces = self._way
        made = []
        for piece in pieces.of(len(genes)):
            weights = self.makers.decoded(genes[piece])
            count = len(genes[piece])
            made.append(showers_of_each(self.generator, weights, count, noise, incident, at_once))
        return made

    def _said(self, weights: dict[str, Tensor], count: int, showers: Tensor, incident: Tensor) -> Tensor:
        """Logits of critics, `(critics, generators, n)`."""
        rows = showers.nan_to_num(0, 0, 0).flatten(0, 1)
        asked = incident.expand(len(showers), *incident.shape).flatten(0, 1)
        return readings_of_each(self.critic, weights, count, rows, asked).reshape(count, len(showers), -1)

    def _noise(self, incident: Tensor) -> Tensor:
        number = self.makers.algorithm.generation
        random = np.random.default_rng((self.task.recipe.schedule.seed, _NOISE, number))
        return torch.from_numpy(draw_noise(random, len(incident), self.generator.noise_shape)).to(incident)

    def _along(self, number: int) -> Tensor:
        assert self.fitness is not None
        random = torch.Generator().manual_seed(number)
        return directions(self.fitness.width, torch.device("cpu"), random).to(self.hardware.device)


def _broken(showers: Tensor) -> Tensor:
    flat = showers.flatten(1)
    return ~flat.isfinite().all(1) | (flat.nan_to_num(0, 0, 0).amax(1) <= 0)

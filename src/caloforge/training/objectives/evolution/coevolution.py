"""Two populations against each other: an adversarial training without gradients."""

from __future__ import annotations

__all__ = ["CoevolutionObjective"]

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from caloforge.errors import RecipeError
from caloforge.evolution.archive import Archive
from caloforge.evolution.evolving import Evolving, evolved, initial
from caloforge.evolution.fitness.faulty import all_numbers, broken
from caloforge.evolution.fitness.fitness import Fitness
from caloforge.evolution.noise import random_generator
from caloforge.evolution.population.readings import critic_losses, generator_losses, readings_of_each
from caloforge.evolution.population.showers import ShowerMaker, noise_for
from caloforge.models import build_critic
from caloforge.models.blocks.threads import one_thread
from caloforge.training.objectives.base import Objective
from caloforge.training.objectives.evolution.alone import alone
from caloforge.training.objectives.evolution.kept import Kept
from caloforge.training.objectives.gradients import energies

if TYPE_CHECKING:
    from typing_extensions import Self

    from caloforge.evolution.settings import CoevolutionSettings
    from caloforge.models.base import Critic, Generator
    from caloforge.training.objectives.base import Task

_MEET, _NOISE = 1 << 61, 44  # tell random numbers apart
_JUDGES = "trunk.*", "body.*"


class _Meeting(NamedTuple):
    """What both sides see in a generation: Geant4's showers, and what everyone's noise is."""

    cells: Tensor
    incident: Tensor
    noise: Tensor
    key: tuple[int, ...]


class Side:
    """One of the two populations.

    Args:
        evolving: Its weights, genes and algorithm.
        room: Of its hall of fame.
        seed: Of its random numbers.
    """

    def __init__(self, evolving: Evolving, room: int, seed: int) -> None:
        self.evolving, self.algorithm, self._seed = evolving, evolving.algorithm, seed
        self.archive = Archive(room, evolving.coding.size, seed)

    def genes(self) -> NDArray[np.float32]:
        """Return those of this generation, `(population, size)`."""
        generation = self.algorithm.ask()
        with np.errstate(over="ignore", invalid="ignore"):  # as in `Judge`
            return self.algorithm.decode(generation.shared, generation.chromosomes, self.algorithm.size)

    def opponents(self, genes: NDArray[np.float32], count: int) -> NDArray[np.float32]:
        """Return some of this generation and, if there are any, as many of those who won before."""
        random = random_generator(self._seed + _MEET, self.algorithm.generation)
        old = min(count // 2, len(self.archive))
        now = random.choice(len(genes), min(count - old, len(genes)), replace=False)
        before = random.choice(len(self.archive), old, replace=False) if old else np.zeros(0, np.int64)
        return np.concatenate([genes[now], self.archive.genes[before]])

    def learn(self, losses: Tensor) -> tuple[NDArray[np.float64], int]:
        """Let the next generation be born; return the fitness of this one, and how many were faulty."""
        fitness, faulty = all_numbers(losses.double().cpu().numpy())
        self.algorithm.tell(fitness)
        self.archive.put(self.algorithm.best())
        return fitness, faulty


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
        networks = generator, critic
        self._initial = [initial(*pair) for pair in zip(networks, self._evolved, strict=True)]
        self._maker: ShowerMaker | None = None

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
        kinds = settings.algorithm, settings.critics
        self.makers, self.critics = (
            Side(
                Evolving(weights, begin, self.warm, algorithm, settings.coding, seed + number),
                settings.archive,
                seed + number,
            )
            for number, (weights, begin, algorithm) in enumerate(
                zip(self._evolved, self._initial, kinds, strict=True)
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
            Best losses, `generator` and `critic`, their medians and `deviation`s; how many there were on both
            sides, `individuals`, and how many were `faulty`; and
            `energies` of the generator that has come out of it.
        """
        with one_thread():
            makers, critics = self.makers.genes(), self.critics.genes()
            key = self.task.recipe.schedule.seed, _NOISE, self.makers.algorithm.generation
            meeting = _Meeting(cells, incident, noise_for(self.generator, incident, key), key)
            of_makers = self._generators(makers, critics, meeting)
            of_critics = self._critics(makers, critics, meeting)
            found = {"generator": self.makers.learn(of_makers), "critic": self.critics.learn(of_critics)}
            for side in (self.makers, self.critics):
                side.evolving.give_best()
            made: Tensor = self.generator(meeting.noise, incident)
        told: dict[str, float] = {}
        for name, (fitness, faulty) in found.items():
            told |= {
                name: fitness.min(),
                f"{name}_median": float(np.median(fitness)),
                f"{name}_faulty": faulty,
            }
        told["individuals"] = len(makers) + len(critics)
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
        self, makers: NDArray[np.float32], critics: NDArray[np.float32], meeting: _Meeting
    ) -> Tensor:
        """What each generator is worth to some critics, and to physics."""
        judges = self.critics.opponents(critics, self.settings.opponents)
        weights = self.critics.evolving.decoded(judges)
        found: list[Tensor] = []
        for showers in self._showers(makers, meeting):
            losses = generator_losses(self._said(weights, len(judges), showers, meeting.incident))
            if self.fitness is not None:
                along = self.fitness.along(meeting.key)
                losses = losses + self.fitness(showers, meeting.cells, meeting.incident, along)["fitness"]
            found.append(losses.masked_fill(broken(showers), torch.inf))
        return torch.cat(found)

    def _critics(
        self, makers: NDArray[np.float32], critics: NDArray[np.float32], meeting: _Meeting
    ) -> Tensor:
        """What each critic is worth before real showers and those of some generators."""
        chosen = self.makers.opponents(makers, self.settings.opponents)
        showers = torch.cat(list(self._showers(chosen, meeting)))
        found: list[Tensor] = []
        for first in range(0, len(critics), self.settings.opponents):
            part = critics[first : first + self.settings.opponents]
            weights = self.critics.evolving.decoded(part)
            real = readings_of_each(self.critic, weights, len(part), meeting.cells, meeting.incident)
            found.append(critic_losses(real, self._said(weights, len(part), showers, meeting.incident)))
        return torch.cat(found)

    def _showers(self, genes: NDArray[np.float32], meeting: _Meeting) -> Iterator[Tensor]:
        """Showers of generators in pieces, `(k, n, n_cells)` each."""
        if self._maker is None:
            weights, memory = self._evolved[0], self.settings.memory_mb << 20
            self._maker = ShowerMaker(self.generator, weights, meeting.incident, memory)
        for piece in self._maker.pieces.of(len(genes)):
            own = self.makers.evolving.decoded(genes[piece])
            yield self._maker(own, len(genes[piece]), meeting.noise, meeting.incident)

    def _said(self, weights: dict[str, Tensor], count: int, showers: Tensor, incident: Tensor) -> Tensor:
        """Logits of critics, `(critics, generators, n)`."""
        rows = showers.nan_to_num(0, 0, 0).flatten(0, 1)
        asked = incident.expand(len(showers), *incident.shape).flatten(0, 1)
        return readings_of_each(self.critic, weights, count, rows, asked).reshape(count, len(showers), -1)

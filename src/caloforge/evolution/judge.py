"""From chromosomes to fitness: decoded, shown the particles of a batch, compared with its showers."""

from __future__ import annotations

__all__ = ["Judge", "all_numbers", "evolved", "initial", "one_thread"]

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from caloforge.errors import RecipeError, TrainingError
from caloforge.evolution.algorithms import algorithm_class
from caloforge.evolution.algorithms.base import Generation
from caloforge.evolution.algorithms.parents import PARENTS
from caloforge.evolution.population.many import Change
from caloforge.evolution.population.pieces import Pieces
from caloforge.evolution.population.showers import batchable, showers_of_each
from caloforge.models.blocks.energy_distance import directions
from caloforge.models.blocks.noise import draw_noise

if TYPE_CHECKING:
    from caloforge.evolution.codings.base import Coding
    from caloforge.evolution.fitness.fitness import Fitness
    from caloforge.evolution.population.many import Weights
    from caloforge.evolution.settings import EvolutionSettings
    from caloforge.models.base import Generator

_NOISE, _ELITE, _DIRECTIONS = 41, 42, 43  # tell these random numbers apart from each other
_TRIED = 9  # showers that tell whether many generators can be made at once
_WORST = 2.0  # times the worst that is a number: what is none
_ELSE = 0.1  # spread of weights that nothing drawn stands beside


def evolved(network: nn.Module, patterns: Sequence[str]) -> dict[str, nn.Parameter]:
    """Return the weights that have one of these names; `*` stands for anything.

    Raises:
        RecipeError: A pattern fits none.
    """
    weights = dict(network.named_parameters())
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in weights):
            raise RecipeError(
                "no weights have such a name",
                where="objective.evolve",
                got=pattern,
                expected=", ".join(list(weights)[:12]) + (", ..." if len(weights) > 12 else ""),
            )
    return {name: w for name, w in weights.items() if any(fnmatchcase(name, p) for p in patterns)}


class Judge:
    """Judges individuals of one evolution.

    Args:
        generator: On its device, in evaluation mode.
        fitness: What it is judged by, on the same device.
        coding: Of its weights.
        settings: The `objective` part of a recipe.
        incident: Particles of one batch, which tell how many individuals fit into the memory.
        seed: Of noise and directions; with the number of the generation it decides both.

    Raises:
        EvolutionError: Not even one individual fits.
    """

    def __init__(
        self,
        generator: Generator,
        fitness: Fitness,
        coding: Coding,
        settings: EvolutionSettings,
        incident: Tensor,
        seed: int,
    ) -> None:
        self.generator, self.fitness, self.coding = generator, fitness, coding
        self._algorithm = algorithm_class(settings.algorithm)
        PARENTS.limit = settings.memory_mb << 20
        self._seed = seed
        weights = dict(generator.named_parameters())
        self._weights = {name: weights[name] for name in coding.names}
        self.at_once = batchable(generator, self._weights, incident[:_TRIED])
        self.pieces = Pieces.measured(generator, self._weights, incident, settings.memory_mb << 20)

    def parts(self, generation: Generation) -> Iterator[tuple[bytes, ...]]:
        """Cut the individuals of a generation into those that are judged at once."""
        for piece in self.pieces.of(len(generation.chromosomes)):
            yield generation.chromosomes[piece]

    @torch.no_grad()
    def __call__(
        self,
        shared: Sequence[NDArray[Any]],
        chromosomes: Sequence[bytes],
        number: int,
        cells: Tensor,
        incident: Tensor,
        elite: bool = False,
    ) -> dict[str, NDArray[np.float64]]:
        """Return the terms of the fitness, and their sum `fitness`, of individuals that are judged at once.

        Args:
            shared: Of their `Generation`.
            chromosomes: The individuals.
            number: Of the generation: all of its individuals get the same noise.
            cells: Geant4's showers, `(n, n_cells)` MeV.
            incident: Their particles, `(n, k)`.
            elite: Judge those of the generation that are judged again: with other noise.
        """
        noise = self._noise(_ELITE if elite else _NOISE, number, incident)
        with one_thread():
            weights, count = self._decoded(shared, chromosomes), len(chromosomes)
            made = showers_of_each(self.generator, weights, count, noise, incident, self.at_once)
            terms = self.fitness(made, cells, incident, self._along(number, incident.device))
            return {name: term.double().cpu().numpy() for name, term in terms.items()}

    @torch.no_grad()
    def showers(self, number: int, incident: Tensor) -> Tensor:
        """Return what the generator makes with the noise of a generation, `(n, n_cells)` MeV."""
        cells: Tensor = self.generator(self._noise(_NOISE, number, incident), incident)
        return cells

    def copy(self) -> Judge:
        """Return one of its own networks, on the processor, which can be sent away."""
        return deepcopy(self).to(torch.device("cpu"))

    def to(self, device: torch.device) -> Judge:
        """Compute there from now on."""
        for network in (self.generator, self.fitness, self.coding):
            network.to(device)
        return self

    def give(self, genes: NDArray[np.float32]) -> None:
        """Let the generator have the weights of these genes, `(size,)`."""
        with torch.no_grad():
            for name, value in self.coding.decode(self._tensor(genes[None])).items():
                self._weights[name].copy_(value[0])

    def _decoded(self, shared: Sequence[NDArray[Any]], chromosomes: Sequence[bytes]) -> Weights:
        if not hasattr(self._algorithm, "factors") or not self.at_once:
            genes = self._algorithm.decode(shared, chromosomes, self.coding.size)
            return self.coding.decode(self._tensor(genes))
        mean = self.coding.decode(self._tensor(shared[0][None]))
        factors = self._algorithm.factors(shared, chromosomes, self.coding.evolving)
        return {name: self._changed(name, mean[name][0], *factors[name]) for name in mean}

    def _changed(
        self, name: str, mean: Tensor, left: NDArray[np.float32], right: NDArray[np.float32]
    ) -> Tensor | Change:
        change = Change(self._tensor(left), self._tensor(right))
        weight = self._weights[name]
        if mean.dim() == 2 and type(self.generator.get_submodule(name.rpartition(".")[0])) is nn.Linear:
            weight.copy_(mean)  # what all share
            return change
        outer = change.left.unsqueeze(2) * change.right.unsqueeze(1)
        return mean + outer.reshape(-1, *weight.shape)

    def _noise(self, purpose: int, number: int, incident: Tensor) -> Tensor:
        random = np.random.default_rng((self._seed, purpose, number))
        noise = draw_noise(random, len(incident), self.generator.noise_shape)
        return torch.from_numpy(noise).to(incident.device)

    def _along(self, number: int, device: torch.device) -> Tensor:
        seed = int(np.random.default_rng((self._seed, _DIRECTIONS, number)).integers(2**62))
        return directions(self.fitness.width, torch.device("cpu"), torch.Generator().manual_seed(seed)).to(
            device
        )

    def _tensor(self, array: NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)

    @property
    def _device(self) -> torch.device:
        return next(iter(self._weights.values())).device


def initial(weights: Mapping[str, nn.Parameter]) -> tuple[dict[str, NDArray[np.float32]], dict[str, float]]:
    """Return where an initialisation draws weights around, and how widely.

    Weights that begin alike, as biases do, vary as widely as those beside them.

    Args:
        weights: Of a network that nothing has trained yet.
    """
    drawn = {
        name: float(weight.detach().std()) if weight.numel() > 1 else 0.0 for name, weight in weights.items()
    }
    centre, spread = {}, {}
    for name, weight in weights.items():
        value = weight.detach().cpu().numpy()
        centre[name] = np.zeros_like(value) if drawn[name] else value.copy()
        beside = max(w for other, w in drawn.items() if other.rpartition(".")[0] == name.rpartition(".")[0])
        spread[name] = drawn[name] or beside or _ELSE
    return centre, spread


def _deviation(weight: Tensor) -> float:
    return float(weight.std()) if weight.numel() > 1 else 0.0


@contextmanager
def one_thread() -> Iterator[None]:
    """Let a fitness not depend on where it is found: sums of several threads are others than those of one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def all_numbers(fitness: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    """Make the worst of what is not finite, and say how many these are."""
    good = np.isfinite(fitness)
    if not good.any():
        raise TrainingError(
            "not one individual of a generation makes showers",
            expected="numbers, and some energy in the cells",
            cure="start anew with a smaller objective.algorithm.sigma or power, or another schedule.seed",
        )
    worst = fitness[good].max()
    return np.where(good, fitness, worst + (_WORST - 1) * abs(worst) + 1), int((~good).sum())

"""From chromosomes to fitness: decoded, shown the particles of a batch, compared with its showers."""

from __future__ import annotations

__all__ = ["Judge"]

from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from caloforge.evolution.algorithms import algorithm_class
from caloforge.evolution.algorithms.base import Generation
from caloforge.evolution.algorithms.parents import PARENTS
from caloforge.evolution.population.many import Change
from caloforge.evolution.population.showers import ShowerMaker, noise_for
from caloforge.models.blocks.threads import one_thread

if TYPE_CHECKING:
    from caloforge.evolution.codings.base import Coding
    from caloforge.evolution.fitness.fitness import Fitness
    from caloforge.evolution.population.many import Weights
    from caloforge.evolution.settings import EvolutionSettings
    from caloforge.models.base import Generator

_NOISE, _ELITE, _DIRECTIONS = 41, 42, 43  # tell these random numbers apart from each other


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
        self.maker = ShowerMaker(generator, self._weights, incident, settings.memory_mb << 20)

    def parts(self, generation: Generation) -> Iterator[tuple[bytes, ...]]:
        """Cut the individuals of a generation into those that are judged at once."""
        for piece in self.maker.pieces.of(len(generation.chromosomes)):
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
        noise = noise_for(self.generator, incident, (self._seed, _ELITE if elite else _NOISE, number))
        # Genes beyond all numbers make no showers: their individual is the worst, and no warning is due.
        with one_thread(), np.errstate(over="ignore", invalid="ignore"):
            weights, count = self._decoded(shared, chromosomes), len(chromosomes)
            made = self.maker(weights, count, noise, incident)
            terms = self.fitness(made, cells, incident, self.fitness.along((self._seed, _DIRECTIONS, number)))
            return {name: term.double().cpu().numpy() for name, term in terms.items()}

    @torch.no_grad()
    def showers(self, number: int, incident: Tensor) -> Tensor:
        """Return what the generator makes with the noise of a generation, `(n, n_cells)` MeV."""
        cells: Tensor = self.generator(
            noise_for(self.generator, incident, (self._seed, _NOISE, number)), incident
        )
        return cells

    def copy(self) -> Judge:
        """Return one of its own networks, on the processor, which can be sent away."""
        return deepcopy(self).to(torch.device("cpu"))

    def to(self, device: torch.device) -> Judge:
        """Compute there from now on."""
        for network in (self.generator, self.fitness, self.coding):
            network.to(device)
        return self

    def _decoded(self, shared: Sequence[NDArray[Any]], chromosomes: Sequence[bytes]) -> Weights:
        if not hasattr(self._algorithm, "factors") or not self.maker.at_once:
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

    def _tensor(self, array: NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)

    @property
    def _device(self) -> torch.device:
        return next(iter(self._weights.values())).device

"""The contract of algorithms: chromosomes out, fitness in."""

from __future__ import annotations

__all__ = ["Algorithm", "Generation", "State", "checked"]

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from caloforge.errors import EvolutionError
from caloforge.evolution.algorithms.chromosome import mark_of, opened, sealed
from caloforge.evolution.noise import normal, random_generator

Settings = TypeVar("Settings")
State: TypeAlias = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Generation:
    """Individuals as they travel."""

    shared: tuple[NDArray[Any], ...]
    """What all of them are decoded with; its last array, of one uint64, is the mark of the others. Where it
    does not change from one generation to the next, the mark does not either."""
    chromosomes: tuple[bytes, ...]
    """What is an individual's own."""

    @property
    def mark(self) -> int:
        """What tells `shared` from that of other evolutions and generations."""
        return int(self.shared[-1][0])


class Algorithm(ABC, Generic[Settings]):
    """Proposes individuals and learns from their fitness; a pure function of its state.

    The random numbers of a generation depend on the seed and its number alone. So `ask` called twice gives
    the same individuals, and `state` is all that has to be kept for an evolution to go on as before.

    Args:
        settings: Of the algorithm.
        start: Genes to begin with, shape `(size,)`.
        spread: Scale of each gene, shape `(size,)`: what its initialisation would give it. All lengths in the
            settings are in its units.
        seed: 0 to 2^63 - 1.

    Raises:
        EvolutionError: Genes that cannot be evolved.
    """

    code: ClassVar[bytes]
    """Four bytes with which its chromosomes say whose they are."""

    def __init__(
        self, settings: Settings, start: NDArray[np.float32], spread: NDArray[np.float32], seed: int
    ) -> None:
        self.settings = settings
        self.start = np.ascontiguousarray(start, np.float32)
        self.spread = np.ascontiguousarray(spread, np.float32)
        self.seed = seed
        self.generation = 0
        _check_genes(self.start, self.spread)

    @property
    def size(self) -> int:
        """Genes of an individual."""
        return len(self.start)

    @property
    @abstractmethod
    def population(self) -> int:
        """Individuals of a generation."""

    @abstractmethod
    def ask(self) -> Generation:
        """Return the individuals whose fitness is wanted next."""

    def tell(self, fitness: NDArray[np.float64]) -> None:
        """Learn how good the individuals of `ask` are, and begin the next generation.

        Args:
            fitness: Of each individual, shape `(population,)`, finite; smaller is better.

        Raises:
            EvolutionError: Another number of them, or some that are not finite.
        """
        self._learn(checked(fitness, self.population))
        self.generation += 1

    @abstractmethod
    def best(self) -> NDArray[np.float32]:
        """Return the genes that are wanted in the end, shape `(size,)`."""

    def elites(self) -> Generation | None:
        """Return individuals that are to be judged again, on more showers, before the next `ask`; or None."""
        return None

    def choose(self, fitness: NDArray[np.float64]) -> None:
        """Learn how good the elites are; one of them lives on."""
        raise NotImplementedError(f"{type(self).__name__} has no elites")

    def state(self) -> State:
        """Return, before `ask`, all that an evolution needs to go on; `restore` takes it."""
        return {"generation": np.array(self.generation), **self._own_state()}

    def restore(self, state: State) -> None:
        """Go on from a `state` of an algorithm made of the same settings, genes and seed."""
        self.generation = int(state["generation"])
        self._restore_own(state)

    @classmethod
    @abstractmethod
    def decode(
        cls, shared: Sequence[NDArray[Any]], chromosomes: Sequence[bytes], size: int
    ) -> NDArray[np.float32]:
        """Return the genes of some individuals, wherever they are; the same bits, however many at once.

        Args:
            shared: Of their `Generation`.
            chromosomes: `k` of them.
            size: Genes.

        Returns:
            Genes, shape `(k, size)`.

        Raises:
            EvolutionError: A chromosome of another evolution, or a changed one.
        """

    @abstractmethod
    def _learn(self, fitness: NDArray[np.float64]) -> None: ...

    @abstractmethod
    def _own_state(self) -> State: ...

    @abstractmethod
    def _restore_own(self, state: State) -> None: ...

    def _random(self) -> np.random.Generator:
        return random_generator(self.seed, self.generation)

    def _seeds(self, count: int) -> NDArray[np.int64]:
        """Return the seeds of this generation's individuals."""
        return self._random().integers(1, 2**63, count, np.int64)

    def _drawn(self, seed: int, power: float) -> NDArray[np.float32]:
        """Return genes around `start`."""
        return self.start + np.float32(power) * self.spread * normal(seed, self.size)

    def _packed(
        self, shared: Sequence[NDArray[Any]], bodies: Sequence[bytes], mark: int | None = None
    ) -> Generation:
        """Return a generation; `mark` is given where it is not, or need not be, that of `shared`."""
        mark = mark_of(shared) if mark is None else mark
        chromosomes = tuple(sealed(self.code, self.size, mark, body) for body in bodies)
        return Generation((*shared, np.array([mark], np.uint64)), chromosomes)

    @classmethod
    def _bodies(cls, shared: Sequence[NDArray[Any]], chromosomes: Sequence[bytes], size: int) -> list[bytes]:
        mark = int(shared[-1][0])
        return [opened(cls.code, size, mark, chromosome) for chromosome in chromosomes]


def _check_genes(start: NDArray[np.float32], spread: NDArray[np.float32]) -> None:
    if start.ndim != 1 or start.shape != spread.shape or not start.size:
        raise EvolutionError(
            "each gene needs a start and a spread",
            got=f"{start.shape} and {spread.shape}",
            expected="(genes,) both",
        )
    if not (np.isfinite(start).all() and np.isfinite(spread).all() and spread.min() >= 0 and spread.any()):
        raise EvolutionError(
            "these genes cannot be evolved",
            expected="finite numbers, spreads of at least 0 that are not all 0",
        )


def checked(fitness: NDArray[np.float64], population: int) -> NDArray[np.float64]:
    """Return fitness; raise an `EvolutionError` if it is not one finite number for each individual."""
    fitness = np.asarray(fitness, np.float64)
    if fitness.shape != (population,):
        raise EvolutionError("one fitness for each individual", got=fitness.shape, expected=(population,))
    if not np.isfinite(fitness).all():
        raise EvolutionError("a fitness that is not finite", got=fitness[~np.isfinite(fitness)][0])
    return fitness

"""LEEA: evolution on small batches, where children inherit what their parents were worth (GECCO 2016)."""

from __future__ import annotations

__all__ = ["Leea", "wheel"]

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caloforge.evolution.algorithms.base import Algorithm, Generation, State
from caloforge.evolution.algorithms.bodies import unpacked_genes
from caloforge.evolution.algorithms.chromosome import mark_of
from caloforge.evolution.noise import normal
from caloforge.evolution.settings import LeeaSettings


class Leea(Algorithm[LeeaSettings]):
    """Limited Evaluation Evolutionary Algorithm, Morse and Stanley, GECCO 2016, doi:10.1145/2908812.2908916.

    Fitness of a small batch is noisy. So an individual counts `(1 - decay) * inherited + fitness`, and what
    it inherits is its parent's count, or the mean of both. A child takes each gene from one of two parents,
    or is one parent with some genes mutated.

    Crossover leaves no short chain of seeds. So a chromosome is the genes themselves, four bytes each, and
    two generations are in memory: here a compact coding pays off most.
    """

    code = b"leea"

    def __init__(
        self, settings: LeeaSettings, start: NDArray[np.float32], spread: NDArray[np.float32], seed: int
    ) -> None:
        super().__init__(settings, start, spread, seed)
        self._mark = mark_of((self.start, self.spread))
        self._genes = np.empty((0, self.size), np.float32)  # of those who were told of last
        self._counts = np.empty(0)
        self._asked: NDArray[np.float32] | None = None

    @property
    def population(self) -> int:
        return self.settings.population

    def ask(self) -> Generation:
        bodies = [row.astype("<f4").tobytes() for row in self._children()]
        return self._packed((), bodies, self._mark)

    def best(self) -> NDArray[np.float32]:
        if not len(self._genes):
            return self.start.copy()
        best: NDArray[np.float32] = self._genes[np.argmin(self._counts)].copy()
        return best

    def inherited(self) -> NDArray[np.float64]:
        """Return what each individual of `ask` inherits, shape `(population,)`."""
        if not len(self._counts):
            return np.zeros(self.population)
        first, second, crossed = self._couples(self._random())
        means: NDArray[np.float64] = (self._counts[first] + self._counts[second]) / 2
        return np.where(crossed, means, self._counts[first])

    @classmethod
    def decode(
        cls, shared: Sequence[NDArray[Any]], chromosomes: Sequence[bytes], size: int
    ) -> NDArray[np.float32]:
        return unpacked_genes(cls._bodies(shared, chromosomes, size), size)

    def _children(self) -> NDArray[np.float32]:
        """Return this generation, shape `(population, size)`, made once."""
        if self._asked is None:
            self._asked = self._born()
        return self._asked

    def _born(self) -> NDArray[np.float32]:
        if not len(self._genes):
            seeds = self._seeds(self.population)
            return np.stack([self._drawn(int(seed), self.settings.drawn) for seed in seeds])
        random = self._random()
        first, second, crossed = self._couples(random)
        genes = self._genes[first]
        for child, other, crosses in zip(genes, second, crossed, strict=True):
            if crosses:
                np.copyto(child, self._genes[other], where=random.random(self.size, np.float32) < 0.5)
            else:
                self._mutate(child, random)
        return genes

    def _couples(
        self, random: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
        """Return both parents of each child, and whether it has the second one."""
        breeding = max(1, round(self.settings.parents * self.population))
        first, second = wheel(self._counts, breeding, (2, self.population), random)
        return first, second, random.random(self.population) < self.settings.crossover

    def _mutate(self, genes: NDArray[np.float32], random: np.random.Generator) -> None:
        (changed,) = np.nonzero(random.random(self.size, np.float32) < self.settings.rate)
        power = self.settings.power * self.settings.power_decay ** (self.generation - 1)
        noise = normal(int(random.integers(2**63)), len(changed))
        genes[changed] += np.float32(power) * self.spread[changed] * noise

    def _learn(self, fitness: NDArray[np.float64]) -> None:
        counts = (1 - self.settings.decay) * self.inherited() + fitness
        self._genes, self._counts, self._asked = self._children(), counts, None

    def _own_state(self) -> State:
        return {"genes": self._genes, "counts": self._counts}

    def _restore_own(self, state: State) -> None:
        self._genes = np.array(state["genes"], np.float32)
        self._counts = np.array(state["counts"], np.float64)
        self._asked = None


def wheel(
    counts: NDArray[np.float64], breeding: int, shape: tuple[int, ...], random: np.random.Generator
) -> NDArray[np.int64]:
    """Draw parents among the best, as often as they are ahead of the best who has no children.

    A roulette wheel wants shares of which more is better; counts here are distances, of which less is.

    Args:
        counts: Of all individuals; smaller is better.
        breeding: How many may have children.
        shape: Of what is drawn.
        random: Source of randomness.

    Returns:
        Places of parents.
    """
    order = np.argsort(counts, kind="stable")
    ahead = counts[order[min(breeding, len(order) - 1)]] - counts[order[:breeding]]
    shares = ahead / ahead.sum() if ahead.sum() > 0 else None
    drawn: NDArray[np.int64] = random.choice(order[:breeding], shape, p=shares)
    return drawn

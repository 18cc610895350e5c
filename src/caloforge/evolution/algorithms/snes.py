"""The separable natural evolution strategy: a spread for each gene, which adapts (arXiv:1106.4487)."""

from __future__ import annotations

__all__ = ["Snes"]

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caloforge.evolution.algorithms.base import Algorithm, Generation, State
from caloforge.evolution.algorithms.bodies import packed_seed, unpacked_seed
from caloforge.evolution.algorithms.shaping import by_rank, natural_utilities
from caloforge.evolution.noise import normal
from caloforge.evolution.settings import SnesSettings


class Snes(Algorithm[SnesSettings]):
    """SNES, algorithm 6 of Wierstra et al., Natural Evolution Strategies, arXiv:1106.4487.

    An individual is `mean + deviation * normal(seed)`. With utilities `u` by rank and noise `s`,
    `mean += deviation * sum(u s)` and `deviation *= exp(rate / 2 * sum(u (s^2 - 1)))`, where the rate is
    `(3 + ln(size)) / (5 sqrt(size))`.
    """

    code = b"snes"

    def __init__(
        self, settings: SnesSettings, start: NDArray[np.float32], spread: NDArray[np.float32], seed: int
    ) -> None:
        super().__init__(settings, start, spread, seed)
        self.mean = self._drawn(seed, settings.drawn)
        self.deviation = np.float32(settings.sigma) * self.spread

    @property
    def population(self) -> int:
        return self.settings.population or 4 + int(3 * math.log(self.size))

    def ask(self) -> Generation:
        return self._packed(
            (self.mean, self.deviation), [packed_seed(int(seed)) for seed in self._individuals()]
        )

    def best(self) -> NDArray[np.float32]:
        return self.mean.copy()

    @classmethod
    def decode(
        cls, shared: Sequence[NDArray[Any]], chromosomes: Sequence[bytes], size: int
    ) -> NDArray[np.float32]:
        bodies = cls._bodies(shared, chromosomes, size)
        genes = np.empty((len(bodies), size), np.float32)
        for body, row in zip(bodies, genes, strict=True):
            np.multiply(normal(unpacked_seed(body), size), shared[1], out=row)
            row += shared[0]
        return genes

    def _individuals(self) -> NDArray[np.int64]:
        return self._seeds(self.population)

    def _learn(self, fitness: NDArray[np.float64]) -> None:
        utilities = by_rank(fitness, natural_utilities(self.population)).astype(np.float32)
        shift, widening = np.zeros_like(self.mean), np.zeros_like(self.mean)
        for seed, utility in zip(self._individuals(), utilities, strict=True):
            noise = normal(int(seed), self.size)
            shift += utility * noise
            widening += utility * (noise * noise - 1)
        rate = (3 + math.log(self.size)) / (5 * math.sqrt(self.size))
        self.mean = self.mean + self.deviation * shift
        self.deviation = self.deviation * np.exp(np.float32(rate / 2) * widening)

    def _own_state(self) -> State:
        return {"mean": self.mean, "deviation": self.deviation}

    def _restore_own(self, state: State) -> None:
        self.mean = np.array(state["mean"], np.float32)
        self.deviation = np.array(state["deviation"], np.float32)

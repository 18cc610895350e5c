"""OpenAI's evolution strategy: mirrored samples around a mean that follows their ranks (arXiv:1703.03864)."""

from __future__ import annotations

__all__ = ["Es"]

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caloforge.evolution.algorithms.base import Algorithm, Generation, State
from caloforge.evolution.algorithms.bodies import packed_seed, unpacked_seed
from caloforge.evolution.algorithms.shaping import by_rank, centred_ranks
from caloforge.evolution.noise import normal
from caloforge.evolution.settings import EsSettings

_FADING = 0.9, 0.999  # Adam's memories (arXiv:1412.6980) of the gradient and of its square
_TINY = 1e-8


class Es(Algorithm[EsSettings]):
    """Salimans et al., Evolution Strategies as a Scalable Alternative, arXiv:1703.03864.

    An individual is `mean + sigma * spread * normal(seed)`, and its mirror image stands behind it. The mean
    follows the gradient of the expected utility by Adam, in units of the spread.
    """

    code = b"es-1"

    def __init__(
        self, settings: EsSettings, start: NDArray[np.float32], spread: NDArray[np.float32], seed: int
    ) -> None:
        super().__init__(settings, start, spread, seed)
        self.mean = self._drawn(seed, settings.drawn)
        self._moment, self._square = np.zeros_like(self.mean), np.zeros_like(self.mean)

    @property
    def population(self) -> int:
        return self.settings.population

    def ask(self) -> Generation:
        pairs = self._pairs()
        bodies = [packed_seed(sign * int(seed)) for seed in pairs for sign in (1, -1)]
        return self._packed(self._common(), bodies)

    def best(self) -> NDArray[np.float32]:
        return self.mean.copy()

    def gradient(self, values: NDArray[np.float64]) -> NDArray[np.float32]:
        """Estimate the gradient of the expected value around the mean, per unit of the spread.

        Args:
            values: Of the individuals of `ask`, shape `(population,)`.

        Returns:
            Gradient, shape `(size,)`: the mean of `value * noise`, divided by sigma.
        """
        weights = (values[0::2] - values[1::2]) / (self.population * self.settings.sigma)
        return self._weighted(self._pairs(), weights.astype(np.float32))

    @classmethod
    def decode(
        cls, shared: Sequence[NDArray[Any]], chromosomes: Sequence[bytes], size: int
    ) -> NDArray[np.float32]:
        seeds = cls._signed_seeds(shared, chromosomes, size)
        genes = np.empty((len(seeds), size), np.float32)
        for seed, row in zip(seeds, genes, strict=True):
            np.multiply(normal(abs(seed), size), shared[1], out=row)
            (np.add if seed > 0 else np.subtract)(shared[0], row, out=row)
        return genes

    def _common(self) -> tuple[NDArray[Any], ...]:
        return self.mean, np.float32(self.settings.sigma) * self.spread

    def _pairs(self) -> NDArray[np.int64]:
        return self._seeds(self.population // 2)

    def _weighted(self, seeds: NDArray[np.int64], weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the sum of all noise, each times a weight."""
        total = np.zeros(self.size, np.float32)
        for seed, weight in zip(seeds, weights, strict=True):
            noise = normal(int(seed), self.size)
            noise *= weight
            total += noise
        return total

    @classmethod
    def _signed_seeds(
        cls, shared: Sequence[NDArray[Any]], chromosomes: Sequence[bytes], size: int
    ) -> list[int]:
        bodies = cls._bodies(shared, chromosomes, size)
        return [unpacked_seed(body) for body in bodies]

    def _learn(self, fitness: NDArray[np.float64]) -> None:
        gradient = self.gradient(by_rank(fitness, centred_ranks(self.population)))
        for moment, new, fading in zip(
            (self._moment, self._square), (gradient, gradient**2), _FADING, strict=True
        ):
            moment *= np.float32(fading)
            moment += np.float32(1 - fading) * new
        steps = self.generation + 1
        first, second = (1 - fading**steps for fading in _FADING)
        step = (self._moment / first) / (np.sqrt(self._square / second) + _TINY)
        rate = self.settings.rate
        self.mean = (
            self.mean * np.float32(1 - rate * self.settings.decay) + np.float32(rate) * self.spread * step
        )

    def _own_state(self) -> State:
        return {"mean": self.mean, "moment": self._moment.copy(), "square": self._square.copy()}

    def _restore_own(self, state: State) -> None:
        self.mean = np.array(state["mean"], np.float32)
        self._moment = np.array(state["moment"], np.float32)
        self._square = np.array(state["square"], np.float32)

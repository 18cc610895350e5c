"""CMA-ES, for few genes: the covariance of all of them adapts (arXiv:1604.00772), by the package cmaes."""

from __future__ import annotations

__all__ = ["CmaEs"]

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from caloforge.errors import EvolutionError
from caloforge.evolution.algorithms.base import Algorithm, Generation, State
from caloforge.evolution.algorithms.bodies import unpacked_genes
from caloforge.evolution.algorithms.chromosome import mark_of
from caloforge.evolution.noise import normal
from caloforge.evolution.settings import CmaEsSettings

if TYPE_CHECKING:
    from cmaes import CMA

_MOST = 1000  # genes: their cube is calculated for each individual, which takes 0.2 s here
# What changes from generation to generation. The package's own state has half of the covariance, which is
# symmetric but for rounding, and so goes another way.
_CHANGING = ("_mean", "_sigma", "_C", "_p_sigma", "_pc", "_g")


class CmaEs(Algorithm[CmaEsSettings]):
    """Hansen, The CMA Evolution Strategy: A Tutorial, arXiv:1604.00772.

    The package works in units of the spread, with float64; a chromosome is the genes, four bytes each.

    Raises:
        EvolutionError: More genes than a covariance can be kept of.
    """

    code = b"cma1"

    def __init__(
        self, settings: CmaEsSettings, start: NDArray[np.float32], spread: NDArray[np.float32], seed: int
    ) -> None:
        super().__init__(settings, start, spread, seed)
        if self.size > _MOST:
            raise EvolutionError(
                "too many genes for CMA-ES",
                got=f"{self.size:,}",
                expected=f"at most {_MOST:,}",
                cure="take a compact coding, or kind: snes",
            )
        self._mark = mark_of((self.start, self.spread))
        self._asked: list[NDArray[np.float64]] = []
        self._cma = self._package()

    @property
    def population(self) -> int:
        return self.settings.population or 4 + int(3 * math.log(self.size))

    def ask(self) -> Generation:
        bodies = [self._genes(point).astype("<f4").tobytes() for point in self._points()]
        return self._packed((), bodies, self._mark)

    def best(self) -> NDArray[np.float32]:
        return self._genes(self._cma.mean)

    @classmethod
    def decode(
        cls, shared: Sequence[NDArray[Any]], chromosomes: Sequence[bytes], size: int
    ) -> NDArray[np.float32]:
        return unpacked_genes(cls._bodies(shared, chromosomes, size), size)

    def _package(self) -> CMA:
        from cmaes import CMA

        mean = self.settings.drawn * normal(self.seed, self.size).astype(np.float64)
        return CMA(mean, self.settings.sigma, population_size=self.population)

    def _genes(self, point: NDArray[np.float64]) -> NDArray[np.float32]:
        return (self.start + self.spread * point).astype(np.float32)

    def _points(self) -> list[NDArray[np.float64]]:
        if not self._asked:
            self._cma.reseed_rng(int(self._random().integers(2**32)))
            self._asked = [self._cma.ask() for _ in range(self.population)]
        return self._asked

    def _learn(self, fitness: NDArray[np.float64]) -> None:
        self._cma.tell(list(zip(self._points(), fitness.tolist(), strict=True)))
        self._asked = []

    def _own_state(self) -> State:
        return {name.strip("_"): np.array(getattr(self._cma, name)) for name in _CHANGING}

    def _restore_own(self, state: State) -> None:
        self._asked = []
        self._cma = self._package()
        for name in _CHANGING:
            value = state[name.strip("_")]
            setattr(self._cma, name, value.copy() if value.ndim else value.item())

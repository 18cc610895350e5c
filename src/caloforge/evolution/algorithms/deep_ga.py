"""Deep GA: mutation and truncation; a chromosome is the chain of its mutations' seeds (arXiv:1712.06567)."""

from __future__ import annotations

__all__ = ["DeepGa"]

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caloforge.errors import EvolutionError
from caloforge.evolution.algorithms.base import Algorithm, Generation, State, checked
from caloforge.evolution.algorithms.chromosome import mark_of
from caloforge.evolution.algorithms.parents import PARENTS
from caloforge.evolution.noise import normal
from caloforge.evolution.settings import DeepGaSettings

_LINK = np.dtype([("seed", "<i8"), ("power", "<f4")])  # one mutation


class DeepGa(Algorithm[DeepGaSettings]):
    """Such et al., Deep Neuroevolution, arXiv:1712.06567.

    An individual is `start`, and for each link of its chain `+ power * spread * normal(seed)`; the power of
    the first link says whether it began as a fresh initialisation. A child's chain is that of one of the best
    and one link more. The elite is the best of some candidates after a second look, and lives on unchanged.
    """

    code = b"dga1"

    def __init__(
        self, settings: DeepGaSettings, start: NDArray[np.float32], spread: NDArray[np.float32], seed: int
    ) -> None:
        super().__init__(settings, start, spread, seed)
        self._parents: tuple[bytes, ...] = ()  # the elite first, then by fitness
        self._candidates: tuple[bytes, ...] = ()
        self._mark = mark_of((self.start, self.spread))

    @property
    def population(self) -> int:
        return self.settings.population

    def ask(self) -> Generation:
        return self._generation(self._chains())

    def elites(self) -> Generation | None:
        return self._generation(self._candidates) if self._candidates else None

    def choose(self, fitness: NDArray[np.float64]) -> None:
        elite = self._candidates[int(np.argmin(checked(fitness, len(self._candidates))))]
        others = tuple(chain for chain in self._parents if chain != elite)
        self._parents = (elite, *others)[: self.settings.parents]

    def best(self) -> NDArray[np.float32]:
        if not self._parents:
            return self.start.copy()
        chosen = self._generation(self._parents[:1])
        genes: NDArray[np.float32] = self.decode(chosen.shared, chosen.chromosomes, self.size)[0]
        return genes

    @classmethod
    def decode(
        cls, shared: Sequence[NDArray[Any]], chromosomes: Sequence[bytes], size: int
    ) -> NDArray[np.float32]:
        chains = cls._bodies(shared, chromosomes, size)
        genes = np.empty((len(chains), size), np.float32)
        for chain, row in zip(chains, genes, strict=True):
            _decode(shared, chain, row)
        return genes

    def _generation(self, chains: Sequence[bytes]) -> Generation:
        return self._packed((self.start, self.spread), chains, self._mark)

    def _chains(self) -> tuple[bytes, ...]:
        """Return this generation; children of one parent stand together, so that it is kept for them."""
        if not self._parents:
            return tuple(_link(seed, self.settings.drawn) for seed in self._seeds(self.population))
        random, children = self._random(), self.population - 1
        seeds = random.integers(1, 2**63, children, np.int64)
        parents = np.sort(random.integers(0, len(self._parents), children))
        born = (
            self._parents[parent] + _link(seed, self.settings.power)
            for parent, seed in zip(parents, seeds, strict=True)
        )
        return (self._parents[0], *born)

    def _learn(self, fitness: NDArray[np.float64]) -> None:
        chains = self._chains()
        ranked = [chains[place] for place in np.argsort(fitness, kind="stable")]
        candidates = ranked[: self.settings.elites]
        if self._parents and self._parents[0] not in candidates and len(candidates) > 1:
            candidates[-1] = self._parents[0]
        self._candidates = tuple(candidates)
        self._parents = tuple(ranked[: self.settings.parents])

    def _own_state(self) -> State:
        return {**_as_arrays("parents", self._parents), **_as_arrays("candidates", self._candidates)}

    def _restore_own(self, state: State) -> None:
        self._parents = _from_arrays("parents", state)
        self._candidates = _from_arrays("candidates", state)


def _link(seed: int, power: float) -> bytes:
    return np.array((seed, power), _LINK).tobytes()


def _decode(shared: Sequence[NDArray[Any]], chain: bytes, out: NDArray[np.float32]) -> None:
    """Write an individual's genes: those of its nearest ancestor that is kept, and the mutations since then.

    Its parent, one link before, is kept from then on: whoever has one child may have others.
    """
    if not chain or len(chain) % _LINK.itemsize:
        raise EvolutionError("this chromosome is no chain of seeds", got=f"{len(chain)} bytes")
    mark, links = int(shared[-1][0]), np.frombuffer(chain, _LINK)
    known, out[:] = _nearest(shared, chain, len(links))
    for place in range(known, len(links)):
        if known < place == len(links) - 1:
            PARENTS.keep(mark, chain[: place * _LINK.itemsize], out.copy())
        _mutate(out, shared[1], *links[place])


def _nearest(shared: Sequence[NDArray[Any]], chain: bytes, links: int) -> tuple[int, NDArray[np.float32]]:
    """Return the nearest ancestor that is kept, or an individual itself: its links and genes."""
    for known in range(links, 0, -1):
        kept = PARENTS.get(int(shared[-1][0]), chain[: known * _LINK.itemsize])
        if kept is not None:
            return known, kept
    return 0, shared[0]


def _mutate(genes: NDArray[np.float32], spread: NDArray[np.float32], seed: int, power: np.float32) -> None:
    change = normal(int(seed), len(genes))
    change *= power
    change *= spread
    genes += change


def _as_arrays(name: str, chains: Sequence[bytes]) -> State:
    whole = np.frombuffer(b"".join(chains), np.uint8)
    return {name: whole, f"{name}.lengths": np.array([len(chain) for chain in chains], np.int64)}


def _from_arrays(name: str, state: State) -> tuple[bytes, ...]:
    whole, ends = state[name].tobytes(), np.cumsum(state[f"{name}.lengths"])
    return tuple(
        whole[end - length : end] for end, length in zip(ends, state[f"{name}.lengths"], strict=True)
    )

"""The genetic algorithm of NNLO (github.com/vlimant/NNLO, earlier mpi_opt), for groups that never wait."""

from __future__ import annotations

__all__ = ["Generations", "GeneticSampler", "breed", "crossed", "mutated", "share"]

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution

from caloforge.search.samplers.ranking import Standing, standing
from caloforge.search.samplers.replay import Replay
from caloforge.search.samplers.units import at_unit, unit_of
from caloforge.search.samplers.whole import WholeSampler

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial

    from caloforge.search.space import Space

Genes = NDArray[np.float64]
"""One number from 0 to 1 for each parameter."""
Individual = tuple[Standing, Genes]

POPULATION = 10
GENERATIONS = 20
_SHRINKING = 3


@dataclass(frozen=True)
class Generations:
    """Where the evolution stands.

    Attributes:
        size: Individuals of a generation, of whom a fifth are the best of the one before.
        number: Generations that are complete.
        parents: The last complete one; empty before the first.
        born: Those of the next one whose figures are known.
    """

    size: int
    number: int = 0
    parents: tuple[Individual, ...] = ()
    born: tuple[Individual, ...] = ()

    def joined(self, individual: Individual) -> Generations:
        """Return the generations after one more figure is known."""
        elite = tuple(sorted(self.parents, key=lambda one: one[0])[: self.size // 5])
        born = (*self.born, individual)
        if len(elite) + len(born) < self.size:
            return replace(self, born=born)
        return Generations(self.size, self.number + 1, elite + born)


class GeneticSampler(WholeSampler):
    """NNLO's genetic algorithm.

    A generation has N individuals: the best N // 5 of the one before, and children. Each parent is the fitter
    of two drawn at random. A child's gene is r (best - worst) + best, with the parents' genes and r uniform
    from 0 to 1: a step from the fitter parent away from the other one, held at the bounds. Then every gene
    moves towards a bound drawn at random by the share 1 - r^((1 - g / G)^3) of its distance, with generation
    g of G: anywhere in the beginning, hardly at all in the end.

    What differs from NNLO:

    * Nobody waits. NNLO goes on to the next generation when all figures are known. Here trials belong to
      generations in the order in which they finish, and children are bred from the last complete
      generation. One group alone gives NNLO's generations.
    * Genes are even in the logarithm for parameters that are searched so. Choices have no order, so a child
      has the fitter parent's or, as often, the other's, and any with the chance that a number would move by
      a share drawn as above.
    * The elite keep their figures; NNLO trains them again.
    * Fitness is 1 / figure in NNLO. Here only the order counts, so figures may be 0, negative or infinite,
      and trials that break constraints come after those that keep them.
    * G is fixed and not made from the number of trials: a study may go on. Beyond, g stays at G - 1.
    * Points that were tried are drawn again (`WholeSampler`).
    """

    def __init__(self, seed: int, space: Space, size: int = POPULATION, last: int = GENERATIONS) -> None:
        super().__init__(seed, space)
        self._last = last
        self._replay = Replay(Generations(size), lambda g, t: g.joined((standing(t), self._genes(t.params))))

    def draw(self, study: Study, trial: FrozenTrial, seed: int) -> dict[str, Any]:  # noqa: ARG002
        """A child of the last complete generation; before there is one, nothing."""
        now = self._replay.after(self.history)
        if not now.parents:
            return {}
        kinds = list(self.distributions.values())
        progress = min(now.number, self._last - 1) / self._last
        genes = breed(now.parents, kinds, progress, np.random.default_rng(seed))
        return {n: at_unit(d, g) for (n, d), g in zip(self.distributions.items(), genes, strict=True)}

    def _genes(self, params: dict[str, Any]) -> Genes:
        """Parameters that a trial lacks, as enqueued ones may, are in the middle."""
        return np.array(
            [unit_of(d, params[n]) if n in params else 0.5 for n, d in self.distributions.items()]
        )


def breed(
    population: Sequence[Individual],
    kinds: Sequence[BaseDistribution],
    progress: float,
    dice: np.random.Generator,
) -> Genes:
    """Return the genes of a child.

    Args:
        population: Standing and genes of each individual.
        kinds: What each gene stands for.
        progress: g / G, from 0 to less than 1.
        dice: Whence random numbers come.
    """
    mother, father = (_fitter(population, dice) for _ in range(2))
    (_, best), (_, worst) = sorted((mother, father), key=lambda one: one[0])
    named = np.array([isinstance(kind, CategoricalDistribution) for kind in kinds])
    numbers = mutated(crossed(best, worst, dice.random(len(best))), progress, dice)
    inherited = np.where(dice.random(len(best)) < 0.5, best, worst)
    anew = dice.random(len(best)) < share(dice.random(len(best)), progress)
    return np.where(named, np.where(anew, dice.random(len(best)), inherited), numbers)


def _fitter(population: Sequence[Individual], dice: np.random.Generator) -> Individual:
    """Binary tournament."""
    one, other = dice.choice(len(population), 2, replace=False)
    fitter: Individual = min(population[one], population[other], key=lambda individual: individual[0])
    return fitter


def crossed(best: Genes, worst: Genes, r: Genes) -> Genes:
    """Step from the fitter parent away from the other one, held at the bounds."""
    return np.clip(r * (best - worst) + best, 0, 1)


def share(r: Genes, progress: float) -> Genes:
    """Which share of its distance to a bound a gene moves, for r uniform from 0 to 1."""
    shares: Genes = 1 - r ** ((1 - progress) ** _SHRINKING)
    return shares


def mutated(genes: Genes, progress: float, dice: np.random.Generator) -> Genes:
    """Non-uniform mutation of every gene."""
    bounds = dice.integers(2, size=len(genes))
    moved: Genes = genes + share(dice.random(len(genes)), progress) * (bounds - genes)
    return moved

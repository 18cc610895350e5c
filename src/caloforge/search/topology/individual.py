"""An individual: a genome, where it comes from, and what it was found to be worth."""

from __future__ import annotations

__all__ = ["Individual", "Way", "values_of", "violations"]

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from caloforge.models.settings import GrownSettings

Way: TypeAlias = Literal["founder", "weights", "preserve", "change", "crossover"]
_WORST = 1e9  # violation of an individual without a fitness


class Individual(BaseModel):
    """A generator of the population, or one that was.

    Attributes:
        number: Names it, from 0 in the order of birth.
        generation: In which it was born.
        way: How it was made.
        parents: Numbers of those that it was made of.
        model: Its genome.
        fitness: On showers that select; None: it makes no showers.
        terms: Of the fitness.
        ms: About what a shower costs, see `cost`.
        weights: How many numbers evolve.
        course: The best fitness in each step of its weights, on the batches of that step.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    number: int
    generation: int
    way: Way
    parents: tuple[int, ...]
    model: GrownSettings
    fitness: float | None
    terms: dict[str, float]
    ms: float
    weights: int
    course: tuple[float, ...]


def values_of(individuals: Sequence[Individual]) -> NDArray[np.float64]:
    """Return the objectives, `(n, 3)`: fitness, logarithms of ms and of weights.

    Logarithms, as generators of half the size are as far apart everywhere.
    """
    rows = [(0.0 if one.fitness is None else one.fitness, one.ms, one.weights) for one in individuals]
    values = np.array(rows, np.float64)
    values[:, 1:] = np.log(values[:, 1:])
    return values


def violations(individuals: Sequence[Individual], tolerance: float) -> NDArray[np.float64]:
    """Return by how much each is too bad to be on a front, `(n,)`; 0 where it is not.

    Args:
        individuals: All that are compared.
        tolerance: How many times the best fitness is still good enough.
    """
    known = [one.fitness for one in individuals if one.fitness is not None]
    best = min(known, default=0.0)
    worst = best + (tolerance - 1) * abs(best)
    return np.array([_WORST if f is None else max(0.0, f - worst) for f in (i.fitness for i in individuals)])

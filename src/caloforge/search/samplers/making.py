"""How each sampler is set up; imports Optuna, so it is imported when one is made."""

from __future__ import annotations

__all__ = ["make"]

import math
from typing import TYPE_CHECKING

from optuna import samplers as optunas
from optuna.samplers import BaseSampler

from caloforge.search.samplers.controller import ControllerSampler
from caloforge.search.samplers.genetic import GeneticSampler
from caloforge.search.samplers.glimpse import everything, levelled, nothing, ranked, thinned
from caloforge.search.samplers.optunas import OptunaSampler

if TYPE_CHECKING:
    from collections.abc import Callable

    from optuna.study import Study
    from optuna.trial import FrozenTrial

    from caloforge.search.space import Space

_POPULATION = 10  # of NSGA-II; Optuna's 50 is most of a search by trainings
# TPE takes several times as long for whole numbers. The Gaussian process lists all that there are.
_RELAXED = {"tpe": 0.0, "gp": 1000.0}


def make(name: str, seed: int, objectives: int, space: Space) -> BaseSampler:
    """Return a sampler; `make_sampler` says of what."""
    if name == "genetic":
        return GeneticSampler(seed, space)
    if name == "controller":
        return ControllerSampler(seed, space)
    ways = {
        "random": (lambda s: optunas.RandomSampler(seed=s), nothing),
        "tpe": (lambda s: _tpe(s, objectives), thinned()),
        "gp": (_gp, levelled(thinned())),
        "cmaes": (_cmaes, ranked),
        "nsga2": (_nsga2(), everything),
    }
    # A Gaussian process proposes the same point again, at a cost.
    tries, relaxed = 1 if name == "gp" else 4, _RELAXED.get(name, math.inf)
    return OptunaSampler(*ways[name], seed, space, tries=tries, relaxed=relaxed)


def _tpe(seed: int, objectives: int) -> BaseSampler:
    return optunas.TPESampler(seed=seed, multivariate=objectives == 1, gamma=_good)


def _good(trials: int) -> int:
    """How many trials count as good: Optuna's tenth, up to 25, of all and not of those that are shown."""
    return 25 if trials > 100 else -(-trials // 10)


def _gp(seed: int) -> BaseSampler:
    return optunas.GPSampler(seed=seed, warn_independent_sampling=False)


def _cmaes(seed: int) -> BaseSampler:
    """CMA-ES knows no choices: TPE draws these."""
    choices = _tpe(seed, 1)
    return optunas.CmaEsSampler(seed=seed, independent_sampler=choices, warn_independent_sampling=False)


def _nsga2() -> Callable[[int], BaseSampler]:
    """Optuna keeps the parents of each generation in the study, and reads those of all of them each time."""
    known: dict[int, list[FrozenTrial]] = {}

    class Nsga2(optunas.NSGAIISampler):
        def get_parent_population(self, study: Study, generation: int) -> list[FrozenTrial]:
            if generation not in known:
                known[generation] = super().get_parent_population(study, generation)
            return known[generation]

    return lambda seed: Nsga2(seed=seed, population_size=_POPULATION)

"""Optuna's own samplers, made anew for each trial with the seed of that trial."""

from __future__ import annotations

__all__ = ["OptunaSampler"]

import math
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from optuna.samplers import BaseSampler

from caloforge.search.samplers.glimpse import Glimpse, Selection
from caloforge.search.samplers.relaxed import Relaxed
from caloforge.search.samplers.whole import WholeSampler

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial

    from caloforge.search.space import Space


_SOME = 50


class OptunaSampler(WholeSampler):
    """One of Optuna's samplers.

    Made once with a fixed seed, it would suggest the same points to each process that takes part, and again
    after each time that a study is resumed. All parameters are drawn, so that those that do not count stay
    known to samplers that know no conditions.

    Args:
        make: Makes the sampler from a seed.
        select: Which trials it sees.
        seed: Of the study.
        space: What is searched.
        tries: As for any sampler.
        relaxed: Show it numbers that have more values than this as numbers from 0 to 1.
    """

    def __init__(
        self,
        make: Callable[[int], BaseSampler],
        select: Selection,
        seed: int,
        space: Space,
        tries: int = 4,
        relaxed: float = math.inf,
    ) -> None:
        super().__init__(seed, space, tries)
        self._make, self._select = make, select
        self._relaxed = Relaxed(self.distributions, relaxed)

    def __str__(self) -> str:
        return str(self._make(0))

    def draw(self, study: Study, trial: FrozenTrial, seed: int) -> dict[str, Any]:
        """Let the sampler draw; what it leaves out is drawn by its own means."""
        seen = self._relaxed
        view = cast("Study", Glimpse(study, seen.trials(self._select(self.history))))
        # Every trial has every parameter: some tell which these are as well as all of them.
        some = cast("Study", Glimpse(study, seen.trials(self.history.told[-_SOME:])))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # options that Optuna calls experimental
            sampler = self._make(seed)
        inferred = sampler.infer_relative_search_space(some, trial)
        drawn = sampler.sample_relative(view, trial, inferred)
        for name, distribution in (self.distributions | seen.distributions).items():
            if name not in drawn:
                drawn[name] = sampler.sample_independent(view, trial, name, distribution)
        return seen.values(drawn)

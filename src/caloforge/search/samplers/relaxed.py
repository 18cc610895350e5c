"""Trials with numbers from 0 to 1 where a sampler would take long, or much memory, for whole ones."""

from __future__ import annotations

__all__ = ["Relaxed"]

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial

from caloforge.search.samplers.units import at_unit, sizes, unit_of


class Relaxed:
    """The parameters of a space as a sampler sees them: choices as they are, numbers from 0 to 1.

    Args:
        distributions: The parameters as they are.
        beyond: Numbers that have no more values than this stay as they are, too.

    Attributes:
        distributions: The parameters as the sampler sees them.
    """

    def __init__(self, distributions: Mapping[str, BaseDistribution], beyond: float = 0) -> None:
        self._own = {
            name: distribution
            for name, distribution in distributions.items()
            if not isinstance(distribution, CategoricalDistribution)
            and (sizes(distribution) or math.inf) > beyond
        }
        unit = FloatDistribution(0, 1)
        self.distributions = {n: unit if n in self._own else d for n, d in distributions.items()}
        self._known: dict[int, FrozenTrial] = {}

    def trials(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """Return trials as the sampler sees them; finished ones are turned once."""
        if not self._own:
            return list(trials)
        return [self._known.get(trial.number) or self._turned(trial) for trial in trials]

    def values(self, drawn: Mapping[str, Any]) -> dict[str, Any]:
        """Return what was drawn as values of the parameters."""
        return {n: at_unit(self._own[n], v) if n in self._own else v for n, v in drawn.items()}

    def _turned(self, trial: FrozenTrial) -> FrozenTrial:
        turned = copy.copy(trial)
        turned.params = {
            n: unit_of(self._own[n], v) if n in self._own else v for n, v in trial.params.items()
        }
        turned.distributions = {name: self.distributions[name] for name in trial.params}
        if trial.state.is_finished():
            self._known[trial.number] = turned
        return turned

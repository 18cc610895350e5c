"""What all samplers share: all parameters at once, repeatable numbers, nothing tried twice."""

from __future__ import annotations

__all__ = ["WholeSampler"]

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.samplers import BaseSampler

from caloforge.search.samplers.history import History
from caloforge.search.samplers.units import at_unit, distributions_of

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial

    from caloforge.search.space import Space

_CHANGES = 512


class WholeSampler(BaseSampler):
    """Draws all parameters of a space for a trial, those that do not count included.

    What it draws follows from the seed, the number of the trial and the trials in the storage alone, so that
    several processes draw different points from one seed, and a study that is resumed goes on as it would
    have. A training is exactly repeatable: a point that was tried, or is being tried, is not drawn again
    before all others were, as far as a few tries tell.

    Args:
        seed: Of the study.
        space: What is searched.
        tries: Draws for one trial, as long as they are not new; then one parameter after another is drawn at
            random.
    """

    def __init__(self, seed: int, space: Space, tries: int = 4) -> None:
        self.seed, self.space, self.tries = seed, space, tries
        self.distributions = distributions_of(space)
        self.history = History()
        self._tried: set[str] = set()

    @abstractmethod
    def draw(self, study: Study, trial: FrozenTrial, seed: int) -> dict[str, Any]:
        """Draw parameters; those that are left out are drawn at random.

        Args:
            study: The study; `history` has its trials.
            trial: What is drawn for.
            seed: Whence all random numbers come, below 2**32.
        """

    def infer_relative_search_space(
        self,
        study: Study,  # noqa: ARG002
        trial: FrozenTrial,  # noqa: ARG002
    ) -> dict[str, BaseDistribution]:
        """All parameters."""
        return self.distributions

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Draw until a point is new."""
        self.history.update(study.get_trials(deepcopy=False))
        tried = self._points(trial)
        for turn in range(self.tries):
            dice = np.random.default_rng([self.seed, trial.number, turn])
            drawn = self.draw(study, trial, int(dice.integers(2**32)))
            drawn = {
                n: drawn[n] if n in drawn else at_unit(d, dice.random()) for n, d in search_space.items()
            }
            if self._point(drawn) not in tried:
                return drawn
        return self._changed(drawn, tried, dice)

    def sample_independent(
        self,
        study: Study,  # noqa: ARG002
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """For what is not of the space: at random."""
        dice = np.random.default_rng([self.seed, trial.number, *param_name.encode()])
        return at_unit(param_distribution, dice.random())

    def _changed(self, drawn: dict[str, Any], tried: set[str], dice: np.random.Generator) -> dict[str, Any]:
        """A neighbour that is new, if there is one: one parameter after another is drawn anew."""
        names = [name for name, distribution in self.distributions.items() if not distribution.single()]
        for _ in range(_CHANGES if names else 0):
            name = names[dice.integers(len(names))]
            drawn = drawn | {name: at_unit(self.distributions[name], dice.random())}
            if self._point(drawn) not in tried:
                break
        return drawn

    def _points(self, own: FrozenTrial) -> set[str]:
        """What was tried, and what is being tried; failed trials may be tried again."""
        self._tried.update(self._point(trial.params) for trial in self.history.new)
        running = (trial for trial in self.history.running if trial.number != own.number)
        return self._tried.union(self._point(trial.params) for trial in running)

    def _point(self, params: Mapping[str, Any]) -> str:
        """The values that count, as one text."""
        return repr(self.space.suggest(_Given(params), flat=False))


class _Given:
    """Stands for a trial that has its parameters already."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._params = params

    def suggest_float(self, name: str, low: float, *_: Any, **__: Any) -> float:
        return float(self._params.get(name, low))

    def suggest_int(self, name: str, low: int, *_: Any, **__: Any) -> int:
        return int(self._params.get(name, low))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._params.get(name, choices[0])

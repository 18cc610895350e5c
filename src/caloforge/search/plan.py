"""What a search does, from its first trial to its last: it is the same for all who work on it."""

from __future__ import annotations

__all__ = ["Plan"]

from dataclasses import dataclass
from typing import Any

import optuna

from caloforge.errors import SearchError
from caloforge.search.figures import Constraint
from caloforge.search.ledger import optuna_as_it_is
from caloforge.search.samplers import wants_flat
from caloforge.search.space import Space
from caloforge.search.trial import REDUCTION
from caloforge.training.recipe import Recipe

_SURE = 0.2  # chance that a trial is stopped although it is as good as the best: three worse folds are enough


@dataclass(frozen=True)
class Plan:
    """What is searched, in which showers, and what for.

    Args:
        recipe: What is searched around.
        space: What is searched.
        objectives: Figures that are made small.
        constraints: What must hold: `ms<0.1`.
        data: Shower files.
        sampler: Name of what asks.
        folds: Divisions of the showers that each trial is trained on; 1: the recipe's own.
        halving: Whether trials are stopped early by successive halving.
        seed: Of the sampler.
    """

    recipe: Recipe
    space: Space
    objectives: tuple[str, ...]
    constraints: tuple[str, ...]
    data: tuple[str, ...]
    sampler: str = "tpe"
    folds: int = 1
    halving: bool = False
    seed: int = 1

    def __post_init__(self) -> None:
        if self.halving and self.folds > 1:
            raise SearchError(
                "a trial is stopped by its first folds or by its first epochs, not by both",
                where="--folds, --halving",
                cure="leave one of them out",
            )
        if self.halving and len(self.objectives) > 1:
            raise SearchError(
                "successive halving compares trials by one figure",
                where="--halving",
                got="objectives " + ", ".join(self.objectives),
                cure="leave --halving out, or make the others constraints: --constraint 'ms<0.1'",
            )

    @property
    def figures(self) -> tuple[str, ...]:
        """All that is measured of a trial."""
        limited = [Constraint.parse(text).name for text in self.constraints]
        return tuple(dict.fromkeys([*self.objectives, *limited]))

    @property
    def prunes(self) -> bool:
        """Whether a trial may be stopped early."""
        return len(self.objectives) == 1 and (self.halving or self.folds > 1)

    def pruner(self) -> optuna.pruners.BasePruner:
        """Return what stops trials early."""
        if self.halving:
            return optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=REDUCTION)
        if self.prunes:
            with optuna_as_it_is():
                return optuna.pruners.WilcoxonPruner(p_threshold=_SURE)
        return optuna.pruners.NopPruner()

    def suggest(self, trial: optuna.Trial) -> dict[str, Any]:
        """Draw the values of a trial, by key path."""
        return self.space.suggest(trial, flat=wants_flat(self.sampler, self.space))

    def own_values(self) -> dict[str, Any] | None:
        """Return the recipe's own values as a trial has them, or None if they lie outside of the space."""
        values = self.space.own(self.recipe)
        if values is None:
            return None
        return {p.name: p.code(values[p.name]) for p in self.space.parameters if p.name in values}

    def settings(self) -> dict[str, Any]:
        """Return it as a study remembers it, as JSON."""
        return {
            "recipe": self.recipe.model_dump(mode="json"),
            "space": self.space.to_yaml(),
            "objectives": list(self.objectives),
            "constraints": list(self.constraints),
            "data": list(self.data),
            "sampler": self.sampler,
            "folds": self.folds,
            "halving": self.halving,
            "seed": self.seed,
        }

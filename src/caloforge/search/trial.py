"""One trial of a search under way: its trainings, and what they add up to."""

from __future__ import annotations

__all__ = ["Step", "Trial", "rungs"]

import math
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.search.job import Job, Report
from caloforge.training.recipe import Recipe

if TYPE_CHECKING:
    import optuna

REDUCTION = 3
"""Of the trials that reach a rung of successive halving, one of so many goes on."""
_RUNGS = 3


@dataclass(frozen=True)
class Step:
    """One training of a trial.

    Args:
        fold: Which division of the showers; None: the recipe's own.
        until: Epoch after which it stops; None: at its end.
        resource: Share of a full training in units of the first rung; for the pruner.
    """

    fold: int | None = None
    until: int | None = None
    resource: int = 1


def rungs(epochs: int) -> list[Step]:
    """Return the parts of a training between which successive halving decides, arXiv:1810.05934."""
    ends = [max(1, round(epochs / REDUCTION**k)) for k in reversed(range(_RUNGS))]
    steps = [Step(until=end, resource=REDUCTION**k) for k, end in enumerate(ends)]
    return [step for step, after in zip(steps, [*ends[1:], math.inf], strict=True) if step.until != after]


@dataclass
class Trial:
    """What the master knows of a trial that is not finished.

    Args:
        asked: Optuna's.
        recipe: What is trained.
        folder: Where its runs are.
        todo: What is left of it.
    """

    asked: optuna.Trial
    recipe: Recipe
    folder: Path
    todo: deque[Step]
    running: list[Step] = field(default_factory=list)
    reports: list[tuple[Step, Report]] = field(default_factory=list)
    pruned: bool = False
    lost: bool = False
    failed: str | None = None

    @property
    def finished(self) -> bool:
        """Whether nothing is left to wait for."""
        return not self.todo and not self.running

    def job(self, step: Step, data: tuple[str, ...], measured: Path, figures: tuple[str, ...]) -> Job:
        """Return the training of a step."""
        recipe, folder = self.recipe, self.folder
        if step.fold is not None:
            folds = replace_data(recipe, fold=step.fold)
            recipe, folder = folds, folder / f"fold-{step.fold}"
        return Job(recipe, data, str(folder), str(measured), figures, step.until)

    def stop(self) -> None:
        """Do nothing more of it."""
        self.todo.clear()

    def figures(self) -> tuple[dict[str, float], dict[str, float]]:
        """Return means of the figures over the folds, and their standard deviations; of one: nothing."""
        found: dict[str, list[float]] = {}
        for _, report in self._last():
            for name, value in report.figures.items():
                found.setdefault(name, []).append(value)  # what all folds share is measured once
        means = {name: float(np.mean(values)) for name, values in found.items()}
        spread = {name: float(np.std(v, ddof=1)) for name, v in found.items() if len(v) > 1}
        return means, spread

    def folds(self) -> list[dict[str, float]]:
        """Return the figures of each fold, in their order; of what has no folds: nothing."""
        each = {step.fold: report.figures for step, report in self.reports if step.fold is not None}
        return [each[fold] for fold in sorted(each)]

    def jobs(self) -> list[dict[str, Any]]:
        """Return who did what and when."""
        return [
            {
                "group": report.group,
                "begin": report.begin,
                "end": report.end,
                "fold": step.fold,
                "epochs": report.epochs,
                "startup": report.startup,
            }
            for step, report in self.reports
        ]

    def _last(self) -> list[tuple[Step, Report]]:
        """The reports that count: of the rungs of one training the last."""
        return self.reports if any(step.fold is not None for step, _ in self.reports) else self.reports[-1:]


def replace_data(recipe: Recipe, **changes: Any) -> Recipe:
    """Return a recipe with other settings of its data."""
    return recipe.model_copy(update={"data": recipe.data.model_copy(update=changes)})

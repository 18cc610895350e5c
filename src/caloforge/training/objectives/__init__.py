"""What a generator learns by: one family per file or folder. Importing this does not import torch."""

from __future__ import annotations

__all__ = ["OBJECTIVES", "objective_class"]

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from caloforge.training.objectives.base import Objective

# Where each kind of objective is; imported when built, as torch is slow to load.
OBJECTIVES = {
    "adversarial": "adversarial.objective.AdversarialObjective",
    "coevolution": "evolution.coevolution.CoevolutionObjective",
    "direct": "direct.DirectObjective",
    "distance": "distance.DistanceObjective",
    "evolution": "evolution.objective.EvolutionObjective",
    "fit": "fit.FitObjective",
}


def objective_class(kind: str) -> type[Objective]:
    """Return the class of a recipe's `objective.kind`; its `of` builds one."""
    module, name = OBJECTIVES[kind].rsplit(".", 1)
    found: type[Objective] = getattr(import_module(f"{__name__}.{module}"), name)
    return found

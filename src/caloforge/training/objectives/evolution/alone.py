"""What a recipe may not ask of an evolution."""

from __future__ import annotations

__all__ = ["alone"]

from typing import TYPE_CHECKING

from caloforge.errors import RecipeError
from caloforge.models.blocks.processes import world

if TYPE_CHECKING:
    from caloforge.training.recipe import Recipe


def alone(recipe: Recipe) -> None:
    """See that no batches are shared, and no learning rate follows a schedule.

    Raises:
        RecipeError: They are, or it does.
    """
    if world() > 1:
        raise RecipeError(
            "an evolution does not share batches between processes",
            got=f"{world()} processes",
            cure="caloforge evolve --jobs, or --cluster",
        )
    if recipe.schedule.rates != "constant":
        raise RecipeError(
            "an evolution has no learning rates that a schedule changes",
            where="schedule.rates",
            got=recipe.schedule.rates,
            cure="--set schedule.rates=constant",
        )

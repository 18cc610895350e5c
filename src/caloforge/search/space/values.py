"""Values of a search put into a recipe."""

from __future__ import annotations

__all__ = ["recipe_of", "tree_of"]

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from caloforge.search.space.parameter import leaves
from caloforge.training.faults import classes_below, recipe_error
from caloforge.training.recipe import Recipe


def recipe_of(base: Recipe, values: Mapping[str, Any]) -> Recipe:
    """Return a recipe with some settings changed.

    Args:
        base: The recipe.
        values: New values by key path.

    Raises:
        RecipeError: They do not fit together.
    """
    try:
        return Recipe.model_validate(tree_of(base, values))
    except ValidationError as error:
        raise recipe_error(error, Recipe, lambda _: "values of the search") from None


def tree_of(base: Recipe, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tree of a recipe with some settings changed; it need not be one that can be.

    A section of another kind begins with the defaults of that kind. So does an objective by which the new
    kind of model cannot learn.
    """
    tree = base.model_dump(mode="json")
    changes = dict(leaf for name, value in values.items() for leaf in leaves(name, value))
    for section in ("model", "objective"):
        kind = changes.get(f"{section}.kind", tree[section]["kind"])
        if kind != tree[section]["kind"]:
            tree[section] = {"kind": kind}
    if "objective.kind" not in changes and not _suits(tree["objective"]["kind"], tree["model"]["kind"]):
        tree["objective"] = {}
    for path, value in changes.items():
        _put(tree, path.split("."), value)
    return tree | {"published": base.published and not changes}


def _suits(objective: str, model: str) -> bool:
    settings: list[Any] = list(classes_below(Recipe, ("model", model)))
    return any(objective in one.objectives for one in settings)


def _put(tree: dict[str, Any], path: list[str], value: Any) -> None:
    for key in path[:-1]:
        if not isinstance(tree.get(key), dict):
            tree[key] = {}
        tree = tree[key]
    tree[path[-1]] = value

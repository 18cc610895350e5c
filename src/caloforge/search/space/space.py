"""A space of recipes: what is searched, and what for."""

from __future__ import annotations

__all__ = ["Space"]

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from caloforge.search.space.parameter import Parameter, Trial
from caloforge.search.space.values import recipe_of
from caloforge.training.recipe import Recipe


@dataclass(frozen=True)
class Space:
    """What is searched, as `load_space` gives it.

    Attributes:
        parameters: Those that others depend on come first.
        objectives: Figures that are made small, as the file says; empty if it does not.
        constraints: What must hold, as the file says: `ms<0.1`.

    Example:
        >>> from caloforge.search.space import load_space
        >>> from caloforge.training.recipe import load_recipe
        >>> space = load_space(None, load_recipe("calogan"))
        >>> space.parameters[0].name
        'objective.generator_rate'
    """

    parameters: tuple[Parameter, ...]
    objectives: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()

    @property
    def conditional(self) -> bool:
        """Whether some parameters count only while others have certain values."""
        return any(parameter.when for parameter in self.parameters)

    def suggest(self, trial: Trial, flat: bool = False) -> dict[str, Any]:
        """Draw values.

        Args:
            trial: A trial of Optuna.
            flat: Draw all parameters, also those that do not count: for samplers that know no conditions.

        Returns:
            The values that count, by key path.
        """
        values: dict[str, Any] = {}
        for parameter in self.parameters:
            counts = parameter.counts(values)
            if counts or flat:
                value = parameter.draw(trial)
                values |= {parameter.name: value} if counts else {}
        return values

    def own(self, recipe: Recipe) -> dict[str, Any] | None:
        """Return a recipe's own values, as `suggest` gives them; None if they are not in the space."""
        tree, values = recipe.model_dump(mode="json"), dict[str, Any]()
        for parameter in self.parameters:
            if not parameter.counts(values):
                continue
            at = _at(tree, parameter.name)
            found = [choice for choice in parameter.choices if _agrees(choice, at)]
            if not found and not parameter.may_be(at):
                return None
            values[parameter.name] = found[0] if found else at
        return values

    def recipe(self, base: Recipe, values: Mapping[str, Any]) -> Recipe:
        """Return a recipe with the values put in.

        Args:
            base: The recipe that the space was loaded for.
            values: From `suggest`.

        Raises:
            RecipeError: The values do not fit together.
        """
        return recipe_of(base, values)

    def to_yaml(self) -> str:
        """Return the space as a file: `load_space` gives the same again."""
        tree: dict[str, Any] = {"search": {p.name: p.to_tree() for p in self.parameters}}
        for key in ("objectives", "constraints"):
            tree |= {key: list(getattr(self, key))} if getattr(self, key) else {}
        return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)


def _at(tree: Any, path: str) -> Any:
    for key in path.split("."):
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def _agrees(choice: Any, value: Any) -> bool:
    """Whether a value is what a choice makes it; a mapping leaves open what it does not name."""
    if isinstance(choice, Mapping):
        return all(_agrees(inner, _at(value, key)) for key, inner in choice.items())
    return bool(choice == value)

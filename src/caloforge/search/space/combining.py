"""Values that fit their own settings, but never those of the others."""

from __future__ import annotations

__all__ = ["check_combinations"]

import random
from collections.abc import Mapping, Sequence
from typing import Any

from caloforge.errors import RecipeError
from caloforge.search.space.parameter import Code, Parameter
from caloforge.search.space.place import Place
from caloforge.search.space.space import Space
from caloforge.training.recipe import Recipe

_TRIES = 32


def check_combinations(parameters: Sequence[Parameter], recipe: Recipe, place: Place) -> None:
    """See that both ends of each range and each choice make a recipe with some values of the others.

    What fails with some of them only is found when it is tried: the trial then is refused.

    Raises:
        SearchError: A value made no recipe in 32 tries.
    """
    space, random_ = Space(tuple(parameters)), random.Random(1)
    by_name = {parameter.name: parameter for parameter in parameters}
    for parameter in parameters:
        for i, value in enumerate(parameter.choices or (parameter.low, parameter.high)):
            why = _refusal(space, recipe, by_name, {parameter.name: value}, random_)
            if why is not None:
                at = place / parameter.name / parameter.kind / i
                raise at.fault(
                    f"{parameter.name} fits no values of the rest of the recipe",
                    got=repr(value),
                    expected=why,
                    cure="search what it does not fit to, or keep it from that by when:",
                )


def _refusal(
    space: Space, recipe: Recipe, by_name: Mapping[str, Parameter], value: dict[str, Any], dice: random.Random
) -> str | None:
    """Why a value never fits, or None."""
    why = ""
    for _ in range(_TRIES):
        fixed: dict[str, Any] = {}
        _fix(next(iter(value)), value, by_name, fixed, dice)
        values = space.suggest(_Dice(fixed | value, dice))
        if next(iter(value)) not in values:
            why = "conditions that hold together"
            continue
        try:
            space.recipe(recipe, values)
        except RecipeError as error:
            details = error.details
            why = f"{error.problem} (got {details['got']}, expected {details['expected']})"
        else:
            return None
    return why


def _fix(
    name: str,
    value: Mapping[str, Any],
    by_name: Mapping[str, Parameter],
    out: dict[str, Any],
    dice: random.Random,
) -> None:
    """Let everything that a parameter depends on have a value with which it counts."""
    for parent, wanted in by_name[name].when.items():
        out[parent] = dice.choice(wanted)
        _fix(parent, value, by_name, out, dice)


class _Dice:
    """Draws at random, without Optuna, what is not fixed."""

    def __init__(self, fixed: Mapping[str, Any], dice: random.Random) -> None:
        self._fixed, self._dice = fixed, dice

    def suggest_float(self, name: str, low: float, high: float, **_: Any) -> float:
        return float(self._fixed[name]) if name in self._fixed else self._dice.uniform(low, high)

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, **_: Any) -> int:
        return int(self._fixed[name]) if name in self._fixed else self._dice.randrange(low, high + 1, step)

    def suggest_categorical(self, name: str, choices: Sequence[Code]) -> Code:
        return Parameter.code(self._fixed[name]) if name in self._fixed else self._dice.choice(choices)

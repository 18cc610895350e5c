"""Parameters of a search held against the recipe that they are for."""

from __future__ import annotations

__all__ = ["fitting"]

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

from caloforge.errors import nearest
from caloforge.search.space.combining import check_combinations
from caloforge.search.space.fields import KINDED, Fields
from caloforge.search.space.parameter import Parameter, leaves
from caloforge.search.space.place import Place
from caloforge.search.space.values import tree_of
from caloforge.training.recipe import Recipe

_SECTIONS = "data", "model", "objective", "schedule"
_NO_SETTINGS = frozenset(Recipe.model_fields) - frozenset(_SECTIONS)
_JUDGES = frozenset(f"data.{name}" for name in ("split", "train", "select", "folds", "fold"))

Choices = Mapping[str, Any]
"""Values of the parameters that decide of which kind sections are."""


def fitting(parameters: Sequence[Parameter], recipe: Recipe, place: Place) -> tuple[Parameter, ...]:
    """Return the parameters that count for a recipe, each checked against its classes.

    Conditions on what is not searched are decided here: those that hold are left out of `when`, and with
    those that do not the parameter is left out.

    Args:
        parameters: Those that others depend on come first.
        recipe: What is searched around.
        place: Where they are written.

    Raises:
        SearchError: A name, a value or a condition that the recipe does not have.
    """
    _once(parameters, place)
    _of_the_training(parameters, place)
    kept = _conditioned(parameters, recipe, place)
    if not kept:
        raise place.fault("nothing of this is for the recipe", got=f"recipe {recipe.name}")
    by_name = {parameter.name: parameter for parameter in kept}
    for choices in _kinds(kept, by_name, place):
        fields = Fields(tree_of(recipe, choices))
        for parameter in kept:
            if fields.suited and _may_count(parameter, choices, by_name):
                _check(parameter, choices, fields, place / parameter.name)
    check_combinations(kept, recipe, place)
    return tuple(kept)


def _once(parameters: Sequence[Parameter], place: Place) -> None:
    """See that no setting is searched twice: by itself, and in a mapping."""
    owner: dict[str, str] = {}
    for parameter in parameters:
        for name in _settings(parameter):
            if name in owner:
                raise (place / parameter.name).fault(
                    f"{name} is searched twice", got=f"in {owner[name]} and in {parameter.name}"
                )
        owner |= dict.fromkeys(_settings(parameter), parameter.name)


def _of_the_training(parameters: Sequence[Parameter], place: Place) -> None:
    """See that nothing is searched that trains nothing, nor what decides which showers judge a trial."""
    for parameter in parameters:
        for name in _settings(parameter):
            at = place / parameter.name
            if name in _NO_SETTINGS:
                raise at.fault(
                    f"{name} is not a setting of a training", expected="keys of " + ", ".join(_SECTIONS)
                )
            if name in _JUDGES:
                raise at.fault(
                    f"{name} decides which showers judge a trial, and is the same for all",
                    cure="set it in the recipe; --folds trains each trial on several divisions",
                )


def _settings(parameter: Parameter) -> set[str]:
    """Names of all settings that a parameter changes."""
    if parameter.kind != "choice":
        return {parameter.name}
    return {name for choice in parameter.choices for name, _ in leaves(parameter.name, choice)}


def _conditioned(parameters: Sequence[Parameter], recipe: Recipe, place: Place) -> list[Parameter]:
    """Decide the conditions that the recipe alone decides; see that the others can hold."""
    by_name = {parameter.name: parameter for parameter in parameters}
    fields, kept = Fields(tree_of(recipe, {})), dict[str, Parameter]()
    for parameter in parameters:
        holds, when = True, {}
        for name, wanted in parameter.when.items():
            at = place / parameter.name / "when" / name
            if name in by_name:
                _can_hold(by_name[name], wanted, at)
                holds, when[name] = holds and name in kept, wanted
            else:
                holds = _holds(name, wanted, fields, parameters, at) and holds
        if holds:
            kept[parameter.name] = replace(parameter, when=when)
        else:
            fields.known_anywhere(parameter.name, place / parameter.name)
    return list(kept.values())


def _can_hold(parent: Parameter, wanted: Sequence[Any], place: Place) -> None:
    if parent.kind == "float":
        raise place.fault(f"{parent.name} hits no single number", expected="a parameter with choices or int:")
    for value in wanted:
        if not parent.may_be(value):
            names = [choice for choice in parent.choices if isinstance(choice, str)]
            said = parent.choices or f"{parent.low} to {parent.high}"
            near = nearest(str(value), names)
            raise place.fault(
                f"{parent.name} never has this value", got=repr(value), expected=said, near=near
            )


def _holds(
    name: str, wanted: Sequence[Any], fields: Fields, parameters: Sequence[Parameter], place: Place
) -> bool:
    """Whether the recipe's own value is among those wanted."""
    for parameter in parameters:
        if name in _settings(parameter):
            raise place.fault(f"{name} is searched as a part of {parameter.name}", expected=parameter.name)
    own = fields.value(name, [parameter.name for parameter in parameters], place)
    for value in wanted:
        fields.check(name, value, place)
    return own in wanted


def _kinds(
    parameters: Sequence[Parameter], by_name: Mapping[str, Parameter], place: Place
) -> Iterator[Choices]:
    """Yield every combination of choices of kinds."""
    deciding = [parameter for parameter in parameters if _settings(parameter) & set(KINDED)]
    for parameter in deciding:
        for i, choice in enumerate(parameter.choices):
            Fields.check_kinds(parameter.name, choice, place / parameter.name / "choice" / i)
    for values in product(*(parameter.choices for parameter in deciding)):
        choices = dict(zip((parameter.name for parameter in deciding), values, strict=True))
        yield {name: v for name, v in choices.items() if _may_count(by_name[name], choices, by_name)}


def _may_count(parameter: Parameter, choices: Choices, by_name: Mapping[str, Parameter]) -> bool:
    """Whether a parameter can count with these kinds."""
    return all(
        (name not in choices or choices[name] in wanted) and _may_count(by_name[name], choices, by_name)
        for name, wanted in parameter.when.items()
    )


def _check(parameter: Parameter, choices: Choices, fields: Fields, place: Place) -> None:
    if parameter.kind != "choice":
        fields.check_range(parameter, place)
        return
    for i, choice in enumerate(parameter.choices):
        if choices.get(parameter.name, choice) == choice:
            for name, value in leaves(parameter.name, choice):
                fields.check(name, value, place / "choice" / i)

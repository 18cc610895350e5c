"""Spaces read from files, and held against the recipe that they are for."""

from __future__ import annotations

__all__ = ["load_space", "parse_space", "space_names"]

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from importlib.resources import files
from pathlib import Path
from typing import Any

from caloforge.documents import parse_yaml, read_text
from caloforge.errors import SearchError, nearest
from caloforge.search.figures import Constraint, known_figure
from caloforge.search.space.checking import fitting
from caloforge.search.space.parameter import Parameter
from caloforge.search.space.place import KIND, Place
from caloforge.search.space.reading import read_parameter, read_texts
from caloforge.search.space.space import Space
from caloforge.training.recipe import Recipe

_PRESETS = files("caloforge.search") / "spaces"
_KEYS = "search", "objectives", "constraints"


def space_names() -> list[str]:
    """Return the names of the spaces that come with caloforge, which are those of their recipes, sorted."""
    names = (entry.name for entry in _PRESETS.iterdir())
    return sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml"))


def load_space(name_or_path: str | Path | None, recipe: Recipe) -> Space:
    """Return a preset space by name, or one from a YAML file, checked against a recipe.

    Args:
        name_or_path: `calogan`, or `my-space.yaml`; None: the preset of the recipe.
        recipe: What is searched around.

    Raises:
        SearchError: No such space, or one that does not fit the recipe.
    """
    name = recipe.name if name_or_path is None else str(name_or_path)
    if name in space_names():
        text, where = (_PRESETS / f"{name}.yaml").read_text(encoding="utf-8"), f"space {name}"
    elif name_or_path is not None and Path(name).is_file():
        text, where = read_text(Path(name), KIND), name
    else:
        raise _no_space(name, name_or_path is None)
    return parse_space(text, where, recipe)


def parse_space(text: str, where: str, recipe: Recipe) -> Space:
    """Read a space, and hold it against a recipe.

    Args:
        text: YAML.
        where: Where it comes from, for messages.
        recipe: What is searched around.

    Raises:
        SearchError: It is none, or does not fit the recipe.
    """
    document = parse_yaml(text, where, KIND)
    place = Place(where, document)
    tree = place.mapping(document.data, "search: {...}, and perhaps objectives: and constraints:")
    place.known(tree, _KEYS)
    if "search" not in tree:
        raise place.fault("nothing is searched", expected="search: {key of the recipe: {float: [low, high]}}")
    search = (place / "search").mapping(tree["search"], "key of the recipe: {float: [low, high]}")
    found = [read_parameter(name, value, place / "search" / name) for name, value in search.items()]
    parameters = fitting(_in_order(found, place / "search"), recipe, place / "search")
    return Space(parameters, _objectives(tree, place), _constraints(tree, place))


def _no_space(name: str, of_recipe: bool) -> SearchError:
    names = space_names()
    if of_recipe:
        return SearchError(
            f"no space comes with the recipe {name!r}",
            expected="the name of a space or its file; those of " + ", ".join(names) + " come with caloforge",
            cure="write one (docs/space.md), or give that of a recipe with the same settings",
        )
    problem = "is a folder, not a space" if Path(name).is_dir() else "is neither a preset space nor a file"
    expected = "a YAML file, or one of " + ", ".join(names)
    return SearchError(f"{name!r} {problem}", expected=expected, near=nearest(name, names))


def _in_order(parameters: list[Parameter], place: Place) -> list[Parameter]:
    """Put what others depend on first; else the order of the file stays."""
    by_name = {parameter.name: parameter for parameter in parameters}
    sorter = TopologicalSorter({p.name: [name for name in p.when if name in by_name] for p in parameters})
    try:
        order = list(sorter.static_order())
    except CycleError as error:
        ring = error.args[1]
        raise (place / ring[0] / "when").fault(
            "conditions go round in a circle", got=" -> ".join(ring), cure="leave one of them out"
        ) from None
    return [by_name[name] for name in order]


def _objectives(tree: Mapping[str, Any], place: Place) -> tuple[str, ...]:
    if tree.get("objectives") is None:
        return ()
    place = place / "objectives"
    names = read_texts(tree["objectives"], place, "[merit], or [merit, ms]")
    for i, name in enumerate(names):
        known_figure(name, str(place / i))
    return names


def _constraints(tree: Mapping[str, Any], place: Place) -> tuple[str, ...]:
    if tree.get("constraints") is None:
        return ()
    place = place / "constraints"
    texts = read_texts(tree["constraints"], place, '["ms<0.1"]')
    for i, text in enumerate(texts):
        Constraint.parse(text, str(place / i))
    return texts

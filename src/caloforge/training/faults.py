"""What pydantic found wrong with a recipe, in this package's words."""

from __future__ import annotations

__all__ = ["classes_below", "recipe_error"]

from collections.abc import Callable, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from caloforge.documents import KeyPath
from caloforge.errors import RecipeError, nearest

_GONE = {"factored": "tuned"}  # kinds of models of earlier versions, and what took their places
_KINDS = ("model",), ("objective",)  # sections of which there are several kinds


def recipe_error(
    error: ValidationError, root: type[BaseModel], where: Callable[[KeyPath], str]
) -> RecipeError:
    """Return one error for all that is wrong in a recipe; the first fault leads, the others follow.

    Args:
        error: What pydantic found.
        root: The class of the recipe.
        where: Says where a key is.
    """
    faults = error.errors(include_url=False)
    first = faults[0]
    # pydantic puts the kind that it tried into the path, which is no key of the recipe.
    path = tuple(part for i, part in enumerate(first["loc"]) if first["loc"][:i] not in _KINDS)
    key = ".".join(map(str, path))
    place = f"{where(path)}, key {key}" + (f" (and {len(faults) - 1} more)" if len(faults) > 1 else "")
    if first["type"] == "extra_forbidden":
        known = _keys(root, first["loc"][:-1])
        if first["loc"][:1] in _KINDS and len(first["loc"]) == 3 and _known_elsewhere(root, first["loc"]):
            return _of_another_kind(first["loc"], place, known)
        return RecipeError(
            f"{key} is not a setting",
            where=place,
            expected=", ".join(known),
            near=nearest(str(first["loc"][-1]), known),
        )
    if first["type"] == "missing":
        return RecipeError(f"{key} is missing", where=place, cure=f"add {key}: ... to the recipe")
    message = first["msg"].replace("Input should be ", "")
    got = first["input"]
    if first["type"] == "union_tag_invalid":
        # pydantic shows the whole model, of which only the kind is wrong.
        key, got, message = f"{key}.kind", first["ctx"]["tag"], first["ctx"]["expected_tags"]
        if got in _GONE:
            return _gone(place, got)
    if first["type"] == "unsuited":
        key, got = f"{key}.kind", first["ctx"]["kind"]
    return RecipeError(f"{key} has an impossible value", where=place, got=got, expected=message)


def _gone(place: str, kind: str) -> RecipeError:
    return RecipeError(
        f"models of kind {kind} are of an earlier caloforge",
        where=place,
        got=f"kind {kind}, whose place kind {_GONE[kind]} has taken",
        cure="train again with a recipe of `caloforge train --list`; the old weights fit no model now",
    )


def _known_elsewhere(root: type[BaseModel], path: Sequence[Any]) -> bool:
    """Whether a setting of one kind is unknown only because another kind was asked for."""
    return str(path[-1]) in _keys(root, path[:1])


def _of_another_kind(path: Sequence[Any], place: str, known: Sequence[str]) -> RecipeError:
    section, kind, name = path
    return RecipeError(
        f"{section}.{name} is not a setting of kind {kind}",
        where=place,
        expected=", ".join(known),
        cure=f"leave {section}.{name} out; --set '{section}={{kind: {kind}}}' replaces the whole section",
    )


def classes_below(root: type[BaseModel], path: Sequence[Any]) -> list[type[BaseModel]]:
    """Return the classes of the settings below a path, several where a section may be of several kinds.

    Args:
        root: The class of the recipe.
        path: Keys, and places in lists; after a section of which there are several kinds, the kind may
            follow: `model`, `tuned`.
    """
    choices: list[Any] = [root]
    for key in path:
        if isinstance(key, int):  # what is in a list is known without its place
            continue
        inner = [c.model_fields[str(key)].annotation for c in choices if str(key) in c.model_fields]
        kinds = [c for c in choices if "kind" in c.model_fields and c.model_fields["kind"].default == key]
        found = kinds or [model for annotation in inner for model in (get_args(annotation) or [annotation])]
        choices = [model for model in found if hasattr(model, "model_fields")]
    return choices


def _keys(root: type[BaseModel], path: Sequence[Any]) -> list[str]:
    """Names of the settings below a path."""
    return [name for model in classes_below(root, path) for name in model.model_fields]

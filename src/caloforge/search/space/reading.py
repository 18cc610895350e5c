"""What a space's file says of each parameter, as far as that can be judged without a recipe."""

from __future__ import annotations

__all__ = ["read_parameter", "read_texts"]

import math
from contextlib import suppress
from typing import Any, Literal

from caloforge.search.space.parameter import Parameter
from caloforge.search.space.place import Place

_KINDS: tuple[Literal["float", "int", "choice"], ...] = ("float", "int", "choice")
_RANGE = "{float: [low, high]}, {int: [low, high]} or {choice: [one, another]}"
_FITS = 1e-9  # of a step: what rounding of decimals leaves


def read_parameter(name: str, value: Any, place: Place) -> Parameter:
    """Read what the file says of one parameter.

    Args:
        name: Its key path in a recipe.
        value: What the file says.
        place: Where it says so.

    Raises:
        SearchError: Unknown keys, wrong types, or bounds that hold nothing between them.
    """
    entry = place.mapping(value, _RANGE)
    place.known(entry, (*_KINDS, "log", "step", "when"))
    kinds = [kind for kind in _KINDS if kind in entry]
    if len(kinds) != 1:
        got = " and ".join(kinds) or ", ".join(entry)
        raise place.fault(f"{name} needs a range or choices, and one of them", got=got, expected=_RANGE)
    when = _when(entry.get("when"), place / "when") if "when" in entry else {}
    if kinds[0] == "choice":
        for key in ("log", "step"):
            if key in entry:
                raise (place / key).fault(f"choices have no {key}", cure=f"leave {key} out")
        choices = _choices(entry["choice"], place / "choice")
        return Parameter(name, "choice", choices=choices, when=when)
    low, high = _bounds(entry[kinds[0]], kinds[0] == "int", place / kinds[0])
    log = _log(entry.get("log", False), low, place / "log")
    step = None
    if entry.get("step") is not None:
        step = _step(entry["step"], (low, high), kinds[0] == "int", place / "step")
    if log and step is not None:
        raise (place / "step").fault("log and step exclude each other", cure="leave one of them out")
    return Parameter(name, kinds[0], low, high, step, log, when=when)


def read_texts(value: Any, place: Place, example: str) -> tuple[str, ...]:
    """Read a list of different texts, as of objectives.

    Raises:
        SearchError: It is none.
    """
    if not isinstance(value, list) or not value or not all(isinstance(text, str) for text in value):
        raise place.fault("this is not a list of texts", got=repr(value), expected=example)
    for i, text in enumerate(value):
        if text in value[:i]:
            raise (place / i).fault(f"{text} is given twice", cure="keep one of them")
    return tuple(value)


def _number(value: Any, whole: bool, place: Place) -> float:
    """A number; YAML takes 1e-5 for a text, and recipes do not mind."""
    if isinstance(value, str) and not whole:
        with suppress(ValueError):
            value = float(value)
    right = int if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, right) or not math.isfinite(value):
        expected = "a whole number" if whole else "a number"
        cure = "write float: for numbers between whole ones" if isinstance(value, float) and whole else None
        raise place.fault(f"this is not {expected}", got=repr(value), expected=expected, cure=cure)
    return int(value) if whole else float(value)


def _bounds(value: Any, whole: bool, place: Place) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2:
        raise place.fault("a range is two numbers", got=repr(value), expected="[low, high]")
    low, high = (_number(bound, whole, place / i) for i, bound in enumerate(value))
    if low >= high:
        cure = "exchange them" if low > high else "leave it out, and set the value in the recipe"
        raise place.fault("the lower bound is not below the upper one", got=f"[{low}, {high}]", cure=cure)
    return low, high


def _log(value: Any, low: float, place: Place) -> bool:
    if not isinstance(value, bool):
        raise place.fault("log is true or false", got=repr(value))
    if value and low <= 0:
        raise place.fault(
            "only numbers above 0 have a logarithm",
            got=f"a lower bound of {low}",
            cure="raise the lower bound, or leave log out",
        )
    return value


def _step(value: Any, bounds: tuple[float, float], whole: bool, place: Place) -> float:
    step, (low, high) = _number(value, whole, place), bounds
    if step <= 0:
        raise place.fault("a step is more than 0", got=step)
    steps = (high - low) / step
    if steps < 1 or abs(steps - round(steps)) > _FITS * max(steps, 1):
        last = low + math.floor(steps * (1 + _FITS)) * step
        cure = f"let the range end at {last:g}" if steps >= 1 else "take a smaller step"
        raise place.fault("the range is not whole steps", got=f"{low:g} to {high:g} by {step:g}", cure=cure)
    return step


def _choices(value: Any, place: Place) -> tuple[Any, ...]:
    if not isinstance(value, list) or len(value) < 2:
        got = "one choice" if isinstance(value, list) and value else repr(value)
        raise place.fault(
            "choices are a list of two or more",
            got=got,
            expected="[one, another]",
            cure="set what has no alternative in the recipe" if got == "one choice" else None,
        )
    for i, choice in enumerate(value):
        # True is 1 for Python, and for the databases of studies
        if Parameter.code(choice) in map(Parameter.code, value[:i]):
            raise (place / i).fault("a choice is given twice", got=repr(choice), cure="keep one of them")
        if isinstance(choice, float) and not math.isfinite(choice):
            raise (place / i).fault("this is not a number", got=choice)
        if isinstance(choice, dict) and not choice:
            raise (place / i).fault("an empty mapping sets nothing", expected="{key: value, ...}")
    return tuple(value)


def _when(value: Any, place: Place) -> dict[str, tuple[Any, ...]]:
    conditions = place.mapping(value, "{model.network: dense} or {model.network: [dense, planes]}")
    found = {}
    for name, wanted in conditions.items():
        values = wanted if isinstance(wanted, list) else [wanted]
        if not values:
            raise (place / name).fault("a condition without values never holds", got="[]")
        found[name] = tuple(values)
    return found

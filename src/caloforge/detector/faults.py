"""Turns what pydantic found in a detector file into one readable error with line, key and cure."""

from __future__ import annotations

__all__ = ["detector_error"]

import re
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from caloforge.documents import Document, KeyPath
from caloforge.errors import DetectorError, nearest

_EXPECTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "string_type": "a text",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a mapping (key: value)",
    "model_type": "a mapping (key: value)",
    "model_attributes_type": "a mapping (key: value)",
    "union_tag_not_found": "`kind: cartesian`, `polar`, `hexagonal` or `cells`",
    "finite_number": "a finite number",
}
_LIMITS = {
    "ge": "{:g} or more",
    "gt": "more than {:g}",
    "le": "at most {:,g}",
    "min_length": "{} or more of them",
    "max_length": "{} of them",
}
_EXAMPLES = {
    "name": "name: my-detector",
    "readout": "readout: {deposits: all, layers: [...]}",
    "deposits": "deposits: all, or deposits: active",
    "layers": "layers: [{thickness: 90 mm, grid: {...}}]",
    "grid": "grid: {kind: cartesian, window: [480 mm, 480 mm], cells: [12, 12]}",
    "window": "window: [480 mm, 480 mm]",
    "alpha": "alpha: 16",
    "across": "across: y, or across: x",
    "slabs": "slabs: [{material: G4_Pb, thickness: 2 mm}]",
    "material": "material: G4_Pb",
    "thickness": "thickness: 2 mm",
    "density": "density: 1.39 g/cm3",
    "composition": "composition: {W: 0.93, Ni: 0.07}",
    "gains": "gains: [1, 10]",
    "bits": "bits: 12",
}


def detector_error(error: ValidationError, document: Document, where: str) -> DetectorError:
    """Return the first fault in the order of the file, and mention the others."""
    details_found = error.errors()
    faults = [_Fault(detail, document) for detail in details_found if not _follows(detail, details_found)]
    first, *others = sorted(faults, key=lambda fault: fault.line)
    details = {key: first.context.get(key) for key in ("got", "expected", "near", "cure")}
    if others:
        rest = "; ".join(f"line {fault.line}, {fault.key}: {fault.problem}" for fault in others[:5])
        first.problem += f" (and {len(others)} more: {rest})"
    place = f"{where}, line {first.line}" + (f", key {first.key}" if first.key else "")
    return DetectorError(first.problem, where=place, **details)


def _follows(detail: Any, others: Sequence[Any]) -> bool:
    """Whether a list counts as too short only because one of its items is wrong."""
    loc = detail["loc"]
    return detail["type"] == "too_short" and any(
        len(other["loc"]) > len(loc) and other["loc"][: len(loc)] == loc for other in others
    )


class _Fault:
    """One thing that is wrong: problem, key, line and what else is known."""

    def __init__(self, detail: Any, document: Document) -> None:
        context = detail.get("ctx", {})
        if detail["type"] == "detector":
            self.problem = context["problem"]
            self.context = context
            at = context["at"]
        else:
            self.problem, self.context = _translate(detail)
            at = ()
        path = _path_in(document.data, (*detail["loc"], *at))
        self.key = ".".join(map(str, path))
        self.line = document.line(path)


def _translate(detail: Any) -> tuple[str, dict[str, Any]]:
    """Say in our words what pydantic found: problem, and got, expected and near."""
    kind, limits, key = detail["type"], detail.get("ctx", {}), str((detail["loc"] or ("",))[-1])
    if kind == "missing" and isinstance(detail["loc"][-1], int):
        return "the list is too short", {"got": _short(detail["input"])}
    if kind == "missing":
        return f"the key {key!r} is missing", {"expected": _EXAMPLES.get(key)}
    got = _short(detail["input"])
    if kind in _EXPECTED:
        return f"{got} is not {_EXPECTED[kind]}", {"got": got, "expected": _EXPECTED[kind]}
    if kind == "literal_error":
        return _no_choice(detail["input"], limits["expected"])
    if kind == "union_tag_invalid":
        return _no_choice(limits["tag"], limits["expected_tags"])
    for limit, words in _LIMITS.items():
        if limit in limits:
            problem = "a list of the wrong length" if "length" in limit else f"{got} is out of range"
            return problem, {"got": got, "expected": words.format(limits[limit])}
    return detail["msg"][0].lower() + detail["msg"][1:], {"got": got, "expected": _EXAMPLES.get(key)}


def _short(value: Any) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) < 80 else text[:76] + " ..."


def _no_choice(value: Any, choices: str) -> tuple[str, dict[str, Any]]:
    valid = re.findall(r"'([^']*)'", choices)
    near = nearest(value, valid) if isinstance(value, str) else None
    problem = f"{_short(value)} is not possible here"
    return problem, {"got": _short(value), "expected": " or ".join(valid), "near": near}


def _indices(data: Any) -> range:
    return range(len(data)) if isinstance(data, list) else range(0)


def _path_in(data: Any, loc: KeyPath) -> KeyPath:
    """Drop from pydantic's path the names of union members, which the file does not have."""
    path: list[str | int] = []
    for i, step in enumerate(loc):
        named = isinstance(data, dict) and data.get("kind") == step
        if named or str(step).startswith("<"):
            continue
        known = step in (data if isinstance(data, dict) else _indices(data))
        if known:
            data = data[step]
        if known or i == len(loc) - 1:
            path.append(step)
    return tuple(path)

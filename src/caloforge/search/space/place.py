"""Where in a space's file something is wrong."""

from __future__ import annotations

__all__ = ["KIND", "Place"]

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from caloforge.documents import Document, KeyPath, Kind
from caloforge.errors import SearchError, nearest

KIND = Kind("space", SearchError, cure="see docs/space.md for the keys, or `caloforge tune --list`")


@dataclass(frozen=True)
class Place:
    """A key of a space's file.

    Attributes:
        where: The file.
        document: What it says.
        path: The key.
    """

    where: str
    document: Document
    path: KeyPath = ()

    def __truediv__(self, key: str | int) -> Place:
        return Place(self.where, self.document, (*self.path, key))

    def fault(self, problem: str, **details: Any) -> SearchError:
        """Return an error that says where this is."""
        return SearchError(problem, where=str(self), **details)

    def __str__(self) -> str:
        key = f", key {'.'.join(map(str, self.path))}" if self.path else ""
        return f"{self.where}, line {self.document.line(self.path)}{key}"

    def mapping(self, value: Any, expected: str) -> dict[str, Any]:
        """Return a mapping with something in it."""
        if not isinstance(value, dict) or not value:
            raise self.fault("this is not a mapping of keys to values", got=_short(value), expected=expected)
        return value

    def known(self, value: dict[str, Any], keys: Iterable[str]) -> None:
        """See that a mapping has no other keys."""
        keys = list(keys)
        for key in value:
            if key not in keys:
                near = nearest(key, keys)
                raise (self / key).fault(f"{key} is not a key here", expected=", ".join(keys), near=near)


def _short(value: Any) -> str:
    return "nothing" if value in (None, {}) else repr(value)

"""What tells where a bundle was made and by whom, found and taken out: paths, users, machines."""

from __future__ import annotations

__all__ = ["Removed", "clean", "names_of_this_machine"]

import getpass
import os
import re
import socket
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GONE = "(removed)"
_ROOTED = r"(?:file://|[A-Za-z]:[\\/]|\\\\|~[\w.-]*/|\.\.?/|/)"
# A path in a text: rooted, at least one folder deep, and no part of a URL, a fraction or a unit.
_PATH = re.compile(
    rf"(?<![^\s'\"=(\[{{<,;:|]){_ROOTED}(?:[^\s'\",;:()\[\]{{}}<>|\\/]+[\\/])*[^\s'\",;:()\[\]{{}}<>|\\/]*"
)
_QUOTED = re.compile(rf"(['\"])({_ROOTED}[^'\"]*)\1")
_ALL = re.compile(rf"{_ROOTED}\S.*", re.DOTALL)
_PERSON = re.compile(r"\b[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64})*\b")
_TELLING = {"host", "hostname", "node", "nodename", "user", "username", "login", "home", "cwd", "email"}
_EVERYWHERE = {"root", "user", "users", "home", "admin", "runner", "ubuntu", "debian", "docker", "localhost"}
_SHORTEST = 4  # a user called "max" would take the word out of every sentence


@dataclass(frozen=True)
class Removed:
    """Something that tells of a machine or a person.

    Attributes:
        where: File and key.
        what: The text that tells it.
        kept: What stands there instead.
    """

    where: str
    what: str
    kept: str


def clean(
    tree: Any, where: str, names: Collection[str] = (), spare: Collection[str] = ()
) -> tuple[Any, list[Removed]]:
    """Take out of a tree of mappings, lists and texts what tells of a machine or a person.

    Paths become the name of their file; `user@host`, values of keys like `hostname`, and given names go.

    Args:
        tree: What JSON or YAML gave.
        where: What `Removed.where` begins with.
        names: Words that go, too, as `names_of_this_machine` gives.
        spare: Keys of the tree whose values stay as they are.

    Returns:
        The tree without them, and what was taken out.
    """
    found: list[Removed] = []
    cleaner = _Cleaner(_words(names), found)
    if isinstance(tree, Mapping) and spare:
        kept = {key: value for key, value in tree.items() if key in spare}
        rest = cleaner.tree({key: value for key, value in tree.items() if key not in spare}, where)
        return {key: kept.get(key, rest.get(key)) for key in tree}, found
    return cleaner.tree(tree, where), found


def names_of_this_machine() -> list[str]:
    """Return the names of user and machine, but for those that every machine has."""
    names = {socket.gethostname(), socket.gethostname().partition(".")[0], Path.home().name}
    with suppress(OSError, KeyError, ImportError):  # a user without a name
        names.add(getpass.getuser())
    names |= {os.environ.get(key, "") for key in ("USER", "LOGNAME")}
    return sorted(name for name in names if len(name) >= _SHORTEST and name.lower() not in _EVERYWHERE)


def _words(names: Collection[str]) -> re.Pattern[str] | None:
    longest_first = sorted(map(re.escape, names), key=len, reverse=True)
    return re.compile(rf"\b(?:{'|'.join(longest_first)})\b") if names else None


class _Cleaner:
    def __init__(self, words: re.Pattern[str] | None, found: list[Removed]) -> None:
        self._words, self._found = words, found

    def tree(self, tree: Any, where: str) -> Any:
        if isinstance(tree, Mapping):
            return {key: self._value(str(key), value, f"{where}.{key}") for key, value in tree.items()}
        if isinstance(tree, list | tuple):
            return [self.tree(value, f"{where}.{i}") for i, value in enumerate(tree)]
        return self._text(tree, where) if isinstance(tree, str) else tree

    def _value(self, key: str, value: Any, where: str) -> Any:
        if key.lower() in _TELLING and isinstance(value, str) and value not in ("", GONE):
            self._found.append(Removed(where, value, GONE))
            return GONE
        return self.tree(value, where)

    def _text(self, text: str, where: str) -> str:
        if _ALL.fullmatch(text) and not re.search(r"\s[-/~]", text):  # blanks may be in it
            return self._take(text, _last(text), where)
        text = self._replace(_QUOTED, text, where, lambda match: f"{match[1]}{_last(match[2])}{match[1]}")
        text = self._replace(_PATH, text, where, lambda match: _last(match[0]))
        text = self._replace(_PERSON, text, where, lambda _: GONE)
        return self._replace(self._words, text, where, lambda _: GONE) if self._words else text

    def _replace(
        self, pattern: re.Pattern[str], text: str, where: str, kept: Callable[[re.Match[str]], str]
    ) -> str:
        return pattern.sub(lambda match: self._take(match[0], kept(match), where), text)

    def _take(self, what: str, kept: str, where: str) -> str:
        if what != kept:
            self._found.append(Removed(where, what, kept))
        return kept


def _last(path: str) -> str:
    """The name of the file, whichever system the path is of; a lone `/` is none."""
    parts = [part for part in re.split(r"[\\/]", path) if part]
    if len(parts) > 1 and parts[-2].lower() in ("home", "users"):
        return GONE  # the last part is who it is
    return parts[-1] if parts and path not in (parts[0], "/") else path

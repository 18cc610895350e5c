"""YAML as data and as line numbers: safe loading that remembers where every key was."""

from __future__ import annotations

__all__ = ["Document", "parse"]

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from caloforge.errors import DetectorError

_MAX_NODES = 100_000
_MAX_NESTING = 30
_MAX_CHARACTERS = 1_000_000

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Document:
    """A YAML document: its data, and the line of every key and item by path."""

    data: Any
    lines: dict[Path, int]

    def line(self, path: Path) -> int:
        """Return the line of the deepest part of `path` that exists, from 1."""
        while path not in self.lines:
            path = path[:-1]
        return self.lines[path]


def parse(text: str, where: str) -> Document:
    """Read YAML with the safe loader.

    Raises:
        DetectorError: on broken syntax, an empty or huge document, keys given twice, or aliases that
            blow up.
    """
    if len(text) > _MAX_CHARACTERS:
        raise DetectorError(
            "this is too long to be a detector file",
            where=where,
            got=f"{len(text):,} characters",
            expected=f"at most {_MAX_CHARACTERS:,}",
        )
    try:
        node = yaml.compose(text, Loader=_ShallowLoader)
        if node is None:
            raise DetectorError("the detector file is empty", where=where, cure="see docs/detectors.md")
        builder = _Builder(where)
        return Document(builder.build(node, ()), builder.lines)
    except yaml.YAMLError as error:
        raise _syntax_error(error, where) from None
    except _TooDeepError as error:
        place = f"{where}, line {error.line}"
        raise DetectorError("the file is nested too deeply to be a detector", where=place) from None


class _TooDeepError(Exception):
    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


class _ShallowLoader(yaml.SafeLoader):
    """The safe loader that stops at once where brackets are nested as in no detector."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self.depth += 1
        if self.depth > _MAX_NESTING:
            raise _TooDeepError(self.get_mark().line + 1)
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _syntax_error(error: yaml.YAMLError, where: str) -> DetectorError:
    mark = getattr(error, "problem_mark", None)
    place = f"{where}, line {mark.line + 1}, column {mark.column + 1}" if mark else where
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read"
    return DetectorError(
        f"this is not valid YAML: {problem}",
        where=place,
        cure="indent with spaces, close every bracket and quote, and put a space after each ':'",
    )


class _Builder:
    """Turns nodes into data, counting them: aliases can make a short file grow without end."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.lines: dict[Path, int] = {}
        self._scalars = yaml.constructor.SafeConstructor()

    def build(self, node: yaml.Node, path: Path) -> Any:
        self.lines.setdefault(path, node.start_mark.line + 1)
        if len(self.lines) > _MAX_NODES or len(path) > _MAX_NESTING:
            raise DetectorError(
                "the file is too large or nested too deeply to be a detector",
                where=f"{self.where}, line {node.start_mark.line + 1}",
                expected=f"at most {_MAX_NODES:,} values, aliases written out",
                cure="write many equal layers with `count:`, many equal slabs with `repeat:`",
            )
        if isinstance(node, yaml.MappingNode):
            return dict(self._items(node, path))
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, i)) for i, item in enumerate(node.value)]
        return self._scalars.construct_object(node)

    def _items(self, node: yaml.MappingNode, path: Path) -> Iterator[tuple[str, Any]]:
        seen = set()
        for key_node, value_node in node.value:
            key, line = str(key_node.value), key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise DetectorError(
                    "a key must be a single word", where=f"{self.where}, line {line}", got="a list or mapping"
                )
            if key in seen:
                raise DetectorError(
                    f"the key {key!r} is given twice",
                    where=f"{self.where}, line {line}, key {_dotted((*path, key))}",
                    cure="keep one of them",
                )
            seen.add(key)
            self.lines[(*path, key)] = line
            yield key, self.build(value_node, (*path, key))


def _dotted(path: Path) -> str:
    return ".".join(map(str, path))

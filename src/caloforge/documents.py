"""Text, YAML and JSON that anybody may have written: read with limits, and with one kind of error."""

from __future__ import annotations

__all__ = [
    "Document",
    "KeyPath",
    "Kind",
    "check_json",
    "parse_json",
    "parse_yaml",
    "read_json",
    "read_stream",
    "read_text",
]

import json
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from caloforge.errors import CaloforgeError

if TYPE_CHECKING:
    from _typeshed import SupportsRead

_MAX_NODES = 100_000
_MAX_NESTING = 30
_MAX_DIGITS = 400  # more than any float has; Python does not even print integers of thousands
_NUMBERS = {"tag:yaml.org,2002:int": "whole number", "tag:yaml.org,2002:float": "number"}
_WORDS = {"tag:yaml.org,2002:bool": "true or false", "tag:yaml.org,2002:null": "null"}
# Dates are what YAML makes of texts that look like one, and no document of ours holds any.
_TEXTS = "tag:yaml.org,2002:str", "tag:yaml.org,2002:timestamp"
_ODD_SCALAR = ValueError, OverflowError, LookupError, AttributeError, TypeError
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")

KeyPath = tuple[str | int, ...]
_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True)
class Kind:
    """What a document should be.

    Attributes:
        what: Its name in messages, as "recipe".
        error: What is raised where it is none.
        cure: What to do where the whole document is useless.
        most: The longest text that can be one, in characters.
    """

    what: str
    error: type[CaloforgeError]
    cure: str | None = None
    most: int = 1_000_000


@dataclass(frozen=True)
class Document:
    """A YAML document: its data, and the line of every key and item by path."""

    data: Any
    lines: dict[KeyPath, int]

    def line(self, path: KeyPath) -> int:
        """Return the line of the deepest part of `path` that exists, from 1."""
        while path not in self.lines:
            path = path[:-1]
        return self.lines[path]


def read_text(path: Path, kind: Kind) -> str:
    """Read a text file in UTF-8, and no more of it than can be of that kind.

    Raises:
        kind.error: It cannot be read, is no text, or is too long.
    """
    try:
        # A pipe or a device could keep the reader waiting for ever.
        if not stat.S_ISREG(path.stat().st_mode):
            raise kind.error(f"the {kind.what} cannot be read: it is not a regular file", where=path)
        with path.open("rb") as file:
            return read_stream(file, str(path), kind)
    except OSError as error:
        raise kind.error(f"the {kind.what} cannot be read: {error.strerror}", where=path) from None


def read_stream(file: SupportsRead[bytes], where: str, kind: Kind) -> str:
    """Read a text in UTF-8 from an open file, as one of a zip, and no more of it than can be of that kind.

    Raises:
        kind.error: It is no text, or too long.
    """
    content = file.read(4 * kind.most + 1)  # no character has more than four bytes
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if len(content) > 4 * kind.most:
            raise _too_long(f"{len(content):,} bytes or more", where, kind) from None
        raise kind.error(
            "this is not a text file",
            where=where,
            got=f"the byte 0x{content[error.start]:02x} at position {error.start:,}",
            expected=f"a {kind.what} in UTF-8",
            cure=kind.cure,
        ) from None
    _check_length(text, where, kind)
    return text


def parse_yaml(text: str, where: str, kind: Kind) -> Document:
    """Read YAML: null, booleans, numbers, texts, lists, and mappings whose keys are texts.

    Raises:
        kind.error: Broken syntax, an empty or huge document, keys given twice, values that are not what
            their tag says, or aliases that blow up.
    """
    _check_length(text, where, kind)
    try:
        node = yaml.compose(text, Loader=_BoundedLoader)
        if node is None:
            raise kind.error(f"the {kind.what} is empty", where=where, cure=kind.cure)
        builder = _Builder(where, kind)
        return Document(builder.build(node, ()), builder.lines)
    except yaml.YAMLError as error:
        raise _syntax_error(error, where, kind) from None
    except (ValueError, OverflowError) as error:  # an escape that is no character, as "\UFFFFFFFF"
        raise kind.error("this is not valid YAML", where=where, got=str(error)) from None
    except _BeyondError as error:
        raise kind.error(
            f"this is too large or nested too deeply to be a {kind.what}",
            where=f"{where}, line {error}",
            expected=f"at most {_MAX_NODES:,} values, {_MAX_NESTING} levels deep",
        ) from None


def read_json(path: Path, kind: Kind) -> Any:
    """Read a JSON file; see `read_text` and `parse_json`."""
    return parse_json(read_text(path, kind), str(path), kind)


def parse_json(text: str, where: str, kind: Kind) -> Any:
    """Read JSON as its standard has it: no NaN, no key twice.

    Raises:
        kind.error: It is none, is nested too deeply, or is too long.
    """
    _check_length(text, where, kind)
    try:
        tree = json.loads(text, object_pairs_hook=_once_each, parse_constant=_no_constant)
        if _SURROGATE.search(text):
            json.dumps(tree, ensure_ascii=False).encode()  # half a character could never be printed
    except (ValueError, RecursionError) as error:
        got = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise kind.error(f"the {kind.what} is not JSON", where=where, got=got, cure=kind.cure) from None
    return tree


def check_json(tree: Any, model: type[_Model], where: str, kind: Kind) -> _Model:
    """Return what `tree`, read from JSON, says in terms of a pydantic model.

    Raises:
        kind.error: A key is missing, or a value is of the wrong type.
    """
    try:
        return model.model_validate_json(json.dumps(tree), strict=True)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, e['loc'])) or 'all of it'}: {e['msg']}" for e in error.errors()[:3]]
        got = "; ".join(faults)
        raise kind.error(f"the {kind.what} is damaged", where=where, got=got, cure=kind.cure) from None


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} is given twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number of JSON")


def _check_length(text: str, where: str, kind: Kind) -> None:
    if len(text) > kind.most:
        raise _too_long(f"{len(text):,} characters or more", where, kind)


def _too_long(got: str, where: str, kind: Kind) -> CaloforgeError:
    problem = f"this is too long to be a {kind.what}"
    return kind.error(problem, where=where, got=got, expected=f"at most {kind.most:,} characters")


class _BeyondError(Exception):
    """More values, or brackets nested deeper, than in any document; its text is the line."""


class _BoundedLoader(yaml.SafeLoader):
    """The safe loader that stops at once where there is too much: a megabyte would take it half a minute."""

    depth = nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self.depth += 1
        self.nodes += 1
        if self.depth > _MAX_NESTING or self.nodes > _MAX_NODES:
            raise _BeyondError(self.get_mark().line + 1)
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _syntax_error(error: yaml.YAMLError, where: str, kind: Kind) -> CaloforgeError:
    mark = getattr(error, "problem_mark", None)
    place = f"{where}, line {mark.line + 1}, column {mark.column + 1}" if mark else where
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read"
    return kind.error(
        f"this is not valid YAML: {problem}",
        where=place,
        cure="indent with spaces, close every bracket and quote, and put a space after each ':'",
    )


class _Builder:
    """Turns nodes into data, counting them: aliases can make a short file grow without end."""

    def __init__(self, where: str, kind: Kind) -> None:
        self._where, self._kind = where, kind
        self.lines: dict[KeyPath, int] = {}
        self._scalars = yaml.constructor.SafeConstructor()

    def build(self, node: yaml.Node, path: KeyPath) -> Any:
        self.lines.setdefault(path, node.start_mark.line + 1)
        if len(self.lines) > _MAX_NODES or len(path) > _MAX_NESTING:
            raise self._fault(
                f"this is too large or nested too deeply to be a {self._kind.what}",
                node,
                path,
                expected=f"at most {_MAX_NODES:,} values, aliases written out",
            )
        if isinstance(node, yaml.MappingNode):
            return dict(self._items(node, path))
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, i)) for i, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _scalar(self, node: yaml.Node, path: KeyPath) -> Any:
        text, numeric = str(node.value), node.tag in _NUMBERS
        if node.tag in _TEXTS or (numeric and ":" in text):
            # 1:30 is a range that lacks its unit, and not YAML's 90 of hours and minutes.
            return self._text(text, node, path)
        expected = _NUMBERS.get(node.tag) or _WORDS.get(node.tag)
        if expected is None:
            raise self._fault(f"this is not valid YAML: unknown tag {node.tag!r}", node, path)
        if len(text) > _MAX_DIGITS:
            raise self._fault("a number of too many digits", node, path, got=f"{len(text):,} digits")
        try:
            return self._scalars.construct_object(node)
        except _ODD_SCALAR:
            raise self._fault(f"{text!r} is not a {expected}", node, path, got=repr(text)) from None

    def _text(self, text: str, node: yaml.Node, path: KeyPath) -> str:
        try:
            text.encode()
        except UnicodeEncodeError:  # written as an escape
            raise self._fault("a text with half a character", node, path, got=ascii(text)) from None
        return text

    def _items(self, node: yaml.MappingNode, path: KeyPath) -> Iterator[tuple[str, Any]]:
        seen = set()
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise self._fault("a key must be a single word", key_node, path, got="a list or mapping")
            key = self._text(str(key_node.value), key_node, path)
            if key in seen:
                problem = f"the key {key!r} is given twice"
                raise self._fault(problem, key_node, (*path, key), cure="keep one of them")
            seen.add(key)
            self.lines[(*path, key)] = key_node.start_mark.line + 1
            yield key, self.build(value_node, (*path, key))

    def _fault(self, problem: str, node: yaml.Node, path: KeyPath, **details: str) -> CaloforgeError:
        place = f"{self._where}, line {node.start_mark.line + 1}"
        key = ", key " + ".".join(map(str, path)) if path else ""
        return self._kind.error(problem, where=place + key, **details)

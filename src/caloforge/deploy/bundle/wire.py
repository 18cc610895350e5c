"""An ONNX file read field by field, without the package onnx: what it says of itself, what it refers to."""

from __future__ import annotations

__all__ = ["refers_to_files", "statement_in", "with_statement"]

from collections.abc import Iterator

_KEY = b"caloforge"
_METADATA = 14  # the field of ModelProto
# Fields of each kind of message that hold messages in which a tensor may be (onnx.proto3).
_INSIDE = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "file"},
}
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def with_statement(graph: bytes, statement: str) -> bytes:
    """Return an ONNX file with a statement; it must not have one yet.

    A protobuf message is made longer by what is appended to it: nothing else in the file changes.
    """
    entry = _field(1, _KEY) + _field(2, statement.encode())
    return graph + _field(_METADATA, entry)


def statement_in(graph: bytes) -> str | None:
    """Return what an ONNX file says of itself, or None where it says nothing, or is no ONNX file.

    Weights are skipped rather than read: a file of a gigabyte takes no time.
    """
    try:
        found = [dict(_fields(entry)) for number, entry in _fields(graph) if number == _METADATA]
        said = [bytes(entry[2]).decode() for entry in found if bytes(entry.get(1, b"")) == _KEY]
    except (IndexError, KeyError, ValueError):
        return None
    return said[0] if len(said) == 1 else None


def refers_to_files(graph: bytes) -> bool:
    """Say whether any weights of an ONNX file lie in other files, which nothing here has a checksum of.

    Runtimes look for them in the current folder. A file that is no ONNX refers to nothing.
    """
    try:
        return _has_file(graph, "model")
    except (IndexError, ValueError):
        return False
    except RecursionError:
        return True  # nested deeper than any runtime reads


def _has_file(message: bytes | memoryview, kind: str) -> bool:
    inside = _INSIDE[kind]
    found = ((inside[number], content) for number, content in _fields(message) if number in inside)
    return any(part == "file" or _has_file(content, part) for part, content in found)


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _fields(message: bytes | memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield number and content of each field that has a length, in the order of a protobuf message.

    Raises:
        IndexError, ValueError: It is none.
    """
    view, at = memoryview(message), 0
    while at < len(view):
        key, at = _read_varint(view, at)
        kind = key & 7
        if kind == _VARINT:
            _, at = _read_varint(view, at)
        elif kind == _BYTES:
            length, at = _read_varint(view, at)
            if at + length > len(view):
                raise ValueError("a field that is longer than its message")
            yield key >> 3, view[at : at + length]
            at += length
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
        else:
            raise ValueError("no protobuf message")


def _read_varint(view: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = view[at + shift // 7]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at + shift // 7 + 1
    raise ValueError("a number of too many bytes")

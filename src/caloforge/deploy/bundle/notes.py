"""Notes that exporters leave in ONNX files: stack traces with the paths of the machine, names of classes."""

from __future__ import annotations

__all__ = ["strip_notes"]

from collections.abc import Iterator
from typing import Any

_NOTES = ("doc_string", "metadata_props")


def strip_notes(model: Any) -> list[str]:
    """Take all notes out of a model; no runtime reads them.

    Args:
        model: An `onnx.ModelProto`, changed in place.

    Returns:
        The texts that were taken out.
    """
    taken = []
    for part in _parts(model):
        for name in _NOTES:
            if name in part.DESCRIPTOR.fields_by_name and (note := getattr(part, name)):
                taken.append(note if isinstance(note, str) else "\n".join(entry.value for entry in note))
                part.ClearField(name)
    return taken


def _parts(message: Any) -> Iterator[Any]:
    """A message and all messages in it; lists of numbers are not looked through."""
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in [value] if hasattr(value, "ListFields") else value:
                yield from _parts(part)

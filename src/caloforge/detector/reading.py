"""From YAML text to what it describes, or to an error with file, line and key."""

from __future__ import annotations

__all__ = ["KIND", "described", "read_yaml"]

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from caloforge.detector.faults import detector_error
from caloforge.documents import Document, Kind, parse_yaml
from caloforge.errors import DetectorError

Model = TypeVar("Model", bound=BaseModel)

_MOST = 10_000_000  # characters: 47 layers of 2,000 cells are 2 million
KIND = Kind("detector file", DetectorError, cure="see docs/detectors.md", most=_MOST)


def read_yaml(kind: type[Model], text: str, where: str) -> Model:
    """Read a detector from YAML text; `where` names the file in errors.

    Raises:
        DetectorError: with file, line and key of what is wrong, and the cure.
    """
    document = parse_yaml(text, where, KIND)
    if not isinstance(document.data, dict):
        raise DetectorError(
            "a detector file is a mapping of keys to values",
            where=f"{where}, line {document.line(())}",
            got=f"a {'list' if isinstance(document.data, list) else 'single value'}",
            expected="name: ..., readout: ...",
            cure="see docs/detectors.md",
        )
    return described(kind, document, where)


def described(kind: type[Model], document: Document, where: str) -> Model:
    """Return what a document describes.

    Raises:
        DetectorError: it does not describe it.
    """
    try:
        return kind.model_validate(document.data)
    except ValidationError as error:
        raise detector_error(error, document, where) from None

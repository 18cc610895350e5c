"""Where showers to compare come from: a file that is read piece by piece, or memory."""

from __future__ import annotations

__all__ = ["Source", "open_source"]

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caloforge.detector import Detector
from caloforge.errors import ValidationError
from caloforge.showers import Incident, ShowerFile, Showers

_CELLS_AT_ONCE = 8_000_000
"""Cells held in memory at a time, 32 MB; what bounds the memory of a report."""


@dataclass(frozen=True)
class Source:
    """Showers that can be read in pieces.

    Attributes:
        name: What a message calls them: the file's name, or "showers in memory".
        detector: What was hit.
        incident: All incident particles.
        provenance: How they were made.
    """

    name: str
    detector: Detector
    incident: Incident
    provenance: dict[str, Any]
    _showers: Showers | ShowerFile

    def __len__(self) -> int:
        return len(self.incident)

    def chunks(self) -> Iterator[Showers]:
        """Yield the showers in order, about 32 MB at a time."""
        size = max(1, min(len(self), _CELLS_AT_ONCE // self.detector.n_cells))
        if isinstance(self._showers, ShowerFile):
            yield from self._showers.chunks(size)
            return
        for start in range(0, len(self), size):
            yield self._showers[start : start + size]


@contextmanager
def open_source(showers: Showers | str | Path) -> Iterator[Source]:
    """Open a shower file, or wrap showers in memory.

    Raises:
        ValidationError: There is not a single shower.
    """
    if isinstance(showers, Showers):
        source = Source(
            "showers in memory", showers.detector, showers.incident, dict(showers.provenance), showers
        )
        yield _not_empty(source)
        return
    with ShowerFile(showers) as file:
        incident = file.incident()
        yield _not_empty(Source(str(showers), file.detector, incident, dict(file.provenance), file))


def _not_empty(source: Source) -> Source:
    if len(source) == 0:
        raise ValidationError(
            "there are no showers to compare",
            where=source.name,
            got="0 showers",
            expected="at least 2",
            cure="produce some with `caloforge simulate` or `caloforge generate`",
        )
    return source

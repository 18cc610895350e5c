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
from caloforge.showers import Incident, Showers, ShowerSource, open_showers
from caloforge.showers.checks import BadEnergies
from caloforge.showers.container import same_detector

_CELLS_AT_ONCE = 8_000_000  # 32 MB


@dataclass(frozen=True)
class Source:
    """Showers that can be read in pieces.

    Attributes:
        name: What a message calls them: the file's name, or "showers in memory".
        detector: What was hit.
        incident: All incident particles.
        provenance: How they were made.
        cells_at_once: How many cells are held in memory at a time; what bounds the memory of a report.
    """

    name: str
    detector: Detector
    incident: Incident
    provenance: dict[str, Any]
    _showers: Showers | ShowerSource
    cells_at_once: int = _CELLS_AT_ONCE

    def __len__(self) -> int:
        return len(self.incident)

    def chunks(self) -> Iterator[Showers]:
        """Yield the showers in order, about 32 MB at a time.

        Raises:
            ShowersError: NaN, infinite or negative energies.
        """
        size = max(1, min(len(self), self.cells_at_once // self.detector.n_cells))
        if isinstance(self._showers, ShowerSource):
            yield from self._showers.chunks(size)
            return
        for start in range(0, len(self), size):
            yield _checked(self._showers[start : start + size], self.name)


@contextmanager
def open_source(showers: Showers | str | Path, detector: Detector | None = None) -> Iterator[Source]:
    """Open a shower file of any known format, or wrap showers in memory.

    Args:
        showers: A file, or showers.
        detector: What was hit, where a file cannot say; what says it must be of this detector.

    Raises:
        ShowersError: A file that cannot be read, or showers of another detector.
        ValidationError: There is not a single shower.
    """
    if isinstance(showers, Showers):
        if detector is not None:
            same_detector(detector, showers.detector)
        yield _source("showers in memory", showers, showers.incident)
        return
    with open_showers(showers, detector) as file:
        yield _source(Path(showers).name, file, file.incident())


def _source(name: str, showers: Showers | ShowerSource, incident: Incident) -> Source:
    if len(incident) == 0:
        raise ValidationError(
            "there are no showers to compare",
            where=name,
            got="0 showers",
            expected="at least 2",
            cure="produce some with `caloforge simulate` or `caloforge generate`",
        )
    return Source(name, showers.detector, incident, dict(showers.provenance), showers)


def _checked(showers: Showers, name: str) -> Showers:
    bad = BadEnergies()
    bad.good(showers.incident, showers.cells, None)
    bad.refuse(name)
    return showers

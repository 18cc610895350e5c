"""Writes events: a shower file with one row per event, and the origin of every hit and primary."""

from __future__ import annotations

__all__ = ["Primaries", "RowWriter"]

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from caloforge.showers import Incident, Showers, ShowerWriter
from caloforge.showers.incident import COLUMNS
from caloforge.writing import room

if TYPE_CHECKING:
    from typing_extensions import Self

    from caloforge.detector import Detector
    from caloforge.hdf5.output import Hdf5Output

_CHUNK = 1 << 14
_ORIGIN = "cells/origin"
_PRIMARIES = {
    "offset": ("<i8", "1"),
    **COLUMNS,
    "origin": ("|u1", "1"),
    "generated": ("<f4", "MeV"),
}


@dataclass(frozen=True, eq=False)
class Primaries:
    """Primaries of some events, event after event.

    Attributes:
        incident: What they are, by where they would enter if nothing stood in their way.
        offset: Where each event starts, shape `(n_events + 1,)`, from 0.
        origin: `GEANT4`, `GENERATED`, both or 0 (nothing reached the detector), shape `(n,)`.
        generated: Kinetic energy that bundles took over at the front face, MeV, shape `(n,)`.
    """

    incident: Incident
    offset: NDArray[np.int64]
    origin: NDArray[np.uint8]
    generated: NDArray[np.float32]

    def columns(self, first: int) -> Iterator[tuple[str, NDArray[Any]]]:
        """Columns on disk, for primaries that are numbered from `first`."""
        yield "offset", self.offset[1:] + first
        yield from self.incident.items()
        yield "origin", self.origin
        yield "generated", self.generated


class RowWriter:
    """Writes events that every reader of showers reads, and `EventFile` with all that is known of them.

    The file is there when it is whole, and a killed process leaves nothing.

    Args:
        path: The file to make.
        detector: What was hit.
        provenance: How the events are made; may be changed in `provenance` until the end.

    Raises:
        OutputError: The file exists, another process writes it, or the disk is full.

    Example:
        >>> with RowWriter("events.h5", detector, {"seed": 1}) as writer:
        ...     writer.append(showers, origin, primaries)
    """

    def __init__(self, path: Path, detector: Detector, provenance: dict[str, Any]) -> None:
        self.path, self._files, self._primaries = path, ExitStack(), 0
        self._writer = ShowerWriter(path, detector, provenance, keep=False)
        self.provenance = self._writer.provenance
        self._writer.beside = self._write_beside
        try:
            # Columns wait on disk, so that memory does not grow with the number of events.
            with room(path):
                self._columns: dict[str, BinaryIO] = {name: self._spool() for name in [_ORIGIN, *_PRIMARIES]}
        except BaseException:
            self._writer.stop()
            raise
        self._files.enter_context(self._writer)  # last, as it is closed first and needs the columns

    def append(self, showers: Showers, origin: NDArray[np.uint8], primaries: Primaries) -> None:
        """Write events.

        Args:
            showers: One row per event.
            origin: Flags of every cell, shape `(n, n_cells)`; those of empty cells are not kept.
            primaries: Those of these events.
        """
        self._writer.append(showers)
        with room(self.path):
            self._columns[_ORIGIN].write(origin[showers.cells != 0].tobytes())
            for name, values in primaries.columns(self._primaries):
                self._columns[name].write(values.astype(_PRIMARIES[name][0]).tobytes())
        self._primaries += len(primaries.incident)

    def _spool(self) -> BinaryIO:
        return self._files.enter_context(TemporaryFile(dir=self.path.parent))

    def _write_beside(self, file: Hdf5Output) -> None:
        _copy(file, _ORIGIN, self._columns[_ORIGIN], "|u1", "1")
        file[_ORIGIN].attrs["flags"] = _FLAGS
        for name, (kind, unit) in _PRIMARIES.items():
            first = [0] if name == "offset" else []
            _copy(file, f"particles/{name}", self._columns[name], kind, unit, first)
        file["particles/origin"].attrs["flags"] = _FLAGS

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        self._files.__exit__(*error)


_FLAGS = np.bytes_(b"1: Geant4, 2: generated, 3: both")


def _copy(
    file: Hdf5Output, key: str, column: BinaryIO, kind: str, unit: str, first: Sequence[int] = ()
) -> None:
    """Make a dataset of a column that waits on disk, piece by piece; `first` comes before it."""
    item, lead = np.dtype(kind), len(first)
    n = lead + column.tell() // item.itemsize
    how: dict[str, Any] = {"compression": "gzip", "compression_opts": 1, "shuffle": True, "fletcher32": True}
    made = file.create_dataset(key, (n,), kind, **(how | {"chunks": (min(_CHUNK, n),)} if n else {}))
    made.attrs["unit"] = np.bytes_(unit.encode())
    made[:lead] = first
    column.seek(0)
    while len(part := np.frombuffer(column.read(_CHUNK * 64 * item.itemsize), item)):
        made[lead : lead + len(part)] = part
        lead += len(part)
        file.check()

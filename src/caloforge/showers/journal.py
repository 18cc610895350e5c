"""The append-only file of a production that is not finished: whole records survive whatever kills the writer.

HDF5 cannot promise that: a process killed while the library rewrites its tables leaves a file that no one
can open. Here nothing that was written is ever touched again. A record is its length, a checksum and its
bytes, and a torn record can only be the last one. The finished production becomes HDF5 (`store.py`).
"""

from __future__ import annotations

__all__ = ["Journal", "is_journal"]

import json
import os
import struct
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from caloforge.errors import ShowersError
from caloforge.showers.incident import COLUMNS, Incident
from caloforge.showers.sparse import Sparse, index_type

_MAGIC = b"CFJOUR1\n"
_RECORD = struct.Struct("<QIII")  # payload bytes, its CRC-32, showers, hits


class _Place(NamedTuple):
    first: int  # number of the record's first shower
    position: int  # of the payload in the file
    size: int
    crc: int
    showers: int
    hits: int


class Journal:
    """The records of one unfinished production, open for reading or for appending.

    Args:
        path: The journal's file.
        append: Open for writing, too: takes the file's lock and cuts off a torn last record.

    Attributes:
        head: What was given to `create`.

    Raises:
        ShowersError: Not a journal, damaged, or another process writes to it.
    """

    def __init__(self, path: Path, append: bool = False) -> None:
        self.path = path
        self._file: BinaryIO = path.open("r+b" if append else "rb", buffering=0)
        if append:
            _lock(self._file, path)
        self.head: dict[str, Any] = {}
        self._places: list[_Place] = []
        try:
            self._end = self._scan()
        except BaseException:
            self._file.close()
            raise
        if append:
            self._file.truncate(self._end)

    @classmethod
    def create(cls, path: Path, head: dict[str, Any]) -> Journal:
        """Start a journal; `head` must hold `n_cells` and `n_layers`, and may hold anything JSON can."""
        text = json.dumps(head).encode()
        # Under its own name only when the head is whole: a journal without a head could not be resumed.
        new = path.with_name(path.name + ".new")
        new.write_bytes(_MAGIC + _RECORD.pack(len(text), zlib.crc32(text), 0, 0) + text)
        if path.exists():
            raise ShowersError("another process is writing these showers", where=path)
        new.replace(path)
        return cls(path, append=True)

    def __len__(self) -> int:
        last = self._places[-1] if self._places else None
        return last.first + last.showers if last else 0

    @property
    def hits(self) -> int:
        """Cells with energy in all showers together."""
        return sum(place.hits for place in self._places)

    def append(self, rows: Sparse) -> None:
        """Write one record; when this returns, the showers outlive the process."""
        payload = b"".join(_pack(rows))
        header = _RECORD.pack(len(payload), zlib.crc32(payload), len(rows), len(rows.index))
        try:
            self._file.seek(self._end)
            _write_all(self._file, header + payload)
        except OSError as error:
            self._file.truncate(self._end)
            raise ShowersError(
                f"cannot write showers: {error.strerror}",
                where=self.path,
                cure="free some space and resume; what was written before is safe",
            ) from error
        place = _Place(
            len(self), self._end + len(header), len(payload), zlib.crc32(payload), len(rows), len(rows.index)
        )
        self._places.append(place)
        self._end = place.position + place.size

    def rows(self, start: int, stop: int) -> Sparse:
        """The showers from `start` to `stop`, which must lie inside."""
        found = [p for p in self._places if p.first < stop and p.first + p.showers > start]
        parts = [self._read(place) for place in found]
        if len(parts) == 1 and len(parts[0]) == stop - start:
            return parts[0]
        first = found[0].first
        return Sparse.concat(parts)[start - first : stop - first]

    def records(self) -> Iterator[Sparse]:
        """Every record in the order of writing."""
        return (self._read(place) for place in self._places)

    def close(self) -> None:
        """Give the file and its lock back."""
        self._file.close()

    def _scan(self) -> int:
        """Read the head and find the records; returns where the last whole one ends."""
        size = os.fstat(self._file.fileno()).st_size
        if self._file.read(len(_MAGIC)) != _MAGIC:
            raise ShowersError("not a caloforge journal", where=self.path)
        end, first = len(_MAGIC), 0
        while (place := self._next(end, size, first)) is not None:
            if end == len(_MAGIC):
                self.head = json.loads(self._bytes(place))
            else:
                self._places.append(place)
            end, first = place.position + place.size, first + place.showers
        if self._places and zlib.crc32(self._raw(self._places[-1])) != self._places[-1].crc:
            # After a power cut the last record may be as long as promised and yet hold nothing.
            end = self._places.pop().position - _RECORD.size
        if not self.head:
            raise ShowersError("damaged journal: its head is torn", where=self.path, cure="delete it")
        return end

    def _next(self, end: int, size: int, first: int) -> _Place | None:
        self._file.seek(end)
        header = self._file.read(_RECORD.size)
        if len(header) < _RECORD.size:
            return None
        length, crc, showers, hits = _RECORD.unpack(header)
        position = end + _RECORD.size
        whole = position + length <= size and length > 0
        return _Place(first, position, length, crc, showers, hits) if whole else None

    def _raw(self, place: _Place) -> bytes:
        self._file.seek(place.position)
        parts, left = [], place.size
        while left and (part := self._file.read(left)):
            parts.append(part)
            left -= len(part)
        return b"".join(parts)

    def _bytes(self, place: _Place) -> bytes:
        payload = self._raw(place)
        if zlib.crc32(payload) != place.crc:
            raise ShowersError(
                "damaged journal: a record does not match its checksum",
                where=f"{self.path}, showers {place.first} to {place.first + place.showers - 1}",
                cure="make the showers again",
            )
        return payload

    def _read(self, place: _Place) -> Sparse:
        return _unpack(self._bytes(place), place, self.head["n_cells"], self.head["n_layers"])


def is_journal(path: Path) -> bool:
    """Whether a file starts like a journal."""
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def _pack(rows: Sparse) -> Iterator[bytes]:
    for name, column in rows.incident.items():
        yield column.astype(COLUMNS[name][0], copy=False).tobytes()
    yield np.diff(rows.offset).astype("<u4").tobytes()
    yield rows.index.astype(np.dtype(index_type(rows.n_cells)).newbyteorder("<"), copy=False).tobytes()
    yield rows.energy.astype("<f4", copy=False).tobytes()
    if rows.overflow is not None:
        yield rows.overflow.astype("<f4", copy=False).tobytes()


def _unpack(payload: bytes, place: _Place, n_cells: int, n_layers: int) -> Sparse:
    position = 0

    def take(kind: Any, count: int) -> Any:
        nonlocal position
        values = np.frombuffer(payload, kind, count, position)
        position += values.nbytes
        return values

    incident = Incident(**{name: take(kind, place.showers) for name, (kind, _) in COLUMNS.items()})
    offset = np.concatenate([[0], np.cumsum(take("<u4", place.showers), dtype=np.int64)])
    index = take(np.dtype(index_type(n_cells)).newbyteorder("<"), place.hits)
    energy = take("<f4", place.hits)
    left = (len(payload) - position) // 4
    overflow = take("<f4", left).reshape(place.showers, n_layers) if left else None
    return Sparse(incident, offset, index, energy, overflow, n_cells)


def _write_all(file: BinaryIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _lock(file: BinaryIO, path: Path) -> None:
    if sys.platform == "win32":
        return  # Windows refuses the final rename while a second writer holds the file
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise ShowersError(
            "another process is writing these showers", where=path, cure="wait for it, or stop it first"
        ) from error

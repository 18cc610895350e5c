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
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from caloforge.errors import ShowersError
from caloforge.showers.incident import COLUMNS, Incident
from caloforge.showers.sparse import Sparse, index_type

_MAGIC = b"CFJOUR1\n"
_HEADER = struct.Struct("<QIII")  # payload bytes, its CRC-32, showers, hits


class _Record(NamedTuple):
    payload: int  # position in the file
    size: int
    crc: int
    showers: int
    hits: int

    @property
    def end(self) -> int:
        return self.payload + self.size


class Journal:
    """The records of one unfinished production, open for reading or for appending.

    Args:
        path: The journal's file.
        append: Open for writing, too: takes the file's lock and cuts off a torn last record.

    Attributes:
        head: What was given to `create`.
        hits: Cells with energy in all showers together.

    Raises:
        ShowersError: Not a journal, damaged, or another process writes to it.
    """

    def __init__(self, path: Path, append: bool = False) -> None:
        self.path = path
        self._file: BinaryIO = path.open("r+b" if append else "rb", buffering=0)
        if append:
            _lock(self._file, path)
        self.head: dict[str, Any] = {}
        self.hits = 0
        self._n = 0
        # Two numbers per record, so that a production of single showers stays small in memory, too.
        self._first, self._start = array("q"), array("q")
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
        text = json.dumps(head, default=str).encode()
        # Under its own name only when the head is whole: a journal without a head could not be resumed.
        new = path.with_name(path.name + ".new")
        new.write_bytes(_MAGIC + _HEADER.pack(len(text), zlib.crc32(text), 0, 0) + text)
        if path.exists():
            raise ShowersError("another process is writing these showers", where=path)
        new.replace(path)
        return cls(path, append=True)

    def __len__(self) -> int:
        return self._n

    def append(self, rows: Sparse) -> None:
        """Write one record; when this returns, the showers outlive the process."""
        payload = b"".join(_pack(rows))
        header = _HEADER.pack(len(payload), zlib.crc32(payload), len(rows), len(rows.index))
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
        self._note(self._end, len(rows), len(rows.index))
        self._end += len(header) + len(payload)

    def rows(self, start: int, stop: int) -> Sparse:
        """The showers from `start` to `stop`, which must lie inside."""
        low, high = bisect_right(self._first, start) - 1, bisect_left(self._first, stop)
        parts = [self._read(number) for number in range(low, high)]
        first = self._first[low]
        whole = parts[0] if len(parts) == 1 else Sparse.concat(parts)
        return whole[start - first : stop - first]

    def records(self) -> Iterator[Sparse]:
        """Every record in the order of writing."""
        return (self._read(number) for number in range(len(self._start)))

    def close(self) -> None:
        """Give the file and its lock back."""
        self._file.close()

    def _scan(self) -> int:
        """Read the head and find the records; returns where the last whole one ends."""
        size = os.fstat(self._file.fileno()).st_size
        if self._file.read(len(_MAGIC)) != _MAGIC:
            raise ShowersError("not a caloforge journal", where=self.path)
        end = len(_MAGIC)
        while (record := self._record(end, size)) is not None:
            if not self.head:
                self.head = json.loads(self._payload(record, "the head"))
            else:
                # After a power cut the last record may be as long as promised and yet hold nothing.
                if record.end == size and zlib.crc32(self._raw(record)) != record.crc:
                    return end
                self._note(end, record.showers, record.hits)
            end = record.end
        if not self.head:
            raise ShowersError("damaged journal: its head is torn", where=self.path, cure="delete it")
        return end

    def _note(self, start: int, showers: int, hits: int) -> None:
        self._first.append(self._n)
        self._start.append(start)
        self._n += showers
        self.hits += hits

    def _record(self, start: int, size: int) -> _Record | None:
        """The record that starts here, or None where it is torn or the file ends."""
        self._file.seek(start)
        header = self._file.read(_HEADER.size)
        if len(header) < _HEADER.size:
            return None
        length, crc, showers, hits = _HEADER.unpack(header)
        record = _Record(start + _HEADER.size, length, crc, showers, hits)
        return record if length > 0 and record.end <= size else None

    def _raw(self, record: _Record) -> bytes:
        self._file.seek(record.payload)
        parts, left = [], record.size
        while left and (part := self._file.read(left)):
            parts.append(part)
            left -= len(part)
        return b"".join(parts)

    def _payload(self, record: _Record, what: str) -> bytes:
        payload = self._raw(record)
        if zlib.crc32(payload) != record.crc:
            raise ShowersError(
                "damaged journal: a record does not match its checksum",
                where=f"{self.path}, {what}",
                cure="make the showers again",
            )
        return payload

    def _read(self, number: int) -> Sparse:
        record = self._record(self._start[number], self._end)
        if record is None:
            raise ShowersError("the journal was cut while it was read", where=self.path)
        first = self._first[number]
        payload = self._payload(record, f"showers {first} to {first + record.showers - 1}")
        return _unpack(payload, record, self.head["n_cells"], self.head["n_layers"])


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


def _unpack(payload: bytes, record: _Record, n_cells: int, n_layers: int) -> Sparse:
    position = 0

    def take(kind: Any, count: int) -> Any:
        nonlocal position
        values = np.frombuffer(payload, kind, count, position)
        position += values.nbytes
        return values

    incident = Incident(**{name: take(kind, record.showers) for name, (kind, _) in COLUMNS.items()})
    offset = np.concatenate([[0], np.cumsum(take("<u4", record.showers), dtype=np.int64)])
    index = take(np.dtype(index_type(n_cells)).newbyteorder("<"), record.hits)
    energy = take("<f4", record.hits)
    left = (len(payload) - position) // 4
    overflow = take("<f4", left).reshape(record.showers, n_layers) if left else None
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

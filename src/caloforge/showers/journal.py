"""The append-only file of a production that is not finished: whole records survive whatever kills the writer.

HDF5 cannot promise that: a process killed while the library rewrites its tables leaves a file that no one
can open. Here nothing that was written is ever touched again. A record is a mark, a header with a checksum of
its own, and its bytes, whose checksum the header holds. What a kill or a power cut tears is the end of the
file: it is left out. Damage with a whole record behind it is no torn end, and is refused. The finished
production becomes HDF5 (`store.py`).
"""

from __future__ import annotations

__all__ = ["Journal", "is_journal"]

import json
import os
import struct
import time
import zlib
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np

from caloforge.errors import ShowersError
from caloforge.showers.incident import COLUMNS, Incident
from caloforge.showers.sparse import Sparse, index_type
from caloforge.writing import replace_file, room

_KIND, _MAGIC = b"CFJOUR", b"CFJOUR2\n"
_MARK = b"\xc5SHOWERS"
_HEADER = struct.Struct("<8sQIII")  # mark, payload bytes, its CRC-32, showers, hits
_CHECK = struct.Struct("<I")  # CRC-32 of the header
_LEAD = _HEADER.size + _CHECK.size
_SYNC_SECONDS = 1.0
_BLOCK = 1 << 20  # bytes looked through at once


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
        append: Open for writing, too: cuts off a torn end. Who appends holds the lock of the file to be made.
        file: The journal, if it has no name.

    Attributes:
        head: What was given to `create`.
        hits: Cells with energy in all showers together.
        time: Whether cells have times.
        torn: Bytes at the end that hold no whole record.

    Raises:
        ShowersError: Not a journal, or damaged.
    """

    def __init__(self, path: Path, append: bool = False, file: BinaryIO | None = None) -> None:
        self.path = path
        self._file: BinaryIO = file or path.open("r+b" if append else "rb", buffering=0)
        self.head: dict[str, Any] = {}
        self.hits = 0
        self._n = 0
        self._lasting, self._synced = file is None, time.monotonic()
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
        """Start a journal; `head` must hold `n_cells` and `n_layers`, and may hold anything JSON can.

        `time` in it says whether cells have times.
        """
        # Under its own name only when the head is whole: a journal without a head could not be resumed.
        with replace_file(path) as file:
            file.write(_beginning(head))
        return cls(path, append=True)

    @classmethod
    def nameless(cls, path: Path, head: dict[str, Any]) -> Journal:
        """Start a journal beside `path` that goes with its process, for showers that are soon made again."""
        with room(path):
            file = cast("BinaryIO", TemporaryFile(dir=path.parent, buffering=0))  # noqa: SIM115 - closed by the journal
            _write_all(file, _beginning(head))
            file.seek(0)
        return cls(path, append=True, file=file)

    def __len__(self) -> int:
        return self._n

    @property
    def time(self) -> bool:
        return bool(self.head.get("time"))  # absent from journals of earlier builds

    def append(self, rows: Sparse) -> None:
        """Write one record; when this returns, the showers outlive the process.

        They outlive a power cut when the next sync is done, at most one a second: what is lost then was
        appended within a second after a sync, and nothing after it.
        """
        record = _framed(b"".join(_pack(rows)), len(rows), len(rows.index))
        try:
            self._file.seek(self._end)
            _write_all(self._file, record)
            self._sync()
        except OSError as error:
            self._file.truncate(self._end)
            raise ShowersError(
                f"cannot write showers: {error.strerror}",
                where=self.path,
                cure="free some space and resume; what was written before is safe" if self._lasting else None,
            ) from error
        self._note(self._end, len(rows), len(rows.index))
        self._end += len(record)

    def _sync(self) -> None:
        now = time.monotonic()
        if self._lasting and now - self._synced >= _SYNC_SECONDS:
            getattr(os, "fdatasync", os.fsync)(self._file.fileno())
            self._synced = now

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
        """Give the file back."""
        self._file.close()

    def _scan(self) -> int:
        """Read the head and find the records; returns where the last whole one ends."""
        size = os.fstat(self._file.fileno()).st_size
        magic = self._file.read(len(_MAGIC))
        if magic != _MAGIC:
            raise _other_journal(self.path, magic)
        end = len(_MAGIC)
        while (record := self._record(end, size)) is not None:
            if not self.head:
                self.head = json.loads(self._payload(record, "the head"))
            else:
                self._note(end, record.showers, record.hits)
            end = record.end
        if end < size:
            self._refuse_damage(end, size)
        if not self.head:
            raise ShowersError("damaged journal: its head is torn", where=self.path, cure="delete it")
        end = self._without_torn(end, size)
        self.torn = size - end
        return end

    def _refuse_damage(self, start: int, size: int) -> None:
        """A torn end holds no whole record; what does was damaged afterwards, and nothing is cut off."""
        behind = self._whole_record(start, size)
        if behind is None:
            return
        keep = f"its first {self._n} showers are whole: `truncate -s {start} {self.path}` keeps them alone"
        raise ShowersError(
            "damaged journal: what lies before a whole record is none",
            where=f"{self.path}, bytes {start} to {behind - 1}",
            cure=keep if self._n else "make the showers again",
        )

    def _whole_record(self, start: int, size: int) -> int | None:
        """Where the next whole record begins, at `start` or behind it."""
        for block in range(start, size, _BLOCK):
            self._file.seek(block)
            text = self._file.read(_BLOCK + len(_MARK) - 1)
            found = text.find(_MARK)
            while found >= 0:
                record = self._record(block + found, size)
                if record is not None and self._is_whole(record):
                    return block + found
                found = text.find(_MARK, found + 1)
        return None

    def _without_torn(self, end: int, size: int) -> int:
        """After a power cut the last records may be as long as they say and yet hold nothing."""
        while self._n:
            record = self._record(self._start[-1], size)
            if record is None or self._is_whole(record):
                return end
            end = self._start.pop()
            self._n = self._first.pop()
            self.hits -= record.hits
        return end

    def _is_whole(self, record: _Record) -> bool:
        return zlib.crc32(self._raw(record)) == record.crc

    def _note(self, start: int, showers: int, hits: int) -> None:
        self._first.append(self._n)
        self._start.append(start)
        self._n += showers
        self.hits += hits

    def _record(self, start: int, size: int) -> _Record | None:
        """The record that starts here, or None where there is none, or it is longer than the file."""
        self._file.seek(start)
        lead = self._file.read(_LEAD)
        if len(lead) < _LEAD or _CHECK.unpack(lead[_HEADER.size :])[0] != zlib.crc32(lead[: _HEADER.size]):
            return None
        mark, length, crc, showers, hits = _HEADER.unpack(lead[: _HEADER.size])
        record = _Record(start + _LEAD, length, crc, showers, hits)
        return record if mark == _MARK and record.end <= size else None

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
        return _unpack(payload, record, self.head["n_cells"], self.head["n_layers"], self.time)


def is_journal(path: Path) -> bool:
    """Whether a file starts like a journal."""
    with path.open("rb") as file:
        return file.read(len(_KIND)) == _KIND


def _other_journal(path: Path, magic: bytes) -> ShowersError:
    if magic[: len(_KIND)] != _KIND:
        return ShowersError("not a caloforge journal", where=path)
    return ShowersError(
        "this production was begun by another version of caloforge, or the file is damaged",
        where=path,
        got=magic,
        expected=_MAGIC,
        cure="finish it with the version that began it, or delete it and make the showers again",
    )


def _beginning(head: dict[str, Any]) -> bytes:
    return _MAGIC + _framed(json.dumps(head, default=str).encode(), 0, 0)


def _framed(payload: bytes, showers: int, hits: int) -> bytes:
    header = _HEADER.pack(_MARK, len(payload), zlib.crc32(payload), showers, hits)
    return header + _CHECK.pack(zlib.crc32(header)) + payload


def _pack(rows: Sparse) -> Iterator[bytes]:
    for name, column in rows.incident.items():
        yield column.astype(COLUMNS[name][0], copy=False).tobytes()
    yield np.diff(rows.offset).astype("<u4").tobytes()
    yield rows.index.astype(np.dtype(index_type(rows.n_cells)).newbyteorder("<"), copy=False).tobytes()
    yield rows.energy.astype("<f4", copy=False).tobytes()
    if rows.time is not None:
        yield rows.time.astype("<f4", copy=False).tobytes()
    if rows.overflow is not None:
        yield rows.overflow.astype("<f4", copy=False).tobytes()


def _unpack(payload: bytes, record: _Record, n_cells: int, n_layers: int, timed: bool) -> Sparse:
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
    time = take("<f4", record.hits) if timed else None
    left = (len(payload) - position) // 4
    overflow = take("<f4", left).reshape(record.showers, n_layers) if left else None
    return Sparse(incident, offset, index, energy, overflow, n_cells, time)


def _write_all(file: BinaryIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]

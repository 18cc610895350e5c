"""Writing HDF5 such that a full disk is an error and not the end of the process.

HDF5 writes much when a file is closed. If that fails, it frees what it goes on using, and the process dies of
it (HDF5 2.0, h5py 3.16). So it meets one failure only: whatever else it wants to write after that is kept in
memory, until it has let go of the file.
"""

from __future__ import annotations

__all__ = ["hdf5_into"]

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import h5py


@contextmanager
def hdf5_into(file: io.BufferedRandom, mode: str = "w", **how: Any) -> Iterator[h5py.File]:
    """Write HDF5 into an open file.

    Args:
        file: Open for reading and writing; its buffer is passed by.
        mode: "w" for a new one, "r+" for one that holds HDF5.
        how: What else `h5py.File` takes.

    Raises:
        OSError: The disk is full, or what else the system says.
    """
    sink = _Sink(file.raw)
    try:
        with h5py.File(sink, mode, **how) as made:
            yield made
    finally:
        if sink.error is not None:
            raise sink.error


class _Sink:
    """What h5py takes for a file: the first failure to write is raised, later ones are never met."""

    def __init__(self, file: io.RawIOBase) -> None:
        self._file, self._at = file, 0
        self.error: OSError | None = None
        self._late: list[tuple[int, bytes]] = []

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size()}[whence]
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        wanted = memoryview(buffer).cast("B")
        self._file.seek(self._at)
        done = 0
        while done < len(wanted) and (part := self._file.read(len(wanted) - done)):
            wanted[done : done + len(part)] = part
            done += len(part)
        wanted[done:] = bytes(len(wanted) - done)
        for start, data in self._late:
            low, high = max(start, self._at), min(start + len(data), self._at + len(wanted))
            if low < high:
                wanted[low - self._at : high - self._at] = data[low - start : high - start]
        self._at += len(wanted)
        return len(wanted)

    def read(self, size: int) -> bytes:
        found = bytearray(size)
        self.readinto(found)
        return bytes(found)

    def write(self, buffer: Any) -> int:
        data = memoryview(buffer).cast("B")
        if self.error is None:
            self._write(data)
        else:
            self._late.append((self._at, bytes(data)))
        self._at += len(data)
        return len(data)

    def _write(self, data: memoryview) -> None:
        left = data
        try:
            self._file.seek(self._at)
            while left:
                left = left[self._file.write(left) or 0 :]
        except OSError as error:
            self.error = error
            self._late.append((self._at, bytes(data)))
            raise

    def truncate(self, size: int | None = None) -> int:
        size = self._at if size is None else size
        if self.error is None:
            self._file.truncate(size)
        return size

    def flush(self) -> None:
        """Nothing waits here."""

    def _size(self) -> int:
        ends = [start + len(data) for start, data in self._late]
        return max([os.fstat(self._file.fileno()).st_size, *ends])

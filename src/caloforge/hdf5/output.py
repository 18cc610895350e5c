"""Writing HDF5 such that a full disk or Ctrl-C is an error and not the end of the process.

HDF5 writes much when a file is closed. If that fails, it frees what it goes on using, and the process dies of
it (HDF5 2.0, h5py 3.16). So it never meets a failure: after the first one, what it wants to write is kept in
memory, and the error is raised between two calls of it. Ctrl-C waits for such a moment too.
"""

from __future__ import annotations

__all__ = ["Hdf5Output", "hdf5_into", "put_text"]

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import h5py

from caloforge.interrupts import Interrupts, interrupts_wait


class Hdf5Output(h5py.File):  # type: ignore[misc] # h5py has no types
    """An HDF5 file that is written into an open file; see `hdf5_into`."""

    def __init__(self, file: io.BufferedRandom, mode: str, interrupts: Interrupts, **how: Any) -> None:
        self._sink, self._interrupts = _Sink(file.raw), interrupts
        super().__init__(self._sink, mode, **how)

    def check(self) -> None:
        """Raise what went wrong so far; to be called after each piece, as the rest stays in memory.

        Raises:
            OSError: The disk is full, or what else the system says.
            KeyboardInterrupt: Ctrl-C was pressed.
        """
        self._interrupts.let_in()
        if self._sink.error is not None:
            raise self._sink.error


@contextmanager
def hdf5_into(file: io.BufferedRandom, mode: str = "w", **how: Any) -> Iterator[Hdf5Output]:
    """Write HDF5 into an open file.

    Args:
        file: Open for reading and writing; its buffer is passed by.
        mode: "w" for a new one, "r+" for one that holds HDF5.
        how: What else `h5py.File` takes.

    Raises:
        OSError: The disk is full, or what else the system says.
        KeyboardInterrupt: Ctrl-C was pressed.
    """
    with interrupts_wait() as interrupts:
        with Hdf5Output(file, mode, interrupts, **how) as made:
            yield made
        made.check()


def put_text(owner: h5py.File | h5py.Dataset, name: str, text: str) -> None:
    """Write an attribute of fixed length: those of any length lie in a heap without checksums."""
    data = text.encode(errors="surrogateescape")
    owner.attrs.create(name, data, dtype=h5py.string_dtype("utf-8", len(data)))


class _Sink:
    """What h5py takes for a file: writing never fails here."""

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

    def truncate(self, size: int | None = None) -> int:
        size = self._at if size is None else size
        try:
            if self.error is None:
                self._file.truncate(size)
        except OSError as error:
            self.error = error
        return size

    def flush(self) -> None:
        """Nothing waits here."""

    def _size(self) -> int:
        ends = [start + len(data) for start, data in self._late]
        return max([os.fstat(self._file.fileno()).st_size, *ends])

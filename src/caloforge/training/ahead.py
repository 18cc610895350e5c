"""Reading ahead: another process reads and unpacks showers while this one trains on those before."""

from __future__ import annotations

__all__ = ["Ahead"]

import os
import signal
from collections import deque
from typing import TYPE_CHECKING, Any

from caloforge.errors import ShowersError
from caloforge.truth.pool import die_with

if TYPE_CHECKING:
    from caloforge.showers import StreamingReader
    from caloforge.showers.sparse import Sparse

_AHEAD = 2  # rounds that are read, or wait, beside the one that is used


class Ahead:
    """Gives the rounds of a reader, of which the next ones are read in another process meanwhile.

    A process and not a thread: HDF5's library and numpy's indexing hold Python's lock, which a thread that
    trains needs between any two operations. The process ends with this one, however it ends.

    Args:
        reader: What is read.
    """

    def __init__(self, reader: StreamingReader) -> None:
        from joblib.externals.loky import ProcessPoolExecutor

        self._rounds = reader.order.rounds
        # loky's processes need no guard in the user's script, which those of the standard library do.
        self._pool = ProcessPoolExecutor(
            max_workers=1, initializer=_start, initargs=(reader, os.getpid()), env=_ONE_THREAD, timeout=None
        )
        self._waiting: deque[tuple[tuple[int, int], Any]] = deque()

    def round(self, epoch: int, number: int) -> Sparse:
        """The same as the reader's `round`; those that follow, into the next epoch, are begun to be read.

        Raises:
            ShowersError: A file cannot be read, or the process was killed.
        """
        from joblib.externals.loky.process_executor import BrokenProcessPool

        if self._waiting and self._waiting[0][0] != (epoch, number):
            self._forget()
        while len(self._waiting) <= _AHEAD:
            at = self._after(*self._waiting[-1][0]) if self._waiting else (epoch, number)
            self._waiting.append((at, self._pool.submit(_read, *at)))
        try:
            rows: Sparse = self._waiting.popleft()[1].result()
        except BrokenProcessPool as error:
            raise ShowersError(
                "the process that reads the showers has died",
                got=str(error).splitlines()[0],
                cure="resume the training; most often memory was short",
            ) from error
        return rows

    def close(self) -> None:
        """End the process."""
        self._forget()
        self._pool.shutdown(wait=True, kill_workers=True)

    def _after(self, epoch: int, number: int) -> tuple[int, int]:
        return (epoch, number + 1) if number + 1 < self._rounds else (epoch + 1, 0)

    def _forget(self) -> None:
        while self._waiting:
            self._waiting.pop()[1].cancel()


_ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
_reader: StreamingReader | None = None


def _start(reader: StreamingReader, parent: int) -> None:
    """Prepare the process that reads."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that trains
    die_with(parent)
    global _reader
    _reader = reader


def _read(epoch: int, number: int) -> Sparse:
    if _reader is None:
        raise RuntimeError("this process is not a reader")
    return _reader.round(epoch, number)

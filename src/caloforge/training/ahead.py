"""Reading ahead: another process reads and unpacks showers while this one trains on those before."""

from __future__ import annotations

__all__ = ["Ahead"]

from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING

from caloforge.errors import ShowersError, WorkerError
from caloforge.workers import Workers

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
        self._rounds = reader.order.rounds
        self._worker = Workers(1, reader.round)
        self._waiting: deque[tuple[tuple[int, int], Future[Sparse]]] = deque()

    def round(self, epoch: int, number: int) -> Sparse:
        """The same as the reader's `round`; those that follow, into the next epoch, are begun to be read.

        Raises:
            ShowersError: A file cannot be read, or the process was killed.
        """
        if self._waiting and self._waiting[0][0] != (epoch, number):
            self._forget()
        while len(self._waiting) <= _AHEAD:
            at = self._after(*self._waiting[-1][0]) if self._waiting else (epoch, number)
            self._waiting.append((at, self._worker.submit(*at)))
        try:
            return self._waiting.popleft()[1].result()
        except WorkerError as error:
            raise ShowersError(
                "the process that reads the showers has died",
                got=error.details["got"],
                cure="resume the training; most often memory was short",
            ) from error

    def close(self) -> None:
        """End the process."""
        self._worker.close()

    def _after(self, epoch: int, number: int) -> tuple[int, int]:
        return (epoch, number + 1) if number + 1 < self._rounds else (epoch + 1, 0)

    def _forget(self) -> None:
        while self._waiting:
            self._waiting.pop()[1].cancel()

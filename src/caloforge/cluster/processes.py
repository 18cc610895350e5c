"""The cluster that is always there: processes of this machine, with one thread each."""

from __future__ import annotations

__all__ = ["Processes"]

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from caloforge.calls import raised_there
from caloforge.cluster.base import Chunk, Fault, Outcome
from caloforge.cluster.drive import drive
from caloforge.errors import WorkerError
from caloforge.workers import Workers

if TYPE_CHECKING:
    from typing_extensions import Self


class Processes:
    """Processes of this machine, started anew for each `run`; a dead one is replaced.

    Args:
        jobs: How many.

    Example:
        >>> with Processes(2) as cluster:
        ...     chunks = [Chunk(0, (-1,)), Chunk(1, (-2,))]
        ...     sorted(outcome.result for outcome in cluster.run(abs, chunks))
        [1, 2]
    """

    chunk_seconds = 0.5

    def __init__(self, jobs: int) -> None:
        self.slots = jobs
        self._open: list[Workers[Any]] = []

    def run(
        self, function: Callable[..., Any], chunks: Iterable[Chunk | None], ahead: int = 1
    ) -> Generator[Outcome, None, None]:
        """See `Cluster.run`."""
        with Workers(self.slots, function) as workers:
            self._open.append(workers)
            try:
                yield from drive(_Pool(self.slots, workers), chunks, ahead)
            finally:
                self._open.remove(workers)

    def close(self) -> None:
        """See `Cluster.close`."""
        for workers in self._open:
            workers.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Pool:
    def __init__(self, slots: int, workers: Workers[Any]) -> None:
        self.slots = slots
        self._workers = workers
        self._finished: SimpleQueue[tuple[Chunk, Future[Any]]] = SimpleQueue()

    def submit(self, chunk: Chunk) -> None:
        future = self._workers.submit(*chunk.arguments)
        future.add_done_callback(partial(self._finish, chunk))

    def _finish(self, chunk: Chunk, future: Future[Any]) -> None:
        self._finished.put((chunk, future))

    def wait(self) -> Outcome:
        chunk, future = self._finished.get()
        try:
            return Outcome(chunk, future.result())
        except Exception as error:
            died = isinstance(error, WorkerError) and not raised_there(error)
            return Outcome(chunk, fault=Fault("died", error, 1) if died else Fault("raised", error))

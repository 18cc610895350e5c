"""Dask: chunks on the workers of a scheduler, through Dask's own client."""

from __future__ import annotations

__all__ = ["Dask", "check_scheduler"]

import asyncio
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any

from caloforge import __version__
from caloforge.calls import pack, pack_function
from caloforge.cluster.base import Chunk, Outcome
from caloforge.cluster.drive import drive
from caloforge.cluster.presence import Presence
from caloforge.cluster.reaching import check_port, lost, nobody
from caloforge.cluster.remote import call, forget, new_run
from caloforge.cluster.replies import died, other_version, outcome
from caloforge.cluster.there import version_there
from caloforge.documents import Kind, read_json
from caloforge.errors import ClusterError, MissingExtraError

if TYPE_CHECKING:
    from distributed import Client, Future
    from typing_extensions import Self

_KIND, _START = "Dask scheduler", "dask scheduler"
_FILE = Kind("Dask scheduler file", ClusterError, cure="start `dask scheduler --scheduler-file FILE`")
_ANSWERS_WITHIN = 10.0  # seconds, of the scheduler
_PATIENCE = 600.0  # seconds without a worker


class Dask:
    """The workers of a Dask scheduler. Each of their threads has a process of its own for our calls.

    Args:
        address: `dask://HOST:PORT`, `tcp://...`, `tls://...`, or the path of a scheduler file.
        patience: Seconds to wait for workers while there are none.

    Raises:
        ClusterError: There is no scheduler, or its workers have another caloforge.
        MissingExtraError: Dask is not installed.
    """

    chunk_seconds = 5.0

    def __init__(self, address: str, patience: float = _PATIENCE) -> None:
        try:
            from distributed import Client
        except ImportError:
            raise MissingExtraError("distributed", "dask") from None
        self._where = _contact(address)
        check_scheduler(self._where)
        self._client: Client = Client(
            self._where, timeout=_ANSWERS_WITHIN, set_as_default=False, name="caloforge"
        )
        self._presence = Presence(self._where, self._threads, patience)
        try:
            self._check_versions()
        except BaseException:
            self.close()
            raise

    @property
    def slots(self) -> int:
        """See `Cluster.slots`."""
        return self._presence.slots()

    def run(
        self, function: Callable[..., Any], chunks: Iterable[Chunk | None], ahead: int = 1
    ) -> Generator[Outcome, None, None]:
        """See `Cluster.run`."""
        pool = _Pool(self._client, self._presence, function, self._where)
        try:
            yield from drive(pool, chunks, ahead)
        finally:
            pool.close()

    def close(self) -> None:
        """See `Cluster.close`."""
        self._client.close(timeout=_ANSWERS_WITHIN)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _threads(self) -> int:
        try:
            return sum(self._client.nthreads().values())
        except (OSError, RuntimeError, ValueError) as error:
            raise lost(self._where, "scheduler", error) from error

    def _check_versions(self) -> None:
        """Workers that join later are asked with their first chunk."""
        wrong = {
            found
            for found in self._client.run(version_there()).values()
            if found != f"caloforge {__version__}"
        }
        if wrong:
            raise other_version(self._where, ", ".join(sorted(wrong)))


class _Pool:
    """One run on a scheduler."""

    def __init__(self, client: Client, presence: Presence, function: Callable[..., Any], where: str) -> None:
        self._client, self._presence, self._where = client, presence, where
        self._run, self._function = new_run(), pack_function(function)
        self._serial = count()
        self._under_way: dict[Any, Future[Any]] = {}  # Dask forgets what nobody holds
        self._finished: SimpleQueue[tuple[Chunk, Future[Any]]] = SimpleQueue()

    @property
    def slots(self) -> int:
        return self._presence.slots()

    def submit(self, chunk: Chunk) -> None:
        future = self._client.submit(
            call,
            self._run,
            __version__,
            self._function,
            pack(chunk.arguments),
            key=f"caloforge-{self._run}-{chunk.number}-{next(self._serial)}",
            pure=False,
        )
        self._under_way[future.key] = future
        future.add_done_callback(partial(self._finish, chunk))

    def _finish(self, chunk: Chunk, future: Future[Any]) -> None:
        self._finished.put((chunk, future))

    def wait(self) -> Outcome | None:
        try:
            chunk, future = self._finished.get(timeout=1.0)
        except Empty:
            return None
        del self._under_way[future.key]
        return self._outcome(chunk, future)

    def _outcome(self, chunk: Chunk, future: Future[Any]) -> Outcome:
        from distributed import KilledWorker

        try:
            reply = future.result()
        except KilledWorker as error:
            return died(chunk, f"the last was {error.last_worker.address}", error.allowed_failures + 1)
        except (CancelledError, OSError) as error:
            raise lost(self._where, "scheduler", error) from error
        except Exception as error:
            raise ClusterError(
                "a worker cannot work on this",
                where=self._where,
                got=f"{type(error).__name__}: {error}",
                cure=f"install caloforge {__version__} on the workers, and start them anew",
            ) from error
        return outcome(chunk, reply, self._where)

    def close(self) -> None:
        """Cancel what waits, and end what runs; a worker that does not answer is not waited for."""
        if self._client.status != "running":
            return
        thread = Thread(target=self._cancel, daemon=True)
        thread.start()
        thread.join(_ANSWERS_WITHIN)

    def _cancel(self) -> None:
        with suppress(Exception):  # the scheduler may have gone
            self._client.cancel(list(self._under_way.values()), force=True)
            self._client.run(forget, self._run, on_error="ignore")


def _contact(address: str) -> str:
    """Return the scheduler's address as Dask writes it."""
    if address.endswith(".json"):
        content = read_json(Path(address), _FILE)
        if not isinstance(content, dict) or not isinstance(content.get("address"), str):
            raise ClusterError(
                "this file names no scheduler", where=address, expected='"address": "tcp://..."'
            )
        return str(content["address"])
    return address.replace("dask://", "tcp://", 1)


def check_scheduler(where: str, seconds: float = _ANSWERS_WITHIN) -> None:
    """Ask who is there before Dask's client does: it waits for ever for a port that accepts and is silent.

    Raises:
        ClusterError: Nobody answers, or somebody who is no scheduler.
    """
    check_port(where, _KIND, _START, seconds)
    with ThreadPoolExecutor(1) as thread:  # in a notebook, this one has a loop already
        try:
            kind = thread.submit(asyncio.run, _kind(where, seconds)).result()
        except (OSError, ValueError, asyncio.TimeoutError) as error:
            raise nobody(where, _KIND, _START, str(error) or f"silence for {seconds:g} s") from error
    if kind != "Scheduler":
        raise ClusterError(f"this is no {_KIND}", where=where, got=kind, expected="Scheduler")


async def _kind(where: str, seconds: float) -> str:
    from distributed import Security
    from distributed.core import rpc

    options = Security().get_connection_args("client")
    async with rpc(where, connection_args=options, timeout=seconds) as there:
        identity = await asyncio.wait_for(there.identity(n_workers=0), seconds)
    return str(identity["type"])

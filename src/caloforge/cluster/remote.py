"""What a worker of Dask or Ray does for us: it passes calls to processes of their own, which remember.

Such a worker lives long, may have several threads, and works for others too. Geant4 wants a process that
nobody else had, and what dies of a chunk should not take others' results along.
"""

from __future__ import annotations

__all__ = ["DIED", "REFUSED", "call", "forget", "new_run"]

import socket
from functools import cached_property
from threading import Lock, Timer
from typing import Any, TypeAlias
from uuid import uuid4

from caloforge import __version__
from caloforge.calls import answer, load_function
from caloforge.errors import WorkerError
from caloforge.workers import Workers

_Process: TypeAlias = "Workers[bytes]"

DIED, REFUSED = "died", "refused"
_MOST_IDLE = 600.0  # seconds, after which a process ends whose run may have been killed


def call(run: str, version: str, function: bytes, arguments: bytes) -> bytes | tuple[str, str]:
    """Call a function in a process of this run, which may have been called before.

    Args:
        run: Name of the run, from `new_run`.
        version: Of the caloforge that asks.
        function: What is called, pickled by `calls.pack_function`.
        arguments: What it is called with, pickled.

    Returns:
        The answer, for `calls.unpack`; or that the process DIED and how; or that this worker REFUSED and why.
    """
    host = socket.gethostname()
    if version != __version__:
        return REFUSED, f"caloforge {__version__} on {host}"
    process = _processes.take(run, function)
    try:
        answered = process.submit(arguments).result()
    except WorkerError as error:
        _processes.end(process)
        return DIED, f"{error.details['got']} on {host}"
    _processes.put_back(run, process)
    return answered


def forget(run: str) -> None:
    """End the processes of a run, whatever they do."""
    _processes.forget(run)


def new_run() -> str:
    """Return a name that no other run has."""
    return uuid4().hex


class _Passed:
    """A function whose arguments and answer are passed on unread."""

    def __init__(self, packed: bytes) -> None:
        self._packed = packed

    def __call__(self, arguments: bytes) -> bytes:
        return answer(self._function, arguments)

    @cached_property
    def _function(self) -> Any:
        return load_function(self._packed)


class _Processes:
    """The processes of all runs; of each as many as calls are made at a time."""

    def __init__(self) -> None:
        self._busy: dict[_Process, str] = {}
        self._idle: dict[_Process, tuple[str, Timer]] = {}
        self._lock = Lock()

    def take(self, run: str, function: bytes) -> _Process:
        with self._lock:
            idle = next((process for process, (its, _) in self._idle.items() if its == run), None)
            if idle:
                self._idle.pop(idle)[1].cancel()
                self._busy[idle] = run
                return idle
        process: _Process = Workers(1, _Passed(function))
        with self._lock:
            self._busy[process] = run
        return process

    def put_back(self, run: str, process: _Process) -> None:
        timer = Timer(_MOST_IDLE, self._expire, [process])
        timer.daemon = True
        with self._lock:
            if self._busy.pop(process, None):  # else it was forgotten meanwhile
                self._idle[process] = run, timer
                timer.start()

    def end(self, process: _Process) -> None:
        with self._lock:
            self._busy.pop(process, None)
            if process in self._idle:
                self._idle.pop(process)[1].cancel()
        process.close()

    def forget(self, run: str) -> None:
        with self._lock:
            ours = [process for process, its in self._busy.items() if its == run]
            ours += [process for process, (its, _) in self._idle.items() if its == run]
        for process in ours:
            self.end(process)

    def _expire(self, process: _Process) -> None:
        with self._lock:
            expired = self._idle.pop(process, None)
        if expired:
            process.close()


_processes = _Processes()

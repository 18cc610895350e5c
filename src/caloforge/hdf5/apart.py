"""HDF5 files read by a process of their own: what ends that process is an error here."""

from __future__ import annotations

__all__ = ["Apart"]

import atexit
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from io import BufferedReader
from threading import Lock
from typing import IO, Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from caloforge.errors import ShowersError
from caloforge.hdf5.child import SECONDS, identity
from caloforge.hdf5.library import Described

# Not `-m`: that would neither find what this process finds nor leave the user's own script alone.
_CODE = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from caloforge.hdf5.child import main; main()"
)
_PIPE = 1 << 20  # bytes on their way at a time


class Apart:
    """What `Library` is, in another process. One such process serves all files of this one.

    Args:
        path: The file.
    """

    def __init__(self, path: str) -> None:
        self._path, self._same = path, identity(path)
        self._ask("keys")

    def keys(self) -> list[str]:
        """See `Library`."""
        names: list[str] = self._ask("keys")
        return names

    def describe(self, key: str) -> Described | None:
        """See `Library`."""
        found = self._ask("describe", key)
        return None if found is None else Described(*found)

    def read(self, key: str, start: int, stop: int) -> NDArray[Any]:
        """See `Library`; gives the bytes of the numbers."""
        rows: NDArray[Any] = self._ask("read", key, start, stop)
        return rows

    def attribute(self, key: str, group: str) -> str | None:
        """See `Library`."""
        text: str | None = self._ask("attribute", key, group)
        return text

    def texts(self, key: str, group: str) -> list[str] | None:
        """See `Library`."""
        texts: list[str] | None = self._ask("texts", key, group)
        return texts

    def close(self) -> None:
        """See `Library`."""
        if os.getpid() in _children:
            self._ask("close")

    def _ask(self, call: str, *arguments: Any) -> Any:
        return _child().ask(self._path, self._same, call, arguments)


class _Process(NamedTuple):
    popen: subprocess.Popen[bytes]
    stdin: IO[bytes]
    stdout: BufferedReader


class _Child:
    """The process, started when it is first asked; after a death another one."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._process: _Process | None = None

    def ask(self, path: str, same: str, call: str, arguments: tuple[Any, ...]) -> Any:
        request = json.dumps([path, same, call, arguments]).encode() + b"\n"
        with self._lock:
            process = self._process = self._process or _start(path)
            try:
                answer = self._exchange(process, request)
            except BaseException as error:
                status = self.stop()  # half an answer may be on its way
                if isinstance(error, OSError | EOFError):
                    raise _died(path, status) from error
                raise
        if isinstance(answer, np.ndarray):
            return answer
        if "problem" in answer:
            details = answer["details"]
            raise ShowersError(
                answer["problem"],
                **{key: details.get(key) for key in ("where", "got", "expected", "cure")},
                near=details.get("did you mean"),
            )
        return answer["value"]

    @staticmethod
    def _exchange(process: _Process, request: bytes) -> Any:
        process.stdin.write(request)
        process.stdin.flush()
        line = process.stdout.readline()
        if not line.endswith(b"\n"):
            raise EOFError
        answer = json.loads(line)
        if "bytes" not in answer:
            return answer
        data = np.empty(answer["bytes"], np.uint8)
        if process.stdout.readinto(data.data) != len(data):
            raise EOFError
        return data

    def stop(self) -> int:
        """End the process; returns how it ended."""
        process, self._process = self._process, None
        if process is None:
            return 0
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):  # what was not sent yet is not wanted any more
                pipe.close()
        try:
            return process.popen.wait(timeout=1)
        except subprocess.TimeoutExpired:
            process.popen.kill()
            return process.popen.wait()


def _start(path: str) -> _Process:
    try:
        popen = subprocess.Popen(
            [sys.executable, "-c", _CODE, json.dumps([str(folder) for folder in sys.path])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            start_new_session=True,  # Ctrl-C is for this process alone
        )
    except OSError as error:
        raise ShowersError(
            "the process that reads this file cannot be started",
            where=path,
            got=error.strerror,
            cure="end other processes, or raise the limit on them (ulimit -u)",
        ) from error
    stdin, stdout = cast("IO[bytes]", popen.stdin), cast("BufferedReader", popen.stdout)
    with suppress(ImportError, OSError, AttributeError):  # Linux only; larger pipes are faster
        import fcntl

        fcntl.fcntl(stdout.fileno(), fcntl.F_SETPIPE_SZ, _PIPE)
    return _Process(popen, stdin, stdout)


_children: dict[int, _Child] = {}  # by process: a forked one must not talk to its parent's


def _child() -> _Child:
    return _children.setdefault(os.getpid(), _Child())


@atexit.register
def _stop() -> None:
    if os.getpid() in _children:
        _children[os.getpid()].stop()


def _died(path: str, status: int) -> ShowersError:
    how = signal.Signals(-status).name if status < 0 else f"exit code {status}"
    if status == -getattr(signal, "SIGXCPU", 0):
        how = f"more than {SECONDS} s of processor time for one piece"
    return ShowersError(
        "damaged HDF5 file: it ended the process that looked at it",
        where=path,
        got=how,
        cure="make or copy it again",
    )

"""The process that looks into files which could end it: answers requests on its standard input.

A request is a line of JSON: the file, what makes it the same file, a method of `Library` and its arguments.
An answer is a line of JSON, after which the numbers follow as they are in memory.
"""

from __future__ import annotations

__all__ = ["SECONDS", "identity", "main"]

import json
import os
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from caloforge.errors import ShowersError
from caloforge.hdf5.library import Library

_OPEN = 64  # files kept open at a time
_MEMORY = 2 << 30  # bytes of address space
SECONDS = 20  # of processor time for one request


class _Files:
    """Open files, the latest asked for last."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, Library] = OrderedDict()

    def get(self, path: str, same: str) -> Library:
        key = f"{path}\n{same}"
        if key not in self._open:
            if identity(path) != same:
                raise ShowersError("the file has changed while it was read", where=path)
            while len(self._open) >= _OPEN:
                self._open.popitem(last=False)[1].close()
            self._open[key] = Library(path)
        self._open.move_to_end(key)
        return self._open[key]

    def close(self, path: str, same: str) -> None:
        found = self._open.pop(f"{path}\n{same}", None)
        if found:
            found.close()

    def clear(self) -> None:
        while self._open:
            self._open.popitem()[1].close()


def identity(path: str) -> str:
    """What changes when a file is replaced or written to."""
    stat = Path(path).stat()
    return f"{stat.st_dev} {stat.st_ino} {stat.st_size} {stat.st_mtime_ns}"


def main() -> None:
    """Answer until there are no more requests: until the process that asks is gone, too."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whatever else is printed is no answer
    _limit_memory()
    _serve(sys.stdin.buffer, answers)


def _serve(requests: BinaryIO, answers: BinaryIO) -> None:
    files = _Files()
    for line in requests:
        _limit_time()
        value = _answer(files, *json.loads(line))
        if isinstance(value, np.ndarray):
            value = np.ascontiguousarray(value)
            answers.write(json.dumps({"bytes": value.nbytes}).encode() + b"\n")
            answers.write(value.data.cast("B") if value.nbytes else b"")
        else:
            answers.write(json.dumps(value).encode() + b"\n")
        answers.flush()


def _answer(files: _Files, path: str, same: str, call: str, arguments: list[Any]) -> Any:
    try:
        try:
            return _call(files, path, same, call, arguments)
        except MemoryError:
            files.clear()  # unpacked chunks of other files may have filled it
            return _call(files, path, same, call, arguments)
    except ShowersError as error:
        details = {key: None if value is None else str(value) for key, value in error.details.items()}
        return {"problem": error.problem, "details": details}
    except MemoryError:
        details = {"where": path, "expected": f"pieces that fit into {_MEMORY >> 20} MB"}
        return {"problem": "damaged HDF5 file: reading it takes too much memory", "details": details}


def _call(files: _Files, path: str, same: str, call: str, arguments: list[Any]) -> Any:
    if call == "close":
        files.close(path, same)
        return {"value": None}
    value = getattr(files.get(path, same), call)(*arguments)
    return value if isinstance(value, np.ndarray) else {"value": value}


def _limit_memory() -> None:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, ValueError, OSError):
        pass  # not on this system: what a file claims is bounded before it is read


def _limit_time() -> None:
    """End this process if the next answer takes too long; waiting for a slow disk does not count."""
    try:
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        seconds = int(used.ru_utime + used.ru_stime) + SECONDS
        resource.setrlimit(resource.RLIMIT_CPU, (seconds if hard < 0 else min(seconds, hard), hard))
    except (ImportError, ValueError, OSError):
        pass  # not on this system

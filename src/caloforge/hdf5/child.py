"""What the process does that looks into files which could end it."""

from __future__ import annotations

__all__ = ["SECONDS", "ask", "identity"]

import os
from collections import OrderedDict
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from caloforge.errors import ShowersError
from caloforge.hdf5.library import Library

SECONDS = 20  # of processor time for one request
_OPEN = 64  # files kept open at a time
_MEMORY = 2 << 30  # bytes of address space

_files: OrderedDict[tuple[str, str], Library] = OrderedDict()  # the latest asked for last


def identity(path: str) -> str:
    """What changes when a file is replaced or written to."""
    stat = Path(path).stat()
    return f"{stat.st_dev} {stat.st_ino} {stat.st_size} {stat.st_mtime_ns}"


def ask(path: str, same: str, call: str, arguments: tuple[Any, ...]) -> Any:
    """Call a method of a file's `Library`, within bounds of memory and processor time.

    Args:
        path: The file.
        same: Its `identity`; when that has changed, rows would be taken from two files.
        call: Name of the method.
        arguments: What it is called with.

    Raises:
        ShowersError: What the method raises, the file has changed, or reading it takes too much memory.
    """
    _limit_memory()
    _limit_time()
    try:
        try:
            return _call(path, same, call, arguments)
        except MemoryError:
            _close_all()  # unpacked chunks of other files may have filled it
            return _call(path, same, call, arguments)
    except MemoryError:
        raise ShowersError(
            "reading this HDF5 file takes too much memory",
            where=path,
            expected=f"pieces that fit into {_MEMORY >> 20:,} MB",
            cure="make or copy it again; `h5repack` writes it with smaller chunks",
        ) from None


def _call(path: str, same: str, call: str, arguments: tuple[Any, ...]) -> Any:
    if call == "close":
        if found := _files.pop((path, same), None):
            found.close()
        return None
    return getattr(_get(path, same), call)(*arguments)


def _get(path: str, same: str) -> Library:
    if (path, same) not in _files:
        if identity(path) != same:
            raise ShowersError("the file has changed while it was read", where=path)
        for stale in [key for key in _files if key[0] == path]:  # HDF5 would go on with what it knows of it
            _files.pop(stale).close()
        while len(_files) >= _OPEN:
            _files.popitem(last=False)[1].close()
        _files[path, same] = Library(path)
    _files.move_to_end((path, same))
    return _files[path, same]


def _close_all() -> None:
    while _files:
        _files.popitem()[1].close()


@cache
def _limit_memory() -> None:
    """Bound what this process may take, and drop the last words of libraries that end it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    with suppress(ImportError, ValueError, OSError):  # elsewhere claims are held against storage alone
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limit_time() -> None:
    """End this process if the next answer takes too long; waiting for a slow disk does not count."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        seconds = int(used.ru_utime + used.ru_stime) + SECONDS
        resource.setrlimit(resource.RLIMIT_CPU, (seconds if hard < 0 else min(seconds, hard), hard))

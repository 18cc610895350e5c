"""What Python, HDF5, torch and ONNX Runtime raise on an ordinary machine, in this package's words."""

from __future__ import annotations

__all__ = ["explain"]

import errno
import os
import re

from caloforge.errors import CaloforgeError

# HDF5, safetensors and torch put the system's number into the text of an error of another kind.
_NUMBER = re.compile(r"(?:\berrno = |\bos error |\[Errno )(\d+)")
_NO_MEMORY = re.compile(
    r"can't allocate memory|out of memory|std::bad_alloc|Failed to allocate memory|Cannot allocate memory",
    re.IGNORECASE,
)
_CURES = {
    errno.ENOSPC: "free some space, or write to another disk; what was finished is kept",
    errno.EDQUOT: "free some of your quota, or write to another disk; what was finished is kept",
    errno.EFBIG: "raise the limit of file sizes (`ulimit -f`), or write to another file system",
    errno.EACCES: "choose a place that you may use, or change its permissions",
    errno.EPERM: "choose a place that you may use, or change its permissions",
    errno.EROFS: "write to another disk: this one can only be read",
    errno.ENOENT: "make the folder first, or correct the name",
    errno.ENOTDIR: "a part of that path is a file: correct the name",
    errno.EISDIR: "name a file in that folder",
    errno.EEXIST: "choose another name",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EMFILE: "close other programs, or raise the limit of open files (`ulimit -n`)",
    errno.ENFILE: "close other programs, or raise the limit of open files",
    errno.EAGAIN: "another process uses the file: wait for it, or write to another one",
    errno.EIO: "look at the disk: it did not answer",
}


def explain(error: BaseException) -> CaloforgeError | None:
    """Return what a user can do about an exception, or None where it is a fault of this package."""
    if isinstance(error, CaloforgeError):
        return error
    number = _system_number(error)
    # The shortage of memory comes first, as the system has a number for that, too.
    if isinstance(error, MemoryError) or number == errno.ENOMEM or _lacks_memory(error):
        return CaloforgeError(
            "there is not enough memory",
            got=_first_line(error),
            cure="ask for less at once (showers, batch, workers, cells), or close other programs",
        )
    if number is not None:
        return CaloforgeError(
            f"the system refused: {os.strerror(number).lower()}",
            where=_file(error),
            got=None if _file(error) else _first_line(error),
            cure=_CURES.get(number),
        )
    if isinstance(error, UnicodeError):
        return CaloforgeError(
            "a text cannot be read or written here",
            got=_first_line(error),
            cure="write names and files in UTF-8",
        )
    return None


def _system_number(error: BaseException) -> int | None:
    if isinstance(error, OSError) and error.errno:
        return error.errno
    foreign = isinstance(error, OSError | RuntimeError) or type(error).__name__ == "SafetensorError"
    found = _NUMBER.search(str(error)) if foreign else None
    return int(found[1]) if found else None


def _lacks_memory(error: BaseException) -> bool:
    # torch and ONNX Runtime have exceptions of their own, and neither is imported for a look at them.
    foreign = isinstance(error, RuntimeError) or type(error).__module__.startswith("onnxruntime")
    return foreign and _NO_MEMORY.search(str(error)) is not None


def _file(error: BaseException) -> str | None:
    if not isinstance(error, OSError):
        return None
    names = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
    return " and ".join(names) or None


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__

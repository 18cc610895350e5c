"""HDF5 files read by a process of their own: what ends that process is an error here."""

from __future__ import annotations

__all__ = ["Apart"]

import atexit
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caloforge.errors import ShowersError, WorkerError
from caloforge.hdf5.child import SECONDS, ask, identity
from caloforge.hdf5.library import Described
from caloforge.workers import Workers


class Apart:
    """What `Library` is, in another process. One such process serves all files of this one.

    Args:
        path: The file.

    Raises:
        ShowersError: What `Library` raises; or the process died of it.
    """

    def __init__(self, path: str) -> None:
        self._path, self._same = path, identity(path)
        try:
            self._ask("keys")
        except BaseException:
            self.close()
            raise

    def keys(self) -> list[str]:
        """See `Library`."""
        names: list[str] = self._ask("keys")
        return names

    def describe(self, key: str) -> Described | None:
        """See `Library`."""
        found: Described | None = self._ask("describe", key)
        return found

    def read(self, key: str, start: int, stop: int) -> NDArray[Any]:
        """See `Library`."""
        rows: NDArray[Any] = self._ask("read", key, start, stop)
        return rows

    def lists(self, key: str, start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """See `Library`."""
        found: tuple[NDArray[np.int64], NDArray[Any]] = self._ask("lists", key, start, stop)
        return found

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
        if os.getpid() in _children:  # otherwise it is closed: that process has ended
            self._ask("close")

    def _ask(self, call: str, *arguments: Any) -> Any:
        try:
            return _child().submit(self._path, self._same, call, arguments).result()
        except WorkerError as error:
            _stop()
            raise _died(self._path, str(error.details["got"])) from None


_children: dict[int, Workers[Any]] = {}  # by process: a forked one must not talk to its parent's


def _child() -> Workers[Any]:
    if os.getpid() not in _children:
        try:
            _children[os.getpid()] = Workers(1, ask)
        except OSError as error:
            raise ShowersError(
                "the process that reads HDF5 files cannot be started",
                got=error.strerror,
                cure="end other processes, or raise the limit on them (ulimit -u)",
            ) from error
    return _children[os.getpid()]


@atexit.register
def _stop() -> None:
    child = _children.pop(os.getpid(), None)
    if child:
        child.close()


def _died(path: str, how: str) -> ShowersError:
    if how == "SIGXCPU":
        how = f"more than {SECONDS} s of processor time for one piece"
    elif how == "SIGKILL" or how.startswith("exit"):
        cure = "try again; is there enough memory?"
        return ShowersError("the process that reads this file was ended", where=path, got=how, cure=cure)
    return ShowersError(
        "damaged HDF5 file: it ended the process that looked at it",
        where=path,
        got=how,
        cure="make or copy it again",
    )

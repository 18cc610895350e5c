"""One holder of a file or folder at a time: the system gives the lock back however the holder ends."""

from __future__ import annotations

__all__ = ["Lock", "take"]

import os
import sys
from pathlib import Path

_FRESH = 0o666  # less what the user's mask takes


class Lock:
    """An open file or folder that no other process of this package has; what ends it ends the lock.

    Attributes:
        descriptor: Of the file, open for reading and writing, or of the folder.
    """

    everyone: set[Lock] = set()  # noqa: RUF012 - shared on purpose

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.everyone.add(self)

    @property
    def holds(self) -> bool:
        """Whether it was not released yet."""
        return self in self.everyone

    def release(self) -> None:
        """Give it back; a second time does nothing."""
        if self.holds:
            self.everyone.remove(self)
            os.close(self.descriptor)

    @classmethod
    def release_all(cls) -> None:
        """Give back whatever this process holds."""
        for lock in tuple(cls.everyone):
            lock.release()


if hasattr(os, "register_at_fork"):
    # A worker that outlives its parent must not keep the parent's locks.
    os.register_at_fork(after_in_child=Lock.release_all)


def take(path: Path, folder: bool, parents: bool = False) -> Lock | None:
    """Make or take over a file or folder, and lock it.

    Args:
        path: The file or folder.
        folder: Which of the two it is.
        parents: Whether the folders above a folder are made, too.

    Returns:
        The lock; None if another process has it.

    Raises:
        OSError: It cannot be made or opened.
    """
    while True:
        lock = _opened(path, folder, parents)
        if lock is None:
            continue  # the other process has just renamed or removed it
        if not _locked(lock.descriptor):
            lock.release()
            return None
        if _is_still(lock.descriptor, path):
            return lock
        lock.release()  # the other process has just finished or given up


def _opened(path: Path, folder: bool, parents: bool) -> Lock | None:
    if not folder:
        return Lock(os.open(path, os.O_RDWR | os.O_CREAT, _FRESH))
    path.mkdir(parents=parents, exist_ok=True)
    try:
        return Lock(os.open(path, os.O_RDONLY))
    except FileNotFoundError:
        return None


def _locked(descriptor: int) -> bool:
    """Whether nobody else has the lock; where the file system knows no locks, nobody can tell."""
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _is_still(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False

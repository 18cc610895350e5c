"""Files and folders are written under a temporary name, synced and renamed; one process writes one `--out`.

`OUT` is written as `.OUT.part` beside it, which its writer holds locked. The system gives the lock back when
the process dies, however it dies; what such a process left is overwritten by the next one.
"""

from __future__ import annotations

__all__ = [
    "Output",
    "locked_folder",
    "new_file",
    "new_folder",
    "part_of",
    "replace_bytes",
    "replace_file",
    "replace_text",
    "room",
    "scratch_folder",
]

import errno
import io
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from caloforge.errors import OutputError
from caloforge.locking import Lock, take

_AGAIN = 0.1  # seconds between two looks whether a lock is free
_NO_ROOM = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}


def part_of(path: Path) -> Path:
    """Return where a file or folder is while it is written."""
    return path.parent / f".{path.name}.part"  # `with_name` raises where a path has no name, as "."


class Output:
    """A file that is there when it is whole, and not before.

    Args:
        path: The file.
        replace: Whether it may exist: it is the old one or the new one then, whatever happens.

    Attributes:
        file: Open for writing and reading, empty, under another name and locked.

    Raises:
        OutputError: `path` exists (or is no file), its folder does not, or another process writes it.
    """

    def __init__(self, path: Path, replace: bool = False) -> None:
        self.path, self._part, self._replace = path, part_of(path), replace
        _check(path, replace)
        self._held = _hold(self._part, path, folder=False)
        self.file = os.fdopen(self._held.descriptor, "r+b", closefd=False)
        try:
            _check(path, replace)
            self.file.truncate()
        except BaseException:
            self.abandon()
            raise

    def finish(self) -> None:
        """Bring it to the disk and give it its name.

        Raises:
            OutputError: The disk is full, or somebody else made the file meanwhile; what was written stays
                until it is abandoned.
        """
        with room(self.path):
            self.file.flush()
            os.fsync(self._held.descriptor)
        _check(self.path, self._replace)  # those who are not of this package look at no lock
        self._part.replace(self.path)
        _sync_folder(self.path.parent)
        self._release()

    def abandon(self) -> None:
        """Leave nothing behind, unless it is finished."""
        if self._held.holds:
            self._part.unlink(missing_ok=True)
            self._release()

    def _release(self) -> None:
        self.file.raw.close()  # what its buffer still holds could not be written, or is not wanted
        self._held.release()


@contextmanager
def new_file(path: Path) -> Iterator[io.BufferedRandom]:
    """Open a file for writing that is there when it is whole, and not before.

    Leaving the context syncs it and gives it its name; an exception leaves nothing behind.

    Raises:
        OutputError: `path` exists, its folder does not, another process writes it, or the disk is full.
    """
    with _written(Output(path)) as file:
        yield file


@contextmanager
def replace_file(path: Path) -> Iterator[io.BufferedRandom]:
    """The same for a file that may exist: it is the old one or the new one, whatever happens.

    Raises:
        OutputError: `path` is no file, its folder is missing, another process writes it, or the disk is full.
    """
    with _written(Output(path, replace=True)) as file:
        yield file


def replace_text(path: Path, text: str) -> None:
    """Write a text file in the manner of `replace_file`."""
    replace_bytes(path, text.encode())


def replace_bytes(path: Path, content: bytes) -> None:
    """Write a small file in the manner of `replace_file`."""
    with replace_file(path) as file:
        file.write(content)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Make a folder that is there when it is whole, and not before; fill the one that this gives.

    Raises:
        OutputError: `path` exists, its folder does not, another process writes it, or the disk is full.
    """
    _check(path, False)
    part = part_of(path)
    held = _hold(part, path, folder=True)
    try:
        _check(path, False)
        _empty(part)
        with room(path):
            yield part
            _sync_all(part)
        _check(path, False)
        part.rename(path)
        _sync_folder(path.parent)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    finally:
        held.release()


@contextmanager
def locked_folder(path: Path, patience: float = 0.0) -> Iterator[Path]:
    """Make a folder if there is none, and be the only one who writes into it.

    It is removed again if it was made here and nothing was put into it.

    Args:
        path: The folder.
        patience: Seconds to wait for another process that writes into it.

    Raises:
        OutputError: It cannot be made, or another process writes into it.
    """
    made = [folder for folder in (path, *path.absolute().parents) if not folder.exists()]
    held = _hold(path, path, folder=True, patience=patience)
    try:
        with room(path):
            yield path
    finally:
        with suppress(OSError):  # not empty
            for folder in made:
                folder.rmdir()
        held.release()


@contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """Make an empty folder inside a locked one for what is needed meanwhile, and remove it afterwards."""
    shutil.rmtree(path, ignore_errors=True)  # of a process that was killed
    with _explained(path):
        path.mkdir()
    try:
        with room(path.parent):
            yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _sync_folder(path: Path) -> None:
    """Bring a folder's entries to the disk, so that a rename survives a power cut."""
    if sys.platform == "win32":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        _sync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _written(output: Output) -> Iterator[io.BufferedRandom]:
    try:
        with room(output.path):
            yield output.file
        output.finish()
    finally:
        output.abandon()


def _hold(part: Path, path: Path, folder: bool, patience: float = 0.0) -> Lock:
    """Make or take over what is written to, and lock it."""
    until = time.monotonic() + patience
    with _explained(path):
        while (held := take(part, folder, parents=part == path)) is None and time.monotonic() < until:
            time.sleep(_AGAIN)
    if held is None:
        raise OutputError(
            "another process is writing this",
            where=path,
            cure="wait for it, stop it, or choose another name",
        )
    return held


def _check(path: Path, replace: bool) -> None:
    if not path.parent.is_dir():
        raise OutputError("no such folder", where=path.parent, cure="make it first")
    if replace and path.exists() and not path.is_file():
        got = "a folder" if path.is_dir() else "no regular file"
        raise OutputError(
            "this cannot be replaced by a file", where=path, got=got, cure="choose another name"
        )
    if not replace and (path.exists() or path.is_symlink()):
        what = "folder" if path.is_dir() else "file"
        cure = "choose another name, or delete it first"
        raise OutputError(f"the {what} exists already", where=path, cure=cure)


@contextmanager
def room(path: Path) -> Iterator[None]:
    """Say it in words if the disk is full.

    Raises:
        OutputError: It is.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise OutputError(
            "there is no room to write this",
            where=path,
            got=error.strerror,
            cure="free some space, or write to another disk",
        ) from error


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        with room(path):
            yield
    except OSError as error:
        raise OutputError(
            "this cannot be written", where=path, got=error.strerror, cure="choose another place"
        ) from error


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()


def _sync_all(folder: Path) -> None:
    for entry in folder.rglob("*"):
        if entry.is_file():
            with entry.open("rb") as file:
                os.fsync(file.fileno())
    _sync_folder(folder)


def _sync(descriptor: int) -> None:
    with suppress(OSError):  # some file systems cannot sync a folder
        os.fsync(descriptor)

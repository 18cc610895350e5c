"""A bundle in one zip: nothing in it leaves the folder, hides, or grows beyond what it claims."""

from __future__ import annotations

__all__ = ["Archive", "write_zip"]

import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from caloforge.deploy.bundle.contents import AGAIN, PLAIN_NAME, Contents
from caloforge.errors import BundleError

_PLAIN_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_ENCRYPTED = 0x1
_MOST_FILES = 64
# Weights hardly shrink; texts do, and are small.
_MOST_GROWTH, _GROWS_ANYHOW = 20, 64_000_000
_PACK = "unpack it and pack its files anew: `caloforge bundle pack FOLDER --out BUNDLE.zip`"
# What `zipfile` raises on bytes that are no zip is not one class.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    NotImplementedError,
    RuntimeError,
    IndexError,
    OverflowError,
)
_DATE, _MODE = (1980, 1, 1, 0, 0, 0), (stat.S_IFREG | 0o644) << 16
_UNIX = 3


class Archive:
    """A bundle that is a zip; its files are read where they are.

    Args:
        path: The zip.

    Raises:
        BundleError: It is no zip, is damaged, or holds what a bundle does not need: folders, links, names
            given twice, encryption, rare compression, or more than its size can hold.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with _explained(path), zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
        _check_entries(path, entries)
        self._sizes = {entry.filename: entry.file_size for entry in entries}

    def names(self) -> list[str]:
        """Return the names of all files, sorted."""
        return sorted(self._sizes)

    def size(self, name: str) -> int:
        """Return the size that a file claims; see `Contents`."""
        if name not in self._sizes:
            raise BundleError("a file of the bundle is missing", where=self.path / name, cure=AGAIN)
        return self._sizes[name]

    @contextmanager
    def open(self, name: str) -> Iterator[_Member]:
        """Open a file; see `Contents`. It never gives more than it claims, and damage is an error."""
        self.size(name)
        where = self.path / name
        with ExitStack() as stack:
            with _explained(where):
                archive = stack.enter_context(zipfile.ZipFile(self.path))
                file = stack.enter_context(archive.open(name))
            yield _Member(file, where)


class _Member:
    """A file in a zip, whose damage is found while it is read."""

    def __init__(self, file: IO[bytes], where: Path) -> None:
        self._file, self._where = file, where

    def read(self, length: int = -1) -> bytes:
        with _explained(self._where):
            return self._file.read(length)


def write_zip(contents: Contents, names: Sequence[str], file: IO[bytes]) -> None:
    """Write files into a zip: the same files give the same bytes, whenever and wherever that is done.

    They are stored as they are: compression would save a tenth, depend on the version of zlib, and cost time
    whenever the bundle is opened.

    Args:
        contents: Where they are.
        names: Which, in this order.
        file: Open for writing.
    """
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name in names:
            entry = zipfile.ZipInfo(name, _DATE)
            entry.external_attr, entry.create_system, entry.file_size = _MODE, _UNIX, contents.size(name)
            with contents.open(name) as source, archive.open(entry, "w") as target:
                shutil.copyfileobj(source, target, 2**20)


@contextmanager
def _explained(where: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise BundleError(
            "the zip cannot be read: it is damaged, cut short, or no zip at all",
            where=where,
            got=f"{type(error).__name__}: {error}" if str(error) else type(error).__name__,
            cure=AGAIN,
        ) from None


def _check_entries(path: Path, entries: list[zipfile.ZipInfo]) -> None:
    if len(entries) > _MOST_FILES:
        raise _refused(path, "too many files", f"{len(entries):,}", f"at most {_MOST_FILES}")
    for entry in entries:
        if fault := _fault(entry):
            raise _refused(path, *fault)
    names = [entry.filename for entry in entries]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise _refused(path, "a file twice", ", ".join(twice), "each name once")
    claimed, most = sum(entry.file_size for entry in entries), _GROWS_ANYHOW
    most += _MOST_GROWTH * path.stat().st_size
    if claimed > most:
        raise _refused(path, "more than its size can hold", f"{claimed:,} bytes", f"at most {most:,} bytes")


def _fault(entry: zipfile.ZipInfo) -> tuple[str, str, str] | None:
    """What is wrong with an entry, what it is, and what would be right."""
    kind = stat.S_IFMT(entry.external_attr >> 16)
    # The names as they stand in the file: `zipfile` cuts some of them.
    if not PLAIN_NAME.fullmatch(entry.filename) or entry.orig_filename != entry.filename:
        return "a name that is not that of a file in the bundle", repr(entry.orig_filename), "no folders"
    if kind not in (0, stat.S_IFREG):
        return "a link, or something else that is not a file", entry.filename, "files only"
    if entry.flag_bits & _ENCRYPTED:
        return "an encrypted file", entry.filename, "files that anybody can read"
    if entry.compress_type not in _PLAIN_METHODS:
        return "a rare compression", f"{entry.filename}, method {entry.compress_type}", "stored or deflated"
    return None


def _refused(path: Path, what: str, got: str, expected: str) -> BundleError:
    return BundleError(f"the zip holds {what}", where=path, got=got, expected=expected, cure=_PACK)

"""The files of a bundle as they lie on disk: in a folder, or in one zip. Both are untrusted."""

from __future__ import annotations

__all__ = ["AGAIN", "PLAIN_NAME", "Contents", "Folder", "digest_in"]

import hashlib
import re
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

from caloforge.errors import BundleError

if TYPE_CHECKING:
    from _typeshed import SupportsRead

PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
"""What a file in a bundle may be called: a name of a file in one folder, on every system."""

AGAIN = "get the bundle again from where it came, or export it again"
_BLOCK = 2**20


class Contents(Protocol):
    """Files by their names, without folders.

    Attributes:
        path: The folder or zip.
    """

    path: Path

    def names(self) -> list[str]:
        """Return the names of all files, sorted."""

    def size(self, name: str) -> int:
        """Return the size in bytes that a file claims.

        Raises:
            BundleError: It is missing, or is something else than a file.
        """

    def open(self, name: str) -> AbstractContextManager[SupportsRead[bytes]]:
        """Open a file to be read from its beginning; errors are those of `size`."""


class Folder:
    """A bundle that is a folder.

    Args:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def names(self) -> list[str]:
        """Return the names of all that is in it, sorted."""
        return sorted(entry.name for entry in self.path.iterdir())

    def size(self, name: str) -> int:
        """Return the size of a file; see `Contents`."""
        return self._file(name).stat().st_size

    def open(self, name: str) -> IO[bytes]:
        """Open a file; see `Contents`."""
        return self._file(name).open("rb")

    def _file(self, name: str) -> Path:
        file = self.path / name
        if not file.exists():
            raise BundleError("a file of the bundle is missing", where=file, cure=AGAIN)
        if file.resolve().parent != self.path.resolve():
            raise BundleError("a file of the bundle is a link that leaves it", where=file, got=file.resolve())
        # Anything but a regular file (a pipe, a device) could keep the reader waiting for ever.
        if not file.is_file():
            raise BundleError("a part of the bundle is not a regular file", where=file)
        return file


def digest_in(contents: Contents, name: str) -> str:
    """Return the SHA-256 of a file, read piece by piece."""
    digest = hashlib.sha256()
    with contents.open(name) as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()

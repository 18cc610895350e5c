"""An HDF5 file as its readers see it: names, shapes and rows, whichever process looks into it."""

from __future__ import annotations

__all__ = ["Dataset", "Hdf5File", "ListDataset", "is_hdf5", "open_hdf5"]

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caloforge.errors import ShowersError, nearest
from caloforge.hdf5.apart import Apart
from caloforge.hdf5.claims import ITEM_KINDS, fits
from caloforge.hdf5.library import Described, Library

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_CHECKED = 3  # version of the superblock from which on all metadata carry checksums
_PIECE = 32 << 20  # bytes read at a time
_LISTS = 256  # lists read at a time


class Dataset:
    """Numbers in an HDF5 file, read by rows: `energy[100:200]`.

    Attributes:
        shape: Its shape; one axis at least.
        dtype: Type of its numbers.
    """

    def __init__(self, file: Library | Apart, key: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._file, self._key, self.shape, self.dtype = file, key, shape, dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        start, stop, _ = rows.indices(len(self))
        row = math.prod(self.shape[1:]) * self.dtype.itemsize
        step = max(1, _PIECE // max(1, row))
        if row and start < stop <= start + step:
            return self._file.read(self._key, start, stop)
        out = np.empty((max(0, stop - start), *self.shape[1:]), self.dtype)
        for first in range(start, stop, step) if row else ():
            last = min(first + step, stop)
            out[first - start : last - start] = self._file.read(self._key, first, last)
        return out


class ListDataset:
    """Lists of numbers in an HDF5 file, read by rows.

    They lie in a heap that has no checksum in any version of HDF5, so another process reads them.
    """

    def __init__(self, file: Apart, key: str, n: int) -> None:
        self._file, self._key, self._n = file, key, n

    def __len__(self) -> int:
        return self._n

    def rows(self, start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """The length of each list, shape `(stop - start,)`, and the numbers of all, one after the other."""
        parts = [
            self._file.lists(self._key, first, min(first + _LISTS, stop))
            for first in range(start, stop, _LISTS)
        ] or [self._file.lists(self._key, start, start)]
        counts, values = zip(*parts, strict=True)
        return np.concatenate(counts), np.concatenate(values)


class Hdf5File:
    """An open HDF5 file; a context manager.

    Attributes:
        path: The file.
        taken: Names of the datasets that were asked for.
    """

    def __init__(self, path: Path, file: Library | Apart) -> None:
        self.path, self._file = path, file
        self.taken: set[str] = set()
        self._known: dict[str, Described | None] = {}
        self._loose: Apart | None = None

    def keys(self) -> list[str]:
        """Names in the root group, and below each of its groups; of very many the first ones."""
        return self._file.keys()

    def __contains__(self, key: str) -> bool:
        return self._describe(key) is not None

    def shape(self, key: str) -> tuple[int, ...] | None:
        """Shape of a dataset; None if there is none of this name."""
        found = self._describe(key)
        return None if found is None else tuple(found.shape)

    def dataset(self, key: str, shape: tuple[int | None, ...] | None = None) -> Dataset:
        """A dataset of numbers.

        Args:
            key: Its name.
            shape: The shape it must have; None in it stands for any length, and None for any shape.

        Raises:
            ShowersError: Absent, not of numbers, of another shape, or it claims more than the file stores.
        """
        found = self._describe(key)
        where = f"{self.path}, key {key!r}"
        if found is None:
            names = self.keys()
            raise ShowersError(
                "the file lacks a dataset",
                where=where,
                got=_told(names) or "an empty file",
                near=nearest(key, names),
            )
        have = tuple(found.shape)
        numbers = found.dtype[1:2] in ITEM_KINDS and have != () and not found.lists
        if not numbers or (shape is not None and not fits(have, shape)):
            wanted = "any shape" if shape is None else tuple("any" if n is None else n for n in shape)
            raise ShowersError(
                "a dataset has the wrong shape or type",
                where=where,
                got=f"{have} {'lists of ' * found.lists}{np.dtype(found.dtype) if numbers else found.dtype}",
                expected=f"{wanted} of numbers".replace("'", ""),
            )
        self.taken.add(key)
        return Dataset(self._file, key, have, np.dtype(found.dtype))

    def lists(self, key: str, n: int) -> ListDataset:
        """A dataset of `n` lists of numbers, each of any length.

        Raises:
            ShowersError: Absent, of another shape or type, or it claims more than the file stores.
        """
        found = self._describe(key)
        if found is None or not found.lists or tuple(found.shape) != (n,):
            got = f"{tuple(found.shape)} {found.dtype}" if found else _told(self.keys())
            raise ShowersError(
                "a dataset of lists has the wrong shape or type" if found else "the file lacks a dataset",
                where=f"{self.path}, key {key!r}",
                got=got,
                expected=f"{n} lists of numbers",
            )
        self.taken.add(key)
        if self._loose is None:
            self._loose = self._file if isinstance(self._file, Apart) else Apart(str(self.path.resolve()))
        return ListDataset(self._loose, key, n)

    def attribute(self, key: str, group: str = "/") -> str | None:
        """A single text or number of a group as text; None if it is absent."""
        if isinstance(self._file, Library) and self._file.is_loose(key, group):
            with open_hdf5(self.path, apart=True) as file:
                return file.attribute(key, group)
        return self._file.attribute(key, group)

    def texts(self, key: str, group: str = "/") -> list[str] | None:
        """A list of texts of a group; None if it is absent. For files that are read apart."""
        return self._file.texts(key, group)

    def close(self) -> None:
        """Close the file."""
        if self._loose is not None and self._loose is not self._file:
            self._loose.close()
        self._file.close()

    def _describe(self, key: str) -> Described | None:
        if key not in self._known:
            self._known[key] = self._file.describe(key)
        return self._known[key]

    def __enter__(self) -> Hdf5File:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def open_hdf5(path: str | Path, *, apart: bool = False) -> Hdf5File:
    """Open an HDF5 file for reading.

    The HDF5 library can crash, or run for ever, on damage to metadata that have no checksums. Files that may
    have such are read by another process, which costs its start, some 0.2 s, once. caloforge's own files
    are not among them.

    Args:
        path: The file.
        apart: Read it by another process in any case.

    Raises:
        ShowersError: Missing, empty, truncated, damaged or no HDF5 at all.
    """
    path = Path(path)
    if not path.is_file():
        raise _missing(path)
    if path.stat().st_size == 0:
        raise ShowersError("the file is empty", where=path, got="0 bytes", cure="make or copy it again")
    version = _superblock(path)
    if version is None:
        size = path.stat().st_size
        raise ShowersError("not an HDF5 file", where=path, got=f"{size} bytes", expected="HDF5")
    name = str(path.resolve())
    return Hdf5File(path, Apart(name) if apart or version < _CHECKED else Library(name))


def is_hdf5(path: str | Path) -> bool:
    """Whether a file begins, or goes on after a block of the user's own, as HDF5 does."""
    return Path(path).is_file() and _superblock(Path(path)) is not None


def _superblock(path: Path) -> int | None:
    """Version of the file's first block; None if it is no HDF5 file."""
    size, place = path.stat().st_size, 0
    with path.open("rb") as file:
        while place < size:
            file.seek(place)
            head = file.read(len(_SIGNATURE) + 1)
            if head.startswith(_SIGNATURE) and len(head) > len(_SIGNATURE):
                return head[-1]
            place = max(512, 2 * place)
    return None


def _missing(path: Path) -> ShowersError:
    if path.is_dir():
        return ShowersError("this is a folder, not a file", where=path)
    if path.exists():
        return ShowersError("this is not a regular file", where=path)
    part = path.with_name(path.name + ".part")
    if part.is_file():
        cure = f"its production is not finished: resume it, or read what is there from {part.name}"
        return ShowersError("no such file", where=path, cure=cure)
    names = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    return ShowersError("no such file", where=path, near=nearest(path.name, names))


def _told(names: list[str]) -> str:
    return ", ".join(names[:30]) + (f" and {len(names) - 30} more" if len(names) > 30 else "")

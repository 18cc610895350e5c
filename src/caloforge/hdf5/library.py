"""One HDF5 file through the HDF5 library, in whichever process this runs."""

from __future__ import annotations

__all__ = ["Described", "Library"]

import math
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from caloforge.errors import ShowersError
from caloforge.hdf5.claims import ITEM_KINDS, MAX_CHUNK, check_claim, refuse_elsewhere

_MAX_NAMES = 10_000  # of keys that are told
_MAX_LINKS = 32  # that are followed to one dataset
_MAX_TEXTS = 10_000  # in one attribute
_MAX_TEXT = 16 << 20  # characters in one attribute
_SMALL_CACHE = 1 << 20  # bytes that HDF5 gives to a dataset's chunks by itself


class Described(NamedTuple):
    """What a dataset says of itself; `dtype` is as numpy writes it, or what cannot be read as numbers.

    `lists`: whether each of its rows is a list of such numbers, of any length.
    """

    shape: list[int]
    dtype: str
    lists: bool = False


class Library:
    """An open HDF5 file, of which nothing is read that was not held against its claims.

    Args:
        path: The file.

    Raises:
        ShowersError: Truncated, damaged, or no HDF5 at all.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._found: dict[str, h5py.Dataset] = {}
        try:
            self._file = h5py.File(path, "r")
        except (OSError, RuntimeError, ValueError) as error:
            raise _cannot_open(path, error) from error

    def keys(self) -> list[str]:
        """Names in the root group, and below each of its groups; the first of them."""
        with reading(self._path):
            return list(islice(self._names(), _MAX_NAMES))

    def describe(self, key: str) -> Described | None:
        """What a dataset is; None if there is none of this name.

        Raises:
            ShowersError: It claims more than the file stores, or lies in another file.
        """
        where = f"{self._path}, key {key!r}"
        with reading(where):
            found = _follow(self._file, key, where)
            if not isinstance(found, h5py.Dataset):
                return None
            refuse_elsewhere(found, where)
            try:
                kind = found.dtype
            except TypeError as error:  # a type that numpy lacks
                return Described(list(found.shape or ()), str(error))
            item = h5py.check_vlen_dtype(kind)
            if isinstance(item, np.dtype) and item.kind in ITEM_KINDS and found.shape:
                check_claim(found, where, found.id.get_type().get_size())
                self._found[key] = found
                return Described(list(found.shape), item.str, lists=True)
            if kind.kind in ITEM_KINDS and found.shape is not None:
                check_claim(found, where, kind.itemsize)
                self._found[key] = _with_cache(found)
            return Described(list(found.shape or ()), kind.str if kind.kind in ITEM_KINDS else str(kind))

    def read(self, key: str, start: int, stop: int) -> NDArray[Any]:
        """Rows of a dataset of numbers."""
        if key not in self._found:
            self.describe(key)
        with reading(f"{self._path}, key {key!r}, rows {start} to {stop - 1}"):
            rows: NDArray[Any] = self._found[key][start:stop]
            return rows

    def lists(self, key: str, start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """Rows of a dataset of lists: the length of each, and the numbers of all, one after the other."""
        if key not in self._found:
            self.describe(key)
        with reading(f"{self._path}, key {key!r}, rows {start} to {stop - 1}"):
            rows = self._found[key][start:stop]
            counts = np.array([len(row) for row in rows], np.int64)
            nothing = np.zeros(0, h5py.check_vlen_dtype(self._found[key].dtype))
            return counts, np.concatenate([nothing, *rows])

    def attribute(self, key: str, group: str) -> str | None:
        """A single text or number, as text; None if it is absent.

        Raises:
            ShowersError: Not one value, or a text beyond all measure.
        """
        texts = self._texts(key, group, single=True)
        return None if texts is None else texts[0]

    def texts(self, key: str, group: str) -> list[str] | None:
        """A list of texts; None if it is absent."""
        return self._texts(key, group, single=False)

    def _texts(self, key: str, group: str, single: bool) -> list[str] | None:
        where = f"{self._path}, attribute {key!r}"
        with reading(where):
            found = self._attribute(key, group)
            if found is None:
                return None
            attributes, attribute = found
            if single and attribute.shape != ():
                raise ShowersError("an attribute is not one value", where=where, got=_size(attribute))
            if math.prod(attribute.shape or ()) > _MAX_TEXTS or _bytes(attribute) > _MAX_TEXT:
                raise ShowersError("an attribute is too long", where=where, got=_size(attribute))
            return [_text(value, where) for value in np.atleast_1d(attributes[key])]

    def is_loose(self, key: str, group: str) -> bool:
        """Whether an attribute has no fixed length: the heap of such texts has no checksum in any version."""
        with reading(f"{self._path}, attribute {key!r}"):
            found = self._attribute(key, group)
            return found is not None and bool(found[1].dtype.hasobject)

    def close(self) -> None:
        """Close the file."""
        self._found.clear()
        self._file.close()

    def _names(self) -> Iterator[str]:
        for name in islice(self._file, _MAX_NAMES):
            if isinstance(self._file.get(name, getlink=True), h5py.HardLink) and isinstance(
                found := self._file[name], h5py.Group
            ):
                yield from (f"{name}/{below}" for below in found)
            else:
                yield name

    def _attribute(self, key: str, group: str) -> tuple[Any, h5py.h5a.AttrID] | None:
        """The attributes of a group, and this one of them."""
        found = _follow(self._file, group, f"{self._path}, key {group!r}")
        if not isinstance(found, h5py.Group) or key not in found.attrs:
            return None
        return found.attrs, found.attrs.get_id(key)


def _follow(file: h5py.File, key: str, where: str) -> Any:
    """What a path leads to, or None; links are followed here, so that none leads to another file."""
    at: Any = file
    parts = [part for part in key.split("/") if part]
    links = 0
    while parts:
        name = parts.pop(0)
        link = at.get(name, getlink=True) if isinstance(at, h5py.Group) else None
        if link is None:
            return None
        if isinstance(link, h5py.ExternalLink):
            raise ShowersError(
                "a link leads to another file", where=where, got=link.filename, cure="give that file itself"
            )
        if isinstance(link, h5py.SoftLink):
            links += 1
            if links > _MAX_LINKS:
                raise ShowersError("links lead in a circle", where=where, got=link.path)
            at = file if link.path.startswith("/") else at
            parts = [part for part in link.path.split("/") if part and part != "."] + parts
        else:
            at = at[name]
    return at


def _with_cache(found: h5py.Dataset) -> h5py.Dataset:
    """Open it again so that all chunks of a row stay unpacked until the next row is read."""
    if found.chunks is None:
        return found
    across = math.prod(-(-n // step) for n, step in zip(found.shape[1:], found.chunks[1:], strict=True))
    size = across * math.prod(found.chunks) * found.dtype.itemsize
    if size <= _SMALL_CACHE:
        return found
    access = h5py.h5p.create(h5py.h5p.DATASET_ACCESS)
    access.set_chunk_cache(max(521, 10 * across), min(size, MAX_CHUNK), 1.0)
    return h5py.Dataset(h5py.h5d.open(found.file.id, found.name.encode(), access))


def _bytes(attribute: h5py.h5a.AttrID) -> int:
    # HDF5's own answer is an error where there is nothing.
    return math.prod(attribute.shape or ()) * int(attribute.dtype.itemsize)


def _size(attribute: h5py.h5a.AttrID) -> str:
    return f"shape {attribute.shape}, {_bytes(attribute):,} bytes"


def _text(value: Any, where: str) -> str:
    text = value.decode() if isinstance(value, bytes) else str(value)
    if len(text) > _MAX_TEXT:
        raise ShowersError(
            "an attribute is too long",
            where=where,
            got=f"{len(text):,} characters",
            expected=f"at most {_MAX_TEXT:,}",
        )
    return text


@contextmanager
def reading(where: object) -> Iterator[None]:
    """Turn what HDF5 raises on a damaged file into one clear message."""
    try:
        yield
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError) as error:
        raise ShowersError(
            "damaged HDF5 file: it cannot be read to the end",
            where=where,
            got=(str(error).strip("'\"").splitlines() or [type(error).__name__])[0],
            cure="make or copy it again",
        ) from error


def _cannot_open(path: str, error: Exception) -> ShowersError:
    if "truncated" in str(error):
        problem, cure = "the file is truncated", "the copy did not finish: copy it again"
    else:
        problem, cure = f"damaged HDF5 file: {error}", "make or copy it again"
    return ShowersError(problem, where=path, got=f"{Path(path).stat().st_size} bytes", cure=cure)

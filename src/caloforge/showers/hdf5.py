"""Opening and reading HDF5 so that a damaged file gives one clear message."""

from __future__ import annotations

__all__ = ["attribute", "dataset", "open_hdf5", "reading"]

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from caloforge.errors import ShowersError, nearest


def open_hdf5(path: Path) -> h5py.File:
    """Open an HDF5 file for reading.

    Raises:
        ShowersError: Missing, empty, truncated or no HDF5 at all.
    """
    if not path.is_file():
        raise _missing(path)
    if path.stat().st_size == 0:
        raise ShowersError("the file is empty", where=path, got="0 bytes", cure="make or copy it again")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        if "truncated" in str(error):
            problem, cure = "the file is truncated", "the copy did not finish: copy it again"
        elif h5py.is_hdf5(path):
            problem, cure = f"damaged HDF5 file: {error}", "make or copy it again"
        else:
            problem, cure = "not an HDF5 file", "showers are read from HDF5 files only"
        raise ShowersError(problem, where=path, got=f"{path.stat().st_size} bytes", cure=cure) from error


def _missing(path: Path) -> ShowersError:
    part = path.with_name(path.name + ".part")
    if part.is_file():
        cure = f"its production is not finished: resume it, or read what is there from {part.name}"
        return ShowersError("no such file", where=path, cure=cure)
    if path.is_dir():
        return ShowersError("this is a folder, not a file", where=path)
    names = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    return ShowersError("no such file", where=path, near=nearest(path.name, names))


def dataset(file: h5py.File, key: str, shape: tuple[int | None, ...]) -> h5py.Dataset:
    """A numeric dataset of the given shape; None stands for any length.

    Raises:
        ShowersError: Absent, not numeric or of another shape.
    """
    where = f"{file.filename}, key {key!r}"
    keys: list[str] = []
    with reading(where):
        found = file.get(key)
        if not isinstance(found, h5py.Dataset):
            file.visit(keys.append)
    if not isinstance(found, h5py.Dataset):
        raise ShowersError(
            "the file lacks a dataset",
            where=where,
            got=", ".join(keys) or "an empty file",
            near=nearest(key, keys),
        )
    same = len(found.shape or ()) == len(shape) and all(
        want in (None, have) for have, want in zip(found.shape, shape, strict=True)
    )
    if not same or found.dtype.kind not in "fiu":
        wanted = tuple("any" if n is None else n for n in shape)
        raise ShowersError(
            "a dataset has the wrong shape or type",
            where=where,
            got=f"{found.shape} {found.dtype}",
            expected=f"{wanted} of numbers".replace("'", ""),
        )
    return found


@contextmanager
def reading(where: object) -> Iterator[None]:
    """Turn what HDF5 raises on a damaged file into one clear message."""
    try:
        yield
    except (OSError, RuntimeError, KeyError) as error:
        raise ShowersError(
            "damaged HDF5 file: it cannot be read to the end",
            where=where,
            got=str(error).strip("'\"").splitlines()[0],
            cure="make or copy it again",
        ) from error


def attribute(file: h5py.File, key: str) -> Any:
    """An attribute of the root group, or None."""
    with reading(f"{file.filename}, attribute {key!r}"):
        return file.attrs.get(key)

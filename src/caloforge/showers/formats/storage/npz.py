"""npz files of numpy: arrays in a zip, read by rows; nothing is unpickled."""

from __future__ import annotations

__all__ = ["NpzArray", "NpzFile"]

import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from caloforge.errors import ShowersError, nearest
from caloforge.hdf5.claims import ANY_SIZE, ITEM_KINDS, MAX_RATIO, MAX_ROW, fits

if TYPE_CHECKING:
    from typing_extensions import Self

_LOCAL = struct.Struct("<4s22xHH")  # of a member's own header: its mark, lengths of its name and its extras

_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, struct.error),
    *(SyntaxError, tokenize.TokenError),  # numpy's, of a header that is none
    *(EOFError, KeyError, OSError, OverflowError, RuntimeError, TypeError, ValueError),
)


@dataclass(frozen=True)
class _Header:
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    size: int  # bytes before the numbers


class NpzArray:
    """An array in an npz file, read by rows: `energy[100:200]`.

    Attributes:
        shape: Its shape; one axis at least.
        dtype: Type of its numbers.
    """

    def __init__(self, where: str, stream: _Stream, header: _Header) -> None:
        self._where, self._stream, self._first = where, stream, header.size
        self.shape, self.dtype = header.shape, header.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        start, stop, _ = rows.indices(len(self))
        stop = max(start, stop)
        row = math.prod(self.shape[1:]) * self.dtype.itemsize
        with _reading(self._where):
            self._stream.seek(self._first + start * row)
            data = self._stream.read((stop - start) * row)
            return np.frombuffer(data, self.dtype).reshape(stop - start, *self.shape[1:])

    def close(self) -> None:
        """Give its stream back."""
        self._stream.close()


class NpzFile:
    """An open npz file; a context manager.

    A member that is not compressed, as `np.savez` writes it, is read where it lies. To go back in a
    compressed one means to unpack it again from its beginning.

    Attributes:
        path: The file.
        taken: Names of the arrays that were asked for.

    Raises:
        ShowersError: Missing, damaged, or no zip at all.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.taken: set[str] = set()
        self._open: dict[str, NpzArray] = {}
        with _reading(path):
            self._zip = zipfile.ZipFile(path)

    def keys(self) -> list[str]:
        """Names of the arrays, and of what else is in the zip."""
        return [name.removesuffix(".npy") for name in self._zip.namelist()]

    def __contains__(self, key: str) -> bool:
        return f"{key}.npy" in self._zip.NameToInfo

    def shape(self, key: str) -> tuple[int, ...] | None:
        """Shape of an array; None if there is none of this name."""
        return self._array(key).shape if key in self else None

    def dataset(self, key: str, shape: tuple[int | None, ...] | None = None) -> NpzArray:
        """An array of numbers.

        Args:
            key: Its name.
            shape: The shape it must have; None in it stands for any length, and None for any shape.

        Raises:
            ShowersError: Absent, not of numbers, of another shape, or it claims more than the file stores.
        """
        if key not in self:
            names = self.keys()
            raise ShowersError(
                "the file lacks an array",
                where=f"{self.path}, key {key!r}",
                got=", ".join(names[:30]) or "an empty file",
                near=nearest(key, names),
            )
        found = self._array(key)
        if shape is not None and not fits(found.shape, shape):
            wanted = tuple("any" if n is None else n for n in shape)
            raise ShowersError(
                "an array has the wrong shape",
                where=f"{self.path}, key {key!r}",
                got=found.shape,
                expected=str(wanted).replace("'", ""),
            )
        self.taken.add(key)
        return found

    def close(self) -> None:
        """Close the file."""
        for array in self._open.values():
            array.close()
        self._zip.close()

    def _array(self, key: str) -> NpzArray:
        if key not in self._open:
            where = f"{self.path}, key {key!r}"
            info = self._zip.getinfo(f"{key}.npy")
            with _reading(where):
                with self._zip.open(info) as member:
                    header = _header(member, where)
                _check_claim(info, header, self.path.stat().st_size, where)
                stream: _Stream = self._zip.open(info) if info.compress_type else self._stored(info)
            self._open[key] = NpzArray(where, stream, header)
        return self._open[key]

    def _stored(self, info: zipfile.ZipInfo) -> _Stream:
        """The numbers of a member that is not compressed, where they lie in the file."""
        with self.path.open("rb") as file:
            file.seek(info.header_offset)
            _, name, extra = _LOCAL.unpack(file.read(_LOCAL.size))
        return _Part(self.path, info.header_offset + _LOCAL.size + name + extra)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class _Stream(Protocol):
    def seek(self, offset: int, /) -> int: ...
    def read(self, size: int, /) -> bytes: ...
    def close(self) -> None: ...


class _Part:
    """A file from one of its bytes on, which counts as its first."""

    def __init__(self, path: Path, first: int) -> None:
        self._file, self._first = path.open("rb"), first

    def seek(self, offset: int, /) -> int:
        return self._file.seek(self._first + offset)

    def read(self, size: int, /) -> bytes:
        return self._file.read(size)

    def close(self) -> None:
        self._file.close()


def _header(member: IO[bytes], where: str) -> _Header:
    """What an array says of itself."""
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    version = npy.read_magic(member)
    if version not in readers:
        raise ShowersError("not an array of numbers", where=where, got=f"version {version} of numpy's format")
    shape: tuple[int, ...]
    shape, fortran, dtype = readers[version](member)
    if dtype.kind not in ITEM_KINDS or shape == ():
        raise ShowersError(
            "not an array of numbers",
            where=where,
            got=f"{shape} {dtype}",
            expected="floats or integers with one axis at least",
            cure="Python objects are never unpickled: save arrays of numbers",
        )
    if fortran and 0 not in shape:
        raise ShowersError(
            "the array is stored column by column and cannot be read by rows",
            where=where,
            cure="save np.ascontiguousarray(ARRAY)",
        )
    return _Header(shape, dtype, member.tell())


def _check_claim(info: zipfile.ZipInfo, header: _Header, size: int, where: str) -> None:
    """Check that all that an array claims is in the file, in rows that can be read."""
    row = math.prod(header.shape[1:]) * header.dtype.itemsize
    claim, stored = row * header.shape[0], info.file_size - header.size
    packed = info.compress_size <= size and (info.compress_type or info.compress_size == info.file_size)
    if min(header.shape) < 0 or claim != stored or not packed:
        got = (
            f"shape {header.shape}, {claim:,} bytes; {stored:,} in {info.compress_size:,} of {size:,} stored"
        )
        raise ShowersError(
            "an array claims what the file does not store",
            where=where,
            got=got,
            cure="make or copy it again",
        )
    most = max(ANY_SIZE, MAX_RATIO * info.compress_size)
    if info.file_size > most:
        got = f"{info.file_size:,} bytes of {info.compress_size:,} stored"
        raise ShowersError(
            "an array unpacks to more than is believed",
            where=where,
            got=got,
            expected=f"at most {most:,} bytes",
        )
    if row > MAX_ROW:
        raise ShowersError("one row of an array is too large", where=where, got=f"{row:,} bytes")


@contextmanager
def _reading(where: object) -> Iterator[None]:
    """Turn what zipfile, zlib and numpy raise on a damaged file into one clear message."""
    try:
        yield
    except _DAMAGE as error:
        raise ShowersError(
            "damaged npz file: it cannot be read to the end",
            where=where,
            got=(str(error).splitlines() or [type(error).__name__])[0],
            cure="make or copy it again",
        ) from error

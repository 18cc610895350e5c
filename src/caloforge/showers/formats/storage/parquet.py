"""Parquet files by pyarrow: a table of rows, and how new ones are written."""

from __future__ import annotations

__all__ = ["ParquetFile", "new_parquet", "pyarrow"]

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from caloforge.errors import MissingExtraError, ShowersError, nearest
from caloforge.showers.formats.storage.table import Lists
from caloforge.writing import new_file

if TYPE_CHECKING:
    from typing_extensions import Self

_MAX_GROUP = 512 << 20  # bytes of one column: a row group is unpacked as a whole


class ParquetFile:
    """An open Parquet file, read by rows; a context manager. Each column keeps its last row group.

    Attributes:
        path: The file.
        taken: Names of the columns that were asked for.

    Raises:
        ShowersError: Missing, truncated or damaged.
        MissingExtraError: No pyarrow.
    """

    def __init__(self, path: Path) -> None:
        parquet = pyarrow().parquet
        self.path = path
        self.taken: set[str] = set()
        self._read: dict[str, tuple[int, Any]] = {}
        with _reading(path):
            self._file = parquet.ParquetFile(path, page_checksum_verification=True)
            self._schema = self._file.schema_arrow
            about = self._file.metadata
            rows = [about.row_group(i).num_rows for i in range(about.num_row_groups)]
        self._ends = np.cumsum([0, *rows])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def keys(self) -> list[str]:
        """Names of the columns."""
        return list(self._schema.names)

    def __contains__(self, key: str) -> bool:
        return key in self.keys()

    def text(self, name: str) -> str | None:
        """A text of the file's metadata; None if there is none of this name."""
        found = (self._schema.metadata or {}).get(name.encode())
        return None if found is None else found.decode(errors="replace")

    def take(self, *keys: str) -> None:
        """See `Table`."""
        for key in keys:
            if key not in self:
                near, got = nearest(key, self.keys()), ", ".join(self.keys()[:30])
                raise ShowersError("the file lacks a column", where=self._where(key), got=got, near=near)
        self.taken.update(keys)

    def flat(self, key: str, start: int, stop: int) -> NDArray[Any]:
        """See `Table`."""
        parts = [_numbers(part, self._where(key)) for part in self._parts(key, start, stop)]
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    def lists(self, key: str, start: int, stop: int) -> Lists:
        """See `Table`."""
        parts = [self._lists(key, part) for part in self._parts(key, start, stop)]
        counts = [np.diff(part.offset) for part in parts]
        return Lists.of(
            np.concatenate([np.zeros(0, np.int64), *counts]),
            np.concatenate([part.values for part in parts]) if parts else np.zeros(0, np.float32),
        )

    def _lists(self, key: str, part: Any) -> Lists:
        kind = part.type
        if not any(test(kind) for test in _list_kinds(pyarrow().types)):
            raise _wrong(self._where(key), kind, "a list of numbers per row")
        _no_gaps(part, self._where(key))
        counts = part.value_lengths().to_numpy(zero_copy_only=False)
        return Lists.of(counts, _numbers(part.flatten(), self._where(key)))

    def _parts(self, key: str, start: int, stop: int) -> Iterator[Any]:
        """Rows of a column, from one row group after the other."""
        while start < stop:
            group = int(np.searchsorted(self._ends, start, side="right")) - 1
            end = min(stop, int(self._ends[group + 1]))
            yield self._group(key, group).slice(start - int(self._ends[group]), end - start)
            start = end

    def _group(self, key: str, group: int) -> Any:
        if self._read.get(key, (-1, None))[0] != group:
            self._check_claim(key, group)
            with _reading(f"{self._where(key)}, row group {group}"):
                column = self._file.read_row_group(group, columns=[key], use_threads=False).column(0)
                rows = int(self._ends[group + 1] - self._ends[group])
                if len(column) != rows:
                    raise ValueError(f"{len(column)} rows, where {rows} are promised")
                self._read[key] = group, column.combine_chunks()
        return self._read[key][1]

    def _check_claim(self, key: str, group: int) -> None:
        about = self._file.metadata.row_group(group)
        columns = [about.column(i) for i in range(about.num_columns)]
        values = max(c.num_values for c in columns if c.path_in_schema.partition(".")[0] == key)
        if 8 * values > _MAX_GROUP:
            raise ShowersError(
                "a row group is too large to be read at once",
                where=f"{self._where(key)}, row group {group}",
                got=f"{values:,} numbers",
                expected=f"at most {_MAX_GROUP // 8:,}",
                cure="write it again with smaller ones: pyarrow's write_table(..., row_group_size=10_000)",
            )

    def _where(self, key: str) -> str:
        return f"{self.path}, column {key!r}"

    def close(self) -> None:
        """Close the file."""
        self._read.clear()
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


@contextmanager
def new_parquet(path: Path, schema: Any) -> Iterator[Any]:
    """Open a new Parquet file, a `pyarrow.parquet.ParquetWriter`; an exception leaves nothing behind.

    Raises:
        MissingExtraError: No pyarrow.
        OutputError: It exists, another process writes it, or the disk is full.
    """
    writer = pyarrow().parquet.ParquetWriter
    with new_file(path) as out, writer(out, schema, write_page_checksum=True) as file:
        yield file


def pyarrow() -> Any:
    """The package, with its `parquet`.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtraError("pyarrow", "parquet") from None
    return pyarrow


def _list_kinds(types: Any) -> tuple[Any, ...]:
    return types.is_list, types.is_large_list, types.is_fixed_size_list


def _numbers(part: Any, where: str) -> NDArray[Any]:
    types = pyarrow().types
    if not (types.is_integer(part.type) or types.is_floating(part.type)):
        raise _wrong(where, part.type, "numbers")
    _no_gaps(part, where)
    numbers: NDArray[Any] = part.to_numpy(zero_copy_only=False)
    return numbers


def _no_gaps(part: Any, where: str) -> None:
    if part.null_count:
        raise ShowersError("a column has empty places", where=where, got=f"{part.null_count} nulls")


def _wrong(where: str, got: object, expected: str) -> ShowersError:
    return ShowersError("a column has the wrong type", where=where, got=got, expected=expected)


@contextmanager
def _reading(where: object) -> Iterator[None]:
    """Turn what pyarrow raises on a damaged file into one clear message."""
    try:
        yield
    except (pyarrow().ArrowException, OSError, ValueError, KeyError, IndexError, MemoryError) as error:
        raise ShowersError(
            "damaged Parquet file: it cannot be read to the end",
            where=where,
            got=(str(error).strip().splitlines() or [type(error).__name__])[0],
            cure="make or copy it again",
        ) from error

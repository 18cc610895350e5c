"""Tables of showers, one row each, as ROOT and Parquet hold them: columns of numbers and of lists."""

from __future__ import annotations

__all__ = ["Lists", "Table", "lists_alike"]

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from caloforge.errors import ShowersError


@dataclass(frozen=True)
class Lists:
    """One list of numbers per row.

    Attributes:
        offset: Where each row begins in `values`, shape `(n + 1,)`, from 0.
        values: The numbers of all rows, one after the other.
    """

    offset: NDArray[np.int64]
    values: NDArray[Any]

    @classmethod
    def of(cls, counts: NDArray[np.integer], values: NDArray[Any]) -> Lists:
        """Make them of the lengths of the rows, shape `(n,)`."""
        return cls(np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]), values)

    def rows(self, start: int, stop: int) -> Lists:
        """Neighbouring rows."""
        offset = self.offset[start : stop + 1]
        return Lists(offset - offset[0], self.values[offset[0] : offset[-1]])


class Table(Protocol):
    """Columns that are read by rows."""

    def __len__(self) -> int: ...

    def __contains__(self, key: str) -> bool: ...

    def take(self, *keys: str) -> None:
        """Say which columns are read.

        Raises:
            ShowersError: One of them is not there.
        """

    def flat(self, key: str, start: int, stop: int) -> NDArray[Any]:
        """One number per row, shape `(stop - start,)`.

        Raises:
            ShowersError: It has another type, or the file is damaged.
        """

    def lists(self, key: str, start: int, stop: int) -> Lists:
        """One list per row.

        Raises:
            ShowersError: It has another type, or the file is damaged.
        """


def lists_alike(table: Table, keys: Iterable[str], start: int, stop: int, where: object) -> list[Lists]:
    """Several columns of lists, which have one length in each row.

    Raises:
        ShowersError: They have not, or what `Table.lists` raises.
    """
    found = {key: table.lists(key, start, stop) for key in keys}
    first, *others = found.values()
    for key, lists in zip(list(found)[1:], others, strict=True):
        row = np.flatnonzero(np.diff(lists.offset) != np.diff(first.offset))
        if len(row):
            raise ShowersError(
                "lists of one row differ in length",
                where=f"{where}, row {start + row[0]}",
                got=f"{np.diff(lists.offset)[row[0]]} in {key!r}",
                expected=f"{np.diff(first.offset)[row[0]]}, as in {next(iter(found))!r}",
            )
    return list(found.values())

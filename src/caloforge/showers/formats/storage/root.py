"""ROOT files by uproot: tables of rows, TTree or RNTuple, and how new ones are written."""

from __future__ import annotations

__all__ = ["RootFile", "RootTable", "jagged", "new_root"]

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from caloforge.errors import CaloforgeError, MissingExtraError, ShowersError, nearest
from caloforge.showers.formats.storage.table import Lists
from caloforge.writing import new_file

if TYPE_CHECKING:
    from typing_extensions import Self

_FIRST, _PIECE = 1024, 32 << 20  # rows that are read first, and bytes later: a basket is unpacked as a whole
_MAX_TEXT = 16 << 20  # characters
_TOLD = 300  # characters of what uproot says


class RootFile:
    """An open ROOT file; a context manager. Its keys are `TREE/BRANCH`, and names of what else it holds.

    Attributes:
        path: The file.
        taken: Keys that were asked for.

    Raises:
        ShowersError: Missing, truncated or damaged.
        MissingExtraError: No uproot or awkward.
    """

    def __init__(self, path: Path) -> None:
        uproot = _uproot()
        self.path = path
        self.taken: set[str] = set()
        with _reading(path):
            self._file = uproot.open(path, array_cache=None)
        try:
            with _reading(path):
                self._check_size(int(self._file.file.fEND))
                self._trees = {name: self._file[name] for name in self._names() if self._is_table(name)}
                keys = [name for name in self._names() if name not in self._trees]
                keys += [f"{tree}/{key}" for tree, found in self._trees.items() for key in _keys(found)]
                self._keys = dict.fromkeys(keys)  # a list would be searched for each of thousands of branches
        except BaseException:
            self.close()
            raise

    def _check_size(self, end: int) -> None:
        """Uproot reads what is left of a file without its end."""
        size = self.path.stat().st_size
        if size < end:
            raise ShowersError(
                "the file is truncated",
                where=self.path,
                got=f"{size:,} bytes",
                expected=f"{end:,}, as its header says",
                cure="the copy did not finish: copy it again",
            )

    def _names(self) -> list[str]:
        return list(dict.fromkeys(self._file.keys(cycle=False)))

    def _is_table(self, name: str) -> bool:
        kind = self._file.classname_of(name)
        if kind == "ROOT::Experimental::RNTuple":
            raise ShowersError(
                "an RNTuple from before its format was final, which uproot does not read",
                where=f"{self.path}, {name!r}",
                got=kind,
                expected="ROOT::RNTuple or TTree",
                cure="write it again with ROOT 6.34 or later",
            )
        return kind in ("TTree", "TNtuple", "TNtupleD", "TChain", "ROOT::RNTuple")

    def keys(self) -> list[str]:
        """`TREE/BRANCH` of all tables, after the names of everything else."""
        return list(self._keys)

    @property
    def trees(self) -> list[str]:
        """Names of the tables."""
        return list(self._trees)

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    def table(self, name: str) -> RootTable:
        """One of the tables.

        Raises:
            ShowersError: There is none of this name.
        """
        if name not in self._trees:
            got = ", ".join(self._trees) or "no trees"
            raise ShowersError("the file lacks a tree", where=self.path, got=got, expected=name)
        return RootTable(self, name, self._trees[name])

    def text(self, name: str) -> str | None:
        """A text (TObjString); None if there is none of this name."""
        if name not in self._keys or self._file.classname_of(name) != "TObjString":
            return None
        with _reading(f"{self.path}, {name!r}"):
            text = str(self._file[name])
        self.taken.add(name)
        if len(text) > _MAX_TEXT:
            raise ShowersError("a text is too long", where=f"{self.path}, {name!r}", got=len(text))
        return text

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class RootTable:
    """A TTree or an RNTuple, read by rows; each column keeps the rows that were read last."""

    def __init__(self, file: RootFile, name: str, tree: Any) -> None:
        self._file, self._name, self._tree = file, name, tree
        self._read: dict[str, tuple[int, int, Any]] = {}
        self._ahead: dict[str, int] = {}  # rows

    def __len__(self) -> int:
        return int(self._tree.num_entries)

    def __contains__(self, key: str) -> bool:
        return f"{self._name}/{key}" in self._file

    def keys(self) -> list[str]:
        """Names of the columns."""
        return _keys(self._tree)

    def take(self, *keys: str) -> None:
        """See `Table`."""
        for key in keys:
            if key not in self:
                near, got = nearest(key, self.keys()), ", ".join(self.keys()[:30])
                raise ShowersError("the tree lacks a branch", where=self._where(key), got=got, near=near)
        self._file.taken.update(f"{self._name}/{key}" for key in keys)

    def flat(self, key: str, start: int, stop: int) -> NDArray[Any]:
        """See `Table`."""
        rows = self._rows(key, start, stop)
        with _reading(self._where(key)):
            if rows.ndim != 1:
                raise self._wrong(key, f"{rows.ndim} axes", "one number per row")
            return _numbers(rows)

    def lists(self, key: str, start: int, stop: int) -> Lists:
        """See `Table`."""
        import awkward as ak

        rows = self._rows(key, start, stop)
        with _reading(self._where(key)):
            if rows.ndim != 2:
                raise self._wrong(key, f"{rows.ndim} axes", "a list of numbers per row")
            return Lists.of(np.asarray(ak.num(rows), np.int64), _numbers(ak.flatten(rows)))

    def _rows(self, key: str, start: int, stop: int) -> Any:
        first, last, rows = self._read.get(key, (0, 0, None))
        if rows is None or start < first or stop > last:
            first, last = start, min(len(self), max(stop, start + self._ahead.get(key, _FIRST)))
            rows = self._array(key, first, last)
            self._read[key] = first, last, rows
            self._ahead[key] = max(_FIRST, _PIECE * len(rows) // max(1, rows.nbytes))
        return rows[start - first : stop - first]

    def _array(self, key: str, start: int, stop: int) -> Any:
        import awkward as ak

        with _reading(self._where(key)):
            column = self._tree[key]
            self._check_claim(key, column)
            # Packed: a part of a cluster of an RNTuple would keep all of it in memory.
            rows = ak.to_packed(column.array(entry_start=start, entry_stop=stop))
        if len(rows) != stop - start:
            raise self._wrong(key, f"{len(rows)} rows from {start} to {stop}", "all of them")
        return rows

    def _check_claim(self, key: str, column: Any) -> None:
        """Rows of a TTree must be in its baskets."""
        offsets = getattr(column, "entry_offsets", None)
        if offsets is not None and offsets[-1] != len(self):
            raise self._wrong(key, f"{offsets[-1]:,} rows", f"{len(self):,}, as the tree says")

    def _where(self, key: str) -> str:
        return f"{self._file.path}, tree {self._name!r}, branch {key!r}"

    def _wrong(self, key: str, got: str, expected: str) -> ShowersError:
        return ShowersError(
            "a branch has the wrong shape", where=self._where(key), got=got, expected=expected
        )


@contextmanager
def new_root(path: Path) -> Iterator[Any]:
    """Open a new ROOT file by uproot; an exception leaves nothing behind.

    Raises:
        MissingExtraError: No uproot or awkward.
        OutputError: It exists, another process writes it, or the disk is full.
    """
    uproot = _uproot()
    # uproot closes the file that it is given.
    with new_file(path) as out, os.fdopen(os.dup(out.fileno()), "r+b") as sink, uproot.recreate(sink) as file:
        yield file


def jagged(offset: NDArray[np.int64], columns: dict[str, NDArray[Any]]) -> Any:
    """Return records of which each row has any number, for `extend`.

    Args:
        offset: Where each row begins, shape `(n + 1,)`.
        columns: The fields of all records, one row after the other.
    """
    import awkward as ak

    return ak.unflatten(ak.zip(columns), np.diff(offset))


def _uproot() -> Any:
    try:
        import awkward  # noqa: F401
        import uproot
    except ImportError as error:
        raise MissingExtraError(error.name or "uproot", "root") from None
    return uproot


def _keys(tree: Any) -> list[str]:
    """Names of all columns with numbers: not those of groups, nor of what counts the others' numbers."""
    if isinstance(tree, _uproot().TTree):
        branches = list(tree.itervalues(recursive=True))
        # By its leaf: of split vectors, uproot's `count_branch` is the first of those that are counted.
        counters = {b.count_leaf.member("fName") for b in branches if b.count_leaf is not None}
        keys = [branch.name for branch in branches if branch.name not in counters]
    else:
        keys = list(tree.keys())
    groups = {".".join(parts[:i]) for key in keys for parts in [key.split(".")] for i in range(1, len(parts))}
    return [key for key in keys if key not in groups]


def _numbers(rows: Any) -> NDArray[Any]:
    import awkward as ak

    found: NDArray[Any] = ak.to_numpy(rows, allow_missing=False)
    if found.dtype.kind not in "fiu":
        raise TypeError(f"{found.dtype} where numbers are expected")
    return found


@contextmanager
def _reading(where: object) -> Iterator[None]:
    """Turn what uproot and awkward raise on a damaged file, which may be anything, into one clear message."""
    try:
        yield
    except CaloforgeError:
        raise
    except Exception as error:
        raise ShowersError(
            "this ROOT file cannot be read",
            where=where,
            got=" ".join(str(error).split())[:_TOLD] or type(error).__name__,
            cure="if it is damaged or truncated, make or copy it again",
        ) from error

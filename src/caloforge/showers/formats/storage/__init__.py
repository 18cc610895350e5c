"""What other people's showers are stored in, told by the first bytes: HDF5, npz, ROOT or Parquet."""

from __future__ import annotations

__all__ = ["ARRAYS", "Arrays", "Opened", "open_arrays", "open_storage"]

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from caloforge.errors import ShowersError
from caloforge.hdf5 import Hdf5File, is_hdf5, open_hdf5
from caloforge.showers.formats.storage.npz import NpzFile
from caloforge.showers.formats.storage.parquet import ParquetFile
from caloforge.showers.formats.storage.root import RootFile

if TYPE_CHECKING:
    from typing_extensions import Self

Arrays = Hdf5File | NpzFile
"""Files of named arrays: whoever reads one kind reads the other."""
ARRAYS = (Hdf5File, NpzFile)


class Opened(Protocol):
    """An open file of any kind; a context manager.

    Attributes:
        path: The file.
        taken: Keys that were asked for.
    """

    path: Path
    taken: set[str]

    def keys(self) -> list[str]:
        """Names of what is in it."""

    def __contains__(self, key: str) -> bool: ...

    def close(self) -> None:
        """Close the file."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...


_BEGINS: dict[bytes, Callable[[Path], Opened]] = {
    b"root": RootFile,
    b"PAR1": ParquetFile,
    b"PK\x03\x04": NpzFile,
    b"PK\x05\x06": NpzFile,  # a zip of nothing
}


def open_storage(path: Path) -> Opened:
    """Open a file of any kind.

    Raises:
        ShowersError: Missing, empty, damaged, or of no kind that is known.
        MissingExtraError: The package that reads it is not installed.
    """
    return _opener(path)(path)


def open_arrays(path: Path) -> Arrays:
    """Open a file of named arrays.

    Raises:
        ShowersError: Missing, empty, damaged, or of another kind.
    """
    opener = _opener(path)
    return NpzFile(path) if opener is NpzFile else open_hdf5(path)


def _opener(path: Path) -> Callable[[Path], Opened]:
    if not path.is_file() or path.stat().st_size == 0:
        return open_hdf5  # which says what is there instead
    with path.open("rb") as file:
        head = file.read(4)
    if head in _BEGINS:
        return _BEGINS[head]
    if not is_hdf5(path):
        raise ShowersError(
            "not a file of showers: its first bytes are those of no kind that is known",
            where=path,
            got=f"{path.stat().st_size} bytes, the first are {head!r}",
            expected="HDF5, npz, ROOT or Parquet",
        )
    return open_hdf5

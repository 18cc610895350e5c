"""What other people's showers are stored in, told by the first bytes: HDF5, npz, ROOT or Parquet."""

from __future__ import annotations

__all__ = ["ARRAYS", "KINDS", "Arrays", "Opened", "kind_of", "open_storage"]

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


KINDS: dict[type, str] = {Hdf5File: "HDF5", NpzFile: "npz", RootFile: "ROOT", ParquetFile: "Parquet"}
_BEGINS: dict[bytes, type] = {
    b"root": RootFile,
    b"PAR1": ParquetFile,
    b"PK\x03\x04": NpzFile,
    b"PK\x05\x06": NpzFile,  # a zip of nothing
}


def kind_of(path: Path) -> type:
    """What a file is, by its first bytes; what is missing or empty counts as HDF5, which says so.

    Raises:
        ShowersError: It is nothing that is known.
    """
    if not path.is_file() or path.stat().st_size == 0:
        return Hdf5File
    with path.open("rb") as file:
        head = file.read(4)
    if head not in _BEGINS and not is_hdf5(path):
        raise ShowersError(
            "not a file of showers: its first bytes are those of no kind that is known",
            where=path,
            got=f"{path.stat().st_size} bytes, the first are {head!r}",
            expected=", ".join(KINDS.values()),
        )
    return _BEGINS.get(head, Hdf5File)


def open_storage(path: Path) -> Opened:
    """Open a file of any kind.

    Raises:
        ShowersError: Missing, empty, damaged, or of no kind that is known.
        MissingExtraError: The package that reads it is not installed.
    """
    kind = kind_of(path)
    opened: Opened = open_hdf5(path) if kind is Hdf5File else kind(path)
    return opened

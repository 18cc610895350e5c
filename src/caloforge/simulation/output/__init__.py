"""Files of events: our own in HDF5, and ROOT."""

from __future__ import annotations

__all__ = ["HDF5", "SUFFIXES", "EventFile", "EventWriter", "Events", "check_output", "event_writer"]

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from caloforge.errors import MissingExtraError, OutputError
from caloforge.simulation.output.base import EventWriter
from caloforge.simulation.output.hdf5 import hdf5_writer
from caloforge.simulation.output.reader import EventFile, Events
from caloforge.simulation.output.root import root_writer

if TYPE_CHECKING:
    from caloforge.simulation.output.base import About

SUFFIXES: dict[str, Callable[[Path, About], AbstractContextManager[EventWriter]]] = {
    ".h5": hdf5_writer,
    ".hdf5": hdf5_writer,
    ".root": root_writer,
}

HDF5 = ".h5", ".hdf5"


def check_output(path: Path, suffixes: Collection[str] = tuple(SUFFIXES)) -> None:
    """Refuse what no writer can write, before anything is made.

    Args:
        path: The file to make.
        suffixes: Endings of what the caller can write.

    Raises:
        OutputError: A name that ends otherwise.
        MissingExtraError: uproot or awkward is needed and absent.
    """
    if path.suffix not in suffixes:
        raise OutputError(
            "how a file of events is written is told by its name",
            where=path,
            got=path.suffix or "no ending",
            expected="events.h5 (HDF5)" + (" or events.root (ROOT)" if ".root" in suffixes else ""),
        )
    if path.suffix == ".root":
        for package in ("uproot", "awkward"):
            if find_spec(package) is None:
                raise MissingExtraError(package, "root")


def event_writer(path: Path, about: About) -> AbstractContextManager[EventWriter]:
    """Open a file of events for writing; it is there when it is whole, and not before.

    Raises:
        OutputError: It exists, another process writes it, or the disk is full.
    """
    return SUFFIXES[path.suffix](path, about)

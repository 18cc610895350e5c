"""caloforge's own shower file, as one format among the others."""

from __future__ import annotations

__all__ = ["FORMAT", "open_native"]

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from caloforge.errors import ShowersError
from caloforge.hdf5 import Hdf5File
from caloforge.showers.container import same_detector
from caloforge.showers.formats.base import Format
from caloforge.showers.incident import COLUMNS
from caloforge.showers.store import ShowerFile
from caloforge.showers.writer import write_all

if TYPE_CHECKING:
    from caloforge.detector import Detector


def open_native(path: Path, detector: Detector | None, pdg: int | None) -> ShowerFile:
    """Open a shower file, which knows its detector and its particles.

    Raises:
        ShowersError: It is of another detector than the one given, or a particle was given.
    """
    if pdg is not None:
        raise ShowersError(
            "this file says itself which particles it holds", where=path, cure="drop --particle"
        )
    file = ShowerFile(path)
    if detector is not None:
        with ExitStack() as stack:
            stack.push(file)
            same_detector(detector, file.detector, path)
            stack.pop_all()
    return file


def _reopened(file: Hdf5File, detector: Detector | None, pdg: int | None) -> ShowerFile:
    file.close()
    return open_native(file.path, detector, pdg)


FORMAT = Format(
    name="caloforge",
    about="caloforge: incident columns and sparse cells in MeV, with the detector",
    suffix=".h5",
    keeps=frozenset({*COLUMNS, "overflow", "time"}),
    recognises=lambda file: file.attribute("schema") is not None,
    open=_reopened,
    write=write_all,
    storage=(Hdf5File,),
)

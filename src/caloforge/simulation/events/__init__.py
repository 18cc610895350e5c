"""Where events come from: one file for each kind of source."""

from __future__ import annotations

__all__ = ["Event", "EventGun", "Particles", "Source", "open_events"]

from pathlib import Path

from caloforge.errors import EventError
from caloforge.simulation.events.base import Event, Particles, Source, opened
from caloforge.simulation.events.csv import read_csv
from caloforge.simulation.events.gun import EventGun
from caloforge.simulation.events.hepmc import BEGINNINGS, read_hepmc
from caloforge.simulation.events.lhe import BEGINNING, read_lhe

_LOOK = 4096  # bytes at the beginning, which may have comments


def open_events(path: str | Path) -> Source:
    """Open a file of events; its format is told by its content.

    Args:
        path: HepMC 2 or 3 text, a Les Houches file, or a table (CSV); each may be compressed with gzip.

    Raises:
        EventError: None of them, or cut off.
        MissingExtraError: pyhepmc is needed and absent.
    """
    path = Path(path)
    with opened(path) as file:
        head = file.read(_LOOK)
    if any(beginning in head for beginning in BEGINNINGS):
        return read_hepmc(path)
    if BEGINNING in head:
        return read_lhe(path)
    first = head.split(b"\n", 1)[0]
    if b"," in first and b"event" in first:
        return read_csv(path)
    raise EventError(
        "this is no file of events",
        where=path,
        got=repr(head[:60].decode(errors="replace")) if head else "an empty file",
        expected="HepMC text, a Les Houches file, or a table whose first line names its columns: "
        "event,pdg,energy [GeV],x [mm],y [mm]",
    )

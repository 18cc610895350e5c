"""Events of HepMC 2 and 3 text files, by pyhepmc: the final state, from where each particle was made."""

from __future__ import annotations

__all__ = ["BEGINNINGS", "read_hepmc"]

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.errors import EventError, MissingExtraError
from caloforge.simulation.events.base import Event, Particles, Source, checked, kinetic, opened, unit

if TYPE_CHECKING:
    from numpy.typing import NDArray

BEGINNINGS = (b"HepMC::Asciiv3", b"HepMC::IO_GenEvent")
"""How the two formats are called in the first lines of a file."""
_END = b"END_EVENT_LISTING"
_BLOCK = 1 << 20
_FINAL = 1  # status of a particle that neither decays nor interacts in the generator


def read_hepmc(path: Path) -> Source:
    """Open a HepMC file, which may be compressed.

    The whole file is looked through at once: pyhepmc ends without a word where a file was cut off.

    Raises:
        MissingExtraError: No pyhepmc.
        EventError: The file is cut off, or damaged.
    """
    _package()
    total = _survey(path)
    events = _events(path, total)
    about = {"format": "HepMC", "file": path.name}
    if not total:
        return Source(events, 0, about=about)
    return Source(events, total, _weight_names(path), about=about)


def _package() -> Any:
    try:
        import pyhepmc
    except ImportError:
        raise MissingExtraError("pyhepmc", "events") from None
    # What it would print of a bad line is said in our words.
    pyhepmc.Setup.print_errors = pyhepmc.Setup.print_warnings = False
    return pyhepmc


def _survey(path: Path) -> int:
    """Count the events, and see that the file has its last line."""
    total, tail = 0, b"\n"
    with opened(path) as file:
        while block := file.read(_BLOCK):
            total += (tail[-2:] + block).count(b"\nE ")
            tail = (tail + block)[-200:]
    if _END not in tail:
        raise EventError(
            "the file of events was cut off: its last line is missing",
            where=path,
            got=f"{total} events, the last one perhaps not whole",
            expected="a last line like HepMC::Asciiv3-END_EVENT_LISTING",
            cure="copy the file again, or let the program that makes it come to its end",
        )
    return total


def _reader(stream: Any) -> Any:
    pyhepmc = _package()
    first = stream.read(256)
    stream.seek(0)
    kind = pyhepmc.io.ReaderAscii if BEGINNINGS[0] in first else pyhepmc.io.ReaderAsciiHepMC2
    return kind(pyhepmc.io.pyiostream(stream))


def _weight_names(path: Path) -> tuple[str, ...]:
    with opened(path) as file:
        found = next(_raw(file), None)
        if found is None:
            return ("",)
        names = tuple(found.run_info.weight_names) if found.run_info else ()
        count = max(1, len(found.weights))
    return names if len(names) == count else tuple("" if count == 1 else str(i) for i in range(count))


def _raw(file: Any) -> Iterator[Any]:
    """pyhepmc's own iterator ends at the first event without particles."""
    pyhepmc, reader = _package(), _reader(file)
    while True:
        event = pyhepmc.GenEvent()
        reader.read_event(event)
        if reader.failed():
            return
        event.set_units(pyhepmc.Units.MEV, pyhepmc.Units.MM)
        yield event


def _events(path: Path, total: int) -> Iterator[Event]:
    done = 0
    with opened(path) as file:
        for event in _raw(file):
            done += 1
            where = f"{path}, event {event.event_number}"
            # An event without weights counts as one: `event.weight()` would raise.
            weights = tuple(event.weights) or (1.0,)
            yield Event(event.event_number, weights, checked(_final(event), where))
    if done != total:
        raise EventError(
            "the file of events is damaged",
            where=f"{path}, event {done + 1} of {total}",
            got="lines that are no event",
            cure="make or copy it again",
        )


def _final(event: Any) -> Particles:
    columns = event.numpy.particles
    rows = np.flatnonzero(columns.status == _FINAL)
    momentum = np.column_stack([columns.px[rows], columns.py[rows], columns.pz[rows]])
    total = columns.e[rows]
    square = total * total - (momentum * momentum).sum(axis=1)
    given = columns.is_generated_mass_set[rows].astype(bool)
    mass = np.where(given, np.abs(columns.generated_mass[rows]), np.sqrt(np.maximum(square, 0.0)))
    # NaN in the energy would vanish here, as momentum and mass say it, too.
    energy = np.where(np.isfinite(total), kinetic(momentum, mass), np.nan)
    return Particles(columns.pid[rows].astype(np.int64), energy, _origins(event, rows), unit(momentum))


def _origins(event: Any, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    particles = event.particles
    places = (particles[row].production_vertex for row in rows.tolist())
    # Copied at once: positions are gone with their event.
    points = [_point(vertex.position) if vertex is not None else (0.0, 0.0, 0.0) for vertex in places]
    return np.array(points, np.float64).reshape(-1, 3)


def _point(position: Any) -> tuple[float, float, float]:
    return position.x, position.y, position.z

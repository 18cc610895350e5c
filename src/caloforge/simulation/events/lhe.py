"""Events of Les Houches files (hep-ph/0609017), read line by line: their headers need not be proper XML."""

from __future__ import annotations

__all__ = ["BEGINNING", "read_lhe"]

import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from caloforge.errors import EventError
from caloforge.simulation.events.base import Event, Particles, Source, checked, kinetic, opened, unit

BEGINNING = b"<LesHouchesEvents"
_END = b"</LesHouchesEvents>"
_GEV = 1000.0
_FINAL = 1
_COLUMNS = 13  # of a particle's line
_WEIGHT = re.compile(rb"<wgt\s+id\s*=\s*['\"]([^'\"]*)['\"]\s*>\s*(\S+?)\s*</wgt>")
_LONGEST = 1 << 20  # bytes of a line, and lines of an event


def read_lhe(path: Path) -> Source:
    """Open a Les Houches file, which may be compressed.

    All particles begin at the origin: the format has no vertices.

    Raises:
        EventError: The file is cut off.
    """
    total, ends = 0, False
    with opened(path) as file:
        for line in _lines(file, path):
            total += _opens(line)
            ends |= line.startswith(_END)
    if not ends:
        raise EventError(
            "the file of events was cut off: its last line is missing",
            where=path,
            got=f"{total} events, the last one perhaps not whole",
            expected="a last line </LesHouchesEvents>",
            cure="copy the file again, or let the program that makes it come to its end",
        )
    names = next(_blocks(path), None)
    weights = ("", *(_named(names[1]) if names else {}))
    return Source(_events(path, weights), total, weights, about={"format": "LHE", "file": path.name})


def _lines(file: IO[bytes], path: Path) -> Iterator[bytes]:
    while line := file.readline(_LONGEST):
        if len(line) == _LONGEST:
            raise EventError("a line is longer than any of an event", where=path, got=f"{len(line):,} bytes")
        yield line.strip()


def _opens(line: bytes) -> bool:
    return line.startswith((b"<event>", b"<event "))


def _blocks(path: Path) -> Iterator[tuple[int, list[bytes]]]:
    """Number of the first line and lines of each event."""
    with opened(path) as file:
        block: list[bytes] | None = None
        for number, line in enumerate(_lines(file, path), start=1):
            if _opens(line):
                block, first = [], number + 1
            elif line.startswith(b"</event>") and block is not None:
                yield first, block
                block = None
            elif block is not None and len(block) < _LONGEST:
                block.append(line)


def _events(path: Path, weights: tuple[str, ...]) -> Iterator[Event]:
    for number, (line, block) in enumerate(_blocks(path)):
        where = f"{path}, line {line}"
        try:
            yield _event(number, block, weights, where)
        except (ValueError, IndexError, KeyError) as error:
            raise EventError(
                "this is not an event of a Les Houches file",
                where=where,
                got=error,
                expected="the number of particles, process, weight, scale and couplings, then 13 numbers for "
                "each particle, and the same weights in every event",
            ) from None


def _event(number: int, block: list[bytes], names: tuple[str, ...], where: str) -> Event:
    lines = [line for line in block if line and not line.startswith(b"#")]
    head = lines[0].split()
    rows = [line.split() for line in lines[1 : 1 + int(head[0])]]
    if any(len(row) != _COLUMNS for row in rows) or len(rows) != int(head[0]):
        raise ValueError(f"{head[0].decode()} particles announced, and other lines found")
    table = np.array(rows, dtype=bytes).reshape(-1, _COLUMNS)
    final = table[table[:, 1].astype(np.int64) == _FINAL]
    momentum = final[:, 6:9].astype(np.float64) * _GEV
    mass = np.abs(final[:, 10].astype(np.float64)) * _GEV
    energy = np.where(np.isfinite(final[:, 9].astype(np.float64)), kinetic(momentum, mass), np.nan)
    pdg = final[:, 0].astype(np.int64)
    particles = Particles(pdg, energy, np.zeros((len(final), 3)), unit(momentum))
    named = _named(block)
    return Event(number, (float(head[2]), *(named[name] for name in names[1:])), checked(particles, where))


def _named(block: list[bytes]) -> dict[str, float]:
    """Weights of `<rwgt>` by their ids."""
    return {
        match[1].decode(errors="replace"): float(match[2])
        for line in block
        for match in _WEIGHT.finditer(line)
    }

"""What every reader of events gives: particles with kinetic energy, place and direction, event by event."""

from __future__ import annotations

__all__ = ["Event", "Particles", "Source", "checked", "kinetic", "opened", "unit"]

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from caloforge.errors import EventError

Real = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Particles:
    """The particles of one event that live until they reach a detector.

    Attributes:
        pdg: PDG ids, shape `(n,)`, int64.
        energy: Kinetic energy in MeV, shape `(n,)`.
        position: Where they begin in mm, shape `(n, 3)`.
        direction: Unit vectors, shape `(n, 3)`.
    """

    pdg: NDArray[np.int64]
    energy: Real
    position: Real
    direction: Real

    def __len__(self) -> int:
        return len(self.pdg)


class Event(NamedTuple):
    """One event: its number in the file that it comes from, its weights, its particles."""

    number: int
    weights: tuple[float, ...]
    particles: Particles


@dataclass(frozen=True)
class Source:
    """Events, one after the other.

    Attributes:
        events: They come once, and are read when they are asked for.
        total: How many there are.
        weights: Names of the weights of each event; one without a name where the source has none.
        on_face: Whether positions and directions are those on the calorimeter's face: x and y on it (on a
            barrel the way around and along), and the angle to its normal.
        about: Where they come from, for the provenance.
    """

    events: Iterator[Event]
    total: int
    weights: tuple[str, ...] = ("",)
    on_face: bool = False
    about: dict[str, Any] = field(default_factory=dict)


def checked(particles: Particles, where: object) -> Particles:
    """Return particles that are possible.

    Raises:
        EventError: NaN, an infinite number, or an energy below 0.
    """
    numbers = np.column_stack([particles.energy, particles.position, particles.direction])
    bad = ~np.isfinite(numbers).all(axis=1) | (particles.energy < 0)
    if bad.any():
        row = int(bad.argmax())
        raise EventError(
            "there is no such particle",
            where=f"{where}, particle {row}",
            got=f"PDG {particles.pdg[row]}, kinetic energy {particles.energy[row]:g} MeV, "
            f"at {particles.position[row].tolist()} mm",
            expected="finite numbers, and an energy of 0 or more",
        )
    return particles


def kinetic(momentum: Real, mass: ArrayLike) -> Real:
    """Return the kinetic energy of momenta, shape `(n, 3)`, and masses, in their unit.

    Written without a difference of large numbers: an electron of 1 TeV has no digits of its mass left.
    """
    square = (momentum * momentum).sum(axis=1)
    total = np.sqrt(square + np.square(mass)) + mass
    energy: Real = np.divide(square, total, out=np.zeros(len(square)), where=square != 0)
    return energy


def unit(vectors: Real) -> Real:
    """Return vectors of length 1, shape `(n, 3)`; a particle at rest keeps its zeros."""
    length = np.sqrt((vectors * vectors).sum(axis=1, keepdims=True))
    units: Real = np.divide(vectors, length, out=np.zeros_like(vectors), where=length != 0)
    return units


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that may be compressed with gzip, which its first bytes tell.

    Raises:
        EventError: There is no such file, or its compression is damaged.
    """
    if not path.is_file():
        raise EventError("there is no such file of events", where=path)
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(path) if packed else path.open("rb") as file:
            yield file  # type: ignore[misc]
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise EventError(
            "the compressed file is damaged or was cut off",
            where=path,
            got=error,
            cure="make or copy it again",
        ) from error

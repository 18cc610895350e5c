"""What a writer of events has to do."""

from __future__ import annotations

__all__ = [
    "CELLS",
    "GEANT4",
    "GENERATED",
    "PARTICLES",
    "About",
    "EventWriter",
    "cell_columns",
    "particle_columns",
]

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from caloforge.detector import Detector
    from caloforge.simulation.making import Made

GEANT4 = 1
"""Flag of a cell with energy from Geant4, and of a particle that Geant4 followed into the detector."""
GENERATED = 2
"""Flag of a cell with energy from a generator, and of a particle of which one took over something."""

PARTICLES: dict[str, tuple[str, str]] = {
    "pdg": ("<i8", "1"),
    "energy": ("<f4", "MeV"),
    "theta": ("<f4", "rad"),
    "phi": ("<f4", "rad"),
    "x": ("<f4", "mm"),
    "y": ("<f4", "mm"),
    "fate": ("<i1", "1"),
    "origin": ("|u1", "1"),
}
"""Columns of the particles, with type and unit: kinetic energy; direction and place on the face."""
CELLS: dict[str, tuple[str, str]] = {
    "index": ("<u4", "1"),
    "energy": ("<f4", "MeV"),
    "origin": ("|u1", "1"),
    "counts": ("<u4", "1"),
    "gain": ("|u1", "1"),
}
"""Columns of the cells; the last two of an ADC alone."""


@dataclass(frozen=True)
class About:
    """What is known before the first event.

    Args:
        detector: What is hit, and how it is digitised.
        weights: Names of the weights.
        fates: What the numbers in the column `fate` mean.
    """

    detector: Detector
    weights: tuple[str, ...]
    fates: tuple[str, ...]

    @property
    def cells(self) -> dict[str, tuple[str, str]]:
        """Columns of the cells: counts and gains are those of an ADC."""
        electronics = self.detector.digitisation
        converted = electronics is not None and electronics.bits is not None
        return {name: kind for name, kind in CELLS.items() if converted or name not in ("counts", "gain")}


class EventWriter(Protocol):
    """Takes events, and in the end what is known of all of them."""

    def append(self, made: Made) -> None:
        """Write events."""

    def finish(self, provenance: dict[str, Any]) -> None:
        """Write how they were made; nothing comes after it."""


def particle_columns(made: Made) -> dict[str, NDArray[Any]]:
    """The columns of `PARTICLES`."""
    columns = {name: getattr(made.incident, name) for name in ("energy", "theta", "phi", "x", "y")}
    columns |= {"pdg": made.batch.particles.pdg, "fate": made.fate, "origin": made.origin_of_particle}
    return {name: np.asarray(columns[name], kind) for name, (kind, _) in PARTICLES.items()}


def cell_columns(made: Made) -> dict[str, NDArray[Any]]:
    """The columns of `CELLS` that there are."""
    return {name: getattr(made, name) for name in CELLS if getattr(made, name) is not None}

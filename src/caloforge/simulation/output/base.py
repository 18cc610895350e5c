"""What a writer of events has to do."""

from __future__ import annotations

__all__ = ["PARTICLES", "About", "EventWriter", "particle_columns"]

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from caloforge.detector import Detector
    from caloforge.simulation.making import Made

PARTICLES: dict[str, tuple[str, str]] = {
    "pdg": ("<i8", "1"),
    "energy": ("<f4", "MeV"),
    "theta": ("<f4", "rad"),
    "phi": ("<f4", "rad"),
    "x": ("<f4", "mm"),
    "y": ("<f4", "mm"),
    "fate": ("<i1", "1"),
}
"""Columns of the particles, with type and unit: kinetic energy; direction and place on the face."""


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
    def converted(self) -> bool:
        """Whether cells have counts and gains of an ADC."""
        electronics = self.detector.digitisation
        return electronics is not None and electronics.bits is not None


class EventWriter(Protocol):
    """Takes events, and in the end what is known of all of them."""

    def append(self, made: Made) -> None:
        """Write events."""

    def finish(self, provenance: dict[str, Any]) -> None:
        """Write how they were made; nothing comes after it."""


def particle_columns(made: Made) -> dict[str, NDArray[Any]]:
    """The columns of `PARTICLES`."""
    columns = {name: getattr(made.incident, name) for name in PARTICLES if name not in ("pdg", "fate")}
    columns |= {"pdg": made.batch.particles.pdg, "fate": made.fate}
    return {name: np.asarray(columns[name], kind) for name, (kind, _) in PARTICLES.items()}

"""Events to simulate: which particles fly from where, portion by portion."""

from __future__ import annotations

__all__ = ["Portion", "gun_events", "portion_of"]

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from caloforge.errors import CaloforgeError
from caloforge.showers import Incident
from caloforge.truth.gun import Gun, directions

Whole = NDArray[np.int64]
_PRIMARIES = 1024  # of a portion, or one event: what a portion costs however small it is is then little
_CELLS = 1 << 22  # of a portion; 16 MB for each of its few arrays


@dataclass(frozen=True, eq=False)
class Portion:
    """Some events that are simulated together.

    Attributes:
        first: Number of the first primary among those of all events.
        n_events: How many events there are.
        incident: The primaries, event after event.
        event: Which event each belongs to, from 0, increasing, shape `(n,)`.
    """

    first: int
    n_events: int
    incident: Incident
    event: Whole

    @property
    def numbers(self) -> Whole:
        """Numbers of the primaries, which decide their random numbers."""
        return self.first + np.arange(len(self.incident))

    @property
    def offset(self) -> Whole:
        """Where each event starts, shape `(n_events + 1,)`."""
        return np.searchsorted(self.event, np.arange(self.n_events + 1))

    def head(self) -> Portion:
        """The first event alone."""
        last = int(self.offset[1])
        return Portion(self.first, 1, self.incident[:last], self.event[:last])

    def of_events(self) -> Incident:
        """One row per event: its energy, the particle if all are the same, their mean direction and place.

        Means are weighted with the energy. An event of one particle is that particle.
        """
        if len(self.incident) == self.n_events:
            return self.incident
        weight = self.incident.energy.astype(np.float64)
        energy = np.bincount(self.event, weight, self.n_events)

        def mean(values: NDArray[np.floating]) -> NDArray[np.float64]:
            return np.bincount(self.event, weight * values, self.n_events) / energy

        ux, uy, uz = (mean(part) for part in directions(self.incident).T)
        start = self.offset[:-1]
        alike = np.logical_and.reduceat(self.incident.pdg == self.incident.pdg[start][self.event], start)
        pdg = np.where(alike, self.incident.pdg[start], 0)
        theta, phi = np.arctan2(np.hypot(ux, uy), uz), np.arctan2(uy, ux)
        return Incident.of(energy, pdg, theta, phi, mean(self.incident.x), mean(self.incident.y))


def portion_of(
    event: ArrayLike,
    pdg: ArrayLike,
    energy: ArrayLike,
    position: ArrayLike,
    direction: ArrayLike,
    first: int = 0,
) -> Portion:
    """Make a portion of columns, as a file of events has them.

    Args:
        event: Number of the event of each particle, from 0 without gaps, increasing, shape `(n,)`.
        pdg: PDG ids, shape `(n,)`.
        energy: Kinetic energies in MeV, shape `(n,)`.
        position: Where they cross the front face, x and y in mm, shape `(n, 2)`.
        direction: Vectors along them in the detector's axes, z positive, shape `(n, 3)`.
        first: Number of the first particle among those of all events.

    Raises:
        CaloforgeError: An event without particles, an energy that is none, or a particle that flies away.
    """
    events, columns = np.asarray(event, np.int64), np.asarray(direction, np.float64).reshape(-1, 3)
    places = np.asarray(position, np.float64).reshape(-1, 2)
    theta = np.arctan2(np.hypot(columns[:, 0], columns[:, 1]), columns[:, 2])
    phi = np.arctan2(columns[:, 1], columns[:, 0])
    incident = Incident.of(energy, pdg, theta, phi, places[:, 0], places[:, 1])
    _check(events, incident)
    return Portion(first, int(events[-1]) + 1, incident, events)


def _check(event: Whole, incident: Incident) -> None:
    if not len(event) or event[0] != 0 or not np.isin(np.diff(event), (0, 1)).all():
        missing = np.setdiff1d(np.arange(int(event.max(initial=0)) + 1), event)
        raise CaloforgeError(
            "an event has no particles",
            got=f"event {missing[0]}" if len(missing) else "no events, or events out of order",
            expected="at least one particle in every event, event after event",
        )
    bad = ~(np.isfinite(incident.energy) & (incident.energy > 0))
    bad |= ~(incident.theta < math.pi / 2)
    for name in ("x", "y", "phi"):
        bad |= ~np.isfinite(getattr(incident, name))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise CaloforgeError(
            "this particle cannot enter the detector",
            where=f"event {event[row]}, particle {row}",
            got=", ".join(f"{name} {column[row]:g}" for name, column in incident.items()),
            expected="a finite energy above 0 MeV, and a direction with theta below 90 degrees",
        )


def gun_events(gun: Gun, seed: int, count: int, per_event: int, n_cells: int) -> Iterator[Portion]:
    """Shoot the same number of particles in every event.

    Primary `k` of event `i` is shower `i * per_event + k` of `caloforge simulate`.

    Args:
        gun: What is shot.
        seed: Of the particles.
        count: Number of events.
        per_event: Particles in each.
        n_cells: Cells of the detector, which limit the events of a portion.
    """
    size = max(1, min(_PRIMARIES // per_event, _CELLS // n_cells))
    for start in range(0, count, size):
        n = min(size, count - start)
        first = start * per_event
        incident = gun.incident(seed, first, first + n * per_event)
        yield Portion(first, n, incident, np.repeat(np.arange(n), per_event))

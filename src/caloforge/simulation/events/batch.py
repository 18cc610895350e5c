"""Events in batches: cut by a rule that depends on the events alone, so that every run cuts them alike."""

from __future__ import annotations

__all__ = ["Batch", "batches"]

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from caloforge.errors import EventError
from caloforge.simulation.events.base import Event, Particles, Source

_MOST = 1024  # events, and particles, of which one event may have more
_CELLS = 1 << 22  # of all events of a batch, for the memory that their sums take


class Batch(NamedTuple):
    """Some events that follow each other.

    Attributes:
        first: How many events came before.
        first_particle: How many particles came before.
        numbers: Numbers of the events in their source, shape `(n,)`.
        weights: Shape `(n, n_weights)`.
        offset: Where each event's particles begin, shape `(n + 1,)`.
        particles: Of all events, one after the other.
    """

    first: int
    first_particle: int
    numbers: NDArray[np.int64]
    weights: NDArray[np.float64]
    offset: NDArray[np.int64]
    particles: Particles

    @property
    def event_of_particle(self) -> NDArray[np.int64]:
        """Row of the event of each particle."""
        return np.repeat(np.arange(len(self.numbers)), np.diff(self.offset))


def batches(source: Source, n_cells: int) -> Iterator[Batch]:
    """Cut events into batches of a bounded size; at least one event each.

    Raises:
        EventError: Events with different numbers of weights.
    """
    most = max(1, min(_MOST, _CELLS // n_cells))
    waiting: list[Event] = []
    first = particles = held = 0
    for event in source.events:
        if len(event.weights) != len(source.weights):
            raise EventError(
                "the events have different numbers of weights",
                where=f"event {event.number}",
                got=len(event.weights),
                expected=f"{len(source.weights)}, as the first event has",
            )
        if waiting and (len(waiting) == most or held + len(event.particles) > _MOST):
            yield _joined(waiting, first, particles)
            first, particles = first + len(waiting), particles + held
            waiting, held = [], 0
        waiting.append(event)
        held += len(event.particles)
    if waiting:
        yield _joined(waiting, first, particles)


def _joined(events: list[Event], first: int, first_particle: int) -> Batch:
    parts = [event.particles for event in events]
    return Batch(
        first,
        first_particle,
        np.array([event.number for event in events], np.int64),
        np.array([event.weights for event in events], np.float64),
        np.cumsum([0, *map(len, parts)]),
        Particles(
            np.concatenate([part.pdg for part in parts]),
            np.concatenate([part.energy for part in parts]),
            np.concatenate([part.position for part in parts]),
            np.concatenate([part.direction for part in parts]),
        ),
    )

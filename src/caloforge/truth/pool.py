"""Worker processes with one Geant4 each, whose showers come back in order.

Geant4 keeps state that survives a change of physics, and ends its process if a data file is missing. So
workers live as long as one production.
"""

from __future__ import annotations

__all__ = ["Batch", "Made", "Plan", "answer", "batches", "produce"]

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from caloforge.errors import Geant4Error, WorkerError
from caloforge.showers import Incident
from caloforge.truth.gun import Gun, portions
from caloforge.truth.physics import Physics
from caloforge.workers import Workers

if TYPE_CHECKING:
    from caloforge.truth.engine import Engine

_Answer = TypeVar("_Answer")
# Batches that wait for a free worker, or for an earlier batch: bounded, so that memory is.
_AHEAD = 2
_ENERGY_PER_BATCH = 50_000.0  # MeV; about half a second of Geant4, or one shower
_SHOWERS_PER_BATCH = 256


@dataclass(frozen=True)
class Plan:
    """What a worker needs to know before it starts.

    Args:
        detector: The detector's YAML.
        physics: Models and production cut.
        seed: Seed of Geant4's random numbers.
    """

    detector: str
    physics: Physics
    seed: int


class Batch(NamedTuple):
    """Particles to shoot, numbered from `first`."""

    first: int
    incident: Incident


class Made(NamedTuple):
    """What became of a batch: cells and overflow of its showers in MeV, and CPU milliseconds of each."""

    cells: NDArray[np.float32]
    overflow: NDArray[np.float32] | None
    milliseconds: NDArray[np.float64]


def batches(
    gun: Gun,
    seed: int,
    start: int,
    stop: int,
    most_energy: float = _ENERGY_PER_BATCH,
    most_showers: int = _SHOWERS_PER_BATCH,
) -> Iterator[Batch]:
    """Cut a production into batches, whose particles are drawn when they are needed.

    Args:
        gun: What is shot.
        seed: Of the particles.
        start: Number of the first shower.
        stop: One more than the number of the last.
        most_energy: Of one batch, MeV; a single shower may have more.
        most_showers: Of one batch.
    """
    for first in range(start, stop, most_showers):
        incident = gun.incident(seed, first, min(stop, first + most_showers))
        for a, b in portions(incident.energy, most_energy, most_showers):
            yield Batch(first + a, incident[a:b])


def produce(plan: Plan, batches: Iterable[Batch], jobs: int) -> Iterator[tuple[Batch, Made]]:
    """Make batches in `jobs` processes; yields each with its result, in order.

    The workers end with the generator, with this process however it ends, and with an error.

    Raises:
        Geant4Error: Geant4 failed, or ended a worker.
    """
    todo = iter(batches)
    waiting: deque[tuple[Batch, Future[Made]]] = deque()
    with Workers(jobs, _Shooting(plan)) as workers:
        while True:
            for batch in islice(todo, 2 * jobs + _AHEAD - len(waiting)):
                waiting.append((batch, workers.submit(batch)))
            if not waiting:
                break
            batch, future = waiting.popleft()
            yield batch, answer(future)


def answer(future: Future[_Answer]) -> _Answer:
    """Wait for what a process with Geant4 makes.

    Raises:
        Geant4Error: Geant4 failed, or ended the process.
    """
    try:
        return future.result()
    except WorkerError as error:
        raise Geant4Error(
            "Geant4 ended its process",
            got=error.details["got"],
            cure="see what it printed above; most often a data file is missing, or memory was short",
        ) from error


class _Shooting:
    """What a worker does; its Geant4 is started by its first batch."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def __call__(self, batch: Batch) -> Made:
        showers, milliseconds = self.engine.shoot(batch.incident, batch.first)
        return Made(showers.cells, showers.overflow, milliseconds)

    @cached_property
    def engine(self) -> Engine:
        from caloforge.detector import Detector
        from caloforge.truth.engine import Engine

        return Engine(Detector.from_yaml(self.plan.detector), self.plan.physics, self.plan.seed)

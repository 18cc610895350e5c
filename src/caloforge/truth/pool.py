"""Processes with one Geant4 each, here or on a cluster, whose showers come back in order.

Geant4 keeps state that survives a change of physics, and ends its process if a data file is missing. So
its processes live as long as one production.
"""

from __future__ import annotations

__all__ = ["Batch", "Energies", "Made", "Plan", "answer", "batches", "produce"]

import socket
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from caloforge.cluster import Cluster, Outcome, in_order
from caloforge.errors import CaloforgeError, Geant4Error, WorkerError
from caloforge.showers import Incident
from caloforge.truth.environment import available, versions
from caloforge.truth.gun import Gun, portions
from caloforge.truth.physics import Physics

if TYPE_CHECKING:
    from caloforge.truth.engine import Engine

_Answer = TypeVar("_Answer")
_ENERGY_PER_SECOND = 100_000.0  # MeV; roughly what one core makes
_SHOWERS_PER_BATCH = 256


@dataclass(frozen=True)
class Plan:
    """What a worker needs to know before it starts.

    Args:
        detector: The detector's YAML.
        physics: Models and production cut.
        seed: Seed of Geant4's random numbers.
        readouts: YAML of the same detector with other readouts.
        versions: What decides how its showers look.
    """

    detector: str
    physics: Physics
    seed: int
    readouts: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=versions)


class Batch(NamedTuple):
    """Particles to shoot, numbered from `first`."""

    first: int
    incident: Incident


class Energies(NamedTuple):
    """Cells and overflow of the showers of a batch in one readout, MeV, and times of cells, ns."""

    cells: NDArray[np.float32]
    overflow: NDArray[np.float32] | None
    time: NDArray[np.float32] | None = None

    @property
    def nbytes(self) -> int:
        """Memory that they take."""
        return sum(values.nbytes for values in self if values is not None)


class Made(NamedTuple):
    """What became of a batch: energies by readout, and CPU milliseconds of each shower."""

    readouts: tuple[Energies, ...]
    milliseconds: NDArray[np.float64]

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return self.milliseconds.nbytes + sum(energies.nbytes for energies in self.readouts)


def batches(
    gun: Gun,
    seed: int,
    start: int,
    stop: int,
    seconds: float = 0.5,
    most_showers: int = _SHOWERS_PER_BATCH,
) -> Iterator[Batch]:
    """Cut a production into batches, whose particles are drawn when they are needed.

    Args:
        gun: What is shot.
        seed: Of the particles.
        start: Number of the first shower.
        stop: One more than the number of the last.
        seconds: Of one batch, roughly; a single shower may take longer.
        most_showers: Of one batch.
    """
    for first in range(start, stop, most_showers):
        incident = gun.incident(seed, first, min(stop, first + most_showers))
        for a, b in portions(incident.energy, seconds * _ENERGY_PER_SECOND, most_showers):
            yield Batch(first + a, incident[a:b])


def produce(
    plan: Plan, batches: Iterable[Batch], cluster: Cluster
) -> Generator[tuple[Batch, Made], None, None]:
    """Make batches on a cluster; yields each with its result, in order.

    Raises:
        Geant4Error: Geant4 failed, ended several processes, or is another one where a worker is.
    """
    arguments = ((batch,) for batch in batches)
    with closing(in_order(cluster, _Shooting(plan), arguments, lambda made: made.nbytes)) as outcomes:
        for outcome in outcomes:
            yield outcome.chunk.arguments[0], _made(outcome)


def _made(outcome: Outcome) -> Made:
    if not outcome.fault:
        made: Made = outcome.result
        return made
    if outcome.fault.kind == "raised":
        raise outcome.fault.error
    batch: Batch = outcome.chunk.arguments[0]
    assert isinstance(outcome.fault.error, CaloforgeError)
    raise Geant4Error(
        "Geant4 ended its process, and again in others",
        where=f"showers {batch.first} to {batch.first + len(batch.incident) - 1}",
        got=f"{outcome.fault.deaths} processes died, the last by {outcome.fault.error.details['got']}",
        cure="see what it printed (on a cluster: in the worker's log); most often a data file is missing, or "
        "memory was short. --resume tries these showers again",
    )


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
        found, milliseconds = self.engine.shoot_all(batch.incident, batch.first)
        energies = (Energies(showers.cells, showers.overflow, showers.time) for showers in found)
        return Made(tuple(energies), milliseconds)

    @cached_property
    def engine(self) -> Engine:
        from caloforge.detector import Detector
        from caloforge.truth.engine import Engine

        _check_here(self.plan)
        detector, *readouts = map(Detector.from_yaml, (self.plan.detector, *self.plan.readouts))
        return Engine(detector, self.plan.physics, self.plan.seed, readouts=readouts)


def _check_here(plan: Plan) -> None:
    """See that the same showers can be made here, which may be another machine than the user's."""
    try:
        available()
    except CaloforgeError as error:
        at = error.details["where"]
        error.details["where"] = f"{socket.gethostname()}: {at}" if at else socket.gethostname()
        raise
    if (here := versions()) != plan.versions:
        raise Geant4Error(
            "a worker has another Geant4",
            where=socket.gethostname(),
            got=here,
            expected=plan.versions,
            cure="install the same versions on all workers",
        )

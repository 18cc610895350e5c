"""Worker processes with one Geant4 each, whose showers come back in order.

Processes of our own and not joblib's shared ones: Geant4 keeps state that survives a change of physics, and
ends the process if a data file is missing. A pool lives as long as one production.
"""

from __future__ import annotations

__all__ = ["Batch", "Made", "Plan", "die_with", "produce"]

import ctypes
import os
import signal
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from caloforge.errors import Geant4Error
from caloforge.showers import Incident
from caloforge.truth.physics import Physics

if TYPE_CHECKING:
    from caloforge.truth.engine import Engine

# Batches that wait for a free worker, or for an earlier batch: bounded, so that memory is.
_AHEAD = 2
_ONE_THREAD = {
    f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "VECLIB_MAXIMUM")
}


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


def produce(plan: Plan, batches: Iterable[Batch], jobs: int) -> Iterator[tuple[Batch, Made]]:
    """Make batches in `jobs` processes; yields each with its result, in order.

    The workers end with the generator, with this process however it ends, and with an error.

    Raises:
        Geant4Error: Geant4 failed, or ended a worker.
    """
    from joblib.externals.loky import ProcessPoolExecutor
    from joblib.externals.loky.process_executor import BrokenProcessPool

    pool = ProcessPoolExecutor(
        max_workers=jobs, initializer=_start, initargs=(plan, os.getpid()), env=_ONE_THREAD, timeout=None
    )
    todo = iter(batches)
    waiting: deque[tuple[Batch, Any]] = deque()
    try:
        while True:
            for batch in islice(todo, 2 * jobs + _AHEAD - len(waiting)):
                waiting.append((batch, pool.submit(_work, batch)))
            if not waiting:
                break
            batch, future = waiting.popleft()
            yield batch, future.result()
    except BrokenProcessPool as error:
        raise Geant4Error(
            "Geant4 ended its process",
            got=str(error).splitlines()[0],
            cure="see what it printed above; most often a data file is missing, or memory was short",
        ) from error
    finally:
        pool.shutdown(wait=True, kill_workers=True)


_plan: Plan | None = None


def _start(plan: Plan, parent: int) -> None:
    """Prepare this worker process."""
    # Ctrl-C goes to all processes of a terminal; what happens then is for the parent to decide.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with(parent)
    global _plan
    _plan = plan


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends; elsewhere it ends after its batch."""
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _work(batch: Batch) -> Made:
    showers, milliseconds = _engine().shoot(batch.incident, batch.first)
    return Made(showers.cells, showers.overflow, milliseconds)


@cache
def _engine() -> Engine:
    """This worker's Geant4, started by its first batch: its errors can reach the parent then."""
    from caloforge.detector import Detector
    from caloforge.truth.engine import Engine

    if _plan is None:
        raise RuntimeError("this process is not a worker")
    return Engine(Detector.from_yaml(_plan.detector), _plan.physics, _plan.seed)

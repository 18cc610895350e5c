"""Geant4 in processes of its own, call by call: slabs before a detector, events of many particles."""

from __future__ import annotations

__all__ = ["Geant4", "Setup"]

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from caloforge.detector import Slab
from caloforge.truth.gun import portions
from caloforge.truth.physics import Physics
from caloforge.truth.pool import answer
from caloforge.workers import Workers

if TYPE_CHECKING:
    from typing_extensions import Self

    from caloforge.showers import Incident
    from caloforge.truth.engine import Engine
    from caloforge.truth.upstream import Entered, Upstream

Whole = NDArray[np.int64]
_ENERGY_PER_CALL = 50_000.0  # MeV; about half a second of Geant4, or one shower
_PARTICLES_PER_CALL = 2048
_SECOND = 1  # of the streams of one seed: particles that start at the front face


@dataclass(frozen=True)
class Setup:
    """What is simulated.

    Args:
        detector: YAML of a planar detector without a threshold, whose readout does not follow the particle.
        before: Slabs that stand before it.
        physics: Models and production cut.
        seed: Seed of Geant4's random numbers.
    """

    detector: str
    before: tuple[Slab, ...]
    physics: Physics
    seed: int


class Geant4:
    """Processes that keep their Geant4 from call to call; they end with this one.

    Geant4 keeps state that survives a change of physics, and ends its process if a data file is missing:
    hence processes of its own. How many there are changes no number.

    Args:
        setup: What is simulated.
        jobs: How many processes.
        told: Called with how many of the calls of one request are done, and how many there are.

    Example:
        >>> with Geant4(setup, jobs=2) as geant4:
        ...     cells, milliseconds = geant4.events(incident, numbers, event, n_events)
    """

    def __init__(
        self, setup: Setup, jobs: int = 1, told: Callable[[int, int], None] = lambda *_: None
    ) -> None:
        self._workers: Workers[Any] = Workers(jobs, _Stages(setup))
        self._told = told

    def enter(self, incident: Incident, numbers: Whole) -> tuple[Entered, float]:
        """Let primaries pass the slabs: see `Upstream.enter`."""
        return answer(self._workers.submit("enter", incident, numbers))  # type: ignore[no-any-return]

    def events(
        self, incident: Incident, numbers: Whole, event: Whole, n_events: int
    ) -> tuple[NDArray[np.float32], float]:
        """Simulate events whole, the slabs before the detector included: see `Engine.add_up`."""
        return self._add_up("events", incident, numbers, event, n_events)

    def entered(
        self, incident: Incident, numbers: Whole, event: Whole, n_events: int
    ) -> tuple[NDArray[np.float32], float]:
        """The same for particles that start at the front face, with random numbers of their own."""
        return self._add_up("entered", incident, numbers, event, n_events)

    def _add_up(
        self, what: str, incident: Incident, numbers: Whole, event: Whole, n_events: int
    ) -> tuple[NDArray[np.float32], float]:
        """In short calls, since a process whose parent was killed ends after the call that it is in."""
        cuts = portions(incident.energy, _ENERGY_PER_CALL, _PARTICLES_PER_CALL)
        calls = [
            self._workers.submit(
                what,
                incident[start:stop],
                numbers[start:stop],
                event[start:stop] - event[start],
                int(event[stop - 1] + 1 - event[start]),
            )
            for start, stop in cuts
        ]
        cells, spent = np.zeros((n_events, 0), np.float32), 0.0
        for done, (call, (start, stop)) in enumerate(zip(calls, cuts, strict=True), start=1):
            part, took = answer(call)
            if not cells.shape[1]:
                cells = np.zeros((n_events, part.shape[1]), np.float32)
            cells[event[start] : event[stop - 1] + 1] += part
            spent += took
            self._told(done, len(calls))
        return cells, spent

    def close(self) -> None:
        """End the processes."""
        self._workers.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Stages:
    """What the process does; each Geant4 is started when it is first needed."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup

    def __call__(self, what: str, *arguments: Any) -> Any:
        return getattr(self, what)(*arguments)

    def enter(self, *what: Any) -> Any:
        return self._upstream.enter(*what)

    def events(self, incident: Incident, numbers: Whole, event: Whole, n_events: int) -> Any:
        before = self.setup.before
        start = -before[0].start if before else 0.0
        return self._engine.add_up(incident, numbers, event, n_events, start)

    def entered(self, *what: Any) -> Any:
        return self._second.add_up(*what)

    @cached_property
    def _upstream(self) -> Upstream:
        from caloforge.truth.upstream import Upstream

        setup = self.setup
        return Upstream(self._detector, setup.before, setup.physics, setup.seed)

    @cached_property
    def _detector(self) -> Any:
        from caloforge.detector import Detector

        return Detector.from_yaml(self.setup.detector)

    @cached_property
    def _engine(self) -> Engine:
        return self._started(self.setup.seed)

    @cached_property
    def _second(self) -> Engine:
        sequence = np.random.SeedSequence(self.setup.seed).spawn(_SECOND)[0]
        return self._started(int(sequence.generate_state(1, np.uint64)[0]))

    def _started(self, seed: int) -> Engine:
        from caloforge.truth.engine import Engine

        return Engine(self._detector, self.setup.physics, seed, before=self.setup.before)

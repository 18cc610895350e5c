"""One Geant4 in one process: particles in, showers out."""

from __future__ import annotations

__all__ = ["Engine", "run", "start"]

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from caloforge.errors import Geant4Error
from caloforge.showers import Incident, Showers
from caloforge.truth.geometry import CM, geometry, slab_paths
from caloforge.truth.gun import portions, primaries, random_indices, random_seed
from caloforge.truth.readout import Readout
from caloforge.truth.steps import Steps, collect
from caloforge.truth.visible import clock, seen_in_slabs

if TYPE_CHECKING:
    from caloforge.detector import Detector, Slab
    from caloforge.truth.physics import Physics

Whole = NDArray[np.int64]

# MeV per run of Geant4, where only active slabs are recorded or others, too. Deposits of much more do not fit
# the caches, and recording them becomes slower; much less, and reading out costs more for the calls.
_ENERGY_PER_RUN, _ENERGY_PER_FULL_RUN = 50_000.0, 10_000.0
_SHOWERS_PER_RUN = 64


def start(name: str, world: dict[str, Any], physics: Physics, seed: int) -> Any:
    """Return calzone's simulation of a geometry, without anything that is sampled.

    Raises:
        Geant4Error: Geant4 does not accept the geometry.
    """
    import calzone

    try:
        simulation: Any = calzone.Simulation(world)
    except (ValueError, calzone.Geant4Exception) as error:
        raise Geant4Error("Geant4 does not accept this detector", where=name, got=error) from error
    simulation.physics.em_model = physics.electromagnetic
    simulation.physics.had_model = physics.hadronic
    simulation.physics.default_cut = physics.cut / CM
    simulation.random.seed = random_seed(seed)
    simulation.sample_deposits = None
    simulation.sample_particles = False
    return simulation


def run(name: str, simulation: Any, particles: Any, numbers: Iterable[int]) -> Any:
    """Let Geant4 run and return what calzone recorded.

    Args:
        name: Of the detector.
        simulation: From `start`.
        particles: calzone's array of primaries.
        numbers: Of the showers; each has its own part of Geant4's random stream.

    Raises:
        Geant4Error: Geant4 failed.
    """
    import calzone

    try:
        return simulation.run(particles, random_indices=random_indices(numbers))
    except (ValueError, OSError, calzone.Geant4Exception) as error:
        raise Geant4Error("Geant4 failed", where=name, got=error) from error


class _View:
    """One readout of what Geant4 recorded: the slabs that count, what is seen there, and the cells."""

    def __init__(self, detector: Detector) -> None:
        paths = zip(slab_paths(detector), detector.counted.tolist(), strict=True)
        self._paths = [path if counts else None for path, counts in paths]
        self._seen = lru_cache(maxsize=2)(partial(seen_in_slabs, detector))
        self._clock = partial(clock, detector)
        self._readout = Readout(detector)

    def steps(self, deposits: Any, n_showers: int, before: float = 0.0) -> list[Steps]:
        return collect(deposits, self._paths, n_showers, self._seen(before), self._clock(before))

    def showers(self, steps: Sequence[Steps], incident: Incident) -> Showers:
        return self._readout.showers(steps, incident)


class Engine:
    """Geant4 with a detector in it.

    Geant4 keeps state that survives a change of physics: use one engine per process, or several with equal
    physics.

    Args:
        detector: What is hit.
        physics: Models and production cut.
        seed: Seed of Geant4's random numbers.
        deposits: Record deposits; without them only the transport is left, to be timed.
        before: Slabs that stand before the detector.
        readouts: The same detector with other readouts.

    Raises:
        Geant4Error: Geant4 does not accept the detector.
    """

    def __init__(
        self,
        detector: Detector,
        physics: Physics,
        seed: int,
        deposits: bool = True,
        before: Sequence[Slab] = (),
        readouts: Sequence[Detector] = (),
    ) -> None:
        self.detector = detector
        views = (detector, *readouts)
        self._views = [_View(view) for view in views]
        full = any(view.readout.deposits != "active" for view in views)
        self._energy_per_run = _ENERGY_PER_FULL_RUN if full else _ENERGY_PER_RUN
        recorded = np.any([view.counted for view in views], axis=0)
        self._simulation = start(detector.name, geometry(detector, before, recorded), physics, seed)
        self._simulation.sample_deposits = "detailed" if deposits else None
        # The first run builds tables for all particles and materials: no shower's time should hold that.
        self.transport(Incident.of([1.0], pdg=22), 0)

    def shoot(self, incident: Incident, first: int) -> tuple[Showers, NDArray[np.float64]]:
        """Make the showers of particles, which are numbered from `first`.

        Returns:
            The showers, and the milliseconds of CPU that each took; showers that were made together share
            their time by energy.

        Raises:
            Geant4Error: Geant4 failed.
        """
        (showers, *_), times = self.shoot_all(incident, first)
        return showers, times

    def shoot_all(self, incident: Incident, first: int) -> tuple[list[Showers], NDArray[np.float64]]:
        """The same in all readouts: showers of the detector, then those of `readouts`."""
        parts, times = [], []
        for start, stop in portions(incident.energy, self._energy_per_run, _SHOWERS_PER_RUN):
            begin = time.process_time()
            parts.append(self._run(incident[start:stop], first + start))
            energy = incident.energy[start:stop].astype(np.float64)
            times.append((time.process_time() - begin) * 1e3 * energy / energy.sum())
        return [Showers.concat(list(of)) for of in zip(*parts, strict=True)], np.concatenate(times)

    def add_up(
        self, incident: Incident, numbers: Whole, event: Whole, n_events: int, before: float = 0.0
    ) -> tuple[NDArray[np.float32], float]:
        """Add up the showers of events of several particles, cell by cell.

        Args:
            incident: The particles, event after event.
            numbers: Which random numbers each has, shape `(n,)`.
            event: Which event each belongs to, increasing, shape `(n,)`.
            n_events: How many events there are; some may have no particles.
            before: How far before the front face the particles start, mm.

        Returns:
            Energy of each cell in MeV, shape `(n_events, n_cells)`, and milliseconds of CPU. The threshold
            of the readout is applied to parts of an event: use a detector without one.

        Raises:
            Geant4Error: Geant4 failed.
        """
        begin = time.process_time()
        cells = np.zeros((n_events, self.detector.n_cells), np.float32)
        view, limit = self._views[0], self._energy_per_run
        for first, last in portions(incident.energy, limit, _SHOWERS_PER_RUN) if len(incident) else ():
            rows = slice(first, last)
            there, row = np.unique(event[rows], return_inverse=True)
            shot = primaries(self.detector, incident[rows], before)
            deposits = run(self.detector.name, self._simulation, shot, numbers[rows])
            found = view.steps(deposits, last - first, before)
            steps = [replace(part, shower=row[part.shower]) for part in found]
            places = Incident.of(np.ones(len(there)))  # of a readout that does not follow the particle
            cells[there] += view.showers(steps, places).cells
        return cells, (time.process_time() - begin) * 1e3

    def transport(self, incident: Incident, first: int) -> Any:
        """Let Geant4 run and return what calzone recorded.

        Raises:
            Geant4Error: Geant4 failed.
        """
        shot = primaries(self.detector, incident)
        return run(self.detector.name, self._simulation, shot, range(first, first + len(incident)))

    def _run(self, incident: Incident, first: int) -> list[Showers]:
        deposits = self.transport(incident, first)
        return [view.showers(view.steps(deposits, len(incident)), incident) for view in self._views]

"""One Geant4 in one process: particles in, showers out."""

from __future__ import annotations

__all__ = ["Engine"]

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from caloforge.errors import Geant4Error
from caloforge.showers import Incident, Showers
from caloforge.truth.geometry import CM, geometry, slab_paths
from caloforge.truth.gun import portions, primaries, random_indices, random_seed
from caloforge.truth.readout import Readout
from caloforge.truth.steps import collect

if TYPE_CHECKING:
    from caloforge.detector import Detector
    from caloforge.truth.physics import Physics

# MeV per run of Geant4, by what is recorded. Deposits of much more do not fit the caches, and recording them
# becomes slower; much less, and reading out costs more for the calls than for the deposits.
_ENERGY_PER_RUN = {"all": 10_000.0, "active": 50_000.0}
_SHOWERS_PER_RUN = 64


class Engine:
    """Geant4 with a detector in it.

    Geant4 keeps state that survives a change of physics: use one engine per process, or several with equal
    physics.

    Args:
        detector: What is hit.
        physics: Models and production cut.
        seed: Seed of Geant4's random numbers.
        deposits: Record deposits; without them only the transport is left, to be timed.

    Raises:
        Geant4Error: Geant4 does not accept the detector.
    """

    def __init__(self, detector: Detector, physics: Physics, seed: int, deposits: bool = True) -> None:
        import calzone

        self.detector = detector
        self._readout = Readout(detector)
        self._paths = slab_paths(detector)
        try:
            self._simulation: Any = calzone.Simulation(geometry(detector))
        except (ValueError, calzone.Geant4Exception) as error:
            raise Geant4Error(
                "Geant4 does not accept this detector", where=detector.name, got=error
            ) from error
        self._simulation.physics.em_model = physics.electromagnetic
        self._simulation.physics.had_model = physics.hadronic
        self._simulation.physics.default_cut = physics.cut / CM
        self._simulation.random.seed = random_seed(seed)
        self._simulation.sample_deposits = "detailed" if deposits else None
        self._simulation.sample_particles = False
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
        parts, times = [], []
        limit = _ENERGY_PER_RUN[self.detector.readout.deposits]
        for start, stop in portions(incident.energy, limit, _SHOWERS_PER_RUN):
            begin = time.process_time()
            parts.append(self._run(incident[start:stop], first + start))
            energy = incident.energy[start:stop].astype(np.float64)
            times.append((time.process_time() - begin) * 1e3 * energy / energy.sum())
        return Showers.concat(parts), np.concatenate(times)

    def transport(self, incident: Incident, first: int) -> Any:
        """Let Geant4 run and return what calzone recorded.

        Raises:
            Geant4Error: Geant4 failed.
        """
        import calzone

        try:
            return self._simulation.run(
                primaries(self.detector, incident),
                random_indices=random_indices(first, first + len(incident)),
            )
        except (ValueError, OSError, calzone.Geant4Exception) as error:
            raise Geant4Error("Geant4 failed", where=self.detector.name, got=error) from error

    def _run(self, incident: Incident, first: int) -> Showers:
        deposits = self.transport(incident, first)
        steps = collect(deposits, self._paths, len(incident))
        return self._readout.showers(steps, incident)

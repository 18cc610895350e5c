"""What a Geant4 shower costs on this machine."""

from __future__ import annotations

__all__ = ["Geant4Time", "time_geant4"]

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caloforge.cluster.processes import Processes
from caloforge.detector import Detector
from caloforge.particles import pdg_id
from caloforge.progress import Progress
from caloforge.quantities import MOST_SEED, MOST_SHOWERS, Interval, Spectrum, check_whole
from caloforge.truth.environment import available
from caloforge.truth.geometry import check_stack
from caloforge.truth.gun import Gun
from caloforge.truth.physics import Physics
from caloforge.truth.pool import Plan, batches, produce


@dataclass(frozen=True, eq=False)
class Geant4Time:
    """CPU time of showers on one core, transport and readout, without start-up.

    Attributes:
        energy: Incident energies, MeV, shape `(n,)`.
        milliseconds: CPU time of each shower, ms, shape `(n,)`; small ones are made several at a time and
            share their time by energy.
    """

    energy: NDArray[np.float64]
    milliseconds: NDArray[np.float64]

    @property
    def mean(self) -> float:
        """Milliseconds per shower on average: what a production pays."""
        return float(self.milliseconds.mean())

    @property
    def median(self) -> float:
        """Median of the milliseconds."""
        return float(np.median(self.milliseconds))

    @property
    def spread(self) -> float:
        """Half the width of the central 68 % of the milliseconds; mostly the spread of the energies."""
        low, high = np.quantile(self.milliseconds, (0.16, 0.84))
        return float(high - low) / 2

    @property
    def per_gev(self) -> float:
        """Milliseconds per GeV of incident energy."""
        return float(self.milliseconds.sum() / self.energy.sum() * 1e3)


def time_geant4(
    detector: Detector,
    particle: str,
    energy: Spectrum,
    *,
    count: int = 20,
    seed: int = 1,
    theta: Interval | None = None,
    phi: Interval | None = None,
    physics: str = "standard",
    cut: float = 0.7,
    progress: Progress | None = None,
) -> Geant4Time:
    """Shoot some particles with Geant4 and take their time on one core.

    Args:
        detector: What is hit; it needs a material stack.
        particle: Name or PDG id.
        energy: Spectrum of kinetic energies.
        count: Number of showers.
        seed: Seed of everything random.
        theta: Angle to the z axis, rad; 0 if absent.
        phi: Azimuth of the direction, rad; 0 if absent.
        physics: As in `simulate`.
        cut: Production cut, mm.
        progress: Called after every batch.

    Raises:
        Geant4Error: Geant4 cannot run here, failed, or was asked for what it cannot do.
        MissingExtraError: calzone is not installed.
    """
    check_stack(detector)
    check_whole(count, "count", 1, MOST_SHOWERS)
    check_whole(seed, "seed", 0, MOST_SEED)
    fixed = Interval(0.0, 0.0)
    gun = Gun(pdg_id(particle), energy, theta or fixed, phi or fixed, fixed, fixed)
    gun.check(detector)
    models = Physics.parse(physics, cut)
    models.check(gun.pdg)
    available()
    energies: list[float] = []
    times: list[float] = []
    # In batches as a production has: one by one, the calls would cost more than a small shower.
    with Processes(1) as cluster:
        plan = Plan(detector.to_yaml(), models, seed)
        for batch, made in produce(plan, batches(gun, seed, 0, count), cluster):
            energies.extend(batch.incident.energy.tolist())
            times.extend(made.milliseconds.tolist())
            if progress:
                progress(len(times), count, "timing Geant4")
    return Geant4Time(np.array(energies), np.array(times))

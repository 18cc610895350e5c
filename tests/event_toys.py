"""Files of events, written by the libraries that others write them with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyhepmc

Particle = tuple[int, tuple[float, float, float], float]
"""PDG id, momentum in GeV, mass in GeV."""


def write_hepmc(
    path: Path,
    events: Sequence[Sequence[Particle]],
    vertex: tuple[float, float, float] = (0.0, 0.0, 0.0),
    weights: Sequence[float] = (),
    form: str | None = None,
) -> Path:
    """One vertex in each event, whose final state is the given particles; GeV and mm."""
    with pyhepmc.open(str(path), "w", format=form) as file:
        for number, particles in enumerate(events):
            event = pyhepmc.GenEvent(pyhepmc.Units.GEV, pyhepmc.Units.MM)
            event.event_number = 10 + number
            if weights:
                event.weights = list(weights)
            if particles:
                point = pyhepmc.GenVertex((*vertex, 0.0))
                point.add_particle_in(pyhepmc.GenParticle((0, 0, 7e3, 7e3), 2212, 4))
                for pdg, momentum, mass in particles:
                    energy = float(np.sqrt(np.square(momentum).sum() + mass**2))
                    made = pyhepmc.GenParticle((*momentum, energy), pdg, 1)
                    made.generated_mass = mass
                    point.add_particle_out(made)
                event.add_vertex(point)
            file.write(event)
    return path

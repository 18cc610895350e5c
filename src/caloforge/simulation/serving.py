"""Which generator serves which particle of an event, and how its shower comes to where the particle hits."""

from __future__ import annotations

__all__ = ["Fate", "Generator", "Served", "assign"]

import math
from collections.abc import Sequence
from enum import IntEnum
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from caloforge.detector import PolarGrid
from caloforge.showers import Incident
from caloforge.simulation.directions import angle_between, turned
from caloforge.simulation.placing import Placing

if TYPE_CHECKING:
    from caloforge.deploy.bundle.validity import Span
    from caloforge.deploy.sampling import Sampler
    from caloforge.detector import Detector

Real = NDArray[np.float64]


class Fate(IntEnum):
    """What becomes of a particle; from `GENERATED` on, the number of the generator is added."""

    MISSES = 0
    NEUTRINO = 1
    NO_PARTICLE = 2
    NO_ENERGY = 3
    NO_ANGLE = 4
    NO_POSITION = 5
    GEANT4 = 6
    GENERATED = 7

    @property
    def words(self) -> str:
        """What it is called in tables and files."""
        return _WORDS[self]


_WORDS = {
    Fate.MISSES: "does not reach the calorimeter",
    Fate.NEUTRINO: "neutrino, leaves nothing",
    Fate.NO_PARTICLE: "dropped: no generator of this particle",
    Fate.NO_ENERGY: "dropped: no generator of this energy",
    Fate.NO_ANGLE: "dropped: no generator of this angle",
    Fate.NO_POSITION: "dropped: no generator of this position",
    Fate.GEANT4: "Geant4",
    Fate.GENERATED: "generated",
}


class Served(NamedTuple):
    """What a generator says to some particles.

    Attributes:
        fate: `GENERATED`, or why not, shape `(n,)`.
        condition: What the generator is asked for in place of each particle.
        steps: How many cells the showers move, for `Placing`.
        rounding: How far beside its place each layer lies, mm, shape `(n, n_layers, 2)`; 0 where not served.
    """

    fate: NDArray[np.int8]
    condition: Incident
    steps: NDArray[np.int64]
    rounding: Real


class Generator:
    """A generator at work in a detector.

    Args:
        sampler: A bundle's engine or a run's generator.
        target: The detector that particles hit.
        max_tilt: Largest angle between a particle and a direction of the training, rad.

    Raises:
        DetectorError: Its showers have no place in the detector.
    """

    def __init__(self, sampler: Sampler, target: Detector, max_tilt: float) -> None:
        self.sampler, self.valid, self.max_tilt = sampler, sampler.valid, max_tilt
        self.placing = Placing(sampler.detector, target)

    def serve(self, incident: Incident) -> Served:
        """Say which particles it can make the showers of, and how.

        An energy has to be one of the training. Where the generator takes the angle and the position, they
        are given to it, else the particle must fly along a direction of the training, but for `max_tilt`; and
        the shower is moved by whole cells from where it was trained to where the particle hits.
        """
        theta, phi, tilt = self._direction(incident)
        x, y, steps, rounding, placed = self._place(incident)
        low, high = self.valid.energy.limits
        known = np.isin(incident.pdg, self.valid.particles) | (0 in self.valid.particles)
        fate = np.select(
            [
                ~known,
                ~((incident.energy >= low) & (incident.energy <= high)),
                ~(tilt <= self.max_tilt),
                ~placed,
            ],
            [Fate.NO_PARTICLE, Fate.NO_ENERGY, Fate.NO_ANGLE, Fate.NO_POSITION],
            Fate.GENERATED,
        ).astype(np.int8)
        condition = Incident.of(incident.energy, incident.pdg, theta, phi, x, y)
        return Served(
            fate, condition, steps, np.where((fate == Fate.GENERATED)[:, None, None], rounding, 0.0)
        )

    def _direction(self, incident: Incident) -> tuple[Real, Real, Real]:
        """Nearest direction of the training, and the largest angle to what may come of it."""
        theta, phi = incident.theta.astype(np.float64), incident.phi.astype(np.float64)
        nearest = _clipped(theta, self.valid.theta), _clipped(turned(phi, self.valid.phi), self.valid.phi)
        thetas = [nearest[0]] if self._takes("theta") else _ends(self.valid.theta)
        phis = [nearest[1]] if self._takes("phi") else _ends(self.valid.phi)
        tilts = [angle_between(theta, phi, *trained) for trained in product(thetas, phis)]
        return *nearest, np.max(tilts, axis=0)

    def _place(self, incident: Incident) -> tuple[Real, Real, NDArray[np.int64], Real, NDArray[np.bool_]]:
        hit = np.column_stack([incident.x, incident.y]).astype(np.float64)
        if self.placing.polar:
            return self._turn(hit)
        trained = [self._trained(axis, values) for axis, values in enumerate(hit.T)]
        at = np.column_stack(trained)
        shift = hit - at
        placed: NDArray[np.bool_] = np.asarray(np.isfinite(shift).all(axis=1))
        shift = np.where(placed[:, None], shift, 0.0)
        return at[:, 0], at[:, 1], self.placing.shifted(shift), self.placing.rounding(shift), placed

    def _trained(self, axis: int, hit: Real) -> Real:
        """Position to ask for: if possible one from which the rest of the way is a whole number of cells."""
        name = "xy"[axis]
        span, lattice = getattr(self.valid, name), self.placing.lattice[axis]
        if not self._takes(name):
            return np.full(len(hit), (span.min + span.max) / 2)
        way = 0.0 if lattice is None else lattice.nearest(hit - span.max, hit - span.min)
        return _clipped(hit - way, span)

    def _turn(self, hit: Real) -> tuple[Real, Real, NDArray[np.int64], Real, NDArray[np.bool_]]:
        """Turn by the whole sectors that bring the particle to where the training was, if any do."""
        angle, placed, best = np.zeros(len(hit)), np.zeros(len(hit), np.bool_), hit.copy()
        for sector in range(self._sectors):
            turn = 2 * np.pi * sector / self._sectors
            back = hit @ np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
            new = _inside(back[:, 0], self.valid.x) & _inside(back[:, 1], self.valid.y) & ~placed
            angle, placed = np.where(new, turn, angle), placed | new
            best = np.where(new[:, None], back, best)
        steps = self.placing.turned(angle)
        return best[:, 0], best[:, 1], steps, np.zeros(steps.shape), placed

    @property
    def _sectors(self) -> int:
        """Ways to turn all layers by whole sectors; a ring that is not cut turns in any way."""
        grids = [layer.grid for layer in self.placing.source.layers]
        counts = [grid.alpha for grid in grids if isinstance(grid, PolarGrid) and grid.alpha > 1]
        return math.gcd(*counts) if counts else 1

    def _takes(self, name: str) -> bool:
        return name in self.sampler.conditions


def assign(generators: Sequence[Generator], incident: Incident) -> tuple[NDArray[np.int8], list[Served]]:
    """Give each particle to the first generator that serves it.

    Returns:
        Fates, shape `(n,)`: `GENERATED` plus the number of the generator, or the reason of the one that came
        nearest to serving it; and what each generator says.
    """
    fate = np.full(len(incident), Fate.NO_PARTICLE, np.int8)
    answers = [generator.serve(incident) for generator in generators]
    for number, answer in enumerate(answers):
        free = fate < Fate.GENERATED
        served = answer.fate == Fate.GENERATED
        fate = np.where(free & served, Fate.GENERATED + number, fate)
        fate = np.where(free & ~served, np.maximum(fate, answer.fate), fate)
    return fate.astype(np.int8), answers


def _clipped(values: Real, span: Span) -> Real:
    return np.clip(values, span.min, span.max)


def _inside(values: Real, span: Span) -> NDArray[np.bool_]:
    low, high = span.limits
    inside: NDArray[np.bool_] = (values >= low) & (values <= high)
    return inside


def _ends(span: Span) -> list[Real]:
    return [np.array(end) for end in dict.fromkeys((span.min, span.max))]

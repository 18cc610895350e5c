"""Which particles a bundle may take over, and as which particles of its training."""

from __future__ import annotations

__all__ = ["Caught", "Tolerance", "catch"]

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from caloforge.showers import Incident
from caloforge.simulation.directions import angle_between, turned

if TYPE_CHECKING:
    from caloforge.deploy.bundle.validity import Span, Validity
    from caloforge.simulation.lattice import Lattice
    from caloforge.simulation.placing import Placing

Real = NDArray[np.float64]
_ROUNDING = 1e-5  # mm or rad; files and bundles hold float32
_FLOAT = 1e-6
_CONSTANT_FROM = 1e4  # MeV


@dataclass(frozen=True)
class Tolerance:
    """How far a particle of 10 GeV or more may be from one of the training, and still be taken for it.

    Below, both limits grow with 1 / sqrt(energy), as the fluctuations of a shower's own position do: what is
    let through stays the same part of what a calorimeter could tell.

    Args:
        angle: Between the two directions, rad.
        position: Between the two impact points after the shower was moved by whole cells, mm.
    """

    angle: float
    position: float

    def as_dict(self) -> dict[str, float]:
        """Both, for the provenance."""
        return {"angle_tolerance_rad": self.angle, "position_tolerance_mm": self.position}

    def holds(self, energy: Real, angle: Real, beside: Real) -> NDArray[np.bool_]:
        """Say which particles, of these energies in MeV, are near enough; beside in mm."""
        wider = np.sqrt(np.maximum(_CONSTANT_FROM / energy, 1.0))
        near = (angle <= self.angle * wider + _ROUNDING) & (beside <= self.position * wider + _ROUNDING)
        return np.asarray(near)


class Caught(NamedTuple):
    """What a bundle takes over.

    Attributes:
        rows: Which particles, increasing.
        incident: The particles of the training that they are taken for.
        moves: By how much their showers are moved in x and y, shape `(n, 2)`, mm.
    """

    rows: NDArray[np.int64]
    incident: Incident
    moves: Real


def catch(particles: Incident, valid: Validity, placing: Placing, tolerance: Tolerance) -> Caught:
    """Find the particles that a bundle may take over.

    It must know the particle and the energy. Of direction and impact point it is asked for the nearest ones
    of its training, which the tolerance keeps near. Where it saw one impact point only, it serves all those
    that are a move by whole cells away, as long as its window stays within the material.

    Args:
        particles: What enters the detector.
        valid: What the bundle was trained for.
        placing: How its showers may be moved.
        tolerance: How near is near enough.
    """
    energy = particles.energy.astype(np.float64)
    # Without the slack that `Validity` grants: nobody asked for these particles, Geant4 is there for them.
    low, high = valid.energy.min * (1 - _FLOAT), valid.energy.max * (1 + _FLOAT)
    known = np.isin(particles.pdg, valid.particles) & (energy >= low) & (energy <= high)
    rows = np.flatnonzero(known)
    some = particles[rows]
    theta, phi, turn = _direction(some, valid)
    x, move_x, beside_x = _position(some.x, valid.x, placing.lattice[0])
    y, move_y, beside_y = _position(some.y, valid.y, placing.lattice[1])
    moves = np.column_stack([move_x, move_y])
    near = tolerance.holds(energy[rows], turn, np.hypot(beside_x, beside_y)) & placing.within(moves)
    taken = Incident.of(some.energy, some.pdg, theta, phi, x, y)
    return Caught(rows[near], taken[near], moves[near])


def _clamped(values: Real, span: Span) -> Real:
    """The nearest values of the training."""
    if not span.values:
        return np.clip(values, span.min, span.max)
    seen = np.sort(span.values)
    after = np.clip(np.searchsorted(seen, values), 1, max(1, len(seen) - 1))
    below, above = seen[after - 1], seen[np.minimum(after, len(seen) - 1)]
    return np.where(values - below <= above - values, below, above)


def _direction(particles: Incident, valid: Validity) -> tuple[Real, Real, Real]:
    """Angles of the nearest direction of the training, and the angle between the two."""
    theta, phi = particles.theta.astype(np.float64), particles.phi.astype(np.float64)
    phi = turned(phi, valid.phi)
    near = _clamped(theta, valid.theta), _clamped(phi, valid.phi)
    return *near, angle_between(theta, phi, *near)


def _position(values: NDArray[np.float32], span: Span, lattice: Lattice | None) -> tuple[Real, Real, Real]:
    """Nearest coordinate of the training after a move, the move, and what is left between the two."""
    assert lattice is not None, "see `check_bundle`"
    at = values.astype(np.float64)
    move = lattice.nearest(at - span.max, at - span.min)
    near = _clamped(at - move, span)
    return near, move, at - move - near

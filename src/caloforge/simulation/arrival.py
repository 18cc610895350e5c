"""From where particles begin to where they enter the calorimeter: straight lines, as there is no field."""

from __future__ import annotations

__all__ = ["NEUTRINOS", "Arrived", "arrive"]

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from caloforge.showers import Incident

if TYPE_CHECKING:
    from caloforge.detector import Detector
    from caloforge.simulation.events.base import Particles

NEUTRINOS = (12, 14, 16, 18)

Real = NDArray[np.float64]


class Arrived(NamedTuple):
    """Particles at the face.

    Attributes:
        incident: Energy, and place and direction on the face; NaN where a particle does not reach it.
        reaches: Whether it does, shape `(n,)`.
    """

    incident: Incident
    reaches: NDArray[np.bool_]


def arrive(particles: Particles, detector: Detector, face: float, on_face: bool) -> Arrived:
    """Follow particles to the face of the calorimeter.

    A planar detector is met where the line crosses the plane of its face, a barrel where it leaves the
    cylinder of its inner radius around the z axis. What begins behind the face, flies away from it or passes
    beside the detector does not reach it.

    Args:
        particles: Where they begin and where they fly to.
        detector: What they may hit; its face is as large as its `size`, or its largest window.
        face: Where the middle of the face is on the z axis, mm; of a barrel, the middle of its axis.
        on_face: Whether places and directions are those on the face already.
    """
    place, direction = particles.position, particles.direction
    with np.errstate(divide="ignore", invalid="ignore"):
        if not on_face and detector.shape == "barrel":
            place, direction = _to_barrel(place - [0, 0, face], direction, detector.inner_radius or 0.0)
        elif not on_face:
            place = _to_plane(place - [0, 0, face], direction)
    half = _half_face(detector)
    reaches = (direction[:, 2] > 0) & (particles.energy > 0) & (np.abs(place[:, :2]) <= half).all(axis=1)
    values = np.column_stack([_theta(direction), _phi(direction), place[:, :2]])
    theta, phi, x, y = np.where(reaches[:, None], values, np.nan).T
    incident = Incident.of(particles.energy, _ids(particles.pdg), theta, phi, x, y)
    return Arrived(incident, reaches)


def _to_plane(place: Real, direction: Real) -> Real:
    """Where lines cross z = 0 forward; NaN where they do not."""
    way = np.where(direction[:, 2] > 0, -place[:, 2] / direction[:, 2], np.nan)
    way[way < 0] = np.nan  # begun behind the face
    return place + way[:, None] * direction


def _to_barrel(place: Real, direction: Real, radius: float) -> tuple[Real, Real]:
    """Where lines leave a cylinder, as arc, length along the axis and 0, and their directions there."""
    a = (direction[:, :2] ** 2).sum(axis=1)
    b = (place[:, :2] * direction[:, :2]).sum(axis=1)
    c = (place[:, :2] ** 2).sum(axis=1) - radius**2
    way = np.where((c <= 0) & (a > 0), (-b + np.sqrt(b * b - a * c)) / a, np.nan)
    point = place + way[:, None] * direction
    azimuth = np.arctan2(point[:, 1], point[:, 0])
    cosine, sine = np.cos(azimuth), np.sin(azimuth)
    along = direction[:, 0] * cosine + direction[:, 1] * sine
    around = direction[:, 1] * cosine - direction[:, 0] * sine
    entry = np.column_stack([radius * azimuth, point[:, 2], np.zeros(len(point))])
    return entry, np.column_stack([around, direction[:, 2], along])


def _half_face(detector: Detector) -> tuple[float, float]:
    if detector.size and detector.shape == "planar":
        return detector.size[0] / 2, detector.size[-1] / 2
    reach = np.max([layer.grid.reach for layer in detector.layers], axis=0)
    if detector.size:
        return np.pi * (detector.inner_radius or 0.0), detector.size[0]
    return float(reach[0]), float(reach[1])


def _theta(direction: Real) -> Real:
    # The arc cosine of nearly 1 has no digits left.
    return np.arctan2(np.hypot(direction[:, 0], direction[:, 1]), direction[:, 2])


def _phi(direction: Real) -> Real:
    return np.arctan2(direction[:, 1], direction[:, 0])


def _ids(pdg: NDArray[np.int64]) -> NDArray[np.int64]:
    """Ids as the store has them; beyond its numbers there is no particle: 0, which stands for unknown."""
    most = np.iinfo(np.int32).max
    return np.where(np.abs(pdg) <= most, pdg, 0)

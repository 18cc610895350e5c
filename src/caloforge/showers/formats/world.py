"""Places and directions in the world: those of a planar detector, or around the axis of a barrel.

A planar detector has the world's coordinates. A barrel lies along z, its middle at 0, and is unrolled: x is
the arc at its inner radius from the world's x axis on, y runs along the axis, and z is the distance from the
inner radius.
"""

from __future__ import annotations

__all__ = ["at_face", "from_world", "to_world", "vectors_to_world"]

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from caloforge.detector import Detector

Real = NDArray[np.float64]


def to_world(detector: Detector, places: Real) -> Real:
    """Return places of a detector in the world, shape `(n, 3)`, mm."""
    if detector.inner_radius is None:
        return places
    azimuth, rho = places[:, 0] / detector.inner_radius, detector.inner_radius + places[:, 2]
    return np.column_stack([rho * np.cos(azimuth), rho * np.sin(azimuth), places[:, 1]])


def from_world(detector: Detector, places: Real) -> Real:
    """Return places of the world in a detector, shape `(n, 3)`, mm."""
    if detector.inner_radius is None:
        return places
    x, y, z = places.T
    return np.column_stack(
        [detector.inner_radius * np.arctan2(y, x), z, np.hypot(x, y) - detector.inner_radius]
    )


def vectors_to_world(detector: Detector, x: Real, vectors: Real) -> Real:
    """Turn vectors as they are seen at x, `(n,)` mm, to the world's axes, shape `(n, 3)`."""
    if detector.inner_radius is None:
        return vectors
    around, along, out = vectors.T
    c, s = np.cos(x / detector.inner_radius), np.sin(x / detector.inner_radius)
    return np.column_stack([c * out - s * around, s * out + c * around, along])


def at_face(detector: Detector, start: Real, momentum: Real) -> tuple[Real, Real]:
    """Follow particles straight to the front face, forward or backward.

    Args:
        detector: Whose face.
        start: Where they are in the world, mm, shape `(n, 3)`.
        momentum: Along their way, any unit, shape `(n, 3)`.

    Returns:
        Places and momenta at the face in the detector's coordinates; NaN where a particle flies from behind
        the face to the front, or beside it.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        if detector.inner_radius is None:
            place = start - (start[:, 2] / momentum[:, 2])[:, None] * momentum
        else:
            place = start + _to_cylinder(start, momentum, detector.inner_radius)[:, None] * momentum
            place, momentum = from_world(detector, place), _seen_at(place, momentum)
    inward = momentum[:, 2] > 0
    return np.where(inward[:, None], place, np.nan), np.where(inward[:, None], momentum, np.nan)


def _to_cylinder(start: Real, along: Real, radius: float) -> Real:
    """Steps of `along` to where a line leaves a cylinder; NaN where it comes from outside, or never does."""
    a = (along[:, :2] ** 2).sum(axis=1)
    b = (start[:, :2] * along[:, :2]).sum(axis=1)
    c = (start[:, :2] ** 2).sum(axis=1) - radius**2
    way = (-b + np.sqrt(b * b - a * c)) / a
    return np.where((c > 0) & (way > 0), np.nan, way)


def _seen_at(place: Real, vectors: Real) -> Real:
    """Turn vectors of the world to the way around, along and out at each place."""
    x, y, z = vectors.T
    rho = np.hypot(place[:, 0], place[:, 1])
    c, s = place[:, 0] / rho, place[:, 1] / rho
    return np.column_stack([c * y - s * x, z, c * x + s * y])

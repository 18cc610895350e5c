"""Angles between particles and the directions that a generator was trained for."""

from __future__ import annotations

__all__ = ["angle_between", "turned"]

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from caloforge.deploy.bundle.validity import Span

Real = NDArray[np.float64]


def turned(phi: Real, span: Span) -> Real:
    """Return azimuths in rad by the full turns that bring them nearest to a span."""
    middle = (span.min + span.max) / 2
    return np.asarray(middle + np.mod(phi - middle + math.pi, 2 * math.pi) - math.pi)


def angle_between(theta: Real, phi: Real, to_theta: Real, to_phi: Real) -> Real:
    """Return the angle between directions, rad; written for small angles, where a cosine has no digits."""
    half = np.sin((theta - to_theta) / 2) ** 2
    half = half + np.sin(theta) * np.sin(to_theta) * np.sin((phi - to_phi) / 2) ** 2
    return np.asarray(2 * np.arcsin(np.sqrt(np.minimum(half, 1.0))))

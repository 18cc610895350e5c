"""Angles to the beam, which is y of our layers where a calorimeter is a barrel's: 90 degrees is orthogonal.

Ours are angles to the depth axis. Less than 90 degrees leans towards +y. A lean in x has no place there.
"""

from __future__ import annotations

__all__ = ["beam_theta", "from_beam_theta"]

import math

import numpy as np
from numpy.typing import NDArray

from caloforge.showers.incident import Incident


def beam_theta(incident: Incident) -> NDArray[np.float64]:
    """Return angles to the beam in rad, shape `(n,)`."""
    theta, phi = incident.theta.astype(np.float64), incident.phi.astype(np.float64)
    return np.asarray(math.pi / 2 - np.arcsin(np.sin(theta) * np.sin(phi)))


def from_beam_theta(theta: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return our theta and phi of angles to the beam, `(n,)` rad."""
    lean = math.pi / 2 - theta
    return np.abs(lean), np.sign(lean) * math.pi / 2

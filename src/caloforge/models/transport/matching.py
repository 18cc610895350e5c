"""Flow matching on a circle: at an angle between noise and real showers, in which direction do these lie?

With x = cos(a) real + sin(a) noise the velocity is dx/da = cos(a) noise - sin(a) real (the "v" of
arXiv:2202.00512, the circle of arXiv:2410.11081). A network learns its mean. The fit's noise has just one
property that matters here: where the fit is right, the noise behind real showers is normal itself, and that
mean is zero everywhere. So the network learns what the fit has wrong, and no more; paths are nearly straight,
and few steps go along them. Steps are of x and not of the estimated real shower: those would be exact for a
point, these are exact for a normal distribution.
"""

from __future__ import annotations

__all__ = ["angles_of", "matching_loss", "moved"]

import math
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor


class Velocity(Protocol):
    """Says where `(n, variables)` move, at angles `(n, 1)`, given what is seen `(n, seen)`."""

    def __call__(self, place: Tensor, angle: Tensor, seen: Tensor) -> Tensor: ...


def matching_loss(velocity: Velocity, real: Tensor, seen: Tensor) -> Tensor:
    """Return the mean square distance from the velocity between real showers and noise, drawn here.

    Args:
        velocity: The network.
        real: `(n, variables)` noise behind real showers.
        seen: `(n, seen)` what these are given.
    """
    noise = torch.randn_like(real)
    angle = 0.5 * math.pi * torch.rand_like(real[:, :1])
    cosine, sine = angle.cos(), angle.sin()
    wanted = cosine * noise - sine * real
    return (velocity(cosine * real + sine * noise, angle, seen) - wanted).square().mean()


def angles_of(evaluations: int, start: float) -> list[float]:
    """Return the angles between which steps go, from `start` to 0."""
    steps = max(evaluations // 2, 1)
    return [start * (1 - step / steps) for step in range(steps + 1)]


def moved(velocity: Velocity, noise: Tensor, seen: Tensor, evaluations: int, start: float) -> Tensor:
    """Bring noise to where the noise behind real showers is.

    Two evaluations are a step of Heun's, of second order; one is a step of Euler's.

    Args:
        velocity: The network.
        noise: `(n, variables)` standard normal.
        seen: `(n, seen)`.
        evaluations: How often the network is asked.
        start: Angle at which the noise is taken for what it would be there.
    """
    place, angles = noise, angles_of(evaluations, start)
    for angle, following in pairwise(angles):
        step = following - angle
        first = velocity(place, torch.full_like(place[:, :1], angle), seen)
        reached = place + step * first
        if evaluations > 1:
            second = velocity(reached, torch.full_like(place[:, :1], following), seen)
            reached = place + 0.5 * step * (first + second)
        place = reached
    return place

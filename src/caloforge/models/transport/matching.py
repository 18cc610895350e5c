"""Flow matching on a circle: at an angle between noise and real showers, in which direction do these lie?

With x = cos(a) real + sin(a) noise the velocity is dx/da = cos(a) noise - sin(a) real (the "v" of
arXiv:2202.00512, the circle of arXiv:2410.11081). A network learns its mean. Where the fit is right, the
noise behind real showers is standard normal, and that mean is zero everywhere: the network learns what the
fit has wrong, and no more. So paths are nearly straight, and few steps go along them. Steps go along x and
not towards an estimated real shower, as is usual: those would be exact for a point, these are for a normal
distribution.
"""

from __future__ import annotations

__all__ = ["MatchingTransport"]

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from caloforge.models.transport.base import CellTransport
from caloforge.models.transport.velocity import DenseVelocity

if TYPE_CHECKING:
    from caloforge.models.settings import MatchingSettings

_NOISE = 0.5 * math.pi
_DRAWS = 4
_LATE = 1.0  # rad; at larger angles velocities are small: docs/models.md says how small


class MatchingTransport(CellTransport):
    """Follows the velocity that a network has learned, in few steps.

    Args:
        variables: How many move.
        seen: Numbers that they depend on.
        settings: The `model` part of a recipe.
        velocity: The network, if it is not dense.

    Attributes:
        weight: `(variables,)` that each counts with: in what the network sees, in what it says, and in the
            loss; None: all the same.
    """

    weight: Tensor | None

    def __init__(
        self, variables: int, seen: int, settings: MatchingSettings, velocity: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.velocity = velocity or DenseVelocity(variables, seen, settings.width, settings.blocks)
        self.register_buffer("weight", None if velocity is None else torch.ones(variables))
        self.evaluations = settings.evaluations
        self.start = _LATE if settings.start == "fit" else _NOISE

    def forward(self, noise: Tensor, seen: Tensor) -> Tensor:
        """Take steps by the rule of the midpoint; the velocity of the step before leads there.

        An evaluation is a step of second order. The first needs no step before it: noise hardly moves there.
        """
        step = -self.start / self.evaluations
        place, velocity = noise, torch.zeros_like(noise)
        for number in range(self.evaluations):
            angle = self.start + (number + 0.5) * step
            middle = place + 0.5 * step * velocity
            velocity = self._at(middle, torch.full_like(place[:, :1], angle), seen)
            place = place + step * velocity
        return place

    def adapt(self, hits: Tensor) -> None:
        # Most of many cells are hit in few showers, and the noise behind others tells of nothing.
        if self.weight is not None:
            self.weight[-len(hits) :] = hits

    def loss(self, behind: Tensor, seen: Tensor) -> Tensor:
        """Return the mean square distance from the velocity between showers and noise that is drawn here.

        Each shower is met several times: to find the noise behind it takes longer than a pass of the network.
        """
        behind, seen = behind.repeat(_DRAWS, 1), seen.repeat(_DRAWS, 1)
        noise = torch.randn_like(behind)
        angle = _NOISE * torch.rand_like(behind[:, :1])
        cosine, sine = angle.cos(), angle.sin()
        missed = self._at(cosine * behind + sine * noise, angle, seen) - cosine * noise + sine * behind
        squares = missed.square()
        if self.weight is None:
            return torch.mean(squares)
        return torch.mean(squares * self.weight) / torch.mean(self.weight)

    def _at(self, place: Tensor, angle: Tensor, seen: Tensor) -> Tensor:
        velocity: Tensor
        if self.weight is None:
            velocity = self.velocity(place, angle, seen)
        else:
            velocity = self.weight * self.velocity(self.weight * place, angle, seen)
        return velocity

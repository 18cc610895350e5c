"""What a generator in training is asked for: incident particles."""

from __future__ import annotations

__all__ = ["Requests"]

from dataclasses import dataclass

import torch
from torch import Tensor

_MIDDLE = 0.2, 0.8


@dataclass(frozen=True)
class Requests:
    """Draws incident particles, uniform over the range of the data.

    Attributes:
        low: Lowest of each incident column, shape `(k,)`, on the device.
        high: Highest of each.
        particles: PDG ids to choose from, and the column that holds them; None if it knows no particles.
    """

    low: Tensor
    high: Tensor
    particles: tuple[tuple[int, ...], int] | None = None

    def draw(self, n: int, middle: bool = False) -> Tensor:
        """Return `(n, k)` incident columns.

        Args:
            n: Number of showers.
            middle: Take energies from the middle of the range only, without a fifth at either end.
        """
        uniform = torch.rand((n, len(self.low)), device=self.low.device)
        if middle:
            first, last = _MIDDLE
            uniform[:, 0] = first + (last - first) * uniform[:, 0]
        incident = self.low + (self.high - self.low) * uniform
        if self.particles is not None:
            codes, column = self.particles
            choices = torch.tensor(codes, dtype=incident.dtype, device=incident.device)
            incident[:, column] = choices[torch.randint(len(codes), (n,), device=incident.device)]
        return incident

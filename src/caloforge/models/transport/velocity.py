"""Networks that say where noise on its way to showers moves."""

from __future__ import annotations

__all__ = ["DenseVelocity"]

import torch
from torch import Tensor, nn

_OCTAVES = 4
ANGLES = 2 * _OCTAVES
"""Numbers that stand for an angle."""


class DenseVelocity(nn.Module):
    """Dense layers with residual sums; at first nothing moves.

    Args:
        variables: How many move.
        seen: Numbers that it depends on, besides the angle.
        width: Features.
        blocks: Residual layers between the first and the last.
    """

    def __init__(self, variables: int, seen: int, width: int, blocks: int) -> None:
        super().__init__()
        self.first = nn.Linear(variables + seen + ANGLES, width)
        self.blocks = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks))
        self.last = nn.Linear(width, variables)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, place: Tensor, angle: Tensor, seen: Tensor) -> Tensor:
        """Return velocities `(n, variables)`.

        Args:
            place: `(n, variables)`.
            angle: `(n, 1)` rad, from pi/2, noise, to 0, showers.
            seen: `(n, seen)`.
        """
        state = self.first(torch.cat([place, seen, waves(angle)], dim=1))
        for block in self.blocks:
            state = state + block(nn.functional.silu(state))
        velocity: Tensor = self.last(nn.functional.silu(state))
        return velocity


def waves(angle: Tensor) -> Tensor:
    """Return sine and cosine of angles `(n, 1)` and of their multiples, `(n, ANGLES)`."""
    multiples = [angle * 2**octave for octave in range(_OCTAVES)]
    return torch.cat([*map(torch.sin, multiples), *map(torch.cos, multiples)], dim=1)

"""What goes along straight lines between parts of the energies: steps that multiply a matrix."""

from __future__ import annotations

__all__ = ["Steps", "bends", "joined"]

import torch
from torch import Tensor, nn

_JUMP = 1e-6  # of a logarithm, between the middles of two parts: as good as none
_STEEPEST = 1e-12  # between two knots


class Steps(nn.Module):
    """How far a logarithm is on the way from the middle of each part to that of the next, 0 to 1.

    What is `first` in the first part, and from part to part rises by `rises`, then is
    `first + steps @ rises`.

    Args:
        places: Middles of the parts along the first axis, rising.
        first: Rate of the first step, if it is to be taken at once.
    """

    start: Tensor
    rate: Tensor

    def __init__(self, places: Tensor, first: float | None = None) -> None:
        super().__init__()
        self.register_buffer("start", places[:-1].clone())
        self.register_buffer("rate", 1 / places.diff(dim=0).clamp_min(_JUMP))
        if first is not None:
            self.rate[0] = first

    def forward(self, logarithm: Tensor) -> Tensor:
        """Map logarithms to steps, with the shape of both that they are broadcast to."""
        return ((logarithm - self.start) * self.rate).clamp(0, 1)


def joined(tables: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Put tables between different parts into one.

    Args:
        tables: Middles of the parts `(parts,)` and values in them `(parts, k)`, one pair each.

    Returns:
        All middles, and the values of all tables there, side by side.
    """
    places = torch.cat([places for places, _ in tables]).sort().values
    values = [table[0] + Steps(own)(places.unsqueeze(1)) @ table.diff(dim=0) for own, table in tables]
    return places, torch.cat(values, dim=1)


def bends(normal: Tensor, value: Tensor) -> Tensor:
    """Return by how much the slope of a quantile function changes at each of its knots.

    Beyond the outermost knots it is constant: the last bend takes all slope away.

    Args:
        normal: `(knots,)` rising.
        value: `(..., knots)` there.
    """
    slopes = value.diff(dim=-1) / normal.diff().clamp_min(_STEEPEST)
    return torch.cat([slopes[..., :1], slopes.diff(dim=-1), -slopes[..., -1:]], dim=-1)

"""Parts of the showers, by incident energy and particle, between which fits are interpolated."""

from __future__ import annotations

__all__ = ["EnergyParts"]

import torch
from torch import Tensor, nn

from caloforge.models.blocks.conditions import particle_shares, showers_of_each

_PARTS = 8  # of the showers, by their energy
_ENOUGH = 250  # showers whose quantiles tell a distribution
_JUMP = 1e-6  # of the logarithm of the energy, as good as none
_NARROW = 0.05  # range of a logarithm of the energy in which nothing changes


class EnergyParts(nn.Module):
    """Parts of the showers, as many showers in each, and how much each counts at an incident energy.

    Between the middles of two parts weights go along straight lines; beyond the ends nothing changes.

    Args:
        particles: How many are told apart, each with parts of its own; 0 if there is one.

    Attributes:
        rows: Parts of all particles together.
    """

    places: Tensor

    def __init__(self, particles: int = 0) -> None:
        super().__init__()
        self.rows = max(particles, 1) * _PARTS
        self.register_buffer("places", torch.zeros(max(particles, 1), _PARTS))

    def fit(self, logarithm: Tensor, *which: Tensor) -> list[Tensor]:
        """Divide showers.

        Args:
            logarithm: `(n,)` of the incident energy.
            which: `(n, particles)`, 1 where it is that particle; nothing if there is one.

        Returns:
            Indices of the showers of each part, particle by particle, `rows` in all. Of few showers there are
            fewer parts, the last of which is repeated.
        """
        every = [torch.ones(len(logarithm), dtype=torch.bool, device=logarithm.device)]
        of_each = [_parts(logarithm, mine) for mine in (showers_of_each(*which) if which else every)]
        parts = [part for parts in of_each for part in parts]
        self.places.copy_(torch.stack([logarithm[part].mean() for part in parts]).view_as(self.places))
        return parts

    def forward(self, logarithm: Tensor, *which: Tensor) -> Tensor:
        """Return how much each part counts, `(n, rows)`, with a sum of 1."""
        order = torch.arange(_PARTS, device=logarithm.device, dtype=logarithm.dtype)
        columns = []
        for row, places in enumerate(self.places.unbind()):
            # Not a sum of bends: beams of a few energies have parts at the same place, where bends cancel.
            steps = ((logarithm.unsqueeze(1) - places[:-1]) / places.diff().clamp_min(_JUMP)).clamp(0, 1)
            hats = torch.relu(1 - (steps.sum(1, keepdim=True) - order).abs())
            columns.append(hats * particle_shares(*which)[:, row : row + 1] if which else hats)
        return torch.cat(columns, dim=1)


def _parts(logarithm: Tensor, mine: Tensor) -> list[Tensor]:
    """Return indices of showers in parts by energy; of few there are fewer, the last of them repeated."""
    indices = mine.nonzero().squeeze(1)
    some = logarithm[indices]
    narrow = bool(some.amax() - some.amin() < _NARROW)
    number = 1 if narrow else max(1, min(_PARTS, len(indices) // _ENOUGH))
    parts = list(torch.tensor_split(indices[some.argsort()], number))
    return parts + parts[-1:] * (_PARTS - number)

"""Parts of the showers by energy, between which fits are interpolated."""

from __future__ import annotations

__all__ = ["EnergyParts", "divided"]

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from caloforge.models.settings import FitSettings

_JUMP = 1e-6  # of the logarithm of the energy, as good as none
_NARROW = 0.05  # range of a logarithm of the energy in which nothing changes


def divided(logarithm: Tensor, settings: FitSettings) -> list[Tensor]:
    """Divide showers by the logarithm of an energy, `(n,)`.

    Parts are equally wide, or wider where there would be too few showers.

    Returns:
        Indices of the showers of each part, from the lowest; the last is repeated until there are
        `settings.parts`.
    """
    order = logarithm.argsort()
    rising, number = logarithm[order], len(order)
    width = float(rising[-1] - rising[0]) / settings.parts
    parts: list[Tensor] = []
    start = number if width * settings.parts < _NARROW else 0
    while start < number:
        end = max(int((rising < rising[start] + width).sum()), start + settings.enough)
        if number - end < settings.enough or len(parts) == settings.parts - 1:
            end = number
        parts.append(order[start:end])
        start = end
    parts = parts or [order]
    return parts + parts[-1:] * (settings.parts - len(parts))


class EnergyParts(nn.Module):
    """Parts of the showers, and how much each counts at an incident energy.

    Between the middles of two parts weights go along straight lines; beyond the ends nothing changes.

    Args:
        settings: How many.
    """

    places: Tensor

    def __init__(self, settings: FitSettings) -> None:
        super().__init__()
        self.settings = settings
        self.register_buffer("places", torch.zeros(settings.parts))

    def fit(self, logarithm: Tensor) -> list[Tensor]:
        """Divide showers by the logarithm of their incident energy, `(n,)`; return their indices."""
        parts = divided(logarithm, self.settings)
        self.places.copy_(torch.stack([logarithm[part].mean() for part in parts]))
        return parts

    def forward(self, logarithm: Tensor) -> Tensor:
        """Return how much each part counts, `(n, parts)`, with a sum of 1."""
        order = torch.arange(self.settings.parts, device=logarithm.device, dtype=logarithm.dtype)
        # Not a sum of bends: beams of a few energies have parts at the same place, where bends cancel.
        gaps = self.places.diff().clamp_min(_JUMP)
        steps = ((logarithm.unsqueeze(1) - self.places[:-1]) / gaps).clamp(0, 1)
        return torch.relu(1 - (steps.sum(1, keepdim=True) - order).abs())

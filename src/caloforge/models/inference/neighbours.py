"""The noise of neighbouring cells mixed layer by layer."""

from __future__ import annotations

__all__ = ["OwnLayerNoise", "from_other_layers"]

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from caloforge.models.tuned.trunks import STRONGEST, WEAKEST, NeighbourNoise

_BLOCK = 8  # channels that ONNX Runtime's fast convolutions take at once


@torch.no_grad()
def from_other_layers(neighbours: NeighbourNoise) -> float:
    """Return the greatest share of the variance of a cell's noise that can come from other layers."""
    square = (neighbours.weight * neighbours.others).square().sum((2, 3))
    others = math.exp(2 * STRONGEST) * (square.sum(1) - square.diagonal())
    return float((others / (1 + others)).max())


class OwnLayerNoise(nn.Module):
    """`NeighbourNoise` without what comes from other layers; the spread stays 1.

    Args:
        neighbours: A trained one.
    """

    weight: Tensor
    square: Tensor

    def __init__(self, neighbours: NeighbourNoise) -> None:
        super().__init__()
        self.shape, self.strength = neighbours.shape, neighbours.strength
        layers = self.shape[0]
        own = torch.arange(layers)
        weight = (neighbours.weight * neighbours.others).detach()[own, own].unsqueeze(1)
        self.register_buffer("square", weight.square().sum((1, 2, 3)))
        self.spare = -layers % _BLOCK
        self.register_buffer("weight", F.pad(weight, (0, 0, 0, 0, 0, 0, 0, self.spare)))

    def forward(self, noise: Tensor, seed: Tensor) -> Tensor:
        """Mix noise `(n, n_cells)` as `(n, inputs)` says."""
        volume = noise.reshape(-1, *self.shape)
        padded = F.pad(volume, (0, 0, 0, 0, 0, self.spare))
        around = F.conv2d(padded, self.weight, padding=1, groups=len(self.weight))[:, : self.shape[0]]
        strength = torch.exp(self.strength(seed).clamp(WEAKEST, STRONGEST))
        own = torch.rsqrt(1 + strength * strength * self.square)
        strength, own = (x.unsqueeze(2).unsqueeze(3) for x in (strength, own))
        return ((volume + strength * around) * own).flatten(1)

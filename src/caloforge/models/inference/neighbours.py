"""The noise of neighbouring cells, mixed as fast as ONNX Runtime can."""

from __future__ import annotations

__all__ = ["FoldedNeighbours"]

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from caloforge.models.tuned.trunks import STRONGEST, WEAKEST, NeighbourNoise

_BLOCK = 8  # channels that fast convolutions take at once; of other numbers they are several times slower


class FoldedNeighbours(nn.Module):
    """`NeighbourNoise` with spare layers of zeros, and what does not depend on the shower computed.

    Args:
        neighbours: A trained one.
    """

    weight: Tensor
    square: Tensor

    def __init__(self, neighbours: NeighbourNoise) -> None:
        super().__init__()
        self.shape, self.strength = neighbours.shape, neighbours.strength
        weight = (neighbours.weight * neighbours.others).detach()
        self.spare = -len(weight) % _BLOCK
        self.register_buffer("square", weight.square().sum((1, 2, 3)))
        self.register_buffer("weight", F.pad(weight, (0, 0, 0, 0, 0, 0, 0, self.spare)))

    def forward(self, noise: Tensor, seed: Tensor) -> Tensor:
        """Mix noise `(n, n_cells)` as `(n, inputs)` says."""
        volume = noise.reshape(-1, *self.shape)
        padded = F.pad(volume, (0, 0, 0, 0, 0, self.spare))
        around = F.conv2d(padded, self.weight, padding=1, groups=len(self.weight))[:, : self.shape[0]]
        strength = torch.exp(self.strength(seed).clamp(WEAKEST, STRONGEST))
        own = torch.rsqrt(1 + strength * strength * self.square)
        return (own[..., None, None] * (volume + strength[..., None, None] * around)).flatten(1)

"""A velocity of detectors of many cells: images, in which the layers are channels."""

from __future__ import annotations

__all__ = ["PlanesVelocity"]

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from caloforge.models.transport.velocity import ANGLES, waves

if TYPE_CHECKING:
    from caloforge.models.blocks.volume import Triple

_TOLD = 128  # features of what is not of single cells


class PlanesVelocity(nn.Module):
    """Two-dimensional convolutions with layers as channels (arXiv:2105.08960), at half of the resolution.

    What is not of single cells - common factors, the shower as a whole, the angle - scales and shifts the
    channels, and so does the place in the image, as showers have a core. At first nothing moves.

    Args:
        grid: Cells along x and y, and layers.
        factors: How many move, before the cells.
        seen: Numbers that the velocity depends on, besides the angle.
        width: Channels.
        blocks: Residual blocks.
    """

    def __init__(self, grid: Triple, factors: int, seen: int, width: int, blocks: int) -> None:
        super().__init__()
        *plane, layers = grid
        half = [(cells + 1) // 2 for cells in plane]
        self.parts, self.volume = [factors, layers * plane[0] * plane[1]], (layers, *plane)
        inputs = factors + seen + ANGLES
        self.told = nn.Sequential(nn.Linear(inputs, _TOLD), nn.SiLU(), nn.Linear(_TOLD, _TOLD), nn.SiLU())
        self.first = _Placed(layers, width, half, stride=2)
        self.blocks = nn.ModuleList(_Block(width, half) for _ in range(blocks))
        even = 1 - plane[0] % 2, 1 - plane[1] % 2
        self.last = nn.ConvTranspose2d(width, layers, 3, 2, padding=1, output_padding=even)
        self.means = nn.Parameter(torch.full((width, *half), 1 / (half[0] * half[1])))
        self.common = nn.Linear(_TOLD + width, factors)
        _begin_at_zero(self.last, self.common)

    def forward(self, place: Tensor, angle: Tensor, seen: Tensor) -> Tensor:
        """Return velocities, as `DenseVelocity` does."""
        factors, cells = torch.split(place, self.parts, dim=1)
        told = self.told(torch.cat([factors, seen, waves(angle)], dim=1))
        image = self.first(cells.reshape(-1, *self.volume), told)
        for block in self.blocks:
            image = block(image, told)
        image = F.silu(image)
        means = (image * self.means).sum((2, 3))
        return torch.cat([self.common(torch.cat([told, means], dim=1)), self.last(image).flatten(1)], dim=1)


class _Placed(nn.Module):
    """A convolution whose channels are scaled and shifted by what is told, and by the place in the image.

    Args:
        inputs: Channels.
        outputs: Channels.
        plane: Pixels along x and y of what comes out.
        stride: Of the convolution.
    """

    def __init__(self, inputs: int, outputs: int, plane: Sequence[int], stride: int = 1) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.scale = nn.Parameter(torch.ones(outputs, *plane))
        self.shift = nn.Parameter(torch.zeros(outputs, *plane))
        self.of_told = nn.Linear(_TOLD, 2 * outputs)
        _begin_at_zero(self.of_told)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        scale, shift = self.of_told(told)[:, :, None, None].chunk(2, dim=1)
        made: Tensor = self.convolution(x) * (self.scale + scale) + (self.shift + shift)
        return made


class _Block(nn.Module):
    """Adds two convolutions to what it sees; at first nothing."""

    def __init__(self, width: int, plane: Sequence[int]) -> None:
        super().__init__()
        self.first = _Placed(width, width, plane)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        _begin_at_zero(self.second)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        added: Tensor = self.second(F.silu(self.first(F.silu(x), told)))
        return x + added


def _begin_at_zero(*layers: nn.Linear | nn.Conv2d | nn.ConvTranspose2d) -> None:
    for layer in layers:
        nn.init.zeros_(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)

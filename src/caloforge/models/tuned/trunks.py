"""The networks inside the tuned generator and its critic: dense, two- or three-dimensional."""

from __future__ import annotations

__all__ = [
    "STRONGEST",
    "WEAKEST",
    "CriticTrunk",
    "DenseGenerator",
    "GeneratorTrunk",
    "NeighbourNoise",
    "critic_trunk",
    "generator_trunk",
]

from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from caloforge.errors import DetectorError
from caloforge.models.blocks.volume import Triple, channels_last, from_volume, volume_shape

if TYPE_CHECKING:
    from caloforge.detector import Detector
    from caloforge.models.settings import TunedSettings

WEAKEST, STRONGEST = -3.0, 1.0
"""Least and greatest logarithm of what the noise of neighbours is multiplied with."""

_SLOPE = 0.2
_LEAST_CELLS = 3  # torch 2.13 reads beyond images of 1 x 1 in bfloat16, which critics of fewer make
_VIEWS = 3  # of the cells that a critic sees
# Of the noise of neighbours, beside that of a cell, at first: tried on the hits of showers in CLIC, whose
# layers have no more in common than the factors of all cells say; trained, other layers brought less than 1 %
# of the variance.
_BESIDE, _ACROSS = 0.02, 0.002  # along a side, over a corner
_MAPS = 4  # of noise beside the channels of an image
_FINER = 2  # rows and columns of cells for one of the pixels that planes see


class GeneratorTrunk(nn.Module, ABC):
    """Says of each cell how its normal variable differs from that of the fit.

    Attributes:
        noise: Numbers of noise that it takes besides its input.
        neighbours: Mixes the noise of cells, where these lie on a grid.
        out: The last layer.
    """

    noise: int = 0
    neighbours: NeighbourNoise | None
    out: nn.Linear | nn.ConvTranspose2d | nn.Conv3d

    def forward(self, seed: Tensor, noise: Tensor) -> Tensor:
        """Map `(n, inputs)` and `(n, self.noise)` to what is added to cells' variables, `(n, n_cells)`."""
        return self.last(self.seen(seed, noise), self.out.bias)

    @abstractmethod
    def seen(self, seed: Tensor, noise: Tensor) -> Tensor:
        """Return what the last layer sees, the showers along the first axis."""

    @abstractmethod
    def last(self, seen: Tensor, bias: Tensor | None) -> Tensor:
        """Apply the last layer, `out`, with these constants or none: `(n, n_cells)`."""

    def mixed(self, noise: Tensor, seed: Tensor) -> Tensor:
        """Mix the noise of cells, `(n, n_cells)`, with that of their neighbours, as `(n, inputs)` says."""
        if self.neighbours is None:
            return noise
        mixed: Tensor = self.neighbours(noise, seed)
        return mixed


class CriticTrunk(nn.Module, ABC):
    """Sees the cells.

    Attributes:
        size: Length of what it says of a shower.
    """

    size: int

    @abstractmethod
    def forward(self, *views: Tensor) -> Tensor:
        """Map three views of the cells, `(n, n_cells)` each, to `(n, size)`."""


def generator_trunk(detector: Detector, settings: TunedSettings, inputs: int) -> GeneratorTrunk:
    """Return the network that a recipe names."""
    if settings.network == "dense":
        return DenseGenerator(detector.n_cells, settings.width, inputs)
    if settings.network == "volume":
        return _VolumeGenerator(_grid(detector, "volume"), settings.width, inputs)
    return _PlanesGenerator(_grid(detector, "planes"), settings.width, inputs)


def critic_trunk(detector: Detector, network: str, width: int) -> CriticTrunk:
    """Return the network that a recipe names."""
    if network == "dense":
        return _DenseCritic(detector.n_cells, width)
    return _PlanesCritic(_grid(detector, "planes"), width)


def _grid(detector: Detector, network: str) -> Triple:
    shape = volume_shape(detector, f"the {network} network")
    if max(shape[:2]) < _LEAST_CELLS:
        raise DetectorError(
            f"the {network} network needs at least {_LEAST_CELLS} cells along x or y",
            where=f"detector {detector.name}",
            got=" x ".join(map(str, shape[:2])),
            cure="take the dense network (--set model.network=dense)",
        )
    return shape


class DenseGenerator(GeneratorTrunk):
    """Four dense layers."""

    def __init__(self, cells: int, width: int, inputs: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(inputs, width),
            nn.LeakyReLU(_SLOPE),
            nn.Linear(width, width),
            nn.LeakyReLU(_SLOPE),
            nn.Linear(width, width),
            nn.LeakyReLU(_SLOPE),
        )
        self.out = nn.Linear(width, cells)
        self.neighbours = None
        _begin_small(self.out)

    def seen(self, seed: Tensor, noise: Tensor) -> Tensor:  # noqa: ARG002 - cells have theirs
        seen: Tensor = self.body(seed)
        return seen

    def last(self, seen: Tensor, bias: Tensor | None) -> Tensor:
        return F.linear(seen, self.out.weight, bias)


class _DenseCritic(CriticTrunk):
    def __init__(self, cells: int, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(_VIEWS * cells, width)
        self.second = nn.Linear(width, width)
        self.size = width

    def forward(self, *views: Tensor) -> Tensor:
        x = F.leaky_relu(self.first(torch.cat(views, dim=1)), _SLOPE)
        return F.leaky_relu(self.second(x), _SLOPE)


class _PlanesGenerator(GeneratorTrunk):
    """Two-dimensional convolutions: a layer of the detector is a channel, as in arXiv:2105.08960.

    They see images of half as many rows and columns as the detector has; the last one is transposed.
    """

    def __init__(self, grid: Triple, width: int, inputs: int) -> None:
        super().__init__()
        *plane, layers = grid
        self.grid, self.channels = tuple(plane), width
        self.start, self.pixels = _parts(plane, 5), _parts(plane, _FINER)
        self.noise = _MAPS * prod(self.pixels)
        self.first = nn.Linear(inputs, width * prod(self.start))
        self.coarse, self.fine = _conv(width, width), _conv(width, width)
        self.mix = _conv(width + _MAPS, width)
        # Even rows and columns have one more than the last pixel's middle.
        rows, columns = plane
        self.even = 1 - rows % _FINER, 1 - columns % _FINER
        self.out = nn.ConvTranspose2d(width, layers, 3, _FINER, padding=1, output_padding=self.even)
        _begin_small(self.out)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # unknown to its stub
        self.neighbours = NeighbourNoise(grid, inputs)

    def seen(self, seed: Tensor, noise: Tensor) -> Tensor:
        x = F.leaky_relu(self.first(seed), _SLOPE).reshape(-1, self.channels, *self.start)
        x = F.leaky_relu(self.coarse(x.contiguous(memory_format=torch.channels_last)), _SLOPE)
        maps = noise.reshape(-1, _MAPS, *self.pixels).to(x.dtype)
        x = F.leaky_relu(self.mix(torch.cat([F.interpolate(x, self.pixels), maps], dim=1)), _SLOPE)
        return F.leaky_relu(self.fine(x), _SLOPE)

    def last(self, seen: Tensor, bias: Tensor | None) -> Tensor:
        made = F.conv_transpose2d(seen, self.out.weight, bias, _FINER, padding=1, output_padding=self.even)
        return made.flatten(1)


class _VolumeGenerator(GeneratorTrunk):
    """The same in three dimensions, with half as many channels each time the volume gets finer."""

    def __init__(self, grid: Triple, width: int, inputs: int) -> None:
        super().__init__()
        self.grid, self.channels = grid, width
        self.start, self.between = _parts(grid, 5), _parts(grid, 2)
        self.noise = _MAPS * prod(self.between)
        self.first = nn.Linear(inputs, width * prod(self.start))
        half, quarter = max(width // 2, 2), max(width // 4, 2)
        self.coarse = nn.Conv3d(width, width, 3, padding=1)
        self.middle = nn.Conv3d(width + _MAPS, half, 3, padding=1)
        self.fine = nn.Conv3d(half, quarter, 3, padding=1)
        self.out = nn.Conv3d(quarter, 1, 3, padding=1)
        _begin_small(self.out)
        channels_last(self)
        self.neighbours = NeighbourNoise(grid, inputs)

    def seen(self, seed: Tensor, noise: Tensor) -> Tensor:
        x = F.leaky_relu(self.first(seed), _SLOPE).reshape(-1, self.channels, *self.start)
        x = F.leaky_relu(self.coarse(x.contiguous(memory_format=torch.channels_last_3d)), _SLOPE)
        maps = noise.reshape(-1, _MAPS, *self.between).to(x.dtype)
        x = F.leaky_relu(self.middle(torch.cat([F.interpolate(x, self.between), maps], dim=1)), _SLOPE)
        return F.leaky_relu(self.fine(F.interpolate(x, self.grid)), _SLOPE)

    def last(self, seen: Tensor, bias: Tensor | None) -> Tensor:
        return from_volume(F.conv3d(seen, self.out.weight, bias, padding=1), self.grid)


class NeighbourNoise(nn.Module):
    """Lets the noise of cells that are close in a layer go together, as hits do.

    How much is up to the shower. The spread stays 1 but at the border, where cells have fewer neighbours.

    Attributes:
        weight: `(n_layers, 1, 3, 3)` of the neighbours' noise; the middle does not count.
        strength: What it is multiplied with for a shower and a layer, as a logarithm.
    """

    others: Tensor

    def __init__(self, grid: Triple, inputs: int) -> None:
        super().__init__()
        x, y, layers = grid
        self.shape = layers, x, y
        side, corner = _BESIDE, _ACROSS
        kernel = torch.tensor([[corner, side, corner], [side, 0, side], [corner, side, corner]])
        self.weight = nn.Parameter(kernel.repeat(layers, 1, 1, 1))
        self.strength = nn.Linear(inputs, layers)
        nn.init.zeros_(self.strength.weight)
        nn.init.zeros_(self.strength.bias)
        self.register_buffer("others", (kernel != 0).float(), persistent=False)

    def forward(self, noise: Tensor, seed: Tensor) -> Tensor:
        """Mix noise `(n, n_cells)` as `(n, inputs)` says."""
        weight = self.weight * self.others
        volume = noise.reshape(-1, *self.shape)
        around = F.conv2d(volume, weight, padding=1, groups=len(weight)).to(noise.dtype)
        strength = torch.exp(self.strength(seed).to(noise.dtype).clamp(WEAKEST, STRONGEST))
        own = torch.rsqrt(1 + strength * strength * weight.square().sum((1, 2, 3)))
        return (own[..., None, None] * (volume + strength[..., None, None] * around)).flatten(1)


class _PlanesCritic(CriticTrunk):
    def __init__(self, grid: Triple, width: int) -> None:
        super().__init__()
        x, y, layers = grid
        self.grid = (x, y)
        self.first = _conv(_VIEWS * layers, width)
        self.second, self.third = _conv(width, width, stride=2), _conv(width, 2 * width, stride=2)
        self.size = 2 * width * ((x + 3) // 4) * ((y + 3) // 4)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # unknown to its stub

    def forward(self, *views: Tensor) -> Tensor:
        images = torch.cat(views, dim=1).reshape(len(views[0]), -1, *self.grid)
        x = F.leaky_relu(self.first(images.contiguous(memory_format=torch.channels_last)), _SLOPE)
        x = F.leaky_relu(self.third(F.leaky_relu(self.second(x), _SLOPE)), _SLOPE)
        return x.flatten(1)


def _parts(grid: Sequence[int], size: int) -> tuple[int, ...]:
    """Return how many parts of `size` cells each axis has."""
    return tuple(-(-cells // size) for cells in grid)


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1)


def _begin_small(*layers: nn.Linear | nn.ConvTranspose2d | nn.Conv3d) -> None:
    """Let the mean shower speak at first."""
    for layer in layers:
        nn.init.normal_(layer.weight, std=1e-2)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)

"""3DGAN for orthogonal incidence, arXiv:1912.06794 and svalleco/3Dgan: three-dimensional convolutions.

On the published 25 x 25 x 25 cells these are the published networks, layer for layer and in Keras' order, so
that published weights fit (`caloforge.models.published.keras`). Other grids change the sizes, not the layers.
"""

from __future__ import annotations

__all__ = ["Gan3dCritic", "Gan3dGenerator"]

from math import prod
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from caloforge.models.base import GEV, Critic, Generator
from caloforge.models.blocks.initialise import glorot_normal_
from caloforge.models.blocks.layers import SLOPE, BatchNorm, Dropout, same_padding
from caloforge.models.blocks.volume import (
    Step,
    channels_last,
    convolution,
    dense,
    features,
    from_volume,
    of_one_channel,
    smallest_start,
    to_volume,
    upsample,
    volume_shape,
)

if TYPE_CHECKING:
    from caloforge.detector import Detector
    from caloforge.models.settings import Gan3dSettings

ENERGY_SCALE = 100e3  # MeV: the networks see the incident energy in units of 100 GeV
_FIRST = (6, 6, 8)
_STEPS = (
    Step((6, 5, 8), pad=(2, 2, 0), repeat=(2, 2, 2)),
    Step((3, 3, 8), pad=(1, 0, 3), repeat=(2, 2, 3)),
    Step((2, 2, 2)),
)


class Gan3dGenerator(Generator):
    """A dense layer, then four convolutions on a volume that is doubled twice; a final ReLU empties cells.

    Args:
        detector: Its layers must share one cartesian grid.
        settings: The `model` part of a recipe.

    Raises:
        DetectorError: The layers do not fit.

    Example:
        >>> from caloforge.detector import load_detector
        >>> from caloforge.models.settings import Gan3dSettings
        >>> generator = Gan3dGenerator(load_detector("clic"), Gan3dSettings())
        >>> generator.start, sum(p.numel() for p in generator.parameters())
        ((7, 7, 8), 872808)
    """

    def __init__(self, detector: Detector, settings: Gan3dSettings) -> None:
        super().__init__(detector)
        self.shape = volume_shape(detector, "3DGAN")
        self.start = smallest_start(self.shape, _STEPS)
        self.noise_shape = (settings.latent,)
        self.unit = GEV / settings.scale  # MeV per unit of a cell
        second, third, last = _STEPS
        self.dense = dense(settings.latent, 8 * prod(self.start))
        self.conv1 = convolution((8, 64), _FIRST, he=True)
        self.norm1 = BatchNorm(64)
        self.conv2 = convolution((64, 6), second.kernel, second.pad, he=True)
        self.norm2 = BatchNorm(6)
        self.conv3 = convolution((6, 6), third.kernel, third.pad, he=True)
        self.conv4 = convolution((6, 1), last.kernel, bias=False)
        glorot_normal_(self.conv4.weight, 6 * prod(last.kernel), prod(last.kernel))
        channels_last(self)

    def forward(self, noise: Tensor, incident: Tensor) -> Tensor:
        x = self.dense(noise * (incident[:, :1] / ENERGY_SCALE))
        x = x.unflatten(1, (*self.start, 8)).permute(0, 4, 1, 2, 3)
        x = self.norm1(F.leaky_relu(self.conv1(F.pad(x, same_padding(_FIRST))), SLOPE))
        x = self.norm2(F.leaky_relu(self.conv2(upsample(x, _STEPS[0].repeat)), SLOPE))
        x = F.leaky_relu(self.conv3(upsample(x, _STEPS[1].repeat)), SLOPE)
        # From here on energies, which will be summed: three digits of bfloat16 would not do.
        return from_volume(F.relu(self.conv4(x).float()), self.shape) * self.unit


class Gan3dCritic(Critic):
    """Four convolutions, then two numbers: how real a shower is, and its incident energy.

    Args:
        detector: Its layers must share one cartesian grid, of at least 4 cells along each axis.
        settings: The `model` part of a recipe.

    Raises:
        DetectorError: The layers do not fit.
    """

    def __init__(self, detector: Detector, settings: Gan3dSettings) -> None:
        super().__init__(detector)
        self.shape = volume_shape(detector, "3DGAN's critic", least=4)
        self.unit = GEV / settings.scale
        kernel, two = (5, 5, 5), (2, 2, 2)
        self.drop = Dropout(settings.dropout)
        self.conv1 = convolution((1, 32), kernel, two)
        self.conv2 = convolution((32, 8), kernel, two)
        self.norm2 = BatchNorm(8)
        self.conv3 = convolution((8, 8), kernel, two)
        self.norm3 = BatchNorm(8)
        self.conv4 = convolution((8, 8), kernel, (1, 1, 1))
        self.norm4 = BatchNorm(8)
        size = 8 * prod((cells - 2) // 2 for cells in self.shape)
        self.decide = dense(size, 1)
        self.measure = dense(size, 1)
        channels_last(self)

    def forward(self, cells: Tensor, incident: Tensor) -> dict[str, Tensor]:  # noqa: ARG002 - it must guess
        x = to_volume(cells / self.unit, self.shape)
        x = self.drop(F.leaky_relu(of_one_channel(self.conv1, x), SLOPE))
        x = self.drop(self.norm2(F.leaky_relu(self.conv2(x), SLOPE)))
        x = self.drop(self.norm3(F.leaky_relu(self.conv3(x), SLOPE)))
        x = self.drop(self.norm4(F.leaky_relu(self.conv4(x), SLOPE)))
        flat = features(F.avg_pool3d(x, 2))
        with torch.autocast(cells.device.type, enabled=False):
            return {"logit": self.decide(flat).squeeze(1), "auxiliary": self.measure(flat).squeeze(1)}

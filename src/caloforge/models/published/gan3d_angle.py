"""3DGAN for any angle, EPJC 82:386 (arXiv:2109.07388): energies of cells to a power, angle as input.

On the published 51 x 51 x 25 cells these are the published networks, layer for layer and in Keras' order.

The publication has one angle, that to the image's y axis, 90 degrees for orthogonal incidence. Ours are theta
to +z and the azimuth phi, so that its angle is arccos(sin theta sin phi); what leans along x looks orthogonal
to these networks, as there was nothing like it in the published data.
"""

from __future__ import annotations

__all__ = ["Gan3dAngleCritic", "Gan3dAngleGenerator", "angle_to_y"]

import math
from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from caloforge.errors import DetectorError
from caloforge.models.base import GEV, Critic, Generator
from caloforge.models.blocks.initialise import glorot_normal_
from caloforge.models.blocks.layers import SLOPE, BatchNorm, Dropout, same_padding
from caloforge.models.blocks.volume import (
    Step,
    Triple,
    channels_last,
    convolution,
    dense,
    features,
    from_volume,
    grow,
    of_one_channel,
    smallest_start,
    to_volume,
    upsample,
    volume_shape,
)
from caloforge.models.published.measured import count_cells, image_angle

if TYPE_CHECKING:
    from caloforge.detector import Detector
    from caloforge.models.settings import Gan3dAngleSettings

ENERGY_SCALE = 100e3  # MeV: the networks see the incident energy in units of 100 GeV
CONDITIONS = ("energy", "theta", "phi")
_EPS = 1e-6
_NONE = 1e-9  # least energy of a cell, in the critic's unit, whose power has a gradient
_GENERATOR = (
    (8, Step((6, 6, 8), repeat=(6, 6, 6))),
    (6, Step((4, 4, 6), pad=(2, 2, 1))),
    (6, Step((4, 4, 6), pad=(2, 2, 1))),
    (6, Step((4, 4, 6), pad=(2, 2, 1))),
    (6, Step((3, 3, 5), pad=(1, 1, 0))),
    (6, Step((3, 3, 3), pad=(1, 1, 0))),
    (1, Step((2, 2, 2))),
)
_KERNEL = (5, 6, 6)
_CRITIC = (Step(_KERNEL, pad=(0, 0, 1)), Step(_KERNEL, pad=(0, 0, 1)), Step(_KERNEL))


def angle_to_y(incident: Tensor) -> Tensor:
    """Return the angle of the incident particle to the image's y axis, `(n,)` rad, from `CONDITIONS`."""
    return math.pi / 2 - (incident[:, 1].sin() * incident[:, 2].sin()).asin()


class Gan3dAngleGenerator(Generator):
    """A dense layer, six-fold repetition along each axis, and seven convolutions with ReLU.

    Args:
        detector: Its layers must share one cartesian grid.
        settings: The `model` part of a recipe.

    Raises:
        DetectorError: The layers do not fit.
    """

    conditions = CONDITIONS

    def __init__(self, detector: Detector, settings: Gan3dAngleSettings) -> None:
        super().__init__(detector)
        self.shape = volume_shape(detector, "3DGAN")
        steps = [step for _, step in _GENERATOR]
        self.start = smallest_start(self.shape, steps)
        # Energy and angle take the place of two of the latent numbers.
        self.noise_shape = (settings.latent - 2,)
        self.unit, self.power = GEV / settings.scale, settings.power
        self.dense = dense(settings.latent, 8 * prod(self.start))
        channels = pairwise([8, *(size for size, _ in _GENERATOR)])
        # The last two have no norm, and the last one another initialiser.
        blocks = [
            _Growth(pair, step, norm=step not in steps[-2:])
            for pair, step in zip(channels, steps, strict=True)
        ]
        last = blocks[-1].conv
        glorot_normal_(last.weight, last.in_channels * prod(last.kernel_size), prod(last.kernel_size))
        self.grow = nn.ModuleList(blocks)
        channels_last(self)

    def forward(self, noise: Tensor, incident: Tensor) -> Tensor:
        asked = torch.stack([incident[:, 0] / ENERGY_SCALE, angle_to_y(incident)], dim=1)
        x = self.dense(torch.cat([asked, noise], dim=1))
        x = x.unflatten(1, (*self.start, 8)).permute(0, 4, 1, 2, 3)
        for step in self.grow:
            x = step(x)
        # From here on energies, which will be summed: three digits of bfloat16 would not do.
        return from_volume(x.float().pow(1 / self.power), self.shape) * self.unit


class _Growth(nn.Module):
    """Repetition, convolution, ReLU, and the norm where there is one."""

    def __init__(self, channels: tuple[int, int], step: Step, norm: bool) -> None:
        super().__init__()
        self.repeat = step.repeat
        self.conv = convolution(channels, step.kernel, step.pad, he=True)
        self.norm = BatchNorm(channels[1], eps=_EPS) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        if max(self.repeat) > 1:
            x = upsample(x, self.repeat)
        y: Tensor = self.norm(F.relu(self.conv(x)))
        return y


class Gan3dAngleCritic(Critic):
    """Four convolutions, then two numbers that are learned and two readings that are measured.

    Args:
        detector: Its layers must share one cartesian grid, of at least 14 x 17 cells in 13 layers.
        settings: The `model` part of a recipe.

    Raises:
        DetectorError: The layers do not fit.
    """

    def __init__(self, detector: Detector, settings: Gan3dAngleSettings) -> None:
        super().__init__(detector)
        self.shape = volume_shape(detector, "3DGAN's critic")
        left = _left(detector, self.shape, _CRITIC)
        self.unit, self.power = GEV / settings.scale, settings.power
        self.drop = Dropout(settings.dropout)
        self.first = convolution((1, 16), _KERNEL)
        self.look = nn.ModuleList(
            _Look(pair, step) for pair, step in zip(pairwise([16, 8, 8, 8]), _CRITIC, strict=True)
        )
        size = 8 * prod(cells // 2 for cells in left)
        self.decide = dense(size, 1)
        self.measure = dense(size, 1)
        channels_last(self)

    def forward(self, cells: Tensor, incident: Tensor) -> dict[str, Tensor]:
        energies = to_volume(cells / self.unit, self.shape)
        # The power's derivative at 0 is infinite; an empty cell is to have none.
        powered = torch.where(energies > 0, energies.clamp_min(_NONE).pow(self.power), 0.0)
        x = F.pad(powered, same_padding(_KERNEL)).contiguous(memory_format=torch.channels_last_3d)
        x = self.drop(F.leaky_relu(of_one_channel(self.first, x), SLOPE))
        for look in self.look:
            x = self.drop(look(x))
        flat = features(F.avg_pool3d(x, 2))
        with torch.autocast(cells.device.type, enabled=False):
            return {
                "logit": self.decide(flat).squeeze(1),
                "auxiliary": self.measure(flat).squeeze(1),
                "angle": image_angle(energies.squeeze(1)) - angle_to_y(incident),
                "counts": count_cells(cells),
            }


class _Look(nn.Module):
    """Convolution, LeakyReLU and norm."""

    def __init__(self, channels: tuple[int, int], step: Step) -> None:
        super().__init__()
        self.conv = convolution(channels, step.kernel, step.pad)
        self.norm = BatchNorm(channels[1], eps=_EPS)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(F.leaky_relu(self.conv(x), SLOPE))
        return y


def _left(detector: Detector, shape: Triple, steps: Sequence[Step]) -> list[int]:
    """What the convolutions leave of each axis; the pooling after them needs 2."""
    left = [grow(size, steps, axis) for axis, size in enumerate(shape)]
    if min(left) < 2:
        raise DetectorError(
            "3DGAN's critic for any angle takes away too much of so few cells",
            where=f"detector {detector.name}",
            got=" x ".join(map(str, shape)),
            expected="at least 14 x 17 cells in 13 layers",
            cure="use finer cells or more layers, or take a recipe for any detector, calogan-tuned",
        )
    return left

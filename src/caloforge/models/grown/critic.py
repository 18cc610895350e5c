"""The critic of grown generators: strided convolutions in two or three dimensions."""

from __future__ import annotations

__all__ = ["GrownCritic"]

from math import prod
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from caloforge.models.grown.stages import activated, axes_of, channels_last, convolution
from caloforge.models.tuned.critic import ObservingCritic
from caloforge.models.tuned.trunks import CriticTrunk

if TYPE_CHECKING:
    from caloforge.detector import Detector
    from caloforge.models.settings import GrownSettings

_VIEWS = 3  # of the cells that an observing critic has


class GrownCritic(ObservingCritic):
    """`ObservingCritic`, whose network is a list of stages, too.

    Args:
        detector: As the generator's.
        settings: The `model` part of a recipe.

    Raises:
        DetectorError: The detector is another.
    """

    def __init__(self, detector: Detector, settings: GrownSettings) -> None:
        super().__init__(detector, settings, _Stages(detector, settings), settings.width)


class _Stages(CriticTrunk):
    def __init__(self, detector: Detector, settings: GrownSettings) -> None:
        super().__init__()
        self.settings = settings.critic
        channels, grid = axes_of(detector, settings.dimensions)
        self.seen = (_VIEWS * channels, *grid)
        widths = [self.seen[0], *(stage.filters for stage in settings.critic)]
        activations = [None, *(stage.activation for stage in settings.critic)]
        self.stages = nn.ModuleList(
            convolution((before, stage.filters), stage.kernel, settings.dimensions, after, stage.stride)
            for before, after, stage in zip(widths, activations, settings.critic, strict=False)
        )
        channels_last(self, settings.dimensions)
        for stage in settings.critic:
            grid = tuple(-(-size // stage.stride) for size in grid)
        self.size = widths[-1] * prod(grid)

    def forward(self, *views: Tensor) -> Tensor:
        x = torch.cat(views, dim=1).reshape(-1, *self.seen)
        for layer, stage in zip(self.stages, self.settings, strict=True):
            x = activated(layer(x), stage.activation)
        return x.flatten(1)

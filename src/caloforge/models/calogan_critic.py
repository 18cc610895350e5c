"""The discriminator of CaloGAN, arXiv:1705.02355 and 1712.10321."""

from __future__ import annotations

__all__ = ["CaloganCritic", "LayerFeatures"]

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from caloforge.models.base import GEV, Critic
from caloforge.models.calogan import layer_grids
from caloforge.models.grid import BatchNorm, LocallyConnected, SharedConv, zero_pad
from caloforge.models.initialise import glorot_uniform_
from caloforge.models.layers import SLOPE
from caloforge.models.minibatch import MinibatchFeatures

if TYPE_CHECKING:
    from caloforge.detector import Detector
    from caloforge.models.settings import CaloganSettings

Pair = tuple[int, int]


class LayerFeatures(nn.Module):
    """What the critic sees in one layer: features, sparsity, and how both compare with the batch.

    Args:
        shape: Rows and columns of the layer.

    Attributes:
        size: Number of features of one shower.
    """

    def __init__(self, shape: Pair) -> None:
        super().__init__()
        self.shared = SharedConv((1, 64), (2, 2))
        self.local = nn.ModuleList()
        for channels, kernel, stride in (
            ((64, 16), (3, 3), (1, 2)),
            ((16, 8), (2, 2), (1, 1)),
            ((8, 8), (2, 2), (1, 2)),
        ):
            layer = LocallyConnected((shape[0] + 2, shape[1] + 2), channels, kernel, stride)
            self.local.append(layer)
            shape = layer.shape
        self.norms = nn.ModuleList(BatchNorm(channels) for channels in (16, 8, 8))
        flat = shape[0] * shape[1] * 8
        self.compare_features = MinibatchFeatures(flat)
        self.compare_sparsity = MinibatchFeatures(1)
        self.size = flat + 10 + 1 + 10

    def forward(self, image: Tensor) -> Tensor:
        """Map `(batch, rows, columns)` in GeV to `(batch, size)`."""
        x = F.leaky_relu(self.shared(image.unsqueeze(-1)), SLOPE)
        for local, norm in zip(self.local, self.norms, strict=True):
            x = norm(F.leaky_relu(local(zero_pad(x, 1, 1)), SLOPE))
        flat = x.permute(2, 0, 1, 3).flatten(1).float()
        occupied = (image > 0).float().mean((1, 2)).unsqueeze(1)
        return torch.cat(
            [flat, self.compare_features(flat), occupied, self.compare_sparsity(occupied)], dim=1
        )


class CaloganCritic(Critic):
    """Tells Geant4's showers from generated ones, knowing what energy was asked for.

    Args:
        detector: Its layers must be cartesian.
        settings: The `model` part of a recipe.
    """

    def __init__(self, detector: Detector, settings: CaloganSettings) -> None:
        super().__init__(detector)
        layers = [LayerFeatures(shape) for shape in layer_grids(detector, settings.attention)]
        n = len(layers)
        self.layers = nn.ModuleList(layers)
        self.compare_energies = MinibatchFeatures(n)
        size = sum(layer.size for layer in layers) + n + 1 + 1 + 1 + 10
        self.decide = nn.Linear(size, 1)
        glorot_uniform_(self.decide.weight, size, 1)
        nn.init.zeros_(self.decide.bias)

    def forward(self, cells: Tensor, incident: Tensor) -> dict[str, Tensor]:
        images = [image / GEV for image in self.detector.split(cells)]
        energies = torch.stack([image.sum((1, 2)) for image in images], dim=1)
        total = energies.sum(1, keepdim=True)
        miss = (total - incident / GEV).abs()
        features = [layer(image) for layer, image in zip(self.layers, images, strict=True)]
        features += [
            energies / 10,
            total / 100,
            miss,
            10 * (miss > 5).float(),
            self.compare_energies(energies),
        ]
        with torch.autocast(cells.device.type, enabled=False):
            logit = self.decide(torch.cat(features, dim=1).float())
        return {"logit": logit.squeeze(1)}

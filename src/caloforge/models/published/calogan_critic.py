"""The discriminator of CaloGAN, arXiv:1705.02355 and 1712.10321."""

from __future__ import annotations

__all__ = ["CaloganCritic", "EnergyWell", "LayerFeatures"]

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from caloforge.models.base import GEV, Critic
from caloforge.models.blocks.conditions import Placement, incident_columns
from caloforge.models.blocks.grid import BatchNorm, LocallyConnected, SharedConv, zero_pad
from caloforge.models.blocks.initialise import glorot_uniform_
from caloforge.models.blocks.layers import SLOPE
from caloforge.models.blocks.minibatch import MinibatchFeatures
from caloforge.models.blocks.wasserstein import Rough
from caloforge.models.published.calogan import layer_grids

if TYPE_CHECKING:
    from caloforge.detector import Detector
    from caloforge.models.settings import CaloganSettings

Pair = tuple[int, int]


class _Occupancy(Rough):
    """Share of the cells of an image `(batch, rows, columns)` that were hit."""

    width = 1

    def forward(self, image: Tensor) -> Tensor:
        return (image > 0).float().mean((1, 2)).unsqueeze(1)


class _FarOff(Rough):
    """10 where the energy is more than 5 GeV from what was asked for, else 0."""

    width = 1

    def forward(self, miss: Tensor) -> Tensor:
        return 10 * (miss > 5).float()


class EnergyWell(nn.Module):
    """How far the energy is from what was asked for, and how the layers' energies compare with the batch.

    Args:
        layers: How many there are.

    Attributes:
        size: Number of features of one shower.
    """

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.far_off = _FarOff()
        self.compare_energies = MinibatchFeatures(layers)
        self.size = 1 + 1 + self.compare_energies.width

    def forward(self, energies: Tensor, asked: Tensor) -> Tensor:
        """Map layers' energies `(batch, layers)` and what was asked for `(batch, 1)`, GeV, to features."""
        miss = (energies.sum(1, keepdim=True) - asked).abs()
        return torch.cat([miss, self.far_off(miss), self.compare_energies(energies)], dim=1)


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
        self.occupancy = _Occupancy()
        self.compare_features = MinibatchFeatures(flat)
        self.compare_sparsity = MinibatchFeatures(1)
        self.size = flat + 10 + 1 + 10

    def forward(self, image: Tensor) -> Tensor:
        """Map `(batch, rows, columns)` in GeV to `(batch, size)`."""
        x = F.leaky_relu(self.shared(image.unsqueeze(-1)), SLOPE)
        for local, norm in zip(self.local, self.norms, strict=True):
            x = norm(F.leaky_relu(local(zero_pad(x, 1, 1)), SLOPE))
        flat = x.permute(2, 0, 1, 3).flatten(1).float()
        occupied = self.occupancy(image)
        return torch.cat(
            [flat, self.compare_features(flat), occupied, self.compare_sparsity(occupied)], dim=1
        )


class CaloganCritic(Critic):
    """Tells Geant4's showers from generated ones, knowing what energy was asked for.

    Where direction and impact point are given, it sees them too: beside its features, and as products with
    them, since only both together say whether a shower is where it should be. It is not told the particle,
    but tells the particles apart (ACGAN).

    Args:
        detector: Its layers must be cartesian.
        settings: The `model` part of a recipe.
    """

    def __init__(self, detector: Detector, settings: CaloganSettings) -> None:
        super().__init__(detector)
        layers = [LayerFeatures(shape) for shape in layer_grids(detector, settings.attention)]
        n = len(layers)
        self.layers = nn.ModuleList(layers)
        self.well = EnergyWell(n) if settings.energy_well else None
        size = sum(layer.size for layer in layers) + n + 1 + (self.well.size if self.well else 0)
        self.placement = Placement(detector, incident_columns(settings.given, settings.particles))
        self.decide = _dense(size + self.placement.width, 1)
        if self.placement.width:
            self.match = nn.Linear(self.placement.width, size, bias=False)
            nn.init.zeros_(self.match.weight)  # else thousands of products would shout at first
        if len(settings.particles) > 1:
            # The first particle is what the others are compared with: for two that is Keras' single sigmoid.
            self.tell = _dense(size + self.placement.width, len(settings.particles) - 1)
        self.particles = settings.particles

    def forward(self, cells: Tensor, incident: Tensor) -> dict[str, Tensor]:
        images = [image / GEV for image in self.detector.split(cells)]
        energies = torch.stack([image.sum((1, 2)) for image in images], dim=1)
        features = [layer(image) for layer, image in zip(self.layers, images, strict=True)]
        features += [energies / 10, energies.sum(1, keepdim=True) / 100]
        if self.well is not None:
            features.append(self.well(energies, incident[:, :1] / GEV))
        with torch.autocast(cells.device.type, enabled=False):
            return self._readings(torch.cat(features, dim=1).float(), incident)

    def _readings(self, seen: Tensor, incident: Tensor) -> dict[str, Tensor]:
        matched: Tensor | float = 0.0
        if self.placement.width:
            place = self.placement(incident)
            matched = (self.match(place) * seen).sum(1)
            seen = torch.cat([seen, place], dim=1)
        readings = {"logit": self.decide(seen).squeeze(1) + matched}
        if len(self.particles) > 1:
            readings["classes"] = F.pad(self.tell(seen), (1, 0))
        return readings


def _dense(inputs: int, outputs: int) -> nn.Linear:
    """A dense layer as Keras starts it."""
    dense = nn.Linear(inputs, outputs)
    glorot_uniform_(dense.weight, inputs, outputs)
    nn.init.zeros_(dense.bias)
    return dense

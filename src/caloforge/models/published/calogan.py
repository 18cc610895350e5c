"""The generator of CaloGAN, arXiv:1705.02355 and 1712.10321."""

from __future__ import annotations

__all__ = ["CaloganGenerator", "InPainting", "Stream", "layer_grids"]

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from caloforge.detector import CartesianGrid
from caloforge.errors import DetectorError
from caloforge.models.base import GEV, Generator
from caloforge.models.blocks.conditions import Particles, Placement, incident_columns
from caloforge.models.blocks.grid import BatchNorm, LocallyConnected, SharedConv, resize, zero_pad
from caloforge.models.blocks.initialise import glorot_normal_, glorot_uniform_, he_uniform_
from caloforge.models.blocks.layers import SLOPE

if TYPE_CHECKING:
    from caloforge.detector import Detector
    from caloforge.models.settings import CaloganSettings

Pair = tuple[int, int]
ENERGY_SCALE = 100e3  # MeV: the network sees the incident energy in units of 100 GeV


class Stream(nn.Module):
    """One LAGAN stream: the noise becomes an image of one readout layer.

    Args:
        latent: Length of the noise.
        shape: Rows and columns of the layer.
    """

    def __init__(self, latent: int, shape: Pair) -> None:
        super().__init__()
        self.shape = shape[0] + 2, shape[1] + 2
        self.dense = nn.Linear(latent, self.shape[0] * self.shape[1] * 36)
        glorot_uniform_(self.dense.weight, latent, self.dense.out_features)
        nn.init.zeros_(self.dense.bias)
        self.shared = SharedConv((36, 16), (2, 2))
        he_uniform_(self.shared.weight, self.shared.fans[0])
        self.norm = BatchNorm(16)
        self.local = LocallyConnected(self.shape, (16, 6), (2, 2))
        he_uniform_(self.local.weight, self.local.fans[0])
        self.out = LocallyConnected(self.local.shape, (6, 1), (2, 2), bias=False)
        glorot_normal_(self.out.weight, *self.out.fans)

    def forward(self, h: Tensor) -> Tensor:
        """Map `(batch, latent)` to `(rows, columns, batch, 1)`."""
        x = self.dense(h).unflatten(1, (*self.shape, 36))
        x = self.norm(F.leaky_relu(self.shared(x), SLOPE))
        image: Tensor = self.out(F.leaky_relu(self.local(x), SLOPE))
        return image


class InPainting(nn.Module):
    """Decides for each cell how much comes from its own stream and how much from the layer before.

    Its biases start so that nearly all comes from the layer's own stream.

    Args:
        shape: Rows and columns of the layer.
    """

    def __init__(self, shape: Pair) -> None:
        super().__init__()
        self.local = LocallyConnected((shape[0] + 2, shape[1] + 2), (2, 2), (3, 3))
        assert self.local.bias is not None
        with torch.no_grad():
            self.local.bias[..., -1] = -10

    def forward(self, primary: Tensor, carry: Tensor) -> Tensor:
        """Blend two images, each `(rows, columns, batch, 1)`, into one."""
        both = torch.cat([primary, carry], dim=-1)
        weights: Tensor = self.local(zero_pad(both, 1, 1)).softmax(-1)
        return (both * weights).sum(-1, keepdim=True)


class CaloganGenerator(Generator):
    """One stream for each layer, in-painting from front to back, and a final ReLU that makes empty cells.

    Noise and incident energy come in as their product; with several particles also times a learned vector of
    the particle's (ACGAN). Direction and impact point are put beside it.

    Args:
        detector: Its layers must be cartesian; with attention, the grids of successive layers must differ
            by whole factors.
        settings: The `model` part of a recipe.

    Raises:
        DetectorError: The layers do not fit.
        RecipeError: The particles cannot be told apart.

    Example:
        >>> from caloforge.detector import load_detector
        >>> from caloforge.models.settings import CaloganSettings
        >>> generator = CaloganGenerator(load_detector("calogan"), CaloganSettings())
        >>> sum(p.numel() for p in generator.parameters())
        29726280
    """

    def __init__(self, detector: Detector, settings: CaloganSettings) -> None:
        super().__init__(detector)
        shapes = layer_grids(detector, chained=settings.attention)
        self.noise_shape = (settings.latent,)
        self.conditions = incident_columns(settings.given, settings.particles)
        self.placement = Placement(detector, self.conditions)
        if "pdg" in self.conditions:
            self.particles = Particles(settings.particles)
            known = torch.empty(len(settings.particles), settings.latent)
            self.embedding = nn.Parameter(glorot_normal_(known, *known.shape))
        inputs = settings.latent + self.placement.width
        self.streams = nn.ModuleList(Stream(inputs, shape) for shape in shapes)
        painted = shapes[1:] if settings.attention else []
        self.in_painting = nn.ModuleList(InPainting(shape) for shape in painted)

    def forward(self, noise: Tensor, incident: Tensor) -> Tensor:
        h = noise * (incident[:, :1] / ENERGY_SCALE)
        if "pdg" in self.conditions:
            h = h * (self.particles(incident[:, -1]) @ self.embedding)
        if self.placement.width:
            h = torch.cat([h, self.placement(incident)], dim=1)
        images = [stream(h) for stream in self.streams]
        # Attention sums energies: three digits of bfloat16 would not do.
        with torch.autocast(noise.device.type, enabled=False):
            images = [image.float() for image in images]
            for i, blend in enumerate(self.in_painting, start=1):
                shape = images[i].shape[0], images[i].shape[1]
                images[i] = blend(images[i], resize(images[i - 1], shape))
            cells = torch.cat([image.flatten(0, 1).squeeze(-1) for image in images])
            return F.relu(cells.T) * GEV


def layer_grids(detector: Detector, chained: bool) -> list[Pair]:
    """Return rows and columns of each layer.

    Args:
        detector: Whose layers.
        chained: Also demand that each grid goes into the next one by whole factors.

    Raises:
        DetectorError: A layer is not cartesian, or a factor is not whole.
    """
    shapes: list[Pair] = []
    for layer in detector.layers:
        if not isinstance(layer.grid, CartesianGrid):
            raise DetectorError(
                "CaloGAN needs cartesian layers",
                where=f"detector {detector.name}, layer {layer.name}",
                got=f"a {layer.grid.kind} grid",
                cure="take a recipe for any detector, calogan-tuned",
            )
        shapes.append((layer.shape[0], layer.shape[1]))
    for before, after, layer in zip(shapes, shapes[1:], detector.layers[1:], strict=False):
        if chained and any(max(a, b) % min(a, b) for a, b in zip(before, after, strict=True)):
            raise DetectorError(
                "in-painting needs grids that differ from layer to layer by whole factors",
                where=f"detector {detector.name}, layer {layer.name}",
                got=f"{before[0]} x {before[1]} cells, then {after[0]} x {after[1]}",
                cure="train with --set model.attention=false, or take calogan-tuned, for any detector",
            )
    return shapes

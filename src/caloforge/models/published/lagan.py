"""LAGAN, arXiv:1701.05927: images of one layer, told apart by class. Made for jets, as good for showers."""

from __future__ import annotations

__all__ = ["LaganCritic", "LaganGenerator"]

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from caloforge.detector import CartesianGrid
from caloforge.errors import DetectorError
from caloforge.models.base import GEV, Critic, Generator
from caloforge.models.blocks.conditions import Particles, incident_columns
from caloforge.models.blocks.grid import BatchNorm, Dropout, LocallyConnected, SharedConv, zero_pad
from caloforge.models.blocks.image import Activated, Conv, UpConv, channels_last, store_channels_last
from caloforge.models.blocks.initialise import glorot_normal_, glorot_uniform_, he_uniform_
from caloforge.models.blocks.layers import SLOPE
from caloforge.models.blocks.minibatch import MinibatchFeatures

if TYPE_CHECKING:
    from caloforge.detector import Detector
    from caloforge.models.settings import LaganSettings

Pair = tuple[int, int]
ENERGY_SCALE = 100e3  # MeV: the network sees the incident energy in units of 100 GeV
_LEAST = 5  # cells along an axis, below which the critic's strides leave nothing


class _Local(nn.Module):
    """Noise becomes an image by layers that are connected locally: each place has weights of its own.

    Args:
        latent: Length of the noise.
        shape: Rows and columns of the image.
    """

    def __init__(self, latent: int, shape: Pair) -> None:
        super().__init__()
        self.seed, self.grown = _seed(shape), (shape[0] + 3, shape[1] + 3)
        self.dense = _dense(latent, 128 * self.seed[0] * self.seed[1])
        self.shared = SharedConv((128, 64), (5, 5))
        he_uniform_(self.shared.weight, self.shared.fans[0])
        self.norms = nn.ModuleList([BatchNorm(64), BatchNorm(6)])
        self.first = LocallyConnected((2 * self.seed[0] + 4, 2 * self.seed[1] + 4), (64, 6), (5, 5))
        self.second = LocallyConnected(self.grown, (6, 6), (3, 3))
        for layer in (self.first, self.second):
            he_uniform_(layer.weight, layer.fans[0])
        self.out = LocallyConnected(self.second.shape, (6, 1), (2, 2), bias=False)
        glorot_normal_(self.out.weight, *self.out.fans)

    def forward(self, h: Tensor) -> Tensor:
        """Map `(n, latent)` to cells `(n, rows * columns)`, which may be negative."""
        x = self.shared(self.dense(h).reshape(-1, *self.seed, 128))
        x = _twice(self.norms[0](F.leaky_relu(x, SLOPE)))
        x = F.leaky_relu(self.first(zero_pad(x, 2, 2)), SLOPE)
        x = _twice(self.norms[1](x))[: self.grown[0], : self.grown[1]]
        cells: Tensor = self.out(F.leaky_relu(self.second(x), SLOPE))
        return cells.flatten(0, 1).squeeze(-1).T


class _Convolutional(nn.Module):
    """Noise becomes an image by transposed convolutions, as in DCGAN; arguments and result as `_Local`."""

    def __init__(self, latent: int, shape: Pair) -> None:
        super().__init__()
        self.seed, self.grown = _seed(shape), (shape[0] + 3, shape[1] + 3)
        self.dense = _dense(latent, 128 * self.seed[0] * self.seed[1])
        self.grow = nn.Sequential(
            Activated(UpConv((128, 64), 5, 2, he=True), 64), Activated(UpConv((64, 32), 5, 2, he=True), 32)
        )
        self.shape = nn.Sequential(
            Activated(Conv((32, 8), 3, same=False, bias=True), 8, norm=False),
            Conv((8, 1), 2, same=False, bias=True),
        )
        store_channels_last(self)

    def forward(self, h: Tensor) -> Tensor:
        x = self.grow(self.dense(h).reshape(-1, *self.seed, 128).permute(0, 3, 1, 2))
        cells: Tensor = self.shape(x[:, :, : self.grown[0], : self.grown[1]])
        return cells.flatten(1)


class _FullyConnected(nn.Sequential):
    """Noise becomes an image by dense layers; arguments and result as `_Local`."""

    def __init__(self, latent: int, shape: Pair) -> None:
        n = shape[0] * shape[1]
        leaky = nn.LeakyReLU(SLOPE)
        super().__init__(
            _dense(latent, 256), leaky, _dense(256, 512), leaky, _dense(512, n), leaky, _dense(n, n)
        )


_STREAMS = {
    "lagan": (_Local,),
    "dcgan": (_Convolutional,),
    "fcn": (_FullyConnected,),
    "hybrid": (_FullyConnected, _Convolutional),
}


class LaganGenerator(Generator):
    """Makes images of one layer; a final ReLU leaves cells empty.

    Noise and incident energy come in as their product, and with several particles also times a learned vector
    of the particle's. The publication has no energy there, as all its jets have about the same; a calorimeter
    needs it.

    Args:
        detector: One cartesian layer.
        settings: The `model` part of a recipe.

    Raises:
        DetectorError: There are more layers, or they are too small or not cartesian.
        RecipeError: The particles cannot be told apart.

    Example:
        >>> from caloforge.detector import load_detector
        >>> from caloforge.models.settings import LaganSettings
        >>> generator = LaganGenerator(load_detector("jet-image"), LaganSettings(particles=(21, 24)))
        >>> generator.conditions, sum(p.numel() for p in generator.parameters())
        (('energy', 'pdg'), 3586932)
    """

    def __init__(self, detector: Detector, settings: LaganSettings) -> None:
        super().__init__(detector)
        shape = _only_layer(detector)
        self.scale, self.noise_shape = settings.scale, (settings.latent,)
        self.conditions = incident_columns((), settings.particles)
        if "pdg" in self.conditions:
            self.particles = Particles(settings.particles)
            known = torch.empty(len(settings.particles), settings.latent)
            self.embedding = nn.Parameter(glorot_normal_(known, *known.shape))
        self.streams = nn.ModuleList(stream(settings.latent, shape) for stream in _STREAMS[settings.form])

    def forward(self, noise: Tensor, incident: Tensor) -> Tensor:
        h = noise * (incident[:, :1] / ENERGY_SCALE)
        if "pdg" in self.conditions:
            h = h * (self.particles(incident[:, -1]) @ self.embedding)
        images = [F.relu(stream(h).float()) for stream in self.streams]
        return torch.stack(images).mean(0) * (GEV / self.scale)


class _LocalEyes(nn.Module):
    """What a critic sees with locally connected layers.

    Args:
        shape: Rows and columns of the image.
        dropout: Share of features left out at each step.

    Attributes:
        size: Number of features of one image.
    """

    def __init__(self, shape: Pair, dropout: float) -> None:
        super().__init__()
        self.shared = SharedConv((1, 32), (5, 5))
        self.local = nn.ModuleList()
        self.pads = (2, 2, 1)
        for pad, channels, kernel, stride in zip(self.pads, (32, 8, 8), (5, 5, 3), (2, 1, 2), strict=True):
            padded = shape[0] + 2 * pad, shape[1] + 2 * pad
            layer = LocallyConnected(padded, (channels, 8), (kernel, kernel), (stride, stride))
            self.local.append(layer)
            shape = layer.shape
        self.norms = nn.ModuleList(BatchNorm(8) for _ in self.pads)
        self.dropout = Dropout(dropout)
        self.size = (shape[0] // 2) * (shape[1] // 2) * 8

    def forward(self, image: Tensor) -> Tensor:
        """Map `(n, rows, columns)` to `(n, size)`."""
        x: Tensor = self.dropout(F.leaky_relu(self.shared(image.unsqueeze(-1)), SLOPE))
        for layer, norm, pad in zip(self.local, self.norms, self.pads, strict=True):
            x = self.dropout(norm(F.leaky_relu(layer(zero_pad(x, pad, pad)), SLOPE)))
        rows, columns = x.shape[0] // 2, x.shape[1] // 2
        pairs = x[: 2 * rows, : 2 * columns].reshape(rows, 2, columns, 2, *x.shape[2:])
        return pairs.mean((1, 3)).permute(2, 0, 1, 3).flatten(1)


class _ConvolutionalEyes(nn.Module):
    """What a critic sees with convolutions; arguments and result as `_LocalEyes`."""

    def __init__(self, shape: Pair, dropout: float) -> None:
        super().__init__()
        self.seen = nn.Sequential(
            Activated(Conv((1, 32), 5, bias=True, he=False), 32, dropout, norm=False),
            Activated(Conv((32, 64), 5, stride=2, bias=True, he=False), 64, dropout),
            Activated(Conv((64, 128), 5, bias=True, he=False), 128, dropout),
            Activated(Conv((128, 256), 3, same=False, stride=2, bias=True, he=False), 256, dropout),
        )
        rows, columns = (((size + 1) // 2 - 3) // 2 + 1 for size in shape)
        self.pool = nn.AvgPool2d((min(rows, 2), min(columns, 2)))
        self.size = 256 * max(rows // 2, 1) * max(columns // 2, 1)
        store_channels_last(self)

    def forward(self, image: Tensor) -> Tensor:
        features: Tensor = self.pool(self.seen(channels_last(image.unsqueeze(1))))
        return features.flatten(1)


class _DenseEyes(nn.Sequential):
    """What a critic sees with dense layers; arguments and result as `_LocalEyes`."""

    def __init__(self, shape: Pair, dropout: float) -> None:
        sizes = (shape[0] * shape[1], 1024, 512, 128)
        super().__init__(
            nn.Flatten(),
            *(Activated(_dense(a, b), b, dropout, norm=False) for a, b in pairwise(sizes)),
        )
        self.size = sizes[-1]


_EYES: dict[str, tuple[type[_LocalEyes | _ConvolutionalEyes | _DenseEyes], ...]] = {
    "lagan": (_LocalEyes,),
    "dcgan": (_ConvolutionalEyes,),
    "fcn": (_DenseEyes,),
    "hybrid": (_DenseEyes, _ConvolutionalEyes),
}


class LaganCritic(Critic):
    """Tells real images from generated ones, comparing those of a batch, and the classes apart.

    Args:
        detector: One cartesian layer.
        settings: The `model` part of a recipe.

    Raises:
        DetectorError: There are more layers, or they are too small or not cartesian.
    """

    def __init__(self, detector: Detector, settings: LaganSettings) -> None:
        super().__init__(detector)
        self.shape, self.unit = _only_layer(detector), GEV / settings.scale
        eyes = [kind(self.shape, settings.dropout) for kind in _EYES[settings.form]]
        self.eyes, seen = nn.ModuleList(eyes), sum(kind.size for kind in eyes)
        self.compare = MinibatchFeatures(seen, features=20, dimensions=10, squash=False)
        self.decide = _dense(seen + 20, 1)
        if len(settings.particles) > 1:
            # The first class is what the others are compared with: for two that is Keras' single sigmoid.
            self.tell = _dense(seen + 20, len(settings.particles) - 1)
        self.classes = len(settings.particles) > 1

    def forward(self, cells: Tensor, incident: Tensor) -> dict[str, Tensor]:  # noqa: ARG002
        image = cells.reshape(-1, *self.shape) / self.unit
        seen = torch.cat([eyes(image).float() for eyes in self.eyes], dim=1)
        with torch.autocast(cells.device.type, enabled=False):
            features = torch.cat([self.compare(seen), seen], dim=1)
            readings = {"logit": self.decide(features).squeeze(1)}
            if self.classes:
                readings["classes"] = F.pad(self.tell(features), (1, 0))
        return readings


def _only_layer(detector: Detector) -> Pair:
    """Rows and columns of the only layer of a detector."""
    layer = detector.layers[0]
    if len(detector.layers) != 1 or not isinstance(layer.grid, CartesianGrid) or min(layer.shape) < _LEAST:
        raise DetectorError(
            "LAGAN makes images of one cartesian layer",
            where=f"detector {detector.name}",
            got=f"{len(detector.layers)} layers, the first of {layer.shape} cells",
            expected=f"one cartesian layer of at least {_LEAST} x {_LEAST} cells",
            cure="take calogan, with one such network for each layer, or calogan-tuned, for any detector",
        )
    return layer.shape[0], layer.shape[1]


def _seed(shape: Pair) -> Pair:
    """Rows and columns that, four times as many, suffice for an image: 7 x 7 for 25 x 25."""
    return -(-(shape[0] + 3) // 4), -(-(shape[1] + 3) // 4)


def _twice(x: Tensor) -> Tensor:
    """Repeat rows and columns of `(rows, columns, batch, channels)`: Keras' UpSampling2D."""
    return x.repeat_interleave(2, dim=0).repeat_interleave(2, dim=1)


def _dense(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    glorot_uniform_(layer.weight, inputs, outputs)
    nn.init.zeros_(layer.bias)
    return layer

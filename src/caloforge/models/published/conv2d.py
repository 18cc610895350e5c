"""The two-dimensional 3DGAN, arXiv:2105.08960: one axis of the shower is the channels of an image.

Permuted axes let two-dimensional convolutions see the shower from all three sides. The axes are called
(depth, x, y) here: channels, rows and columns of an image whose pixels lie side by side in memory.
"""

from __future__ import annotations

__all__ = ["Branches", "Conv2dCritic", "Conv2dGenerator", "Cube", "Planes", "Residual", "turned"]

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from caloforge.detector import CartesianGrid
from caloforge.detector.summary import cell_count
from caloforge.errors import DetectorError
from caloforge.models.base import GEV, Critic, Generator
from caloforge.models.blocks.image import Activated, Conv, UpConv, channels_last, store_channels_last
from caloforge.models.blocks.initialise import glorot_uniform_
from caloforge.models.blocks.layers import SLOPE, BatchNorm

if TYPE_CHECKING:
    from caloforge.detector import Detector
    from caloforge.models.settings import Conv2dSettings

ENERGY_SCALE = 100e3  # MeV: the networks see the incident energy in units of 100 GeV
_SEED_MIN = 4  # below a cube of 19 cells the critic's convolutions would leave nothing


def turned(x: Tensor, times: int) -> Tensor:
    """Turn the three axes of `(n, depth, x, y)` round: once, (y, depth, x); twice, (x, y, depth).

    In the published code, whose channels are last, they are `Permute(3, 1, 2)` and `Permute(2, 3, 1)`.
    """
    order = [(0, 1, 2, 3), (0, 3, 1, 2), (0, 2, 3, 1)][times % 3]
    return channels_last(x.permute(order))


class Cube:
    """The cube that the networks work on, and where the cells of a detector lie in it.

    The generators make cubes of 6 s - 5 cells a side from seeds of s: 25 of 5, as published. Other
    detectors get the smallest that holds them, at least 19; cells are in the middle of x and y and at the
    front of the depth.

    Args:
        detector: Equal cartesian layers.

    Attributes:
        seed: Cells a side of what the noise becomes first.
        side: Cells a side.

    Raises:
        DetectorError: The layers differ, or are not cartesian.
    """

    def __init__(self, detector: Detector) -> None:
        shapes = {layer.shape for layer in detector.layers}
        cartesian = all(isinstance(layer.grid, CartesianGrid) for layer in detector.layers)
        if len(shapes) > 1 or not cartesian:
            raise DetectorError(
                "conv2d sees the layers as channels of one image",
                where=f"detector {detector.name}",
                got=", ".join(dict.fromkeys(cell_count(layer.grid) for layer in detector.layers)),
                expected="cartesian layers with the same numbers of cells",
                cure="take a recipe for any detector, calogan-tuned, "
                "or calogan for cartesian layers that differ",
            )
        (nx, ny), nz = detector.layers[0].shape, len(detector.layers)
        self.shape = nz, nx, ny
        self.seed = max(_SEED_MIN, -(-(max(self.shape) + 5) // 6))
        self.side = 6 * self.seed - 5
        self._first = 0, (self.side - nx) // 2, (self.side - ny) // 2

    def fill(self, cells: Tensor) -> Tensor:
        """Put cells `(n, n_cells)` into cubes `(n, depth, x, y)`, with empty cells around them."""
        pads = [
            (first, self.side - first - size) for first, size in zip(self._first, self.shape, strict=True)
        ]
        around = [pad for pair in reversed(pads) for pad in pair]
        image = cells.reshape(-1, *self.shape)
        return channels_last(F.pad(image, around) if any(around) else image)

    def cut(self, image: Tensor) -> Tensor:
        """Take the cells `(n, n_cells)` out of cubes."""
        (z, x, y), (nz, nx, ny) = self._first, self.shape
        return image[:, z : z + nz, x : x + nx, y : y + ny].flatten(1)


def _block(channels: tuple[int, int], kernel: int, dropout: float, same: bool = True) -> Activated:
    return Activated(Conv(channels, kernel, same), channels[1], dropout)


def _first_block(channels: tuple[int, int], kernel: int, dropout: float) -> Activated:
    """The one whose weights start as Keras does where nothing is said."""
    return Activated(Conv(channels, kernel, he=False), channels[1], dropout)


class Branches(nn.Module):
    """Three equal branches see the seed along its three axes; what they make is turned back and joined.

    Args:
        cube: Sizes.
        dropout: Share of features left out at each step.
    """

    def __init__(self, cube: Cube, dropout: float) -> None:
        super().__init__()
        seed, side = cube.seed, cube.side
        self.branches = nn.ModuleList(
            nn.Sequential(
                _first_block((seed, 32), 5, dropout),
                UpConv((32, 64), 5, 3),
                _block((64, 64), 5, dropout),
                UpConv((64, 64), 5, 2),
                _block((64, 64), 8, dropout),
                _block((64, 64), 5, dropout, same=False),
                _block((64, 32), 4, dropout),
                _block((32, 32), 3, dropout),
                _block((32, side), 2, dropout, same=False),
            )
            for _ in range(3)
        )
        self.channels = 3 * side

    def forward(self, x: Tensor) -> Tensor:
        """Map seeds `(n, s, s, s)` to `(n, channels, side, side)`."""
        return torch.cat([turned(branch(turned(x, i)), -i) for i, branch in enumerate(self.branches)], dim=1)


class Residual(nn.Module):
    """One branch, then three stacks with the axes turned in between, joined by sums.

    The sums add images whose axes are turned against each other, as published.

    Args:
        cube: Sizes.
        dropout: Share of features left out at each step.
    """

    def __init__(self, cube: Cube, dropout: float) -> None:
        super().__init__()
        seed, side = cube.seed, cube.side
        self.grow = nn.Sequential(
            _first_block((seed, 32), 5, dropout),
            UpConv((32, 64), 5, 3),
            _block((64, 64), 5, dropout),
            UpConv((64, 64), 5, 2),
            _block((64, 64), 6, dropout, same=False),
        )
        self.stacks = nn.ModuleList(
            nn.Sequential(
                _block((channels, 64), 9, dropout),
                _block((64, 64), 7, dropout),
                _block((64, 64), 5, dropout),
                _block((64, 64), 5, dropout),
                _block((64, 32), 4, dropout),
                _block((32, side), 4, dropout),
            )
            for channels in (64, side, side)
        )
        self.join = _block((side, side), 4, dropout)
        self.channels = side

    def forward(self, x: Tensor) -> Tensor:
        """Map seeds `(n, s, s, s)` to `(n, channels, side, side)`."""
        first = self.stacks[0](self.grow(x))
        second = self.stacks[1](turned(first, 1))
        third = self.stacks[2](turned(first + second, 2))
        joined: Tensor = self.join(first + second + third)
        return joined


class Planes(nn.Module):
    """A small branch for each plane of the shower.

    Args:
        cube: Sizes.
        dropout: Share of features left out at each step.
    """

    def __init__(self, cube: Cube, dropout: float) -> None:
        super().__init__()
        seed, side = cube.seed, cube.side
        self.planes = nn.ModuleList(
            nn.Sequential(
                UpConv((seed, 32), 5, 3),
                _block((32, 32), 4, dropout),
                UpConv((32, 32), 5, 2),
                _block((32, 32), 5, dropout, same=False),
                _block((32, 32), 3, dropout),
                _block((32, 16), 2, dropout, same=False),
                Activated(Conv((16, 1), 1, bias=True), 1, dropout),
            )
            for _ in range(side)
        )
        self.join = _block((side, side), 5, dropout)
        self.channels = side

    def forward(self, x: Tensor) -> Tensor:
        """Map seeds `(n, s, s, s)` to `(n, channels, side, side)`."""
        joined: Tensor = self.join(channels_last(torch.cat([plane(x) for plane in self.planes], dim=1)))
        return joined


_FORMS: dict[str, type[Branches | Residual | Planes]] = {
    "branches": Branches,
    "residual": Residual,
    "planes": Planes,
}


class Conv2dGenerator(Generator):
    """Makes showers with two-dimensional convolutions alone; its energies are GeV, unscaled.

    In the first epochs of a training, energies may be negative, which lets gradients through where there
    are no cells yet. That lasts as long as the epochs: a generator that is built or loaded never makes
    negative energies.

    Args:
        detector: Equal cartesian layers.
        settings: The `model` part of a recipe.

    Raises:
        DetectorError: The layers do not fit.

    Example:
        >>> from caloforge.detector import load_detector
        >>> from caloforge.models.settings import Conv2dSettings
        >>> generator = Conv2dGenerator(load_detector("clic"), Conv2dSettings(form="residual"))
        >>> sum(p.numel() for p in generator.parameters())
        2394774
    """

    def __init__(self, detector: Detector, settings: Conv2dSettings) -> None:
        super().__init__(detector)
        self.noise_shape = (settings.latent,)
        self.linear_epochs, self.linear = settings.linear_epochs, False
        self.cube = Cube(detector)
        self.dense = _dense(settings.latent, self.cube.seed**3)
        form = _FORMS[settings.form](self.cube, settings.dropout)
        self.form, self.out = form, Conv((form.channels, self.cube.side), 3)
        store_channels_last(self)

    def begin_epoch(self, epoch: int) -> None:
        self.linear = epoch < self.linear_epochs

    def forward(self, noise: Tensor, incident: Tensor) -> Tensor:
        h = self.dense(noise * (incident[:, :1] / ENERGY_SCALE))
        s = self.cube.seed
        # Channels are the last axis of the published seed, so that nothing has to be moved.
        image = self.form(h.unflatten(1, (s, s, s)).permute(0, 3, 1, 2))
        # Energies deserve more than the three digits of bfloat16, and the last step is cheap.
        with torch.autocast(noise.device.type, enabled=False):
            cells = self.cube.cut(self.out(image.float()))
            return (cells if self.linear else F.relu(cells)) * GEV


class Conv2dCritic(Critic):
    """Sees the shower along its three axes, and estimates the incident energy too.

    Args:
        detector: Equal cartesian layers.
        settings: The `model` part of a recipe; for the residual generator the critic has three convolutions
            more in each path.

    Raises:
        DetectorError: The layers do not fit.
    """

    def __init__(self, detector: Detector, settings: Conv2dSettings) -> None:
        super().__init__(detector)
        self.cube = Cube(detector)
        side, dropout = self.cube.side, settings.dropout
        left = side - 16  # cells a side that the convolutions without padding leave
        more = [(32, 6), (32, 4), (32, 3)] if settings.form == "residual" else []
        self.paths = nn.ModuleList(
            nn.Sequential(
                _first_block((side, 64), 8, dropout),
                _block((64, 32), 6, dropout, same=False),
                _block((32, 32), 5, dropout, same=False),
                _block((32, 32), 4, dropout, same=False),
                *(_block((32, channels), kernel, dropout) for channels, kernel in more),
                _block((32, 32), 3, dropout, same=False),
                _block((32, left), 3, dropout, same=False),
            )
            for _ in range(3)
        )
        self.dense = _dense(3 * left**3, 10)
        self.norm = BatchNorm(10)
        self.decide = _dense(10, 1)
        self.measure = _dense(10, 1)
        store_channels_last(self)

    def forward(self, cells: Tensor, incident: Tensor) -> dict[str, Tensor]:  # noqa: ARG002
        image = self.cube.fill(cells / GEV)
        seen = [turned(path(turned(image, i)), -i) for i, path in enumerate(self.paths)]
        with torch.autocast(cells.device.type, enabled=False):
            flat = torch.cat(seen, dim=1).permute(0, 2, 3, 1).flatten(1).float()
            x = self.norm(F.leaky_relu(self.dense(flat), SLOPE))
            return {"logit": self.decide(x).squeeze(1), "auxiliary": self.measure(x).squeeze(1)}


def _dense(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    glorot_uniform_(layer.weight, inputs, outputs)
    nn.init.zeros_(layer.bias)
    return layer

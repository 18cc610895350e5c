"""The networks: fully connected, and residual convolutions on whatever grid a detector has."""

from __future__ import annotations

__all__ = ["Convolutional", "dense"]

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from caloforge.detector import Detector, Grid, NearestGrid, PolarGrid

_COORDINATES = 3
_FINEST = 8  # pixels a row of polygons


def dense(inputs: int, width: int, hidden: int, outputs: int = 1) -> nn.Sequential:
    """Return a network of `hidden` layers of `width` LeakyReLU nodes.

    Args:
        inputs: Numbers per shower.
        width: Nodes of a hidden layer.
        hidden: Hidden layers.
        outputs: Numbers that it says of a shower.
    """
    sizes = [inputs, *[width] * hidden]
    layers = [part for a, b in pairwise(sizes) for part in (nn.Linear(a, b), nn.LeakyReLU())]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], outputs))


class Convolutional(nn.Module):
    """A residual network that sees a shower as images.

    As the challenge's ResNet (arXiv 2410.21611): residual blocks on a grid that is halved from stage to
    stage, then a mean over the grid. If all layers share one grid, it is three-dimensional; else each layer
    has a two-dimensional network of its own, and the last two dense layers see them all. Along the angle of
    rings the image goes on at its other end. The position of each cell enters as further channels,
    because the mean over the grid forgets where a shower is.

    Args:
        detector: Whose showers it sees.
        inputs: Numbers per shower: the cells, then what enters the last layer as it is.
        channels: Channels of each stage.
        blocks: Residual blocks of each stage.
    """

    def __init__(self, detector: Detector, inputs: int, channels: Sequence[int], blocks: int) -> None:
        super().__init__()
        self.detector = detector
        grids = {layer.grid for layer in detector.layers}
        self.shared = len(grids) == 1 and len(detector.layers) > 1
        self.grids = [layer.grid for layer in (detector.layers[:1] if self.shared else detector.layers)]
        self.rasters = [_raster(grid) for grid in self.grids]
        sizes = [tuple(raster.shape) for raster in self.rasters]
        shapes = [(len(detector.layers), *sizes[0])] if self.shared else sizes
        rings = [isinstance(layer.grid, PolarGrid) for layer in detector.layers]
        self.towers = nn.ModuleList(
            _tower(shape, ring, channels, blocks) for shape, ring in zip(shapes, rings, strict=False)
        )
        positions = detector.positions / np.abs(detector.positions).max(axis=0).clip(1e-9)
        self.positions: Tensor
        self.register_buffer("positions", torch.tensor(positions.T, dtype=torch.float32), persistent=False)
        extra = inputs - detector.n_cells
        self.extra = nn.BatchNorm1d(extra)
        self.last = nn.Sequential(
            nn.Linear(len(shapes) * channels[-1] + extra, 64), nn.LeakyReLU(), nn.Linear(64, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map inputs `(batch, inputs)` to logits `(batch, 1)`."""
        cells, extra = x[:, : self.detector.n_cells], x[:, self.detector.n_cells :]
        features = [tower(image) for tower, image in zip(self.towers, self._images(cells), strict=True)]
        return self.last(torch.cat([*features, self.extra(extra)], dim=1))  # type: ignore[no-any-return]

    def _images(self, cells: Tensor) -> list[Tensor]:
        """Cells and positions as `(batch, 4, *grid)`."""
        places = self.positions.expand(len(cells), -1, -1)
        full = torch.cat([cells[:, None], places], dim=1)
        if self.shared:
            layers = full.reshape(*full.shape[:2], len(self.detector.layers), -1)
            return [_drawn(layers, self.grids[0], self.rasters[0])]
        parts = (full[:, :, layer.cells] for layer in self.detector.layers)
        return [_drawn(*given) for given in zip(parts, self.grids, self.rasters, strict=True)]


def _raster(grid: Grid) -> Tensor:
    """Number of the cell at each pixel, one beyond the last where there is none, shape `(a, b)`.

    Pixels are the cells, or, of polygons, their rows and columns, cut as finely as it takes that none is left
    out; into eight at most, so polygons much smaller than the others may be.
    """
    if not isinstance(grid, NearestGrid):
        return torch.arange(grid.n_cells).reshape(grid.shape)
    edges = [grid.bins(axis)[0] for axis in (0, 1)]
    for fine in range(1, _FINEST + 1):
        x, y = (np.interp((np.arange((len(e) - 1) * fine) + 0.5) / fine, np.arange(len(e)), e) for e in edges)
        cell = grid.index(*np.meshgrid(x, y, indexing="ij"))
        if len(np.unique(cell[cell >= 0])) == grid.n_cells:
            break
    return torch.tensor(np.where(cell < 0, grid.n_cells, cell))


def _drawn(cells: Tensor, grid: Grid, raster: Tensor) -> Tensor:
    """Images `(..., a, b)` of cells `(..., n_cells)`, 0 where there is no cell."""
    if not isinstance(grid, NearestGrid):
        return cells.reshape(*cells.shape[:-1], *grid.shape)
    return F.pad(cells, (0, 1))[..., raster]


class _Conv(nn.Module):
    """A convolution over 3 cells along each axis, then batch normalisation; rings have no border."""

    def __init__(self, channels: tuple[int, int], stride: tuple[int, ...], ring: bool) -> None:
        super().__init__()
        self.padding = [(1, 1) for _ in stride]
        if ring:  # the angle is the last axis but one
            self.padding[-2] = (0, 0)
        self.ring = ring
        kind, norm = (nn.Conv3d, nn.BatchNorm3d) if len(stride) == 3 else (nn.Conv2d, nn.BatchNorm2d)
        self.conv = kind(*channels, kernel_size=3, stride=stride, padding=0, bias=False)  # type: ignore[arg-type]
        self.norm = norm(channels[1])

    def forward(self, x: Tensor) -> Tensor:
        if self.ring:
            x = torch.cat([x[..., -1:, :], x, x[..., :1, :]], dim=-2)
        x = F.pad(x, [width for pair in reversed(self.padding) for width in pair])
        return self.norm(self.conv(x))  # type: ignore[no-any-return]


class _Block(nn.Module):
    """Two convolutions beside a short cut."""

    def __init__(self, channels: tuple[int, int], stride: tuple[int, ...], ring: bool) -> None:
        super().__init__()
        self.first = _Conv(channels, stride, ring)
        self.second = _Conv((channels[1], channels[1]), tuple(1 for _ in stride), ring)
        self.short: nn.Module = nn.Identity()
        if channels[0] != channels[1] or max(stride) > 1:
            kind = nn.Conv3d if len(stride) == 3 else nn.Conv2d
            self.short = kind(*channels, kernel_size=1, stride=stride, bias=False)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.second(F.relu(self.first(x))) + self.short(x))


def _tower(shape: tuple[int, ...], ring: bool, channels: Sequence[int], blocks: int) -> nn.Sequential:
    # a large image is halved at once: what is left to do costs an eighth
    stride = tuple(2 if cells > 8 else 1 for cells in shape)
    shape = _after(shape, stride)
    parts: list[nn.Module] = [_Conv((1 + _COORDINATES, channels[0]), stride, ring), nn.ReLU()]
    before = channels[0]
    for stage, after in enumerate(channels):
        for block in range(blocks):
            stride = tuple(2 if cells > 3 and stage > 0 and block == 0 else 1 for cells in shape)
            parts.append(_Block((before, after), stride, ring))
            before, shape = after, _after(shape, stride)
    return nn.Sequential(
        *parts, nn.AdaptiveAvgPool3d(1) if len(shape) == 3 else nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )


def _after(shape: tuple[int, ...], stride: tuple[int, ...]) -> tuple[int, ...]:
    return tuple((cells + step - 1) // step for cells, step in zip(shape, stride, strict=True))

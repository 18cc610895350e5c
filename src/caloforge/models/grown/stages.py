"""Stages of convolutions whose sizes follow from the grid, and a number of its own for each cell."""

from __future__ import annotations

__all__ = [
    "SLOPE",
    "CellBias",
    "activated",
    "axes_of",
    "begin",
    "channels_last",
    "convolution",
    "enlarged",
    "fitted",
    "sizes",
]

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from caloforge.errors import DetectorError
from caloforge.models.blocks.volume import volume_shape

if TYPE_CHECKING:
    from caloforge.detector import Detector
    from caloforge.models.settings import Activation

Layer = TypeVar("Layer", bound=nn.Linear | nn.Conv2d | nn.Conv3d)
Size = tuple[int, ...]
SLOPE = 0.2

# One over the root of the mean square that each makes of a standard normal variable: with weights of this
# size what the next layer makes is as large again, as arXiv:1502.01852 derives for ReLU.
_GAINS = {"relu": 1.4142, "leaky-relu": 1.3868, "elu": 1.2452, "tanh": 1.5927, "silu": 1.6765}


def axes_of(detector: Detector, dimensions: int) -> tuple[int, Size]:
    """Return the channels of a shower, and the axes that are convolved.

    Two dimensions: layers are channels of an image. Three: one channel, layers are the first axis.

    Raises:
        DetectorError: Its layers are not equal cartesian grids, or one layer is to be a volume.
    """
    x, y, layers = volume_shape(detector, "a generator of kind grown")
    if dimensions == 2:
        return layers, (x, y)
    if layers == 1:
        raise DetectorError(
            "one layer is an image, not a volume",
            where=f"detector {detector.name}",
            got="model.dimensions: 3, and one layer",
            expected="at least two layers",
            cure="take two dimensions (--set model.dimensions=2)",
        )
    return 1, (layers, x, y)


def sizes(end: Size, grows: Sequence[int]) -> list[Size]:
    """Return the sizes before the first stage and after each, the last of which is `end`.

    Example:
        >>> sizes((25, 25), [2, 1, 2])
        [(7, 7), (13, 13), (13, 13), (25, 25)]
    """
    found = [end]
    for grow in reversed(grows):
        found.append(tuple(-(-size // grow) for size in found[-1]))
    return found[::-1]


def convolution(
    channels: tuple[int, int],
    kernel: int,
    dimensions: int,
    after: Activation | None,
    stride: int = 1,
    bias: bool = True,
) -> nn.Conv2d | nn.Conv3d:
    """Return a convolution with an odd kernel; every axis becomes its size over the stride, rounded up."""
    kind = nn.Conv2d if dimensions == 2 else nn.Conv3d
    return begin(kind(*channels, kernel, stride, padding=kernel // 2, bias=bias), after)


def begin(layer: Layer, after: Activation | None) -> Layer:
    """Draw weights so that what the layer makes is of the order of one.

    Args:
        layer: What is begun.
        after: The activation of the layer before; None: it sees numbers of the order of one.
    """
    inputs = prod(layer.weight.shape[1:])
    nn.init.normal_(layer.weight, std=(1.0 if after is None else _GAINS[after]) / inputs**0.5)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def channels_last(module: nn.Module, dimensions: int) -> None:
    """Lay all kernels of a module out with the channels last: up to twice as fast on a processor."""
    layout = torch.channels_last if dimensions == 2 else torch.channels_last_3d
    module.to(memory_format=layout)  # type: ignore[call-overload]  # unknown to its stub


def activated(x: Tensor, activation: Activation) -> Tensor:
    """Apply an activation; each leaves zero where it is, which stages that change nothing rely on."""
    if activation == "relu":
        return torch.relu(x)
    if activation == "leaky-relu":
        return F.leaky_relu(x, SLOPE)
    if activation == "elu":
        return F.elu(x)
    return torch.tanh(x) if activation == "tanh" else F.silu(x)


def enlarged(x: Tensor, size: Size) -> Tensor:
    """Repeat cells until an image or volume `(n, channels, *axes)` has a size."""
    return x if x.shape[2:] == size else F.interpolate(x, size)


def fitted(x: Tensor, channels: int) -> Tensor:
    """Cut channels off, or put channels of zeros behind them."""
    more = channels - x.shape[1]
    if more <= 0:
        return x[:, :channels]
    return F.pad(x, (0, 0) * (x.dim() - 2) + (0, more))


class CellBias(nn.Module):
    """Adds a number of its own to each cell.

    Args:
        cells: How many.
    """

    spread = 1.0
    """How widely an evolution draws them: a cell's share of the energy differs by factors from another's."""

    def __init__(self, cells: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(cells))

    def forward(self, x: Tensor) -> Tensor:
        """Map `(n, cells)` to `(n, cells)`."""
        return x + self.bias

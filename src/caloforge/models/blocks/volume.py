"""What the three-dimensional models share: showers as volumes `(n, channels, x, y, z)` and their layers.

Volumes and weights lie in memory with the channels last, as fast convolutions in bfloat16 want them.
"""

from __future__ import annotations

__all__ = [
    "Step",
    "Triple",
    "channels_last",
    "convolution",
    "dense",
    "features",
    "from_volume",
    "grow",
    "of_one_channel",
    "smallest_start",
    "to_volume",
    "upsample",
    "volume_shape",
]

from collections.abc import Sequence
from itertools import count
from math import prod
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from caloforge.detector import CartesianGrid
from caloforge.detector.summary import cell_count
from caloforge.errors import DetectorError
from caloforge.models.blocks.initialise import glorot_uniform_, he_uniform_

if TYPE_CHECKING:
    from caloforge.detector import Detector

Triple = tuple[int, int, int]
_NOTHING = (0, 0, 0)
_ONCE = (1, 1, 1)


class Step(NamedTuple):
    """One step of a growing volume: repeat, pad with zeros, convolve without padding."""

    kernel: Triple
    pad: Triple = _NOTHING
    repeat: Triple = _ONCE


def volume_shape(detector: Detector, model: str, least: int = 1) -> Triple:
    """Return cells in x, y and layers of a detector whose layers are all the same cartesian grid.

    Args:
        detector: Whose cells are a volume.
        model: Its name, for the error.
        least: Fewest cells along each axis.

    Raises:
        DetectorError: The layers differ, are polar, or too few or too small.
    """
    shapes = {layer.shape for layer in detector.layers}
    if len(shapes) > 1 or not all(isinstance(layer.grid, CartesianGrid) for layer in detector.layers):
        raise DetectorError(
            f"{model} needs layers that share one cartesian grid",
            where=f"detector {detector.name}",
            got=", ".join(dict.fromkeys(cell_count(layer.grid) for layer in detector.layers)),
            cure="take a recipe for any detector, calogan-tuned, or calogan for cartesian layers that differ",
        )
    shape = (*detector.layers[0].shape, detector.n_layers)
    if min(shape) < least:
        raise DetectorError(
            f"{model} needs at least {least} cells along each axis",
            where=f"detector {detector.name}",
            got=" x ".join(map(str, shape)),
            cure="use finer cells or more layers, or take a recipe for any detector, calogan-tuned",
        )
    return shape


def grow(start: int, steps: Sequence[Step], axis: int) -> int:
    """Return the length of an axis after all steps, 0 if a kernel does not fit on the way."""
    size = start
    for step in steps:
        size = size * step.repeat[axis] + 2 * step.pad[axis] - step.kernel[axis] + 1
        if size < 1:
            return 0
    return size


def smallest_start(shape: Triple, steps: Sequence[Step]) -> Triple:
    """Return the smallest volume from which the steps reach a shape; what they make too much is cut off."""
    x, y, z = (
        next(start for start in count(1) if grow(start, steps, axis) >= size)
        for axis, size in enumerate(shape)
    )
    return x, y, z


def to_volume(cells: Tensor, shape: Triple) -> Tensor:
    """Turn cells `(n, layers * x * y)` into volumes `(n, 1, x, y, layers)`."""
    x, y, layers = shape
    volume = cells.reshape(-1, layers, x, y).permute(0, 2, 3, 1).unsqueeze(1)
    return volume.contiguous(memory_format=torch.channels_last_3d)


def from_volume(volume: Tensor, shape: Triple) -> Tensor:
    """Cut volumes `(n, 1, x, y, layers)` to a shape and turn them into cells `(n, layers * x * y)`."""
    x, y, layers = shape
    return volume[:, 0, :x, :y, :layers].permute(0, 3, 1, 2).flatten(1)


def dense(size_in: int, size_out: int) -> nn.Linear:
    """Return a dense layer with Keras' initialiser."""
    layer = nn.Linear(size_in, size_out)
    glorot_uniform_(layer.weight, size_in, size_out)
    nn.init.zeros_(layer.bias)
    return layer


def convolution(
    channels: tuple[int, int], kernel: Triple, pad: Triple = _NOTHING, he: bool = False, bias: bool = True
) -> nn.Conv3d:
    """Return a convolution with Keras' initialiser.

    Args:
        channels: In and out.
        kernel: Size of the window.
        pad: Zeros put at both ends of each axis.
        he: he_uniform, instead of Keras' usual glorot_uniform.
        bias: Add a number of its own to each channel.
    """
    layer = nn.Conv3d(*channels, kernel, padding=pad, bias=bias)
    fans = prod(kernel) * channels[0], prod(kernel) * channels[1]
    if he:
        he_uniform_(layer.weight, fans[0])
    else:
        glorot_uniform_(layer.weight, *fans)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def of_one_channel(layer: nn.Conv3d, x: Tensor) -> Tensor:
    """Compute a convolution of a single channel, with its window along z as channels.

    The same numbers three times faster: with one channel the units that multiply matrices are idle.
    """
    _, _, deep = layer.kernel_size
    pad_x, pad_y, pad_z = (int(pad) for pad in layer.padding)
    padded = F.pad(x.permute(0, 2, 3, 4, 1), (0, 0, pad_z, pad_z))
    size = padded.shape[3] - deep + 1
    seen = torch.cat([padded[:, :, :, i : i + size] for i in range(deep)], dim=-1).permute(0, 4, 1, 2, 3)
    weight = layer.weight.permute(0, 4, 2, 3, 1)
    return F.conv3d(seen, weight, layer.bias, padding=(pad_x, pad_y, 0))


def upsample(x: Tensor, factors: Triple) -> Tensor:
    """Repeat every cell, axis by axis (Keras' UpSampling3D)."""
    return F.interpolate(x, scale_factor=tuple(float(f) for f in factors), mode="nearest")


def features(x: Tensor) -> Tensor:
    """Flatten volumes in Keras' order, the channels fastest, as float32: a view, as that is how they lie."""
    return x.permute(0, 2, 3, 4, 1).flatten(1).float()


def channels_last(module: nn.Module) -> None:
    """Lay all kernels of a module out with the channels last."""
    module.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]  # unknown to its stub

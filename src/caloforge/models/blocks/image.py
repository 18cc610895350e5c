"""Shared convolutions of two-dimensional images `(batch, channels, rows, columns)`, stored channels last.

Padding and initial weights are those of Keras, which the published systems were trained with.
"""

from __future__ import annotations

__all__ = ["Activated", "Conv", "UpConv", "channels_last", "keras_padding", "store_channels_last"]

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from caloforge.models.blocks.initialise import glorot_uniform_, he_uniform_
from caloforge.models.blocks.layers import SLOPE, BatchNorm, Dropout

Pair = tuple[int, int]


def keras_padding(size: int, kernel: int, stride: int = 1) -> Pair:
    """Return the zeros before and after an axis with which Keras' 'same' gives `ceil(size / stride)` places.

    Example:
        >>> keras_padding(25, 8), keras_padding(24, 5, stride=2)
        ((3, 4), (1, 2))
    """
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class Conv(nn.Conv2d):
    """A convolution.

    Args:
        channels: Channels in and out.
        kernel: Rows of the square window, and its columns.
        same: Pad so that the image keeps its size (divided by the stride); otherwise it shrinks.
        stride: Steps between positions.
        bias: Add a number to each channel.
        he: Start from He's uniform distribution rather than Glorot's.
    """

    def __init__(
        self,
        channels: Pair,
        kernel: int,
        same: bool = True,
        stride: int = 1,
        bias: bool = False,
        he: bool = True,
    ) -> None:
        super().__init__(*channels, kernel, stride, bias=bias)
        self.same = same
        area = kernel * kernel
        if he:
            he_uniform_(self.weight, area * channels[0])
        else:
            glorot_uniform_(self.weight, area * channels[0], area * channels[1])
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        if not self.same:
            return super().forward(x)
        pads = [keras_padding(size, self.kernel_size[0], self.stride[0]) for size in x.shape[2:]]
        even = min(pads[0][0], pads[1][0])
        # The convolution itself pads all sides alike at no cost; only what is left copies the image.
        left = [pad - even for pair in reversed(pads) for pad in pair]
        x = F.pad(x, left) if any(left) else x
        return F.conv2d(x, self.weight, self.bias, self.stride, even)


class UpConv(nn.ConvTranspose2d):
    """A transposed convolution with bias that makes an image larger by a whole factor, as Keras' 'same' does.

    Args:
        channels: Channels in and out.
        kernel: Rows of the square window, and its columns; not less than the factor.
        factor: How many times more rows and columns.
        he: Start from He's uniform distribution rather than Glorot's.
    """

    def __init__(self, channels: Pair, kernel: int, factor: int, he: bool = False) -> None:
        # Keras cuts off as much on either side as 'same' of the convolution would have padded.
        super().__init__(*channels, kernel, factor, padding=(kernel - factor) // 2)
        area = kernel * kernel
        if he:
            he_uniform_(self.weight, area * channels[0])
        else:
            glorot_uniform_(self.weight, area * channels[0], area * channels[1])
        assert self.bias is not None
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        rows, columns = (size * self.stride[0] for size in x.shape[2:])
        return super().forward(x, output_size)[..., :rows, :columns]


class Activated(nn.Module):
    """A layer, LeakyReLU, batch normalisation and dropout, in this order.

    Args:
        layer: What comes first; anything whose output has its channels on axis 1.
        channels: Channels that it puts out.
        dropout: Share of features left out at each step.
        norm: Without it there is no batch normalisation.
    """

    def __init__(self, layer: nn.Module, channels: int, dropout: float = 0.0, norm: bool = True) -> None:
        super().__init__()
        self.layer = layer
        self.norm = BatchNorm(channels) if norm else None
        self.dropout = Dropout(dropout) if dropout else None

    def forward(self, x: Tensor) -> Tensor:
        x = F.leaky_relu(self.layer(x), SLOPE)
        x = x if self.norm is None else self.norm(x)
        return x if self.dropout is None else self.dropout(x)


def channels_last(x: Tensor) -> Tensor:
    """Store the channels of a pixel side by side, which convolutions are fastest on."""
    return x.contiguous(memory_format=torch.channels_last)


def store_channels_last(module: nn.Module) -> None:
    """Store the weights of all convolutions in the order of the images that they see."""
    for weight in module.parameters():
        if weight.dim() == 4:
            weight.data = channels_last(weight.data)

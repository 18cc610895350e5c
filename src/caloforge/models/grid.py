"""Layers that work on images stored as `(rows, columns, batch, channels)`.

With the grid in front, the window of one position over the whole batch is a matrix whose rows are contiguous:
an un-shared convolution is then one batched matrix product, and nothing has to be permuted between layers.
"""

from __future__ import annotations

__all__ = ["BatchNorm", "LocallyConnected", "SharedConv", "resize", "zero_pad"]

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from caloforge.models.initialise import glorot_uniform_

Pair = tuple[int, int]


def zero_pad(x: Tensor, before: int, after: int) -> Tensor:
    """Put `before` empty rows and columns in front of an image and `after` behind it."""
    return F.pad(x, (0, 0, 0, 0, before, after, before, after))


def shifts(x: Tensor, kernel: Pair, stride: Pair = (1, 1)) -> list[Tensor]:
    """Return, for each place in a kernel, what all positions see there: views `(rows, columns, ...)`."""
    rows, columns = ((size - k) // s + 1 for size, k, s in zip(x.shape[:2], kernel, stride, strict=True))
    last_row, last_column = (rows - 1) * stride[0] + 1, (columns - 1) * stride[1] + 1
    offsets = [(i, j) for i in range(kernel[0]) for j in range(kernel[1])]
    return [x[i : i + last_row : stride[0], j : j + last_column : stride[1]] for i, j in offsets]


def windows(x: Tensor, kernel: Pair, stride: Pair = (1, 1)) -> Tensor:
    """Return what each position sees, `(positions, batch, kernel rows * columns * channels)`."""
    return torch.cat(shifts(x, kernel, stride), dim=-1).flatten(0, 1)


class _Local(torch.autograd.Function):
    """The products of a locally connected layer, with a backward pass that goes through memory fewer times.

    Autograd would make a whole zero image for each place in the kernel and add them all up.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, kernel: Pair, stride: Pair) -> Tensor:
        seen = windows(x, kernel, stride)
        ctx.save_for_backward(seen, weight)
        ctx.shape, ctx.kernel, ctx.stride = x.shape, kernel, stride
        return torch.bmm(seen, weight)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        seen, weight = ctx.saved_tensors
        grad_weight = torch.bmm(seen.transpose(1, 2), grad) if ctx.needs_input_grad[1] else None
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = grad.new_zeros(ctx.shape)
            parts = weight.transpose(1, 2).split(ctx.shape[-1], dim=2)
            for place, part in zip(shifts(grad_x, ctx.kernel, ctx.stride), parts, strict=True):
                place += torch.bmm(grad, part).view(place.shape)
        return grad_x, grad_weight, None, None


class LocallyConnected(nn.Module):
    """A convolution whose weights are not shared: each position has its own (Keras' LocallyConnected2D).

    Args:
        shape: Rows and columns of the input.
        channels: Channels in and out.
        kernel: Rows and columns of the window.
        stride: Steps between positions.
        bias: Add a number of its own to each position and channel.

    Attributes:
        weight: `(positions, kernel rows * columns * channels in, channels out)`.
        bias: `(positions, 1, channels out)`, zero at first.
        shape: Rows and columns of the output.
        fans: Keras' fan-in and fan-out, which count the positions too: for he and glorot initialisers the
            weights start smaller by the square root of the number of positions than those of a convolution.
    """

    bias: nn.Parameter | None

    def __init__(
        self, shape: Pair, channels: Pair, kernel: Pair, stride: Pair = (1, 1), bias: bool = True
    ) -> None:
        super().__init__()
        rows, columns = ((size - k) // s + 1 for size, k, s in zip(shape, kernel, stride, strict=True))
        self.shape, self.kernel, self.stride = (rows, columns), kernel, stride
        positions, seen = rows * columns, kernel[0] * kernel[1] * channels[0]
        self.fans = positions * seen, positions * channels[1]
        self.weight = nn.Parameter(glorot_uniform_(torch.empty(positions, seen, channels[1]), *self.fans))
        self.bias = nn.Parameter(torch.zeros(positions, 1, channels[1])) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """Map `(rows, columns, batch, channels in)` to `(*self.shape, batch, channels out)`."""
        x, weight = _autocast(x), _autocast(self.weight)
        if torch.is_grad_enabled():
            y: Tensor = _Local.apply(x, weight, self.kernel, self.stride)  # type: ignore[no-untyped-call]
        else:
            y = torch.bmm(windows(x, self.kernel, self.stride), weight)
        y = y if self.bias is None else y + _autocast(self.bias)
        return y.view(*self.shape, *y.shape[1:])


def _autocast(x: Tensor) -> Tensor:
    """Cast as autocast does for a matrix product; it does not look into functions of our own."""
    kind = x.device.type
    return x.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else x


class SharedConv(nn.Module):
    """A convolution with Keras' 'same' padding: an even kernel's extra zeros come after the image.

    Args:
        channels: Channels in and out.
        kernel: Rows and columns of the window, the same number.
    """

    def __init__(self, channels: Pair, kernel: Pair) -> None:
        super().__init__()
        before = [(size - 1) // 2 for size in kernel]
        after = [size // 2 for size in kernel]
        self.padding = (before[1], after[1], before[0], after[0])
        area = kernel[0] * kernel[1]
        self.fans = area * channels[0], area * channels[1]
        weight = torch.empty(channels[1], channels[0], *kernel)
        self.weight = nn.Parameter(glorot_uniform_(weight, *self.fans))
        self.bias = nn.Parameter(torch.zeros(channels[1]))

    def forward(self, images: Tensor) -> Tensor:
        """Map `(batch, rows, columns, channels in)` to `(rows, columns, batch, channels out)`."""
        x = F.pad(images.permute(0, 3, 1, 2), self.padding)
        # Copied into its new order once; what follows would otherwise stride through memory, forth and back.
        return F.conv2d(x, self.weight, self.bias).permute(2, 3, 0, 1).contiguous()


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation over everything but the channels, with Keras' momentum (0.99 old) and epsilon."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-3, momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `(rows, columns, batch, channels)`."""
        return super().forward(x.reshape(-1, x.shape[-1])).view(x.shape)


def resize(x: Tensor, shape: Pair) -> Tensor:
    """Bring an image to another grid by repeating or averaging, axis by axis, by whole factors."""
    for axis in (0, 1):
        old, new = x.shape[axis], shape[axis]
        if new > old:
            x = x.repeat_interleave(new // old, dim=axis)
        elif new < old:
            x = x.reshape(*x.shape[:axis], new, old // new, *x.shape[axis + 1 :]).mean(axis + 1)
    return x

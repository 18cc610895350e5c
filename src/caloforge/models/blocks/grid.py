"""Layers that work on images stored as `(rows, columns, batch, channels)`.

With the grid in front, the window of one position over the whole batch is a matrix whose rows are contiguous:
an un-shared convolution is then one batched matrix product, and nothing has to be permuted between layers.
"""

from __future__ import annotations

__all__ = ["BatchNorm", "Dropout", "LocallyConnected", "SharedConv", "resize", "zero_pad"]

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from caloforge.models.blocks import layers
from caloforge.models.blocks.initialise import glorot_uniform_

Pair = tuple[int, int]


def zero_pad(x: Tensor, before: int, after: int) -> Tensor:
    """Put `before` empty rows and columns in front of an image and `after` behind it."""
    return F.pad(x, (0, 0, 0, 0, before, after, before, after))


def windows(x: Tensor, kernel: Pair, stride: Pair = (1, 1)) -> Tensor:
    """Return what each position sees, `(rows, columns, batch, kernel rows * columns * channels)`."""
    rows, columns = _positions(x.shape, kernel, stride)
    seen = [_row(_column(x, j, columns, stride), i, rows, stride) for i, j in np.ndindex(*kernel)]
    return torch.cat(seen, dim=-1)


def _positions(shape: Sequence[int], kernel: Pair, stride: Pair) -> Pair:
    return (shape[0] - kernel[0]) // stride[0] + 1, (shape[1] - kernel[1]) // stride[1] + 1


def _row(x: Tensor, i: int, rows: int, stride: Pair) -> Tensor:
    """View of what all positions see in row `i` of their kernel."""
    return x[i : i + (rows - 1) * stride[0] + 1 : stride[0]]


def _column(x: Tensor, j: int, columns: int, stride: Pair) -> Tensor:
    return x[:, j : j + (columns - 1) * stride[1] + 1 : stride[1]]


class _Local(torch.autograd.Function):
    """The products of a locally connected layer, going through memory as few times as possible.

    Only the columns of the windows are copied side by side; their rows are slices of that copy. Autograd
    would moreover make a whole zero image for each place in the kernel and add them all up. Where the
    gradient is itself to be differentiated, it does so all the same: the copy has no history.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, kernel: Pair, stride: Pair) -> Tensor:
        rows, columns = ctx.positions = _positions(x.shape, kernel, stride)
        seen = torch.cat([_column(x, j, columns, stride) for j in range(kernel[1])], dim=-1)
        ctx.save_for_backward(x, seen, weight)
        ctx.shape, ctx.kernel, ctx.stride = x.shape, kernel, stride
        parts = weight.chunk(kernel[0], dim=1)
        y = torch.bmm(_row(seen, 0, rows, stride).flatten(0, 1), parts[0])
        for i in range(1, kernel[0]):
            y.baddbmm_(_row(seen, i, rows, stride).flatten(0, 1), parts[i])
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, seen, weight = ctx.saved_tensors
        if torch.is_grad_enabled():
            return *_differentiable_gradients(x, weight, ctx.kernel, ctx.stride, grad), None, None
        rows, columns = ctx.positions
        grad_x, grad_weight = None, None
        if ctx.needs_input_grad[1]:
            kernel_rows = [_row(seen, i, rows, ctx.stride).flatten(0, 1) for i in range(ctx.kernel[0])]
            grad_weight = torch.cat([torch.bmm(row.transpose(1, 2), grad) for row in kernel_rows], dim=1)
        if ctx.needs_input_grad[0]:
            grad_x = grad.new_zeros(ctx.shape)
            places = weight.transpose(1, 2).split(ctx.shape[-1], dim=2)
            for (i, j), part in zip(np.ndindex(*ctx.kernel), places, strict=True):
                place = _row(_column(grad_x, j, columns, ctx.stride), i, rows, ctx.stride)
                place += torch.bmm(grad, part).view(place.shape)
        return grad_x, grad_weight, None, None


def _differentiable_gradients(
    x: Tensor, weight: Tensor, kernel: Pair, stride: Pair, grad: Tensor
) -> list[Tensor | None]:
    """Gradients of `_Local` by autograd's own formulas, with which they have gradients too."""
    wanted = [tensor for tensor in (x, weight) if tensor.requires_grad]
    y = _products(x, weight, kernel, stride)
    found = iter(torch.autograd.grad(y, wanted, grad, create_graph=True))
    return [next(found) if tensor.requires_grad else None for tensor in (x, weight)]


def _products(x: Tensor, weight: Tensor, kernel: Pair, stride: Pair) -> Tensor:
    return torch.bmm(windows(x, kernel, stride).flatten(0, 1), weight)


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
        self.shape, self.kernel, self.stride = _positions(shape, kernel, stride), kernel, stride
        positions, seen = self.shape[0] * self.shape[1], kernel[0] * kernel[1] * channels[0]
        self.fans = positions * seen, positions * channels[1]
        self.weight = nn.Parameter(glorot_uniform_(torch.empty(positions, seen, channels[1]), *self.fans))
        self.bias = nn.Parameter(torch.zeros(positions, 1, channels[1])) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """Map `(rows, columns, batch, channels in)` to `(*self.shape, batch, channels out)`."""
        x, weight = _autocast(x), _autocast(self.weight)
        if torch.is_grad_enabled():
            y: Tensor = _Local.apply(x, weight, self.kernel, self.stride)  # type: ignore[no-untyped-call]
        else:
            y = _products(x, weight, self.kernel, self.stride)
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
        self.kernel = kernel
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
        if images.shape[-1] == 1:
            # With one channel there is little to copy, and the product has the right order at once.
            x = F.pad(images.squeeze(-1), self.padding).permute(1, 2, 0).unsqueeze(-1)
            return F.linear(windows(x, self.kernel), self.weight.flatten(1), self.bias)
        x = F.pad(images.permute(0, 3, 1, 2), self.padding)
        # Copied into its new order once; what follows would otherwise stride through memory, forth and back.
        return F.conv2d(x, self.weight, self.bias).permute(2, 3, 0, 1).contiguous()


class BatchNorm(layers.BatchNorm):
    """Batch normalisation over everything but the channels, with Keras' momentum (0.99 old) and epsilon."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `(rows, columns, batch, channels)`."""
        return super().forward(x.reshape(-1, x.shape[-1])).view(x.shape)


class Dropout(layers.Dropout):
    """Leaves out a share of the features of `(rows, columns, batch, channels)` at each step of a training."""

    batch_axis = 2


def resize(x: Tensor, shape: Pair) -> Tensor:
    """Bring an image to another grid by repeating or averaging, axis by axis, by whole factors."""
    for axis in (0, 1):
        old, new = x.shape[axis], shape[axis]
        if new > old:
            x = x.repeat_interleave(new // old, dim=axis)
        elif new < old:
            x = x.reshape(*x.shape[:axis], new, old // new, *x.shape[axis + 1 :]).mean(axis + 1)
    return x

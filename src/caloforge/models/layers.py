"""Layers as Keras has them, which the published systems were trained with: torch's defaults differ."""

from __future__ import annotations

__all__ = ["SLOPE", "BatchNorm", "Dropout", "same_padding"]

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

SLOPE = 0.3  # Keras' LeakyReLU


class BatchNorm(_BatchNorm):
    """Batch normalisation of axis 1 of images of any number of axes; momentum 0.99 of the old value.

    Args:
        channels: Length of axis 1.
        eps: Added to the variance.
    """

    def __init__(self, channels: int, eps: float = 1e-3) -> None:
        super().__init__(channels, eps=eps, momentum=0.01)

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002 - torch's name
        if input.dim() < 2:
            raise ValueError(f"expected at least two axes, got {tuple(input.shape)}")


class Dropout(nn.Dropout):
    """Leaves out a share of the features at each step of a training."""


def same_padding(kernel: Sequence[int]) -> list[int]:
    """Return the argument for `F.pad` that gives Keras' 'same': an even kernel's extra zeros come after."""
    return [pad for size in reversed(kernel) for pad in ((size - 1) // 2, size // 2)]

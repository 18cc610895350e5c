"""Minibatch discrimination: features that say how much a shower resembles the others of its batch."""

from __future__ import annotations

__all__ = ["MinibatchFeatures", "closeness"]

from typing import Any

import torch
from torch import Tensor, nn

from caloforge.models.initialise import glorot_uniform_


class MinibatchFeatures(nn.Module):
    r"""Closeness of each shower to its batch, in learned kernel spaces (arXiv:1606.03498).

    .. math:: o_{if} = \tanh \sum_j \exp(-\lVert K_{if} - K_{jf} \rVert_1), \quad K_{if} = W_f x_i + b_f

    The sum includes the shower itself.

    Args:
        inputs: Length of a shower's vector.
        features: Number of kernel spaces.
        dimensions: Dimensions of each.
    """

    def __init__(self, inputs: int, features: int = 10, dimensions: int = 10) -> None:
        super().__init__()
        # Keras counts the fans of a rank-3 weight with its first axis as the receptive field.
        fans = features * inputs, features * dimensions
        self.weight = nn.Parameter(glorot_uniform_(torch.empty(features, inputs, dimensions), *fans))
        self.bias = nn.Parameter(torch.zeros(features, 1, dimensions))

    def forward(self, x: Tensor) -> Tensor:
        """Map `(batch, inputs)` to `(batch, features)`."""
        kernels = torch.matmul(x, self.weight) + self.bias
        # Distances and their exponentials lose all meaning in half precision.
        with torch.autocast(x.device.type, enabled=False):
            return closeness(kernels.float()).T.tanh()


def closeness(kernels: Tensor) -> Tensor:
    """Sum `exp(-|K_i - K_j|)` over all `j`: `(features, batch, dimensions)` to `(features, batch)`."""
    if kernels.device.type == "cpu":
        return _Closeness.apply(kernels)  # type: ignore[no-any-return, no-untyped-call]
    return torch.exp(-torch.cdist(kernels, kernels, p=1)).sum(2)


class _Closeness(torch.autograd.Function):
    """The same for processors: pair by pair in blocks that stay in the cache, twice as fast as `cdist`."""

    @staticmethod
    def forward(ctx: Any, kernels: Tensor) -> Tensor:
        columns = kernels.transpose(1, 2).contiguous()
        features, _, batch = columns.shape
        near = columns.new_zeros(features, batch, batch)
        difference = columns.new_empty(batch, batch)
        for distance, feature in zip(near, columns, strict=True):
            for value in feature:
                torch.sub(value[:, None], value, out=difference)
                distance += difference.abs_()
            # Written in place: the distances are needed no more.
            distance.neg_().exp_()
        ctx.save_for_backward(columns, near)
        return near.sum(2)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        r"""Return :math:`-\sum_j \mathrm{sign}(K_i - K_j) e^{-|K_i - K_j|} (g_i + g_j)`."""
        columns, near = ctx.saved_tensors
        result = torch.empty_like(columns)
        signed = columns.new_empty(near.shape[1:])
        for f, (feature, weight) in enumerate(zip(columns, near, strict=True)):
            # Showers that agree in every dimension (the diagonal is one) do not pull at each other.
            pull = weight.masked_fill(weight == 1, 0)
            ones_and_grad = torch.stack([torch.ones_like(grad[f]), grad[f]], dim=1)
            for d, value in enumerate(feature):
                torch.sub(value[:, None], value, out=signed)
                torch.copysign(pull, signed, out=signed)
                sums = signed @ ones_and_grad
                result[f, d] = -(grad[f] * sums[:, 0] + sums[:, 1])
        return result.transpose(1, 2)

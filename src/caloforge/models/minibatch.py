"""Minibatch discrimination: features that say how much a shower resembles the others of its batch."""

from __future__ import annotations

__all__ = ["MinibatchFeatures", "closeness"]

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
    return torch.exp(-torch.cdist(kernels, kernels, p=1)).sum(2)

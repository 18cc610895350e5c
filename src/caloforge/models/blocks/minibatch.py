"""Minibatch discrimination: features that say how much a shower resembles the others of its batch."""

from __future__ import annotations

__all__ = ["MinibatchFeatures", "closeness"]

import torch
from torch import Tensor, nn

from caloforge.models.blocks.initialise import glorot_uniform_
from caloforge.models.blocks.processes import gather
from caloforge.models.blocks.wasserstein import Rough


class MinibatchFeatures(Rough):
    r"""Closeness of each shower to its batch, in learned kernel spaces (arXiv:1606.03498).

    .. math:: o_{if} = \tanh \sum_j \exp(-\lVert K_{if} - K_{jf} \rVert_1), \quad K_{if} = W_f x_i + b_f

    The sum includes the shower itself.

    Args:
        inputs: Length of a shower's vector.
        features: Number of kernel spaces.
        dimensions: Dimensions of each.
        squash: Take the hyperbolic tangent, as CaloGAN does and LAGAN does not.
    """

    def __init__(self, inputs: int, features: int = 10, dimensions: int = 10, squash: bool = True) -> None:
        super().__init__()
        self.squash = squash
        self.width = features
        # Keras counts the fans of a rank-3 weight with its first axis as the receptive field.
        fans = features * inputs, features * dimensions
        self.weight = nn.Parameter(glorot_uniform_(torch.empty(features, inputs, dimensions), *fans))
        self.bias = nn.Parameter(torch.zeros(features, 1, dimensions))

    def forward(self, x: Tensor) -> Tensor:
        """Map `(batch, inputs)` to `(batch, features)`."""
        kernels = torch.matmul(x, self.weight) + self.bias
        # Distances and their exponentials lose all meaning in half precision.
        with torch.autocast(x.device.type, enabled=False):
            own = kernels.float()
            close = closeness(own, gather(own.transpose(0, 1)).transpose(0, 1)).T
            return close.tanh() if self.squash else close


def closeness(kernels: Tensor, others: Tensor) -> Tensor:
    """Sum `exp(-|K_i - K_j|)` over all `j` of the others; all are `(features, batch, dimensions)`.

    Returns:
        `(features, batch)`.
    """
    return torch.exp(-torch.cdist(kernels, others, p=1)).sum(2)

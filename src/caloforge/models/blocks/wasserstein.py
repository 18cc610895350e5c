"""What a critic must give up for the Wasserstein loss: judging a shower by its batch, and jumping.

The loss holds for a function of one shower whose slope the penalty can see. Norms and features that depend on
the other showers of the batch, and features that jump where they change, would let a critic grow without
limit.
"""

from __future__ import annotations

__all__ = ["Rough", "ShowerNorm", "judge_alone"]

from typing import Any

import torch
from torch import Tensor, nn

from caloforge.models.blocks import grid, layers


class Rough(nn.Module):
    """Features `(n, width)` of showers that depend on the rest of the batch, or jump."""

    width: int


class ShowerNorm(nn.Module):
    """Normalises each shower over its channels and positions, with a scale and a shift for each channel.

    It stands where a batch norm stood (arXiv:1607.06450, as in arXiv:1704.00028), and has the same weights.

    Args:
        channels: Number of channels.
        batch: Axis of the showers.
        axis: Axis of the channels.
        eps: Added to the variance.
    """

    def __init__(self, channels: int, batch: int = 0, axis: int = 1, eps: float = 1e-3) -> None:
        super().__init__()
        self.batch, self.axis, self.eps = batch, axis, eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise a tensor with two or more axes."""
        axes = [i for i in range(x.dim()) if i != self.batch % x.dim()]
        variance, mean = torch.var_mean(x, axes, correction=0, keepdim=True)
        shape = [-1 if i == self.axis % x.dim() else 1 for i in range(x.dim())]
        scale = torch.rsqrt(variance + self.eps) * self.weight.view(shape)
        return (x - mean) * scale + self.bias.view(shape)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        # The batch norm of a critic that is to go on with this loss also had statistics.
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            state_dict.pop(prefix + name, None)
        super()._load_from_state_dict(state_dict, prefix, *rest)


class _Silent(nn.Module):
    """Says 0 where rough features were, so that all weights around them keep their shape."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, x: Tensor) -> Tensor:
        return x.new_zeros(len(x), self.width)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        state_dict.clear()  # of the features that stood here
        super()._load_from_state_dict(state_dict, prefix, *rest)


def judge_alone(critic: nn.Module) -> None:
    """Change a critic, in place, so that it judges each shower alone and without jumps.

    Batch norms become norms of the shower; comparisons within the batch, and shares of cells that are hit,
    give 0.
    """
    for name, module in list(critic.named_children()):
        replacement = _alone(module)
        if replacement is None:
            judge_alone(module)
        else:
            setattr(critic, name, replacement)


def _alone(module: nn.Module) -> nn.Module | None:
    if isinstance(module, Rough):
        return _Silent(module.width)
    if isinstance(module, grid.BatchNorm):
        return ShowerNorm(module.num_features, batch=-2, axis=-1, eps=module.eps)
    if isinstance(module, layers.BatchNorm):
        return ShowerNorm(module.num_features, eps=module.eps)
    return None

"""Coupling flows of splines, from noise to samples, in few operations and without looking anything up."""

from __future__ import annotations

__all__ = ["FoldedFlow"]

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from zuko.flows.coupling import GeneralCouplingTransform
    from zuko.lazy import Flow

_BOUND, _LEAST = 5.0, 1e-3  # zuko's: splines end there; least slope of one


class FoldedFlow(nn.Module):
    """What `flow(seen).transform.inv(noise)` is for a `coupling_flow`.

    Args:
        flow: A trained one.
    """

    def __init__(self, flow: Flow) -> None:
        super().__init__()
        transforms = list(flow.transform.transforms)
        self.layers = nn.ModuleList(_FoldedCoupling(transform) for transform in reversed(transforms))

    def forward(self, noise: Tensor, seen: Tensor) -> Tensor:
        """Return samples `(n, variables)` of noise `(n, variables)`, given what is seen `(n, seen)`."""
        for layer in self.layers:
            noise = layer(noise, seen)
        return noise


class _FoldedCoupling(nn.Module):
    """The inverse of one coupling layer."""

    kept: Tensor
    moved: Tensor
    order: Tensor
    sums: Tensor

    def __init__(self, transform: GeneralCouplingTransform) -> None:
        super().__init__()
        self.hyper = transform.hyper
        kept, moved = transform.mask.nonzero().squeeze(1), (~transform.mask).nonzero().squeeze(1)
        self.bins = transform.shapes[0][0]
        self.register_buffer("kept", kept)
        self.register_buffer("moved", moved)
        self.register_buffer("order", torch.cat([kept, moved]).argsort())
        # From shares of the bins to where they end.
        self.register_buffer("sums", 2 * _BOUND * torch.ones(self.bins, self.bins).triu())

    def forward(self, noise: Tensor, seen: Tensor) -> Tensor:
        kept, other = noise.index_select(1, self.kept), noise.index_select(1, self.moved)
        told = self.hyper(torch.cat([kept, seen], dim=1))
        told = told.reshape(-1, other.shape[1], 3 * self.bins - 1)
        made = self._inverse(other.unsqueeze(2), told)
        return torch.cat([kept, made], dim=1).index_select(1, self.order)

    def _inverse(self, value: Tensor, told: Tensor) -> Tensor:
        """Add up how far each bin of a spline is gone through, `(n, moved, 1)` to `(n, moved)`."""
        sizes, slopes = torch.split(told, [2 * self.bins, self.bins - 1], dim=2)
        shares = torch.softmax(_clipped(sizes, 2).reshape(*sizes.shape[:2], 2, self.bins), dim=3)
        width, height = (2 * _BOUND * shares).unbind(2)
        below = shares[:, :, 1] @ self.sums - height - _BOUND
        ends = nn.functional.pad(torch.exp(_clipped(slopes, 1)), (1, 1), value=1.0)
        first, last = ends[:, :, :-1], ends[:, :, 1:]
        # Durkan et al., arXiv:1906.04032, equations 6 to 8.
        gone = torch.minimum(torch.relu(value - below), height)
        mean = height / width
        bend = gone * (first + last - 2 * mean)
        linear = height * first - bend
        square = height * (mean - first) + bend
        root = torch.sqrt(torch.relu(linear * linear + 4 * square * mean * gone))
        place = width * (2 * mean * gone / (linear + root))
        beyond = value - value.clamp(-_BOUND, _BOUND)
        return (place.sum(2, keepdim=True) - _BOUND + beyond).squeeze(2)


def _clipped(values: Tensor, times: int) -> Tensor:
    """As zuko keeps slopes from becoming extreme."""
    return values / (1 + (times / -math.log(_LEAST)) * values.abs())

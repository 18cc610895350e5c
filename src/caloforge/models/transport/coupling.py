"""Normalising flows of coupling layers: exact densities, and samples in one pass."""

from __future__ import annotations

__all__ = ["coupling_flow"]

from collections.abc import Sequence

import torch
from torch import Tensor
from zuko.distributions import DiagNormal
from zuko.flows.coupling import GeneralCouplingTransform
from zuko.lazy import Flow, UnconditionalDistribution
from zuko.transforms import MonotonicRQSTransform

_BINS = 8
_SHAPES = [(_BINS,), (_BINS,), (_BINS - 1,)]  # widths, heights and slopes of a spline


def coupling_flow(variables: int, seen: int, transforms: int, hidden: Sequence[int]) -> Flow:
    """Make a flow of rational-quadratic splines (arXiv:1906.04032), as CaloINN's are (arXiv:2312.09290).

    In each transform a random half of the variables, always the same, tells a network the splines of the
    others; of two transforms in a row the second does it the other way round. Beyond five spreads nothing is
    moved.

    Args:
        variables: How many are distributed, two or more.
        seen: Numbers that the distribution depends on.
        transforms: How many.
        hidden: Features of the networks' layers.
    """
    layers = [
        GeneralCouplingTransform(
            variables, seen, mask, MonotonicRQSTransform, _SHAPES, hidden_features=list(hidden)
        )
        for mask in _masks(variables, transforms)
    ]
    base = UnconditionalDistribution(DiagNormal, torch.zeros(variables), torch.ones(variables), buffer=True)
    return Flow(layers, base)


def _masks(variables: int, count: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(variables)
    masks: list[Tensor] = []
    while len(masks) < count:
        half = torch.zeros(variables, dtype=torch.bool)
        half[torch.randperm(variables, generator=generator)[: variables // 2]] = True
        masks += [half, ~half]
    return masks[:count]

"""Distributions of real showers by their quantiles: what a generator can be told before it learns."""

from __future__ import annotations

__all__ = ["QuantilesAlong"]

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from caloforge.models.fitted.response import within

if TYPE_CHECKING:
    from collections.abc import Sequence

    from caloforge.models.settings import FitSettings


_LEAST_SLOPE = 1e-3


class _End(NamedTuple):
    """Outermost quantiles `(n, variables)`, and how fast they rise there."""

    value: Tensor
    slope: Tensor


class QuantilesAlong(nn.Module):
    """Maps normal variables to distributions that change with the incident energy, and back.

    Each of several variables has quantiles in each of the `EnergyParts`, between which they are interpolated,
    and straight lines between two of them. A long tail, which a network learns late or never, is then there
    from the beginning. Values beyond the outermost quantiles become those. Before `fit` it is the identity.

    Args:
        variables: How many.
        settings: How many parts and quantiles.
    """

    normal: Tensor
    value: Tensor

    def __init__(self, variables: int, settings: FitSettings) -> None:
        super().__init__()
        self.register_buffer("normal", torch.linspace(-4, 4, settings.knots))
        self.register_buffer("value", self.normal.expand(settings.parts, variables, -1).clone())

    def fit(self, values: Tensor, parts: Sequence[Tensor]) -> None:
        """Take the quantiles of values `(n, variables)` in each part, given by the indices of its showers."""
        self.normal.copy_(_levels(min(len(part) for part in parts), len(self.normal)))
        self.value.copy_(torch.stack([_quantiles(values[part], self.normal) for part in parts]))

    def forward(self, normal: Tensor, weights: Tensor) -> Tensor:
        """Map normal `(n, variables)` to values, where parts have `weights` `(n, rows)`."""
        slopes = self.value.diff(dim=2) / self.normal.diff().clamp_min(1e-12)
        bends = torch.cat([slopes[:, :, :1], slopes.diff(dim=2)], dim=2)
        first = weights @ self.value[:, :, 0]
        own = (weights @ bends.flatten(1)).view(-1, *bends.shape[1:])
        inside = within(normal, self.normal[0], self.normal[-1]).unsqueeze(2)
        return first + (torch.relu(inside - self.normal[:-1]) * own).sum(2)

    def back(self, values: Tensor, weights: Tensor) -> Tensor:
        """Map values `(n, variables)` to normal variables: the other way round."""
        table = (weights @ self.value.flatten(1)).view(-1, *self.value.shape[1:])
        inside = torch.minimum(torch.maximum(values, table[:, :, 0]), table[:, :, -1]).unsqueeze(2)
        after = torch.searchsorted(table, inside).clamp(1, len(self.normal) - 1)
        low, high = table.gather(2, after - 1), table.gather(2, after)
        share = ((inside - low) / (high - low).clamp_min(1e-12)).squeeze(2)
        start, end = self.normal[after - 1].squeeze(2), self.normal[after].squeeze(2)
        return start + share * (end - start)

    def beyond(self, normal: Tensor, weights: Tensor) -> Tensor:
        """Do what `forward` does, but go on straight beyond the outermost quantiles."""
        low, high = self._ends(weights)
        left = (normal - self.normal[0]).clamp(max=0) * low.slope
        right = (normal - self.normal[-1]).clamp(min=0) * high.slope
        inside: Tensor = self(normal, weights)
        return inside + left + right

    def back_from_beyond(self, values: Tensor, weights: Tensor) -> Tensor:
        """Do what `back` does for values of `beyond`."""
        low, high = self._ends(weights)
        left = (values - low.value).clamp(max=0) / low.slope
        right = (values - high.value).clamp(min=0) / high.slope
        return self.back(values, weights) + left + right

    def _ends(self, weights: Tensor) -> tuple[_End, _End]:
        value, normal, middle = self.value, self.normal, len(self.normal) // 2
        # An end that is steep goes on so; of one that is flat the line from the middle is what is left.
        ends = []
        for end, before in ((0, 1), (-1, -2)):
            near, far = (
                (value[:, :, end] - value[:, :, other]) / (normal[end] - normal[other])
                for other in (before, middle)
            )
            steep = torch.maximum(near, far).clamp_min(_LEAST_SLOPE)
            ends.append(_End(weights @ value[:, :, end], weights @ steep))
        low, high = ends
        return low, high

    def behind(self, values: Tensor, weights: Tensor) -> Tensor:
        """Return what `back` does of the first variables, from operations that ONNX has, `(n, k)`."""
        wanted = values.shape[1]
        table = (weights @ self.value[:, :wanted].flatten(1)).view(-1, wanted, len(self.normal))
        low, high = table[:, :, :-1], table[:, :, 1:]
        passed = ((values.unsqueeze(2) - low) / (high - low).clamp_min(1e-12)).clamp(0, 1)
        return self.normal[0] + (passed * self.normal.diff()).sum(2)


def _levels(n: int, knots: int) -> Tensor:
    """Return the normal variables of the quantiles that `n` values have."""
    edge = math.sqrt(2) * float(torch.erfinv(torch.tensor(1 - 1 / n, dtype=torch.float64)))
    return torch.linspace(-1, 1, knots, dtype=torch.float64) * min(edge, 4.0)


def _quantiles(values: Tensor, normal: Tensor) -> Tensor:
    """Return quantiles of each column, `(columns, _KNOTS)`, at normal variables, rising."""
    levels = torch.special.ndtr(normal.double()).cpu().numpy()
    # Not torch.quantile, which has an upper limit of showers.
    found = torch.from_numpy(np.quantile(values.double().cpu().numpy(), levels, axis=0).T).to(values.device)
    # Equal quantiles would have no way back.
    least = 1e-6 * (found[:, -1:] - found[:, :1]) + 1e-12
    return torch.cummax(found, dim=1).values + least * torch.arange(len(normal), device=found.device)

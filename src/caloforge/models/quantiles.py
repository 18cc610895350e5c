"""Distributions of real showers by their quantiles: what a generator can be told before it learns."""

from __future__ import annotations

__all__ = ["QuantileMap", "QuantilesAlong"]

import math

import numpy as np
import torch
from torch import Tensor, nn

from caloforge.models.conditions import particle_shares, showers_of_each
from caloforge.models.response import within

_KNOTS = 65
_PARTS = 8  # of the showers, by their energy
_ENOUGH = 250  # showers whose quantiles tell a distribution
_JUMP = 1e-6  # of the logarithm of the energy, as good as none
_NARROW = 0.05  # range of a logarithm of the energy in which nothing changes


class QuantileMap(nn.Module):
    """Maps a normal variable to a distribution seen in data and back, by straight lines between quantiles.

    A long tail, which a network learns late or never, is then there from the beginning. Before `fit` it is
    the identity. Values beyond the outermost quantiles become those.
    """

    normal: Tensor
    value: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("normal", torch.linspace(-4, 4, _KNOTS))
        self.register_buffer("value", torch.linspace(-4, 4, _KNOTS))

    def fit(self, values: Tensor) -> None:
        """Take the quantiles of `values`, `(n,)`."""
        self.normal.copy_(_levels(len(values)))
        self.value.copy_(_quantiles(values.unsqueeze(1), self.normal)[0])

    def forward(self, normal: Tensor) -> Tensor:
        """Map normal `(n,)` to values `(n,)`."""
        return _lines(normal, self.normal, self.value)

    def back(self, values: Tensor) -> Tensor:
        """Map values `(n,)` to normal `(n,)`."""
        return _lines(values, self.value, self.normal)


class QuantilesAlong(nn.Module):
    """Maps normal variables to distributions that change with the incident energy, and back.

    Each of several variables has quantiles in parts of the showers, by energy, and for each particle that is
    told apart; between the middles of two parts quantiles go along straight lines. Beyond the ends nothing
    changes. Before `fit` it is the identity.

    Args:
        variables: How many.
        particles: How many are told apart, 0 if there is one.
    """

    places: Tensor
    normal: Tensor
    value: Tensor

    def __init__(self, variables: int, particles: int = 0) -> None:
        super().__init__()
        self.particles, rows = particles, max(particles, 1)
        self.register_buffer("places", torch.zeros(rows, _PARTS))
        self.register_buffer("normal", torch.linspace(-4, 4, _KNOTS))
        self.register_buffer("value", self.normal.expand(rows * _PARTS, variables, _KNOTS).clone())

    def fit(self, values: Tensor, logarithm: Tensor, *which: Tensor) -> None:
        """Take the quantiles of values.

        Args:
            values: `(n, variables)`.
            logarithm: `(n,)` of the incident energy.
            which: `(n, particles)`, 1 where it is that particle; nothing if there is one.
        """
        every = [torch.ones(len(values), dtype=torch.bool, device=values.device)]
        of_each = [_parts(logarithm, mine) for mine in (showers_of_each(*which) if which else every)]
        self.normal.copy_(_levels(min(len(part) for parts in of_each for part in parts)))
        rows = [part for parts in of_each for part in parts]
        self.places.copy_(torch.stack([logarithm[part].mean() for part in rows]).view_as(self.places))
        self.value.copy_(torch.stack([_quantiles(values[part], self.normal) for part in rows]))

    def forward(self, normal: Tensor, logarithm: Tensor, *which: Tensor) -> Tensor:
        """Map normal `(n, variables)` to values, at `logarithm` `(n,)`, for `which` `(n, particles)`."""
        slopes = self.value.diff(dim=2) / self.normal.diff().clamp_min(1e-12)
        bends = torch.cat([slopes[:, :, :1], slopes.diff(dim=2)], dim=2)
        weights = self._weights(logarithm, *which)
        first = weights @ self.value[:, :, 0]
        own = (weights @ bends.flatten(1)).view(-1, *bends.shape[1:])
        inside = within(normal, self.normal[0], self.normal[-1]).unsqueeze(2)
        return first + (torch.relu(inside - self.normal[:-1]) * own).sum(2)

    def back(self, values: Tensor, logarithm: Tensor, *which: Tensor) -> Tensor:
        """Map values `(n, variables)` to normal variables: the other way round."""
        table = (self._weights(logarithm, *which) @ self.value.flatten(1)).view(-1, *self.value.shape[1:])
        inside = torch.minimum(torch.maximum(values, table[:, :, 0]), table[:, :, -1]).unsqueeze(2)
        after = torch.searchsorted(table, inside).clamp(1, _KNOTS - 1)
        low, high = table.gather(2, after - 1), table.gather(2, after)
        share = ((inside - low) / (high - low).clamp_min(1e-12)).squeeze(2)
        start, end = self.normal[after - 1].squeeze(2), self.normal[after].squeeze(2)
        return start + share * (end - start)

    def _weights(self, logarithm: Tensor, *which: Tensor) -> Tensor:
        """Return how much each part of each particle counts, `(n, rows)`."""
        order = torch.arange(_PARTS, device=logarithm.device, dtype=logarithm.dtype)
        columns = []
        for row, places in enumerate(self.places.unbind()):
            # Not `_lines`: beams of a few energies have parts at the same place, where sums of bends cancel.
            steps = ((logarithm.unsqueeze(1) - places[:-1]) / places.diff().clamp_min(_JUMP)).clamp(0, 1)
            hats = torch.relu(1 - (steps.sum(1, keepdim=True) - order).abs())
            columns.append(hats * particle_shares(*which)[:, row : row + 1] if which else hats)
        return torch.cat(columns, dim=1)


def _parts(logarithm: Tensor, mine: Tensor) -> list[Tensor]:
    """Return places of showers in parts by energy, fewer of few showers, the last repeated up to `_PARTS`."""
    places = mine.nonzero().squeeze(1)
    some = logarithm[places]
    narrow = bool(some.amax() - some.amin() < _NARROW)
    number = 1 if narrow else max(1, min(_PARTS, len(places) // _ENOUGH))
    parts = list(torch.tensor_split(places[some.argsort()], number))
    return parts + parts[-1:] * (_PARTS - number)


def _levels(n: int) -> Tensor:
    """Return the normal variables of the quantiles that `n` values have."""
    edge = math.sqrt(2) * float(torch.erfinv(torch.tensor(1 - 1 / n, dtype=torch.float64)))
    return torch.linspace(-1, 1, _KNOTS, dtype=torch.float64) * min(edge, 4.0)


def _quantiles(values: Tensor, normal: Tensor) -> Tensor:
    """Return quantiles of each column, `(columns, _KNOTS)`, at normal variables, rising."""
    levels = torch.special.ndtr(normal.double()).cpu().numpy()
    # Not torch.quantile, which has an upper limit of showers.
    found = torch.from_numpy(np.quantile(values.double().cpu().numpy(), levels, axis=0).T).to(values.device)
    # Equal quantiles would have no way back.
    least = 1e-6 * (found[:, -1:] - found[:, :1]) + 1e-12
    return torch.cummax(found, dim=1).values + least * torch.arange(_KNOTS, device=found.device)


def _lines(x: Tensor, knots: Tensor, values: Tensor) -> Tensor:
    """Interpolate by a sum of bends, which any runtime can compute and which has a gradient."""
    # Of what never varies all knots are one: nothing lies between them, however steep.
    slopes = values.diff() / knots.diff().clamp_min(1e-12)
    bends = torch.cat([slopes[:1], slopes.diff()])
    inside = within(x, knots[0], knots[-1]).unsqueeze(1)
    return values[0] + (torch.relu(inside - knots[:-1]) * bends).sum(1)

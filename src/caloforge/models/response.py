"""The response of real showers, and its distribution: what a generator can be told before it learns."""

from __future__ import annotations

__all__ = ["QuantileMap", "ResponseFit", "fit_response", "within"]

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from numpy.typing import NDArray

_UNIT = 100e3  # MeV: the fit is in the incident energy in units of 100 GeV
_SHOWERS = 20  # for each power of the energy
_NARROW = 0.05  # range of the energies over their mean, within which powers cannot be told apart in float32
_KNOTS = 65


@dataclass(frozen=True)
class ResponseFit:
    """Energy in all cells over incident energy, as a polynomial in the incident energy.

    Attributes:
        coefficients: Of the powers of the energy in units of 100 GeV, the highest first.
    """

    coefficients: tuple[float, ...]

    def visible(self, energy: Tensor) -> Tensor:
        """Return the mean energy in all cells, MeV, of showers of an incident energy in MeV."""
        ratio = torch.zeros_like(energy)
        for coefficient in self.coefficients:
            ratio = ratio * (energy / _UNIT) + coefficient
        return ratio * energy


def fit_response(energy: NDArray[np.float32], visible: NDArray[np.float32], degree: int = 4) -> ResponseFit:
    """Fit the response of real showers, which generated showers are to have.

    The published 3DGAN has a polynomial of fourth degree for electrons in its own calorimeter; this is the
    same for whatever showers are given. The degree is lower where there are fewer different energies, or so
    few showers that it would swing between them, and 0 where energies hardly differ.

    Args:
        energy: Incident energies, MeV.
        visible: Energy in all cells, MeV.
        degree: Of the polynomial.
    """
    degree = min(degree, len(np.unique(energy)) - 1, len(energy) // _SHOWERS)
    if np.ptp(energy) < _NARROW * energy.mean():
        degree = 0
    x = energy.astype(np.float64) / _UNIT
    # Scaled to -1..1 inside, as powers of a narrow range are nearly parallel.
    fit = np.polynomial.Polynomial.fit(x, visible / energy.astype(np.float64), degree).convert()
    return ResponseFit(tuple(float(c) for c in fit.coef[::-1]))


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
        n, double = len(values), self.normal.double()
        edge = math.sqrt(2) * float(torch.erfinv(torch.tensor(1 - 1 / n, dtype=torch.float64)))
        normal = double / double[-1] * min(edge, 4.0)
        levels = 0.5 * (1 + torch.erf(normal / math.sqrt(2)))
        # Not torch.quantile, which has an upper limit of showers.
        found = torch.from_numpy(np.quantile(values.double().cpu().numpy(), levels.cpu().numpy())).to(normal)
        # Equal quantiles would have no way back.
        least = 1e-6 * float(found[-1] - found[0]) + 1e-12
        rising = torch.cummax(found, 0).values + least * torch.arange(_KNOTS, device=found.device)
        self.normal.copy_(normal)
        self.value.copy_(rising)

    def forward(self, normal: Tensor) -> Tensor:
        """Map normal `(n,)` to values `(n,)`."""
        return _lines(normal, self.normal, self.value)

    def back(self, values: Tensor) -> Tensor:
        """Map values `(n,)` to normal `(n,)`."""
        return _lines(values, self.value, self.normal)


def within(x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Return `x`, or the end beyond which it lies."""
    # Not minimum of maximum, nor clamp: onnxscript 0.7 orders wrongly what it makes of these.
    return torch.where(x < low, low, torch.where(x > high, high, x))


def _lines(x: Tensor, knots: Tensor, values: Tensor) -> Tensor:
    """Interpolate by a sum of bends, which any runtime can compute and which has a gradient."""
    # Of what never varies all knots are one: nothing lies between them, however steep.
    slopes = values.diff() / knots.diff().clamp_min(1e-12)
    bends = torch.cat([slopes[:1], slopes.diff()])
    inside = within(x, knots[0], knots[-1]).unsqueeze(1)
    return values[0] + (torch.relu(inside - knots[:-1]) * bends).sum(1)

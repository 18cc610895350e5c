"""What a generator in training is asked for: incident particles, and the energy of their cells."""

from __future__ import annotations

__all__ = ["Requests", "ResponseFit", "fit_response"]

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

_UNIT = 100e3  # MeV: the fit is in the incident energy in units of 100 GeV
_MIDDLE = 0.2, 0.8


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
    same for whatever showers are given. The degree is lower where there are fewer different energies.

    Args:
        energy: Incident energies, MeV.
        visible: Energy in all cells, MeV.
        degree: Of the polynomial.
    """
    degree = min(degree, len(np.unique(energy)) - 1)
    x = energy.astype(np.float64) / _UNIT
    # Scaled to -1..1 inside, as powers of a narrow range are nearly parallel.
    fit = np.polynomial.Polynomial.fit(x, visible / energy.astype(np.float64), degree).convert()
    return ResponseFit(tuple(float(c) for c in fit.coef[::-1]))


@dataclass(frozen=True)
class Requests:
    """Draws incident particles, uniform over the range of the data.

    Attributes:
        low: Lowest of each incident column, shape `(k,)`, on the device.
        high: Highest of each.
        particles: PDG ids to choose from, and the column that holds them; None if it knows no particles.
    """

    low: Tensor
    high: Tensor
    particles: tuple[tuple[int, ...], int] | None = None

    def draw(self, n: int, middle: bool = False) -> Tensor:
        """Return `(n, k)` incident columns.

        Args:
            n: Number of showers.
            middle: Take energies from the middle of the range only, without a fifth at either end.
        """
        uniform = torch.rand((n, len(self.low)), device=self.low.device)
        if middle:
            first, last = _MIDDLE
            uniform[:, 0] = first + (last - first) * uniform[:, 0]
        incident = self.low + (self.high - self.low) * uniform
        if self.particles is not None:
            codes, column = self.particles
            choices = torch.tensor(codes, dtype=incident.dtype, device=incident.device)
            incident[:, column] = choices[torch.randint(len(codes), (n,), device=incident.device)]
        return incident

"""The response of real showers: what a generator can be told before it learns."""

from __future__ import annotations

__all__ = ["ResponseFit", "fit_response", "within"]

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

_UNIT = 100e3  # MeV: the fit is in the incident energy in units of 100 GeV
_SHOWERS = 20  # for each power of the energy
_NARROW = 0.05  # range of the energies over their mean, within which powers cannot be told apart in float32


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


def within(x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Return `x`, or the end beyond which it lies."""
    # Not minimum of maximum, nor clamp: onnxscript 0.7 orders wrongly what it makes of these.
    return torch.where(x < low, low, torch.where(x > high, high, x))

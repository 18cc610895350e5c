"""How much energy the cells hold of an incident energy."""

from __future__ import annotations

__all__ = ["EnergyScale", "energy_terms"]

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from caloforge.models.fitted.parts import EnergyParts
from caloforge.models.fitted.quantiles import QuantilesAlong
from caloforge.models.fitted.response import fit_response, within

if TYPE_CHECKING:
    from caloforge.models.settings import FitSettings

_NARROWEST = 1e-4  # spread of the response
_LOWEST = 1e-6  # mean response


def energy_terms(energy: Tensor) -> Tensor:
    """Return what responses and observables change with: powers of the energy's logarithm, `(n, 3)`."""
    logarithm = torch.log(energy / 20e3)
    return torch.stack([torch.ones_like(logarithm), logarithm, logarithm.square()], dim=1)


class EnergyScale(nn.Module):
    """The energy that cells hold of an incident energy: mean and spread, which fits give, and distribution.

    The distribution changes with the energy: the pions that cross a calorimeter without a shower leave a
    smaller part of their energy there, the higher it is. Outside the incident energies of the fit, the
    response stays what it was at their ends. Before `fit` the mean is the incident energy.

    Args:
        settings: How finely it is fitted.
    """

    coefficients: Tensor
    spreads: Tensor
    ends: Tensor

    def __init__(self, settings: FitSettings) -> None:
        super().__init__()
        self.register_buffer("coefficients", torch.tensor([0.0, 0.0, 0.0, 0.0, 1.0]))
        self.register_buffer("spreads", torch.zeros(3))
        self.register_buffer("ends", torch.tensor([0.0, math.inf]))
        self.parts = EnergyParts(settings)
        self.quantiles = QuantilesAlong(1, settings)

    def fit(self, visible: Tensor, energy: Tensor) -> None:
        """Take mean and distribution from real showers, `(n,)` each, MeV."""
        found = fit_response(energy.cpu().numpy(), visible.cpu().numpy()).coefficients
        self.coefficients.copy_(torch.tensor([0.0] * (5 - len(found)) + list(found)))
        self.ends.copy_(torch.stack([energy.amin(), energy.amax()]))
        rest = visible / self.mean(energy) - 1
        logarithms = 0.5 * torch.log(rest.square() + _NARROWEST**2)
        terms = energy_terms(self._inside(energy))
        self.spreads.copy_(torch.linalg.lstsq(terms, logarithms.unsqueeze(1), driver="gelsd").solution[:, 0])
        self.quantiles.fit((rest / self._spread(energy)).unsqueeze(1), self.parts.fit(torch.log(energy)))

    def mean(self, energy: Tensor) -> Tensor:
        """Return the mean energy in all cells, MeV, of an incident energy in MeV."""
        ratio, *others = self.coefficients.unbind()
        inside = self._inside(energy) / 100e3
        for coefficient in others:
            ratio = ratio * inside + coefficient
        return ratio.clamp_min(_LOWEST) * energy

    def visible(self, normal: Tensor, energy: Tensor) -> Tensor:
        """Return energies in all cells, MeV, of normal variables and incident energies, `(n,)` each."""
        unit = self.quantiles(normal.unsqueeze(1), self._weights(energy)).squeeze(1)
        return torch.relu(1 + unit * self._spread(energy)) * self.mean(energy)

    def visible_beyond(self, normal: Tensor, energy: Tensor) -> Tensor:
        """Do what `visible` does, but go on straight beyond the outermost quantiles."""
        unit = self.quantiles.beyond(normal.unsqueeze(1), self._weights(energy)).squeeze(1)
        return torch.relu(1 + unit * self._spread(energy)) * self.mean(energy)

    def normal_beyond(self, visible: Tensor, energy: Tensor) -> Tensor:
        """Do what `normal` does for energies of `visible_beyond`."""
        unit = (visible / self.mean(energy) - 1) / self._spread(energy)
        return self.quantiles.back_from_beyond(unit.unsqueeze(1), self._weights(energy)).squeeze(1)

    def normal(self, visible: Tensor, energy: Tensor) -> Tensor:
        """Return the normal variables of energies in all cells: the other way round."""
        unit = (visible / self.mean(energy) - 1) / self._spread(energy)
        normal: Tensor = self.quantiles.back(unit.unsqueeze(1), self._weights(energy)).squeeze(1)
        return normal

    def _weights(self, energy: Tensor) -> Tensor:
        weights: Tensor = self.parts(torch.log(self._inside(energy)))
        return weights

    def _inside(self, energy: Tensor) -> Tensor:
        return within(energy, *self.ends.unbind())

    def _spread(self, energy: Tensor) -> Tensor:
        """Up to a constant, which the quantiles take up."""
        return torch.exp((energy_terms(self._inside(energy)) * self.spreads).sum(1))

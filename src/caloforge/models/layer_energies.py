"""How much energy each layer gets: a model that is fitted to real showers, and may be refined."""

from __future__ import annotations

__all__ = ["LayerEnergies"]

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from caloforge.models.energy_scale import EnergyScale, ParticleScales
from caloforge.models.features import layer_sums
from caloforge.models.response import QuantileMap

if TYPE_CHECKING:
    from caloforge.detector import Detector

_WIDTH = 128
_LEAST = 1e-5  # share of a layer's energy that counts as none


class LayerEnergies(nn.Module):
    """Energy of every layer from noise and incident particle.

    Total energy and shares of the layers are a Gaussian copula, as in the parametrised simulation of ATLAS
    (arXiv:2109.02551): the logarithms of the shares have a mean and a spread that depend on the incident
    particle, quantiles give their distributions, and a matrix their correlation. All this is fitted. A small
    network, which begins with nothing, may add what the fit does not see.

    Args:
        detector: Whose layers.
        given: How many numbers describe the incident particle, the first the logarithm of its energy.
        refine: Train that network.
        particles: How many particles are told apart; the last numbers say which it is.

    Attributes:
        noise: Numbers of noise that it takes: one for each layer and one for the total.
    """

    means: Tensor
    spreads: Tensor
    most: Tensor
    mixing: Tensor

    def __init__(self, detector: Detector, given: int, refine: bool = False, particles: int = 0) -> None:
        super().__init__()
        self.detector = detector
        self.noise = len(detector.layers) + 1
        self.particles = particles
        self.scale = ParticleScales(particles) if particles else EnergyScale()
        self.register_buffer("means", torch.zeros(given + 3, self.noise - 1))
        self.register_buffer("spreads", torch.zeros(given + 3, self.noise - 1))
        self.register_buffer("most", torch.zeros(self.noise - 1))
        self.register_buffer("mixing", torch.eye(self.noise))
        self.quantiles = nn.ModuleList(QuantileMap() for _ in range(self.noise - 1))
        self.refine = _nothing_at_first(self.noise + given, self.noise) if refine else None

    def fit(self, cells: Tensor, energy: Tensor, given: Tensor) -> None:
        """Take the statistics of real showers.

        Args:
            cells: `(n, n_cells)` MeV.
            energy: `(n,)` MeV.
            given: `(n, given)` what the incident particle is, as for `forward`.
        """
        total = cells.sum(1)
        which = self._which(given)
        self.scale.fit(total, energy, *which)
        shares = layer_sums(cells, self.detector) / total.clamp_min(1e-3).unsqueeze(1)
        logs, terms = torch.log(shares + _LEAST), _terms(given)
        self.means.copy_(torch.linalg.lstsq(terms, logs, driver="gelsd").solution)
        self.most.copy_(logs.amax(0))
        rest = logs - terms @ self.means
        # The logarithm of the spread: half of that of the squares, whose mean is off by a constant that the
        # quantiles take up.
        squares = torch.log(rest.square() + 1e-8)
        self.spreads.copy_(0.5 * torch.linalg.lstsq(terms, squares, driver="gelsd").solution)
        unit = rest / torch.exp(terms @ self.spreads)
        normal = [self.scale.normal(total, energy, *which)]
        for quantiles, values in zip(self._maps(), unit.T, strict=True):
            quantiles.fit(values)
            normal.append(quantiles.back(values))
        self.mixing.copy_(_square_root(torch.corrcoef(torch.stack(normal))))

    def forward(self, noise: Tensor, energy: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
        """Draw energies.

        Args:
            noise: `(n, self.noise)`.
            energy: `(n,)` MeV.
            given: `(n, given)` what the incident particle is.

        Returns:
            Energies of the layers, `(n, n_layers)` MeV, and the normal variables behind them `(n, noise)`.
        """
        normal = noise @ self.mixing.T
        if self.refine is not None:
            normal = normal + self.refine(torch.cat([noise, given], dim=1))
        columns = normal.unbind(1)
        unit = torch.stack([q(x) for q, x in zip(self._maps(), columns[1:], strict=True)], dim=1)
        terms = _terms(given)
        logs = terms @ self.means + torch.exp(terms @ self.spreads) * unit
        # No layer gets a larger share than it ever had.
        shares = torch.relu(torch.exp(torch.minimum(logs, self.most)) - _LEAST)
        shares = shares / shares.sum(1, keepdim=True).clamp_min(_LEAST)
        total = self.scale.visible(columns[0], energy, *self._which(given))
        return shares * total.unsqueeze(1), normal

    def _which(self, given: Tensor) -> tuple[Tensor, ...]:
        """Return which particle it is, `(n, particles)`, where they are told apart."""
        return (given[:, -self.particles :],) if self.particles else ()

    def _maps(self) -> list[QuantileMap]:
        return [module for module in self.quantiles if isinstance(module, QuantileMap)]


def _nothing_at_first(inputs: int, outputs: int) -> nn.Sequential:
    last = nn.Linear(_WIDTH, outputs)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(
        nn.Linear(inputs, _WIDTH), nn.LeakyReLU(0.2), nn.Linear(_WIDTH, _WIDTH), nn.LeakyReLU(0.2), last
    )


def _terms(given: Tensor) -> Tensor:
    """A constant, all that is given, and square and cube of its first, the logarithm of the energy."""
    first = given[:, :1]
    return torch.cat([torch.ones_like(first), given, first**2, first**3], dim=1)


def _square_root(correlation: Tensor) -> Tensor:
    """Return the root of a correlation matrix; a layer that never varies has none with the others."""
    correlation = torch.nan_to_num(correlation, nan=0.0).double()
    correlation.fill_diagonal_(1.0)
    values, vectors = torch.linalg.eigh(correlation)
    root: Tensor = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    return root.float()

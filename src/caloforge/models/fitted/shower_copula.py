"""Energies of the layers and factors of the cells: a model that is fitted to real showers."""

from __future__ import annotations

__all__ = ["ShowerCopula"]

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from caloforge.models.fitted.energy_parts import EnergyParts
from caloforge.models.fitted.energy_scale import EnergyScale, ParticleScales
from caloforge.models.fitted.quantiles import QuantilesAlong
from caloforge.models.tuned.features import layer_sums

if TYPE_CHECKING:
    from collections.abc import Sequence

    from caloforge.detector import Detector

_WIDTH = 128
_LEAST = 1e-5  # added to a layer's share, whose logarithm is then finite
_JUST = 0.999  # of the share of a layer that must keep some of it
_TINY = 1e-12  # sum of shares, less than any that is left
_PRIOR = 100  # showers that the correlation of all energies counts as much as, beside those of a part
_DRAWN = 4096  # showers that say how often layers are empty


class ShowerCopula(nn.Module):
    """What describes a shower as a whole, from noise and incident particle.

    Total energy, shares of the layers and factors of the cells are a Gaussian copula, as in the parametrised
    simulation of ATLAS (arXiv:2109.02551). Factors and logarithms of the shares have a mean and a spread that
    depend on the incident particle; quantiles give their distributions and matrices their correlation, which
    change with the energy and from particle to particle. All this is fitted. A small network, which begins
    with nothing, may add what the fit does not see.

    Args:
        detector: Whose layers.
        given: How many numbers describe the incident particle, the first the logarithm of its energy.
        factors: Of cells, beside the energies of the layers.
        refine: Train that network.
        particles: How many particles are told apart; the last numbers say which it is.

    Attributes:
        noise: Numbers of noise that it takes: one for the total, for each layer and for each factor.
    """

    means: Tensor
    spreads: Tensor
    least: Tensor
    most: Tensor
    mixing: Tensor

    def __init__(
        self, detector: Detector, given: int, factors: int = 0, refine: bool = False, particles: int = 0
    ) -> None:
        super().__init__()
        self.detector = detector
        self.layers = len(detector.layers)
        self.noise = 1 + self.layers + factors
        self.particles = particles
        self.scale = ParticleScales(particles) if particles else EnergyScale()
        self.register_buffer("means", torch.zeros(given + 3, self.noise - 1))
        self.register_buffer("spreads", torch.zeros(given + 3, self.noise - 1))
        self.register_buffer("most", torch.zeros(self.layers))
        self.register_buffer("least", torch.full((self.layers,), _LEAST))
        self.parts = EnergyParts(particles)
        self.register_buffer("mixing", torch.eye(self.noise).expand(self.parts.rows, -1, -1).clone())
        self.quantiles = QuantilesAlong(self.noise - 1, self.parts.rows)
        self.refine = _nothing_at_first(self.noise + given, self.noise) if refine else None

    def fit(self, cells: Tensor, factors: Tensor, energy: Tensor, given: Tensor) -> None:
        """Take the statistics of real showers.

        Args:
            cells: `(n, n_cells)` MeV.
            factors: `(n, factors)`.
            energy: `(n,)` MeV.
            given: `(n, given)` what the incident particle is, as for `forward`.
        """
        total = cells.sum(1)
        self.scale.fit(total, energy, *self._which(given))
        # A shower without energy says nothing of how energy is shared.
        some = total > (0 if bool(total.any()) else -1)
        cells, factors, energy, given, total = (x[some] for x in (cells, factors, energy, given, total))
        which = self._which(given)
        shares = layer_sums(cells, self.detector) / total.clamp_min(1e-3).unsqueeze(1)
        logs, terms = torch.log(shares + _LEAST), _terms(given)
        self.most.copy_(logs.amax(0))
        values = torch.cat([logs, factors], dim=1)
        self.means.copy_(torch.linalg.lstsq(terms, values, driver="gelsd").solution)
        rest = values - terms @ self.means
        # The logarithm of the spread: half of that of the squares, whose mean is off by a constant that the
        # quantiles take up.
        squares = torch.log(rest.square() + 1e-8)
        self.spreads.copy_(0.5 * torch.linalg.lstsq(terms, squares, driver="gelsd").solution)
        unit = rest / torch.exp(terms @ self.spreads)
        parts = self.parts.fit(given[:, 0], *which)
        self.quantiles.fit(unit, parts)
        behind = self.quantiles.back(unit, self.parts(given[:, 0], *which))
        normal = torch.cat([self.scale.normal(total, energy, *which).unsqueeze(1), behind], dim=1)
        self.mixing.copy_(torch.stack(_roots(normal, parts, max(self.particles, 1))))
        self._fit_least(shares, given)

    def _fit_least(self, shares: Tensor, given: Tensor) -> None:
        """Find what is taken from the shares, so that a layer is empty as often as in real showers."""
        times = -(-_DRAWN // len(given))
        many = given.repeat(times, 1)
        drawn, _ = self._drawn(torch.randn(len(many), self.noise, device=given.device), many)
        rising = torch.exp(drawn[:, : self.layers]).sort(dim=0).values
        empty = times * (shares <= 0).sum(0)
        last = rising.gather(0, (empty - 1).clamp_min(0).unsqueeze(0)).squeeze(0)
        self.least.copy_(torch.where(empty > 0, last, _LEAST).clamp_min(_LEAST))

    def forward(self, noise: Tensor, energy: Tensor, given: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Draw energies and factors.

        Args:
            noise: `(n, self.noise)`.
            energy: `(n,)` MeV.
            given: `(n, given)` what the incident particle is.

        Returns:
            Energies of the layers, `(n, n_layers)` MeV, factors `(n, factors)`, and the normal variables
            behind them `(n, noise)`.
        """
        values, normal = self._drawn(noise, given)
        # No layer gets a larger share than it ever had, before they are scaled to 1.
        logs = torch.minimum(values[:, : self.layers], self.most)
        shares = torch.exp(logs)
        # Where all layers would be empty, the one nearest to having some has all.
        nearest = (shares / self.least).amax(1, keepdim=True)
        shares = torch.relu(shares - self.least * (_JUST * nearest).clamp(max=1.0))
        shares = shares / shares.sum(1, keepdim=True).clamp_min(_TINY)
        total = self.scale.visible(normal[:, 0], energy, *self._which(given))
        return shares * total.unsqueeze(1), values[:, self.layers :], normal

    def _drawn(self, noise: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
        """Return logarithms of shares and factors, `(n, noise - 1)`, and normal variables, `(n, noise)`."""
        weights = self.parts(given[:, 0], *self._which(given))
        mixing = (weights @ self.mixing.flatten(1)).view(-1, *self.mixing.shape[1:])
        # What is between two roots is too narrow.
        mixing = mixing * torch.rsqrt(mixing.square().sum(2, keepdim=True))
        normal = (mixing @ noise.unsqueeze(2)).squeeze(2)
        if self.refine is not None:
            normal = normal + self.refine(torch.cat([noise, given], dim=1))
        terms = _terms(given)
        unit = self.quantiles(normal[:, 1:], weights)
        return terms @ self.means + torch.exp(terms @ self.spreads) * unit, normal

    def _which(self, given: Tensor) -> tuple[Tensor, ...]:
        """Return which particle it is, `(n, particles)`, where they are told apart."""
        return (given[:, -self.particles :],) if self.particles else ()


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


def _roots(normal: Tensor, parts: Sequence[Tensor], particles: int) -> list[Tensor]:
    """Return roots of the correlation of normal variables, `(n, variables)`, in each part of each particle.

    Few showers tell little: the correlation of all energies counts as much as `_PRIOR` of them.
    """
    each, roots = len(parts) // particles, []
    for first in range(0, len(parts), each):
        mine = parts[first : first + each]
        some = torch.zeros(len(normal), dtype=torch.bool, device=normal.device)
        some[torch.cat(tuple(mine))] = True  # once, also what lies in a part that is there again
        whole = _PRIOR * _correlation(normal[some])
        found = [(len(part) * _correlation(normal[part]) + whole) / (len(part) + _PRIOR) for part in mine]
        roots += [_square_root(correlation) for correlation in found]
    return roots


def _correlation(variables: Tensor) -> Tensor:
    """Return the correlation of `(n, variables)`; what never varies has none with the others."""
    return torch.nan_to_num(torch.corrcoef(variables.T), nan=0.0)


def _square_root(correlation: Tensor) -> Tensor:
    """Return the root of a correlation matrix."""
    correlation = correlation.double()
    correlation.fill_diagonal_(1.0)
    values, vectors = torch.linalg.eigh(correlation)
    root: Tensor = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    return root.float()

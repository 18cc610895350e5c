"""What describes a shower as a whole: energy, how layers share it, where its core lies, how wide it is."""

from __future__ import annotations

__all__ = ["ShowerCopula"]

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from caloforge.models.fitted.energy_scale import EnergyScale
from caloforge.models.fitted.layers import LayerIndex
from caloforge.models.fitted.parts import EnergyParts
from caloforge.models.fitted.quantiles import QuantilesAlong
from caloforge.models.fitted.summaries import SUMMARIES, Summaries
from caloforge.models.fitted.terms import fit_terms, terms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from caloforge.detector import Detector
    from caloforge.models.settings import FitSettings

_WIDTH = 128
_LEAST_TOTAL = 1e-3  # MeV
_LEAST = 1e-5  # added to a layer's share, whose logarithm is then finite
JUST = 0.999  # of the share of a layer that must keep some of it
TINY = 1e-12  # sum of shares, less than any that is left
_DRAWN = 4096  # showers that say how often layers are empty


class ShowerCopula(nn.Module):
    """What describes a shower as a whole, from noise and incident particle.

    Total energy, shares of the layers and `Summaries` are a Gaussian copula, as energies are in the
    parametrised simulation of ATLAS (arXiv:2109.02551). Logarithms of the shares and summaries have a mean
    and a spread that depend on the incident particle; quantiles give their distributions and matrices their
    correlation, which change with the energy. All this is fitted. A small network, which begins with nothing,
    may add what the fit does not see.

    Args:
        detector: Whose layers.
        settings: How finely it is fitted.
        given: How many numbers describe the incident particle, the first the logarithm of its energy.
        refine: Train that network.

    Attributes:
        noise: Numbers of noise that it takes: one for the total, for each layer and for each summary.
    """

    means: Tensor
    spreads: Tensor
    least: Tensor
    most: Tensor
    mixing: Tensor

    def __init__(self, detector: Detector, settings: FitSettings, given: int, refine: bool = False) -> None:
        super().__init__()
        self.layers, self.summaries = LayerIndex(detector), Summaries(detector)
        self.settings = settings
        self.noise = 1 + self.layers.count + SUMMARIES
        self.scale = EnergyScale(settings)
        self.register_buffer("means", torch.zeros(given + 3, self.noise - 1))
        self.register_buffer("spreads", torch.zeros(given + 3, self.noise - 1))
        self.register_buffer("most", torch.zeros(self.layers.count))
        self.register_buffer("least", torch.full((self.layers.count,), _LEAST))
        self.parts = EnergyParts(settings)
        self.register_buffer("mixing", torch.eye(self.noise).expand(settings.parts, -1, -1).clone())
        self.quantiles = QuantilesAlong(self.noise - 1, settings)
        self.refine = _nothing_at_first(self.noise + given, self.noise) if refine else None

    def fit(self, cells: Tensor, energy: Tensor, given: Tensor) -> None:
        """Take the statistics of real showers.

        Args:
            cells: `(n, n_cells)` MeV.
            energy: `(n,)` MeV.
            given: `(n, given)` what the incident particle is, as for `forward`.
        """
        total = cells.sum(1)
        self.scale.fit(total, energy)
        # A shower without energy says nothing of how energy is shared.
        some = total > (0 if bool(total.any()) else -1)
        cells, energy, given = (x[some] for x in (cells, energy, given))
        shares, values = self._described(cells)
        self.most.copy_(values[:, : self.layers.count].amax(0))
        of = terms(given)
        means, spreads = fit_terms(of, values)
        self.means.copy_(means)
        self.spreads.copy_(spreads)
        parts = self.parts.fit(given[:, 0])
        # These take up the constant that the spreads are off by.
        self.quantiles.fit((values - of @ means) / torch.exp(of @ spreads), parts)
        normal = self.normal(cells, energy, given)
        self.mixing.copy_(torch.stack(_roots(normal, parts, self.settings.prior)))
        self._fit_least(shares, given)

    def normal(self, cells: Tensor, energy: Tensor, given: Tensor) -> Tensor:
        """Return the normal variables behind real showers, `(n, noise)`: the way back."""
        _, values = self._described(cells)
        of = terms(given)
        unit = (values - of @ self.means) / torch.exp(of @ self.spreads)
        behind = self.quantiles.back(unit, self.parts(given[:, 0]))
        return torch.cat([self.scale.normal(cells.sum(1), energy).unsqueeze(1), behind], dim=1)

    def behind_energies(self, energies: Tensor, given: Tensor) -> Tensor:
        """Return what `normal` does for the layers, of their energies; both `(n, n_layers)`."""
        wanted = slice(0, self.layers.count)
        shares = energies / energies.sum(1, keepdim=True).clamp_min(_LEAST_TOTAL)
        of = terms(given)
        unit = (torch.log(shares + _LEAST) - of @ self.means[:, wanted]) / torch.exp(
            of @ self.spreads[:, wanted]
        )
        return self.quantiles.behind(unit, self.parts(given[:, 0]))

    def _described(self, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Return shares of the layers, and their logarithms beside the summaries, `(n, noise - 1)`."""
        shares = self.layers.sums(cells) / cells.sum(1, keepdim=True).clamp_min(_LEAST_TOTAL)
        return shares, torch.cat([torch.log(shares + _LEAST), self.summaries(cells)], dim=1)

    def _fit_least(self, shares: Tensor, given: Tensor) -> None:
        """Find what is taken from the shares, so that a layer is empty as often as in real showers."""
        times = -(-_DRAWN // len(given))
        many = given.repeat(times, 1)
        drawn, _ = self._drawn(torch.randn(len(many), self.noise, device=given.device), many)
        rising = torch.exp(drawn).sort(dim=0).values
        empty = times * (shares <= 0).sum(0)
        last = rising.gather(0, (empty - 1).clamp_min(0).unsqueeze(0)).squeeze(0)
        self.least.copy_(torch.where(empty > 0, last, _LEAST).clamp_min(_LEAST))

    def forward(self, noise: Tensor, energy: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
        """Draw energies.

        Args:
            noise: `(n, self.noise)`.
            energy: `(n,)` MeV.
            given: `(n, given)` what the incident particle is.

        Returns:
            Energies of the layers, `(n, n_layers)` MeV, and the normal variables behind them and the
            summaries `(n, noise)`.
        """
        values, normal = self._drawn(noise, given)
        # No layer gets a larger share than it ever had, before they are scaled to 1.
        shares = torch.exp(torch.minimum(values, self.most))
        # Where all layers would be empty, the one nearest to having some has all.
        nearest = (shares / self.least).amax(1, keepdim=True)
        shares = torch.relu(shares - self.least * (JUST * nearest).clamp(max=1.0))
        shares = shares / shares.sum(1, keepdim=True).clamp_min(TINY)
        return shares * self.scale.visible(normal[:, 0], energy).unsqueeze(1), normal

    def _drawn(self, noise: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
        """Return logarithms of shares, `(n, n_layers)`, and normal variables, `(n, noise)`."""
        weights = self.parts(given[:, 0])
        mixing = (weights @ self.mixing.flatten(1)).view(-1, *self.mixing.shape[1:])
        # What is between two roots is too narrow.
        mixing = mixing * torch.rsqrt(mixing.square().sum(2, keepdim=True))
        normal = (mixing @ noise.unsqueeze(2)).squeeze(2)
        if self.refine is not None:
            normal = normal + self.refine(torch.cat([noise, given], dim=1))
        of, wanted = terms(given), slice(0, self.layers.count)
        unit = self.quantiles(normal[:, 1:], weights)[:, wanted]
        spread = torch.exp(of @ self.spreads[:, wanted])
        return of @ self.means[:, wanted] + spread * unit, normal


def _nothing_at_first(inputs: int, outputs: int) -> nn.Sequential:
    last = nn.Linear(_WIDTH, outputs)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(
        nn.Linear(inputs, _WIDTH), nn.LeakyReLU(0.2), nn.Linear(_WIDTH, _WIDTH), nn.LeakyReLU(0.2), last
    )


def _roots(normal: Tensor, parts: Sequence[Tensor], prior: float) -> list[Tensor]:
    """Return roots of the correlation of normal variables, `(n, variables)`, in each part.

    Few showers tell little: the correlation at all energies counts as much as `prior` of them.
    """
    whole = prior * _correlation(normal)
    found = [(len(part) * _correlation(normal[part]) + whole) / (len(part) + prior) for part in parts]
    return [_square_root(correlation) for correlation in found]


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

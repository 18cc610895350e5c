"""All that is measured of real showers, and showers drawn from it: docs/fitted.md has the formulas."""

from __future__ import annotations

__all__ = ["Behind", "Drawn", "ShowerStatistics"]

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from caloforge.models.fitted.distributions import CellDistributions, Place
from caloforge.models.fitted.factors import CommonFactors
from caloforge.models.fitted.layers import LayerIndex
from caloforge.models.fitted.shower_copula import ShowerCopula
from caloforge.models.fitted.trends import CellTrends

if TYPE_CHECKING:
    from caloforge.detector import Detector
    from caloforge.models.settings import FitSettings

_FEWEST = 100  # showers that say what goes together
HIT = 0.02  # how far the hottest cell of a layer with energy lies above its threshold at least
_DARK = 8.0  # threshold of the cells of a layer without energy, which say nothing
_FARTHEST = 8.0  # spreads
_PLAIN = 2  # first draws of factors, which know nothing of those before
LEAST_SHARE = 1e-12  # share of a layer's energy


class Drawn(NamedTuple):
    """What describes showers as a whole.

    Attributes:
        energies: `(n, n_layers)` MeV.
        normal: `(n, variables)` the normal variables behind these and behind the summaries.
        mean: `(n, n_cells)` of the normal variables of the cells.
        threshold: `(n, n_cells)` that these exceed where cells are hit.
        place: Between which distributions those of the cells lie.
    """

    energies: Tensor
    normal: Tensor
    mean: Tensor
    threshold: Tensor
    place: Place


class Behind(NamedTuple):
    """Noise from which a fit makes given showers.

    Attributes:
        normal: `(n, variables)` the normal variables behind the whole shower.
        factors: `(n, factors)`.
        noise: `(n, n_cells)` of single cells.
    """

    normal: Tensor
    factors: Tensor
    noise: Tensor


class _Field(NamedTuple):
    """Normal variables of cells, what they exceed where these are hit, and where they are not."""

    variables: Tensor
    threshold: Tensor
    empty: Tensor


class ShowerStatistics(nn.Module):
    """A model of showers of one particle that is fitted, not trained.

    First the whole: energies of the layers, the core's place and width, the number of hits (`ShowerCopula`).
    Then each cell is a normal variable, whose mean follows these (`CellTrends`) and which has factors in
    common with other cells (`CommonFactors`). Its distribution at the energy of its layer makes it a share of
    that (`CellDistributions`). Last, shares of a layer are scaled to add up to one.

    Args:
        detector: Whose showers.
        settings: How finely.
        given: How many numbers describe the incident particle, the first the logarithm of its energy.
        refine: Train a small network that adds to the whole.

    Example:
        >>> statistics = ShowerStatistics(detector, FitSettings(), given=2)
        >>> statistics.fit(cells, energy, given, images)
        >>> print(statistics)
    """

    def __init__(self, detector: Detector, settings: FitSettings, given: int, refine: bool = False) -> None:
        super().__init__()
        self.detector, self.settings = detector, settings
        self.layers = LayerIndex(detector)
        self.copula = ShowerCopula(detector, settings, given, refine)
        self.distributions = CellDistributions(detector, settings)
        self.trends = CellTrends(detector, settings, given)
        self.factors = CommonFactors(detector.n_cells, settings)

    @torch.no_grad()
    def fit(self, cells: Tensor, energy: Tensor, given: Tensor, images: Tensor | None = None) -> None:
        """Measure real showers.

        What empty cells might have been is drawn from what the others of the shower say, in turn with what is
        fitted: a stochastic expectation-maximisation (Celeux and Diebolt, 1985).

        Args:
            cells: `(n, n_cells)` MeV.
            energy: `(n,)` incident, MeV.
            given: `(n, given)` what the incident particle is.
            images: `(m, n_cells)` cell that each cell gets its energy from, in mirror images that might have
                been measured as well; none if there is no symmetry.
        """
        self.copula.fit(cells, energy, given)
        self.distributions.fit(cells, self.layers.numbers.unsqueeze(0) if images is None else images)
        normal = self.copula.normal(cells, energy, given)
        self.trends.begin(normal)
        field = self._field(cells)
        seen = ((~field.empty).float().mean(0) > self.settings.seen).nonzero().squeeze(1)
        if not len(seen) or len(cells) < _FEWEST:
            return
        self._fit_field(_Field(*(part[:, seen] for part in field)), seen, given, normal)

    def _field(self, cells: Tensor) -> _Field:
        energies = self.layers.sums(cells)
        variables, threshold = self.distributions.normal(cells, energies)
        dark = torch.where(self.layers.spread(energies > 0), threshold, _DARK)
        return _Field(variables, dark, cells <= 0)

    def _fit_field(self, field: _Field, seen: Tensor, given: Tensor, normal: Tensor) -> None:
        """Fit what the seen cells follow and have in common."""
        factors = CommonFactors(len(seen), self.settings)
        variables = torch.where(field.empty, _below(0.0, torch.tensor(1.0), field.threshold), field.variables)
        for number in range(self.settings.rounds):
            mean = self.trends.fit(variables, seen, given, normal)
            rest = variables - mean
            if not number:
                factors.begin(rest)
            factors.fit(rest)
            expected = mean + factors.drawn(rest) @ factors.loadings
            drawn = _below(expected, factors.own, field.threshold)
            variables = torch.where(field.empty, drawn, variables)
        self.factors.loadings[: factors.count, seen] = factors.loadings
        self.factors.own[seen] = factors.own

    def forward(self, noise: Tensor, energy: Tensor, given: Tensor) -> Drawn:
        """Draw what describes showers as a whole, of noise `(n, copula.noise)`."""
        energies, normal = self.copula(noise, energy, given)
        return self.drawn(energies, normal, given)

    def drawn(self, energies: Tensor, normal: Tensor, given: Tensor) -> Drawn:
        """Return what describes showers of which energies and normal variables are known."""
        place = self.distributions.between(energies)
        threshold = self.distributions.thresholds(place)
        return Drawn(energies, normal, self.trends(given, normal), threshold, place)

    @torch.no_grad()
    def behind(self, cells: Tensor, energy: Tensor, given: Tensor, rounds: int = 8) -> Behind:
        """Draw the noise from which `forward` and `cells` would make real showers: the way back.

        Hits have one normal variable. What empty cells and factors may have been is drawn in turn, each given
        the other (Gibbs sampling).

        Args:
            cells: `(n, n_cells)` MeV.
            energy: `(n,)` incident, MeV.
            given: `(n, given)` what the incident particle is.
            rounds: How often it is drawn in turn.
        """
        normal = self.copula.normal(cells, energy, given)
        field, mean, own = self._field(cells), self.trends(given, normal), self.factors.own
        # Cells that have nothing in common with others are drawn once.
        linked, loadings = self.factors.linked(), self.factors.loadings
        some, of = _Field(*(part[:, linked] for part in field)), mean[:, linked]
        factors, common = of.new_zeros(len(of), self.factors.count), torch.zeros_like(of)
        for number in range(rounds):
            drawn = _below(of + common, own[linked], some.threshold)
            variables = torch.where(some.empty, drawn, some.variables)
            # A chain that steps across remembers where it began; where hits say most, one draw forgets it.
            before = None if number < _PLAIN else factors
            factors = self.factors.drawn(variables - of, linked, before)
            common = factors @ loadings[:, linked]
        noise = torch.where(field.empty, _below(mean, own, field.threshold), field.variables) - mean
        noise[:, linked] = variables - of - common
        return Behind(normal, factors, noise / own)

    def cells(self, variables: Tensor, drawn: Drawn) -> Tensor:
        """Make the cells of normal variables, `(n, n_cells)` MeV."""
        # No layer that has energy is without a hit.
        lacking = torch.relu(HIT - self.layers.maxima(variables - drawn.threshold))
        variables = variables + self.layers.spread(lacking)
        shares = self.distributions.shares(variables, drawn.threshold, drawn.place)
        scale = drawn.energies / self.layers.sums(shares).clamp_min(LEAST_SHARE)
        return shares * self.layers.spread(scale)

    def __str__(self) -> str:
        """Return what was measured, as a table of the layers."""
        middle = self.settings.parts // 2
        hits = torch.special.ndtr(-self.distributions.threshold[middle])
        common = 1 - self.factors.own.square()
        rows = ["layer           MeV (middle)       cells   hits, mean   variance in common"]
        for layer, span in enumerate(self.layers.spans):
            name, size = self.detector.layers[layer].name, self.layers.sizes[layer]
            energy, hit = float(self.distributions.places[middle, layer].exp()), float(hits[span].sum())
            told = common[span][hits[span] > self.settings.seen]
            share = f"{float(told.mean()):.1%}" if len(told) else "-"
            rows.append(f"{name:<14}  {energy:>12.4g}   {size:>9}   {hit:>10.4g}   {share:>18}")
        numbers = sum(value.numel() for value in self.state_dict().values())
        distributions = f"{len(self.distributions.table)} distributions"
        return "\n".join([*rows, f"{self.factors.count} factors, {distributions}, {numbers:,} numbers"])


def _below(mean: Tensor | float, spread: Tensor, threshold: Tensor) -> Tensor:
    """Draw normal variables that lie below a threshold."""
    level = torch.special.ndtr((threshold - mean) / spread)
    drawn: Tensor = torch.special.ndtri((torch.rand_like(level) * level).clamp(1e-12, 1 - 1e-7))
    return mean + spread * drawn.clamp(-_FARTHEST, _FARTHEST)

"""The fit, and the fit with a correction, as they are exported."""

from __future__ import annotations

__all__ = ["FoldedGenerator", "for_inference"]

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from caloforge.models.base import Generator
from caloforge.models.blocks.conditions import particle_shares
from caloforge.models.fitted.generator import FittedGenerator
from caloforge.models.inference.cells import UNIT, folded_cells
from caloforge.models.inference.layerwise import LayerProducts
from caloforge.models.inference.trends import FoldedTrends
from caloforge.models.inference.whole import FoldedWhole
from caloforge.models.tuned.generator import TunedGenerator

if TYPE_CHECKING:
    from caloforge.models.fitted.statistics import ShowerStatistics


def for_inference(generator: Generator) -> Generator:
    """Return a generator that makes the same showers of the same noise, at a lower cost: itself, if there is none."""
    return FoldedGenerator(generator).eval() if isinstance(generator, FittedGenerator) else generator


class FoldedStatistics(nn.Module):
    """`ShowerStatistics` of one particle.

    Args:
        fit: A fitted one.
        given: How many numbers describe the incident particle.
    """

    coefficients: Tensor
    constant: Tensor
    own: Tensor

    def __init__(self, fit: ShowerStatistics, given: int) -> None:
        super().__init__()
        self.whole, self.cells = FoldedWhole(fit.copula), folded_cells(fit.distributions)
        self.trends = FoldedTrends(fit.trends, given)
        threshold = fit.distributions.threshold
        local = torch.cat([-threshold.diff(dim=0), self.trends.own])
        self.local = LayerProducts(UNIT * local, fit.layers.sizes)
        coefficients = torch.cat([self.trends.coefficients, fit.factors.loadings])
        self.register_buffer("coefficients", UNIT * coefficients)
        self.register_buffer("constant", UNIT * (self.trends.constant - threshold[0]))
        self.register_buffer("own", UNIT * fit.factors.own)

    def expected(
        self, energies: Tensor, normal: Tensor, given: Tensor, factors: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return how far cells lie above their thresholds but for noise, `(n, n_cells)`, and between which parts."""
        common, own = self.trends(given, normal)
        steps = self.cells.between(energies)
        local = self.local(torch.cat([steps, own], dim=2))
        return torch.addmm(
            self.constant, torch.cat([common, factors], dim=1), self.coefficients
        ) + local, steps


class FoldedGenerator(Generator):
    """A fitted or tuned generator in the form that is exported.

    Args:
        generator: With its trained weights.
    """

    def __init__(self, generator: FittedGenerator) -> None:
        super().__init__(generator.detector)
        self.conditions, self.noise_shape = generator.conditions, generator.noise_shape
        self.incidence, self.particles, self.given = generator.incidence, generator.particles, generator.given
        self.parts = generator.parts
        self.fits = nn.ModuleList(FoldedStatistics(fit, self.given) for fit in generator.each())
        self.trunk = generator.trunk if isinstance(generator, TunedGenerator) else None

    def forward(self, noise: Tensor, incident: Tensor) -> Tensor:
        for_whole, factors, for_cells, *others = torch.split(noise, self.parts, dim=1)
        given = self.incidence(incident)
        energy, own = incident[:, :1], given[:, : self.given]
        made = []
        for fit in self.fits:
            assert isinstance(fit, FoldedStatistics)
            energies, normal = fit.whole(for_whole, energy, own)
            above, steps = fit.expected(energies, normal, own, factors)
            if self.trunk is not None:
                latent, for_trunk = others
                shower = torch.cat([latent, normal, factors], dim=1)
                above = above + UNIT * self.trunk.odd(shower, for_trunk, given)
                for_cells_mixed = self.trunk.mixed(for_cells, torch.cat([shower, given], dim=1))
            else:
                for_cells_mixed = for_cells
            made.append(fit.cells(above + fit.own * for_cells_mixed, steps, energies))
        if not self.particles:
            return made[0]
        shares = particle_shares(given[:, -self.particles :]).unsqueeze(2)
        return (torch.stack(made, dim=1) * shares).sum(1)

"""The fit, and the fit with a correction, as they are exported."""

from __future__ import annotations

__all__ = ["FoldedGenerator", "for_inference"]

from collections.abc import Iterator
from itertools import repeat
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from caloforge.models.base import Generator
from caloforge.models.blocks.conditions import particle_shares
from caloforge.models.fitted.generator import FittedGenerator
from caloforge.models.inference.cells import UNIT, folded_cells
from caloforge.models.inference.correction import Correction, correction_of
from caloforge.models.inference.flows import FoldedFlow
from caloforge.models.inference.layerwise import LayerProducts, SomeProducts, one_after_the_other
from caloforge.models.inference.neighbours import FoldedNeighbours
from caloforge.models.inference.trends import FoldedTrends
from caloforge.models.inference.whole import FlownWhole, FoldedWhole
from caloforge.models.transport.flow import FlowTransport
from caloforge.models.transport.generator import TransportGenerator, shown
from caloforge.models.tuned.generator import TunedGenerator

if TYPE_CHECKING:
    from caloforge.models.fitted.statistics import ShowerStatistics
    from caloforge.models.transport.base import CellTransport
    from caloforge.models.transport.whole import WholeFlow


def for_inference(generator: Generator) -> Generator:
    """Return what makes a generator's showers of the same noise at a lower cost; itself if nothing folds."""
    return FoldedGenerator(generator).eval() if isinstance(generator, FittedGenerator) else generator


class FoldedStatistics(nn.Module):
    """`ShowerStatistics` of one particle.

    Args:
        fit: A fitted one.
        given: How many numbers describe the incident particle.
        flow: What draws the shower as a whole, if it is not the fit.
    """

    own: Tensor

    def __init__(self, fit: ShowerStatistics, given: int, flow: WholeFlow | None = None) -> None:
        super().__init__()
        self.whole = FoldedWhole(fit.copula) if flow is None else FlownWhole(flow, fit.copula)
        self.cells = folded_cells(fit.distributions)
        self.trends = FoldedTrends(fit.trends, given)
        local, sizes = torch.cat([self.cells.local_rows, UNIT * self.trends.own]), fit.layers.sizes
        rows = UNIT * torch.cat([self.trends.coefficients, fit.factors.loadings])
        self.local: LayerProducts | None = None
        if len(set(sizes)) == 1:
            self.local = LayerProducts(local, sizes)
        else:
            rows = torch.cat([rows, one_after_the_other(local, sizes)])
        self.common = SomeProducts(rows, UNIT * self.trends.constant)
        self.register_buffer("own", UNIT * fit.factors.own)

    def expected(
        self, energies: Tensor, normal: Tensor, given: Tensor, factors: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the cells' normal variables but for noise, as `FoldedCells` wants them, and their steps."""
        common, own = self.trends(given, normal)
        steps = self.cells.between(energies)
        local = self.cells.local_numbers(steps, own)
        if self.local is None:
            return self.common(torch.cat([common, factors, local], dim=1)), steps
        return self.local(local, self.common(torch.cat([common, factors], dim=1))), steps


class FoldedGenerator(Generator):
    """A fitted or tuned generator in the form that is exported.

    Args:
        generator: With its trained weights.
    """

    def __init__(self, generator: FittedGenerator) -> None:
        super().__init__(generator.detector)
        self.conditions = generator.conditions
        self.incidence, self.particles, self.given = generator.incidence, generator.particles, generator.given
        self.parts = list(generator.parts)
        self.transport: CellTransport | FoldedFlow | None = None
        flows: Iterator[WholeFlow | None] = repeat(None)
        if isinstance(generator, TransportGenerator):
            flows, transport = generator.flows(), generator.transport
            self.transport = FoldedFlow(transport.flow) if isinstance(transport, FlowTransport) else transport
        self.fits = nn.ModuleList(
            FoldedStatistics(fit, self.given, flow)
            for fit, flow in zip(generator.each(), flows, strict=False)
        )
        # First, so that its operations in the graph do not count as the correction's.
        self.mixing: nn.Module | None = None
        self.correction: Correction | None = None
        if isinstance(generator, TunedGenerator):
            neighbours = generator.trunk.neighbours
            self.mixing = None if neighbours is None else FoldedNeighbours(neighbours)
            self.correction = correction_of(generator)
        self.noise_shape = generator.noise_shape

    def forward(self, noise: Tensor, incident: Tensor) -> Tensor:
        for_whole, factors, for_cells, *others = torch.split(noise, self.parts, dim=1)
        given = self.incidence(incident)
        energy, own = incident[:, :1], given[:, : self.given]
        made: list[Tensor] = []
        for fit in self.fits:
            assert isinstance(fit, FoldedStatistics)
            energies, normal = fit.whole(for_whole, energy, own)
            mine, mixed = self._moved(factors, for_cells, given, normal)
            above, steps = fit.expected(energies, normal, own, mine)
            if self.correction is not None:
                latent, for_trunk = others
                seed = torch.cat([latent, normal, factors, given], dim=1)
                above = self.correction(above, seed, for_trunk)
                if self.mixing is not None:
                    mixed = self.mixing(for_cells, seed)
            made.append(fit.cells(above + mixed * fit.own, steps, energies))
        if not self.particles:
            return made[0]
        shares = particle_shares(given[:, -self.particles :]).unsqueeze(2)
        return (torch.stack(made, dim=1) * shares).sum(1)

    def _moved(self, factors: Tensor, noise: Tensor, given: Tensor, normal: Tensor) -> tuple[Tensor, Tensor]:
        """Return factors and noise of cells as they are behind real showers, where that was learned."""
        if self.transport is None:
            return factors, noise
        behind = self.transport(torch.cat([factors, noise], dim=1), shown(given, normal))
        one, other = torch.split(behind, self.parts[1:], dim=1)
        return one, other

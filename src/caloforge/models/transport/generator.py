"""The fit, of noise that is moved to where the noise behind real showers is."""

from __future__ import annotations

__all__ = ["TransportGenerator"]

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from caloforge.models.blocks.volume import volume_shape
from caloforge.models.fitted.generator import FittedGenerator
from caloforge.models.fitted.trends import FARTHEST
from caloforge.models.settings import FlowSettings, MatchingSettings
from caloforge.models.transport.flow import FlowTransport
from caloforge.models.transport.matching import MatchingTransport
from caloforge.models.transport.planes import PlanesVelocity
from caloforge.models.transport.whole import Whole, WholeFlow

if TYPE_CHECKING:
    from caloforge.detector import Detector
    from caloforge.models.fitted.statistics import ShowerStatistics
    from caloforge.models.transport.base import CellTransport


class TransportGenerator(FittedGenerator):
    """`FittedGenerator` with a `WholeFlow` in place of its copula, and moved noise behind its cells.

    The noise from which a fit makes a real shower can be drawn. Where it is not standard normal, the fit is
    wrong; a `CellTransport` learns how. It needs no critic: see `losses`.

    Args:
        detector: Any.
        settings: The `model` part of a recipe.
    """

    def __init__(self, detector: Detector, settings: FlowSettings | MatchingSettings) -> None:
        super().__init__(detector, settings)
        first = self._first()
        self.wholes = nn.ModuleList(WholeFlow(fit.copula, self.given) for fit in self.each())
        behind = [first.factors.count, detector.n_cells]
        seen = self.incidence.width + first.copula.noise
        self.transport: CellTransport
        if isinstance(settings, FlowSettings):
            self.transport = FlowTransport(sum(behind), seen, settings)
        else:
            planes = _planes(detector, behind[0], seen, settings) if settings.network == "planes" else None
            self.transport = MatchingTransport(sum(behind), seen, settings, planes)
        self.alone = isinstance(settings, MatchingSettings) and settings.start == "noise"
        """Whether nothing is left of the fit but the distribution of each cell."""
        self.parts = [next(self.flows()).noise, *behind]
        self.noise_shape = (sum(self.parts),)

    def measures_by(self) -> dict[str, Any]:
        return {**super().measures_by(), "whole": "flow", "alone": self.alone}

    @torch.no_grad()
    def adapt(self, cells: Tensor, incident: Tensor, images: Tensor | None = None) -> None:
        super().adapt(cells, incident, images)
        given, some = self.incidence(incident), cells.sum(1) > 0
        for fit, flow, mine in zip(self.each(), self.flows(), self._of_each(given), strict=True):
            if self.alone:
                _forget(fit)
            told = mine & some
            if told.any():
                energy, own = incident[told, 0], given[told, : self.given]
                normal = fit.copula.normal(cells[told], energy, own)
                flow.fit(Whole(energy, fit.layers.sums(cells[told]), normal), own, fit.copula)
        self.transport.adapt(torch.stack([fit.distributions.hits() for fit in self.each()]).mean(0))

    def forward(self, noise: Tensor, incident: Tensor) -> Tensor:
        for_whole, for_cells = torch.split(noise, [self.parts[0], sum(self.parts[1:])], dim=1)
        with torch.autocast(noise.device.type, enabled=False):
            given = self.incidence(incident)
            own = given[:, : self.given]
            made = []
            for fit, flow in zip(self.each(), self.flows(), strict=True):
                energies, normal = flow(for_whole, incident[:, 0], own, fit.copula)
                drawn = fit.drawn(energies, normal, own)
                behind = self.transport(for_cells, shown(given, normal))
                factors, alone = torch.split(behind, self.parts[1:], dim=1)
                made.append(fit.cells(drawn.mean + fit.factors(factors, alone), drawn))
            return self._chosen(made, given)

    def losses(self, cells: Tensor, incident: Tensor) -> dict[str, Tensor]:
        """Return what is to become small, of a batch of real showers: `whole` and `cells`, means.

        Showers without any energy say nothing. What a batch says nothing of has gradients of zero: several
        processes, whose parts hold other particles, average all.

        Args:
            cells: `(n, n_cells)` MeV.
            incident: `(n, k)` MeV, rad and mm.
        """
        some = cells.sum(1) > 0
        cells, incident = cells[some], incident[some]
        given = self.incidence(incident)
        surprises, behind, seen = [], [], []
        losses = {"whole": _nothing(self.wholes), "cells": _nothing(self.transport)}
        for fit, flow, mine in zip(self.each(), self.flows(), self._in_batch(given), strict=True):
            if not mine.any():
                continue
            energy, own = incident[mine, 0], given[mine, : self.given]
            normal, factors, alone = fit.behind(cells[mine], energy, own)
            whole = Whole(energy, fit.layers.sums(cells[mine]), normal)
            surprises.append(flow.surprise(whole, own, fit.copula))
            behind.append(torch.cat([factors, alone], dim=1))
            seen.append(shown(given[mine], normal))
        if behind:
            losses["whole"] = losses["whole"] + torch.cat(surprises).mean()
            losses["cells"] = losses["cells"] + self.transport.loss(torch.cat(behind), torch.cat(seen))
        return losses

    def flows(self) -> Iterator[WholeFlow]:
        """Return the flow of each particle."""
        return (flow for flow in self.wholes if isinstance(flow, WholeFlow))

    def _in_batch(self, given: Tensor) -> list[Tensor]:
        """Return which showers of a batch are of each particle, `(n,)`."""
        if self.particles:
            return list(given[:, -self.particles :].T > 0)
        return [torch.ones(len(given), dtype=torch.bool, device=given.device)]


def _planes(detector: Detector, factors: int, seen: int, settings: MatchingSettings) -> PlanesVelocity:
    grid = volume_shape(detector, "the planes network")
    return PlanesVelocity(grid, factors, seen, settings.width, settings.blocks)


def shown(given: Tensor, normal: Tensor) -> Tensor:
    """Return what the noise behind cells depends on: the incident particle, and the shower as a whole."""
    return torch.cat([given, normal.clamp(-FARTHEST, FARTHEST)], dim=1)


def _nothing(module: nn.Module) -> Tensor:
    """Return 0, of all parameters."""
    return torch.stack([0.0 * parameter.sum() for parameter in module.parameters()]).sum()


def _forget(fit: ShowerStatistics) -> None:
    """Leave each cell its distribution, but nothing that it follows or has in common with others."""
    fit.trends.coefficients.zero_()
    fit.factors.loadings.zero_()
    fit.factors.own.fill_(1.0)

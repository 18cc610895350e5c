"""The fit, made of noise that a network has moved: to where the noise behind real showers is."""

from __future__ import annotations

__all__ = ["FlowGenerator", "MatchingGenerator", "TransportGenerator"]

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from caloforge.models.fitted.generator import FittedGenerator
from caloforge.models.fitted.trends import FARTHEST
from caloforge.models.transport.coupling import coupling_flow
from caloforge.models.transport.matching import matching_loss, moved
from caloforge.models.transport.velocity import DenseVelocity
from caloforge.models.transport.whole import WholeFlow

if TYPE_CHECKING:
    from caloforge.detector import Detector
    from caloforge.models.fitted.statistics import ShowerStatistics
    from caloforge.models.settings import FittedSettings, FlowSettings, MatchingSettings


class TransportGenerator(FittedGenerator, ABC):
    """`FittedGenerator` with a `WholeFlow` in place of its copula, and moved noise behind its cells.

    It learns by `losses`, without a critic: the likelihood of showers as a whole, and what a subclass says of
    the noise behind their cells.

    Args:
        detector: Any.
        settings: The `model` part of a recipe.
    """

    def __init__(self, detector: Detector, settings: FittedSettings) -> None:
        super().__init__(detector, settings)
        first = self._first()
        self.wholes = nn.ModuleList(WholeFlow(fit.copula, self.given) for fit in self.each())
        self.behind = [first.factors.count, detector.n_cells]
        """Numbers of noise behind the cells: of factors, and of single cells."""
        self.seen = self.incidence.width + first.copula.noise
        self.parts = [next(self._wholes()).noise, *self.behind]
        self.noise_shape = (sum(self.parts),)

    def measures_by(self) -> dict[str, Any]:
        return {**super().measures_by(), "whole": "flow"}

    @torch.no_grad()
    def adapt(self, cells: Tensor, incident: Tensor, images: Tensor | None = None) -> None:
        super().adapt(cells, incident, images)
        given = self.incidence(incident)
        some = cells.sum(1) > 0
        for fit, whole, mine in zip(self.each(), self._wholes(), self._of_each(given), strict=True):
            showers, own = cells[mine & some], given[mine & some, : self.given]
            if len(showers):
                normal = fit.copula.normal(showers, incident[mine & some, 0], own)
                whole.fit(fit.layers.sums(showers), normal, own)

    def forward(self, noise: Tensor, incident: Tensor) -> Tensor:
        for_whole, factors, for_cells = torch.split(noise, self.parts, dim=1)
        with torch.autocast(noise.device.type, enabled=False):
            given = self.incidence(incident)
            own = given[:, : self.given]
            made = []
            for fit, whole in zip(self.each(), self._wholes(), strict=True):
                energies, normal = whole(for_whole, incident[:, 0], own, fit.copula)
                drawn = fit.drawn(energies, normal, own)
                behind = self.cells_moved(factors, for_cells, self.shown(given, normal))
                made.append(fit.cells(drawn.mean + fit.factors(*behind), drawn))
            return self._chosen(made, given)

    def losses(self, cells: Tensor, incident: Tensor) -> dict[str, Tensor]:
        """Return what is to become small, of one batch of real showers: `whole` and `cells`, means.

        Args:
            cells: `(n, n_cells)` MeV.
            incident: `(n, k)` MeV, rad and mm.
        """
        some = cells.sum(1) > 0
        cells, incident = cells[some], incident[some]
        given = self.incidence(incident)
        whole, showers = [], []
        for fit, flow, mine in zip(self.each(), self._wholes(), self._of_batch(given), strict=True):
            own = given[mine, : self.given]
            behind = fit.behind(cells[mine], incident[mine, 0], own)
            whole.append(flow.surprise(fit.layers.sums(cells[mine]), behind.normal, own))
            noise = torch.cat([behind.factors, behind.noise], dim=1)
            showers.append((noise, self.shown(given[mine], behind.normal)))
        noise, seen = (torch.cat(part) for part in zip(*showers, strict=True))
        return {"whole": torch.cat(whole).mean(), "cells": self.loss_of_cells(noise, seen)}

    @abstractmethod
    def cells_moved(self, factors: Tensor, noise: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Move standard normal factors `(n, factors)` and noise of cells `(n, n_cells)`."""

    @abstractmethod
    def loss_of_cells(self, behind: Tensor, seen: Tensor) -> Tensor:
        """Return the loss of noise behind real showers, factors and cells, `(n, factors + n_cells)`."""

    def shown(self, given: Tensor, normal: Tensor) -> Tensor:
        """Return what the noise of cells depends on: the incident particle, and the shower as a whole."""
        return torch.cat([given, normal.clamp(-FARTHEST, FARTHEST)], dim=1)

    def _of_batch(self, given: Tensor) -> list[Tensor]:
        """Return which showers of a batch are of each particle."""
        if self.particles:
            return list(given[:, -self.particles :].T > 0)
        return [torch.ones(len(given), dtype=torch.bool, device=given.device)]

    def _wholes(self) -> Iterator[WholeFlow]:
        return (whole for whole in self.wholes if isinstance(whole, WholeFlow))


class FlowGenerator(TransportGenerator):
    """A normalising flow moves the noise: exact likelihoods, and showers in one pass.

    CaloINN's class (arXiv:2312.09290), in the coordinates of the fit, where it begins as the identity.

    Args:
        detector: Any.
        settings: The `model` part of a recipe.
    """

    def __init__(self, detector: Detector, settings: FlowSettings) -> None:
        super().__init__(detector, settings)
        self.variables = sum(self.behind)
        hidden = (settings.width, settings.width)
        self.flow = coupling_flow(self.variables, self.seen, settings.transforms, hidden)
        for transform in self.flow.transform.transforms:
            last = transform.hyper[-1]
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def cells_moved(self, factors: Tensor, noise: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        moved_ = self.flow(seen).transform.inv(torch.cat([factors, noise], dim=1))
        one, other = torch.split(moved_, self.behind, dim=1)
        return one, other

    def loss_of_cells(self, behind: Tensor, seen: Tensor) -> Tensor:
        found: Tensor = -self.flow(seen).log_prob(behind).mean() / self.variables
        return found


class MatchingGenerator(TransportGenerator):
    """Flow matching moves the noise, in few steps.

    Args:
        detector: Any.
        settings: The `model` part of a recipe.
    """

    def __init__(self, detector: Detector, settings: MatchingSettings) -> None:
        super().__init__(detector, settings)
        self.velocity = DenseVelocity(sum(self.behind), self.seen, settings.width, settings.blocks)
        self.evaluations, self.from_fit = settings.evaluations, settings.start == "fit"
        self.start = _START if self.from_fit else 0.5 * math.pi

    def measures_by(self) -> dict[str, Any]:
        return {**super().measures_by(), "start": "fit" if self.from_fit else "noise"}

    @torch.no_grad()
    def adapt(self, cells: Tensor, incident: Tensor, images: Tensor | None = None) -> None:
        super().adapt(cells, incident, images)
        if not self.from_fit:
            for fit in self.each():
                _forget_cells(fit)

    def cells_moved(self, factors: Tensor, noise: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        place = torch.cat([factors, noise], dim=1)
        found = moved(self.velocity, place, seen, self.evaluations, self.start)
        one, other = torch.split(found, self.behind, dim=1)
        return one, other

    def loss_of_cells(self, behind: Tensor, seen: Tensor) -> Tensor:
        return matching_loss(self.velocity, behind, seen)


_START = 1.0  # rad; beyond, what is left of the noise behind real showers is as good as normal


def _forget_cells(fit: ShowerStatistics) -> None:
    """Leave each cell its distribution, but nothing that it follows or has in common with others."""
    fit.trends.coefficients.zero_()
    fit.factors.loadings.zero_()
    fit.factors.own.fill_(1.0)

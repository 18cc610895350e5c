"""The fit as a generator: the baseline of every network."""

from __future__ import annotations

__all__ = ["FittedGenerator"]

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from caloforge.models.base import Generator
from caloforge.models.blocks.conditions import incident_columns, particle_shares, showers_of_each
from caloforge.models.blocks.incidence import Incidence
from caloforge.models.fitted.statistics import Drawn, ShowerStatistics

if TYPE_CHECKING:
    from caloforge.detector import Detector
    from caloforge.models.settings import FittedSettings


class FittedGenerator(Generator):
    """Draws showers from `ShowerStatistics`, of each particle from its own.

    Args:
        detector: Any.
        settings: The `model` part of a recipe.
        refine: Let a small network add to the energies of the layers.
    """

    def __init__(self, detector: Detector, settings: FittedSettings, refine: bool = False) -> None:
        super().__init__(detector)
        self.conditions = incident_columns(settings.given, settings.particles)
        self.incidence = Incidence(detector, self.conditions, settings.particles)
        self.particles = len(settings.particles) if "pdg" in self.conditions else 0
        # Each fit is of one particle, and need not be told which.
        self.given = self.incidence.width - self.particles
        self.fits = nn.ModuleList(
            ShowerStatistics(detector, settings.fit, self.given, refine)
            for _ in range(max(self.particles, 1))
        )
        first = self._first()
        self.parts = [first.copula.noise, first.factors.count, detector.n_cells]
        self.noise_shape = (sum(self.parts),)
        self._by = {
            **settings.model_dump(mode="json", include={"fit", "particles", "given"}),
            "refine": refine,
        }

    def measures_by(self) -> dict[str, Any]:
        return self._by

    @torch.no_grad()
    def adapt(self, cells: Tensor, incident: Tensor, images: Tensor | None = None) -> None:
        given = self.incidence(incident)
        for fit, mine in zip(self.each(), self._of_each(given), strict=True):
            fit.fit(cells[mine], incident[mine, 0], given[mine, : self.given], images)

    def forward(self, noise: Tensor, incident: Tensor) -> Tensor:
        for_whole, factors, for_cells = torch.split(noise, self.parts, dim=1)
        # Energies need more digits than bfloat16 has.
        with torch.autocast(noise.device.type, enabled=False):
            given = self.incidence(incident)
            made = []
            for fit in self.each():
                drawn: Drawn = fit(for_whole, incident[:, 0], given[:, : self.given])
                made.append(fit.cells(drawn.mean + fit.factors(factors, for_cells), drawn))
            return self._chosen(made, given)

    def _chosen(self, made: list[Tensor], given: Tensor) -> Tensor:
        """Return what the particle of each shower leaves, of what each would leave."""
        if not self.particles:
            return made[0]
        shares = particle_shares(given[:, -self.particles :]).unsqueeze(2)
        return (torch.stack(made, dim=1) * shares).sum(1)

    def _of_each(self, given: Tensor) -> list[Tensor]:
        """Return which showers tell of each particle, `(n,)`: all, if there is one."""
        if self.particles:
            return showers_of_each(given[:, -self.particles :])
        return [torch.ones(len(given), dtype=torch.bool, device=given.device)]

    def each(self) -> list[ShowerStatistics]:
        """Return the fit of each particle."""
        return [fit for fit in self.fits if isinstance(fit, ShowerStatistics)]

    def _first(self) -> ShowerStatistics:
        return self.each()[0]

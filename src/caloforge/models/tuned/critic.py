"""A critic that sees what a physicist looks at: cells on a logarithmic scale, and observables."""

from __future__ import annotations

__all__ = ["ObservingCritic", "TunedCritic"]

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from caloforge.models.base import Critic
from caloforge.models.blocks.conditions import incident_columns
from caloforge.models.blocks.incidence import Incidence
from caloforge.models.tuned.features import ShowerFeatures
from caloforge.models.tuned.trunks import CriticTrunk, critic_trunk

if TYPE_CHECKING:
    from caloforge.detector import Detector
    from caloforge.models.settings import GrownSettings, TunedSettings

_SLOPE = 0.2
_WIDTH = 256
_AUXILIARY_UNIT = 100e3  # MeV
_TYPICAL = 50e3  # MeV
_SHOWERS = 4096  # that it takes its statistics from


class ObservingCritic(Critic):
    """Judges by cells, by `ShowerFeatures`, and by the incident particle.

    Beside it stands a small network that estimates the incident energy from those of the layers.

    Args:
        detector: Any.
        settings: The `model` part of a recipe, for what is known of the incident particle.
        trunk: The network that sees the cells.
        width: Features of the layers that join this with all else.
    """

    def __init__(
        self, detector: Detector, settings: TunedSettings | GrownSettings, trunk: CriticTrunk, width: int
    ) -> None:
        super().__init__(detector)
        columns = incident_columns(settings.given, settings.particles)
        self._by = settings.model_dump(mode="json", include={"particles", "given"})
        self.incidence = Incidence(detector, columns, settings.particles)
        self.features = ShowerFeatures(detector)
        self.trunk = trunk
        self.body = _dense((trunk.size + self.features.count + self.incidence.width, width, width, 1))
        self.estimate = _dense((len(detector.layers), 64, 64, 1))
        self.classify = (
            _dense((trunk.size + self.features.count, width, len(settings.particles)))
            if "pdg" in columns
            else None
        )
        self.register_buffer("centre", torch.zeros(detector.n_cells))
        self.register_buffer("width", torch.ones(detector.n_cells))
        self.register_buffer("spread", torch.ones(detector.n_cells))

    centre: Tensor
    width: Tensor
    spread: Tensor

    def measures_by(self) -> dict[str, Any]:
        return self._by

    @torch.no_grad()
    def adapt(self, cells: Tensor, incident: Tensor, images: Tensor | None = None) -> None:  # noqa: ARG002
        cells, incident = cells[:_SHOWERS], incident[:_SHOWERS]
        self.features.fit(cells, incident[:, 0])
        values = self._logarithms(cells)
        self.centre.copy_(values.mean(0))
        # A cell that is hit once in a thousand showers would otherwise be louder than all others.
        self.width.copy_(values.std(0).clamp_min(0.2))
        shares = _shares(cells)
        spread = shares.std(0)
        self.spread.copy_(spread.clamp_min(max(0.1 * float(spread.amax()), 1e-6)))

    def forward(self, cells: Tensor, incident: Tensor) -> dict[str, Tensor]:
        return self.read(*self.views(cells, incident))

    def views(self, cells: Tensor, incident: Tensor) -> tuple[Tensor, ...]:
        with torch.autocast(cells.device.type, enabled=False):
            hits = self.features.hits(cells)
            return (
                self.features(cells, hits, incident[:, 0]),
                self.incidence(incident),
                torch.log1p(self.features.layers.sums(cells) / self.features.typical),
                (self._logarithms(cells) - self.centre) / self.width,
                hits,
                _shares(cells) / self.spread,
            )

    def read(self, *views: Tensor) -> dict[str, Tensor]:
        seen, given, energies, *image = views
        found = torch.cat([self.trunk(*image), seen], dim=1)
        with torch.autocast(energies.device.type, enabled=False):
            readings = {"auxiliary": self._estimate(energies)}
        readings["logit"] = self.body(torch.cat([found, given], dim=1)).float().squeeze(1)
        if self.classify is not None:
            readings["classes"] = self.classify(found).float()
        return readings

    def _logarithms(self, cells: Tensor) -> Tensor:
        return torch.log1p(cells / self.features.typical[self.features.layers.layer])

    def _estimate(self, energies: Tensor) -> Tensor:
        """Incident energy in units of 100 GeV: by the mean response, corrected for the layers' energies."""
        visible = (torch.expm1(energies) * self.features.typical).sum(1)
        response = self.features.scale.mean(torch.full_like(visible, _TYPICAL)) / _TYPICAL
        return visible / response / _AUXILIARY_UNIT * torch.exp(self.estimate(energies).squeeze(1))


class TunedCritic(ObservingCritic):
    """`ObservingCritic` of the tuned family.

    Args:
        detector: Any; the `planes` network needs layers of the same cartesian grid.
        settings: The `model` part of a recipe.

    Raises:
        DetectorError: The network does not fit the detector.
    """

    def __init__(self, detector: Detector, settings: TunedSettings) -> None:
        trunk = critic_trunk(detector, settings.network, settings.width)
        super().__init__(detector, settings, trunk, _WIDTH)


def _shares(cells: Tensor) -> Tensor:
    """Root of each cell's share of the energy: the hottest cells stand out, and soft ones are not lost."""
    return torch.sqrt(cells / cells.sum(1, keepdim=True).clamp_min(1e-3) + 1e-8)


def _dense(widths: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.LeakyReLU(_SLOPE)]
    return nn.Sequential(*layers[:-1])

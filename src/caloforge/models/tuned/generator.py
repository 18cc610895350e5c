"""The fit to real showers, and a network that corrects what it does not see.

What the tuned recipes train. It puts together what has been learned since the published GANs: energies of
layers apart from their shapes (arXiv:2109.02551, 2106.05285), cells on a logarithmic scale, noise of its own
for each cell (arXiv:1812.04948), statistics of the real showers as the starting point.
"""

from __future__ import annotations

__all__ = ["TunedGenerator"]

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from caloforge.models.fitted.generator import FittedGenerator
from caloforge.models.tuned.trunks import generator_trunk

if TYPE_CHECKING:
    from caloforge.detector import Detector
    from caloforge.models.settings import TunedSettings

_WIDEST = 1.0  # logarithm of what a correction multiplies a spread with


class TunedGenerator(FittedGenerator):
    r"""`FittedGenerator` with a correction: of mean and spread of each cell's normal variable.

    The network sees the incident particle, the normal variables and the factors of the whole shower, and
    noise of its own. It begins with hardly any correction.

    Args:
        detector: Any; `planes` and `volume` networks need layers of the same cartesian grid.
        settings: The `model` part of a recipe.

    Raises:
        DetectorError: The network does not fit the detector.
    """

    def __init__(self, detector: Detector, settings: TunedSettings) -> None:
        super().__init__(detector, settings, settings.refine)
        first = self._first()
        inputs = settings.latent + first.copula.noise + first.factors.count + self.incidence.width
        self.trunk = generator_trunk(detector, settings, inputs)
        self.parts = [*self.parts, settings.latent, self.trunk.noise]
        self.noise_shape = (sum(self.parts),)

    def forward(self, noise: Tensor, incident: Tensor) -> Tensor:
        for_whole, factors, for_cells, latent, for_trunk = torch.split(noise, self.parts, dim=1)
        made = []
        for fit in self._each():
            # Energies need more digits than bfloat16 has.
            with torch.autocast(noise.device.type, enabled=False):
                given = self.incidence(incident)
                drawn = fit(for_whole, incident[:, 0], given[:, : self.given])
                seed = torch.cat([latent, drawn.normal, factors, given], dim=1)
            added, wider = self.trunk(seed, for_trunk)
            mixed = self.trunk.mixed(for_cells, seed)
            with torch.autocast(noise.device.type, enabled=False):
                spread = torch.exp(wider.float().clamp(-_WIDEST, _WIDEST))
                varied = spread * fit.factors(factors, mixed)
                made.append(fit.cells(drawn.mean + added.float() + varied, drawn))
        with torch.autocast(noise.device.type, enabled=False):
            return self._chosen(made, given)

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


class TunedGenerator(FittedGenerator):
    """`FittedGenerator` with a correction, added to the normal variable of each cell.

    The network sees the incident particle, the normal variables and the factors of the whole shower, and
    noise of its own. The correction is odd in all of these but the incident particle: half the difference of
    what the network says of them and of their opposites. These come as often as they do, so no cell's mean
    moves, at any energy: the fit has these right already. It begins with hardly any correction.

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
        self.inputs = inputs, self.incidence.width
        self.trunk = generator_trunk(detector, settings, inputs)
        self.parts = [*self.parts, settings.latent, self.trunk.noise]
        self.noise_shape = (sum(self.parts),)

    def forward(self, noise: Tensor, incident: Tensor) -> Tensor:
        for_whole, factors, for_cells, latent, for_trunk = torch.split(noise, self.parts, dim=1)
        made = []
        for fit in self.each():
            # Energies need more digits than bfloat16 has.
            with torch.autocast(noise.device.type, enabled=False):
                given = self.incidence(incident)
                drawn = fit(for_whole, incident[:, 0], given[:, : self.given])
                shower = torch.cat([latent, drawn.normal, factors], dim=1)
            added = self._correction(shower, for_trunk, given)
            mixed = self.trunk.mixed(for_cells, torch.cat([shower, given], dim=1))
            with torch.autocast(noise.device.type, enabled=False):
                varied = fit.factors(factors, mixed)
                made.append(fit.cells(drawn.mean + added.float() + varied, drawn))
        with torch.autocast(noise.device.type, enabled=False):
            return self._chosen(made, given)

    def _correction(self, shower: Tensor, noise: Tensor, given: Tensor) -> Tensor:
        """Return what is added to the normal variables of the cells, `(n, n_cells)`."""
        one = self.trunk(torch.cat([shower, given], dim=1), noise)
        # Not both in one batch, which torch would export for the number of showers that it is shown.
        opposite = self.trunk(torch.cat([-shower, given], dim=1), -noise)
        added: Tensor = 0.5 * (one - opposite)
        return added

"""The generator: a seed that grows, stage by stage, to shares of a measured energy."""

from __future__ import annotations

__all__ = ["GrownGenerator"]

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from caloforge.models.base import Generator
from caloforge.models.blocks.conditions import incident_columns, particle_shares, showers_of_each
from caloforge.models.blocks.incidence import Incidence
from caloforge.models.fitted.energy_scale import EnergyScale
from caloforge.models.fitted.layers import LayerIndex
from caloforge.models.grown.stages import (
    CellBias,
    activated,
    axes_of,
    begin,
    channels_last,
    convolution,
    enlarged,
    fitted,
    sizes,
)
from caloforge.models.settings import FitSettings

if TYPE_CHECKING:
    from caloforge.detector import Detector
    from caloforge.models.settings import Activation, GrownSettings

_SOFT = 0.01  # share of the hits of a layer that are softer than any that are made
_LEAST = 1e-6  # MeV
_NEVER = 0.1  # of the smallest mean share, for cells that are never hit
_AFTER_SEED: Activation = "leaky-relu"


class GrownGenerator(Generator):
    r"""Shares of the visible energy by convolutions, the visible energy by what was measured.

    A dense layer makes a coarse image or volume of noise and incident particle. Each stage repeats its cells
    until they are `grow` times as many along each axis, and convolves them. Sizes are found backwards from
    the grid, so every list of stages ends at the right one. Of the last stage comes a number :math:`z_i` for
    each cell, and

    .. math:: E_i = E\, s_i \quad\text{with}\quad s = \mathrm{softmax}(z),\ s_i = 0\ \text{where}\ E\,s_i < t

    scaled to the visible energy :math:`E`, which is drawn from the distribution of real showers. The
    threshold :math:`t` of a layer is a soft one of its real hits. The network has to learn the mean image, or
    the logarithms of measured mean shares are added to :math:`z`.

    All weights are those of plain layers that are called (`seed`, `stages`, `head`, `cells`), and no shower
    knows of the others in its batch: a pass for many generators at once can put its own layers there.

    Args:
        detector: Layers of one cartesian grid, at least two of them for three dimensions.
        settings: The `model` part of a recipe.

    Raises:
        DetectorError: The detector is another.
    """

    threshold: Tensor
    image: Tensor

    def __init__(self, detector: Detector, settings: GrownSettings) -> None:
        super().__init__(detector)
        self.settings = settings
        self.conditions = incident_columns(settings.given, settings.particles)
        self.incidence = Incidence(detector, self.conditions, settings.particles)
        self.particles = len(settings.particles) if "pdg" in self.conditions else 0
        self.layers = LayerIndex(detector)
        channels, grid = axes_of(detector, settings.dimensions)
        self.sizes = sizes(grid, [stage.grow for stage in settings.stages])
        widths = [settings.filters, *(stage.filters for stage in settings.stages)]
        activations = [_AFTER_SEED, *(stage.activation for stage in settings.stages)]
        seeds = settings.latent + self.incidence.width
        self.seed = begin(nn.Linear(seeds, widths[0] * prod(self.sizes[0])), None)
        self.stages = nn.ModuleList(
            convolution((before + stage.noise, stage.filters), stage.kernel, settings.dimensions, after)
            for before, after, stage in zip(widths, activations, settings.stages, strict=False)
        )
        self.head = convolution(
            (widths[-1], channels), settings.kernel, settings.dimensions, activations[-1], bias=False
        )
        self.cells = CellBias(detector.n_cells)
        channels_last(self, settings.dimensions)
        self.responses = nn.ModuleList(EnergyScale(FitSettings()) for _ in range(max(self.particles, 1)))
        self.register_buffer("threshold", torch.zeros(detector.n_layers))
        if settings.image == "measured":
            self.register_buffer("image", torch.zeros(detector.n_cells))
        maps = [
            prod(size) for stage, size in zip(settings.stages, self.sizes[1:], strict=True) if stage.noise
        ]
        self.parts = [1, settings.latent, *maps]
        self.noise_shape = (sum(self.parts),)
        self._by = settings.model_dump(mode="json", include={"particles", "given", "image"})

    def measures_by(self) -> dict[str, Any]:
        return self._by

    @torch.no_grad()
    def adapt(self, cells: Tensor, incident: Tensor, images: Tensor | None = None) -> None:  # noqa: ARG002
        which = self._which(self.incidence(incident))
        for response, mine in zip(self.responses, showers_of_each(which), strict=True):
            response.fit(cells[mine].sum(1), incident[mine, 0])  # type: ignore[operator]
        softest = [_softest(cells[:, span]) for span in self.layers.spans]
        self.threshold.copy_(torch.tensor(softest))
        if self.settings.image == "measured":
            self.image.copy_(_mean_image(cells))

    def forward(self, noise: Tensor, incident: Tensor) -> Tensor:
        for_energy, latent, *maps = torch.split(noise, self.parts, dim=1)
        # Energies need more digits than bfloat16 has.
        with torch.autocast(noise.device.type, enabled=False):
            given = self.incidence(incident)
        logits = self._grown(torch.cat([latent, given], dim=1), maps)
        with torch.autocast(noise.device.type, enabled=False):
            visible = self._visible(for_energy[:, 0], incident[:, 0], given)
            return self._shared(torch.softmax(logits.float(), dim=1), visible)

    def _grown(self, seed: Tensor, maps: list[Tensor]) -> Tensor:
        """Return a number for each cell, `(n, n_cells)`."""
        noise = iter(maps)
        first, *after = self.sizes
        x = activated(self.seed(seed), _AFTER_SEED).reshape(-1, self.settings.filters, *first)
        for layer, stage, size in zip(self.stages, self.settings.stages, after, strict=True):
            x = enlarged(x, size)
            seen = torch.cat([next(noise).reshape(-1, 1, *size).to(x.dtype), x], dim=1) if stage.noise else x
            made = activated(layer(seen), stage.activation)
            x = made + fitted(x, stage.filters) if stage.skip else made
        logits: Tensor = self.cells(self.head(x).flatten(1))
        return logits + self.image if self.settings.image == "measured" else logits

    def _visible(self, normal: Tensor, energy: Tensor, given: Tensor) -> Tensor:
        """Return the energy in all cells, `(n,)` MeV."""
        drawn = [response.visible(normal, energy) for response in self.responses]  # type: ignore[operator]
        shares = particle_shares(self._which(given))
        return (torch.stack(drawn, dim=1) * shares).sum(1)

    def _which(self, given: Tensor) -> Tensor:
        """Return which particle each is, `(n, particles)`."""
        return given[:, -self.particles :] if self.particles else torch.ones_like(given[:, :1])

    def _shared(self, shares: Tensor, visible: Tensor) -> Tensor:
        """Give each cell its share of the energy, or nothing where that is too little, MeV."""
        cells = shares * visible.unsqueeze(1)
        hits = torch.where(cells < self.threshold[self.layers.layer], 0.0, cells)
        # Gradients go through as if nothing had been emptied: an empty cell can become a hit again.
        kept = cells + (hits - cells).detach()
        return kept * (visible / kept.sum(1).clamp_min(_LEAST)).unsqueeze(1)


def _mean_image(cells: Tensor) -> Tensor:
    """Return the logarithms of the mean shares of all cells, a low one for those that are never hit."""
    shares = (cells / cells.sum(1, keepdim=True).clamp_min(_LEAST)).mean(0)
    hit = shares > 0
    return shares.clamp_min(_NEVER * float(shares[hit].amin()) if bool(hit.any()) else 1.0).log()


def _softest(cells: Tensor) -> float:
    """Return the energy of a soft hit, MeV; 0 where there is none."""
    hits = cells[cells > 0].cpu().numpy()
    return float(np.quantile(hits, _SOFT)) if len(hits) else 0.0

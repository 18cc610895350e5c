"""The trained correction as it is exported: whole, or where it matters."""

from __future__ import annotations

__all__ = ["correction_of", "mixing_of"]

import torch
from torch import Tensor, nn

from caloforge.models.inference.cells import UNIT
from caloforge.models.inference.neighbours import OwnLayerNoise, from_other_layers
from caloforge.models.inference.odd import Correction, DenseCorrection, WholeCorrection
from caloforge.models.inference.planes import CroppedPlanes, window_of
from caloforge.models.tuned.generator import TunedGenerator
from caloforge.models.tuned.trunks import DenseGenerator, GeneratorTrunk, NeighbourNoise, PlanesGenerator

_OUTSIDE = 0.35  # of all hits, where there is no correction
_FAINT = 0.05  # spreads of a cell's normal variable that a correction may have there
_SHOWERS = 32  # that tell how large it is
_LITTLE = 0.01  # of the variance of a cell's noise that other layers may bring


def correction_of(generator: TunedGenerator) -> Correction:
    """Return the correction, in a window if it hardly says anything outside of one that holds most hits."""
    trunk, inputs = generator.trunk, generator.inputs
    if isinstance(trunk, DenseGenerator):
        return DenseCorrection(trunk, *inputs)
    if isinstance(trunk, PlanesGenerator) and generator.conditions == ("energy",):
        hits = torch.special.ndtr(-generator.each()[0].distributions.threshold).mean(0)
        window = window_of(hits.view(-1, *trunk.grid).sum(0), trunk.between, _OUTSIDE)
        if window is not None:
            outside = torch.ones(trunk.grid, dtype=torch.bool)
            outside[window.start : window.end, window.start : window.end] = False
            added = _sampled(generator).view(_SHOWERS, -1, *trunk.grid)[:, :, outside]
            if float(added.square().mean(0).max().sqrt()) < _FAINT:
                return CroppedPlanes(trunk, *inputs, window)
    return WholeCorrection(trunk, *inputs)


def mixing_of(trunk: GeneratorTrunk) -> nn.Module | None:
    """Return what mixes the noise of cells: only that of a layer, if other layers bring hardly any."""
    neighbours = trunk.neighbours
    if isinstance(neighbours, NeighbourNoise) and from_other_layers(neighbours) < _LITTLE:
        return OwnLayerNoise(neighbours)
    return neighbours


@torch.no_grad()
def _sampled(generator: TunedGenerator) -> Tensor:
    """Return corrections of some showers, `(showers, n_cells)`."""
    fit, source = generator.each()[0], torch.Generator().manual_seed(1)
    low, high = fit.copula.scale.ends
    energy = low + (high - low) * torch.rand(_SHOWERS, 1, generator=source)
    given = generator.incidence(energy)
    for_whole, factors, _, latent, noise = torch.split(
        generator.sample_noise(_SHOWERS, source), generator.parts, dim=1
    )
    drawn = fit(for_whole, energy[:, 0], given)
    seed = torch.cat([latent, drawn.normal, factors, given], dim=1)
    added: Tensor = WholeCorrection(generator.trunk, *generator.inputs)(torch.zeros(()), seed, noise)
    return added / UNIT

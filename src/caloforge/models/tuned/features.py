"""Numbers per shower that a network can learn from: energies of layers, profiles, hits, and the response."""

from __future__ import annotations

__all__ = ["ShowerFeatures", "typical_hits"]

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from caloforge.models.fitted.energy_scale import EnergyScale, energy_terms
from caloforge.models.fitted.layers import LayerIndex
from caloforge.models.settings import FitSettings
from caloforge.models.tuned.planes import Image, Polygons, plane_of

if TYPE_CHECKING:
    from caloforge.detector import Detector

_SOFT = 1e-2  # MeV in a layer, below which it has no place
_LEAST = 1e-5  # share of the energy below which logarithms of shares go no further
_HALF = 0.02  # of a typical hit: half a hit
_LEVELS = 0.1, 0.3, 1.0, 3.0  # in typical hits: how many cells lie above
_BRIGHTEST = 5  # cells of each layer
_RINGS = 10
_AXIS = 1e-3  # of the largest distance from the axis: nearer is on it


def typical_hits(cells: Tensor, detector: Detector) -> Tensor:
    """Return the median energy of the hits of each layer, MeV: `(n, n_cells)` to `(n_layers,)`.

    A layer without hits has the median of all, and showers without hits have 1 MeV.
    """
    sizes = [layer.n_cells for layer in detector.layers]
    found = [part[part > 0] for part in (cells, *torch.split(cells, sizes, dim=1))]
    whole, *layers = (hits.median() if len(hits) else None for hits in found)
    whole = cells.new_tensor(1.0) if whole is None else whole
    return torch.stack([whole if layer is None else layer for layer in layers])


class ShowerFeatures(nn.Module):
    """Differentiable observables, as deviations from their trend with the incident energy.

    Each has mean 0 and spread 1 over the real showers. Without the trend, which is most of what many vary
    by, their distributions say more of how they vary at one energy.

    Shares of the layers, profiles along both axes of each grid (summed over the layers that have it), and
    energy within rings around the axis; centre and width of each layer; centre, width and mean radius of the
    whole shower, with energies and with their squares as weights; brightest cells of each layer; number of
    hits of each layer and of the whole shower, and of cells above a few levels of energy; hits that have no
    other beside them, pairs of neighbours in a layer and how much their energies differ; what a layer has in
    common with the next one of the same grid, in hits and in energy; hottest cell, and response. Shares,
    widths of the whole shower and numbers of cells are logarithms.

    Args:
        detector: Whose showers.

    Attributes:
        count: Number of features.
        typical: Energy of a typical hit of each layer, `(n_layers,)` MeV. A cell of a fiftieth of it
            counts as half a hit, so that hits have a gradient.
    """

    typical: Tensor
    trend: Tensor
    width: Tensor
    places: Tensor
    rings: Tensor

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector, self.layers = detector, LayerIndex(detector)
        each = [plane_of(layer) for layer in detector.layers]
        planes = list(dict.fromkeys(each))
        self.alike = [[i for i, own in enumerate(each) if own == plane] for plane in planes]
        parts = [Image(p) if isinstance(p, tuple) else Polygons(p) for p in planes]
        self.planes: Any = nn.ModuleList(parts)
        profiles = sum(bins for plane in parts for bins in plane.bins)
        brightest = [min(_BRIGHTEST, layer.n_cells) for layer in detector.layers]
        numbers = (1 + len(_LEVELS)) * (len(detector.layers) + 1)
        pairs = 2 * (len(detector.layers) - len(planes))
        self.count = 8 * len(detector.layers) + pairs + profiles + sum(brightest) + _RINGS + 16 + numbers
        self.scale = EnergyScale(FitSettings())
        position = torch.tensor(detector.positions, dtype=torch.float32)
        radius = position[:, :2].norm(dim=1, keepdim=True)
        most = radius.amax().clamp_min(1e-3)
        position[:, :2] /= most
        position[:, 2] /= position[:, 2].abs().amax().clamp_min(1e-3)
        radius /= most
        least = float(radius[radius > _AXIS].amin()) if bool((radius > _AXIS).any()) else _AXIS
        places = torch.cat([position, position**2, radius], dim=1)
        self.register_buffer("places", places, persistent=False)
        inside = radius <= 1.001 * torch.logspace(math.log10(least), 0, _RINGS + 1)[:-1]
        self.register_buffer("rings", inside.float(), persistent=False)
        self.register_buffer("typical", torch.ones(len(detector.layers)))
        self.register_buffer("trend", torch.zeros(3, self.count))
        self.register_buffer("width", torch.ones(self.count))

    def fit(self, cells: Tensor, energy: Tensor) -> None:
        """Take trends and spreads from real showers: `(n, n_cells)` and `(n,)`, MeV."""
        self.scale.fit(cells.sum(1), energy)
        self.typical.copy_(typical_hits(cells, self.detector))
        raw, terms = self._raw(cells, self.hits(cells), energy), energy_terms(energy)
        self.trend.copy_(torch.linalg.lstsq(terms, raw, driver="gelsd").solution)
        # What hardly varies, as the share of the only layer, must not be blown up.
        self.width.copy_((raw - terms @ self.trend).std(0).clamp_min(1e-3))

    def hits(self, cells: Tensor) -> Tensor:
        """Return how much of a hit each cell is, 0 to 1."""
        return cells / (cells + _HALF * self.typical[self.layers.layer])

    def forward(self, cells: Tensor, hits: Tensor, energy: Tensor) -> Tensor:
        """Map cells and their `hits`, `(n, n_cells)`, and incident energies `(n,)` to `(n, count)`."""
        seen = (self._raw(cells, hits, energy) - energy_terms(energy) @ self.trend) / self.width
        return seen.clamp(-10, 10)

    def _raw(self, cells: Tensor, hits: Tensor, energy: Tensor) -> Tensor:
        total = cells.sum(1, keepdim=True).clamp_min(1e-3)
        square = (cells / self.typical[self.layers.layer]).square()
        numbers = [
            self.layers.sums(hits),
            *(self.layers.sums(square / (square + level**2)) for level in _LEVELS),
        ]
        shares, moments, texture = [], [], []
        volumes = [self._volumes(one) for one in (cells, hits, cells / self.typical[self.layers.layer])]
        for plane, volume, hit, ratio in zip(self.planes, *volumes, strict=True):
            texture += [plane.alone(hit), *plane.pairs(hit, torch.log1p(ratio)), *_in_common(volume, hit)]
            along_x, along_y = plane.profiles(volume)
            shares += [along_x.sum(2), along_x.sum(1), along_y.sum(1)]
            moments += [*_moments(along_x), *_moments(along_y)]
        shares.append(cells @ self.rings)
        layers = self._layers(cells)
        ranked = [part.topk(min(_BRIGHTEST, part.shape[2])).values.flatten(1) for part in layers]
        brightest = torch.cat(ranked, dim=1)
        return torch.cat(
            [
                torch.log(torch.cat(shares, dim=1) / total + _LEAST),
                torch.cat(moments, dim=1),
                self._shape(cells),
                self._shape(cells.square()),
                torch.log(brightest / total + _LEAST),
                torch.cat(texture, dim=1),
                *(torch.log1p(number) for number in numbers),
                *(torch.log1p(number.sum(1, keepdim=True)) for number in numbers),
                torch.log(brightest.amax(1, keepdim=True) / total + _LEAST),
                self.scale.normal(total[:, 0], energy).unsqueeze(1),
            ],
            dim=1,
        )

    def _volumes(self, cells: Tensor) -> list[Tensor]:
        """Return the layers of each grid as one volume, `(n, layers, x, y)`."""
        layers = self._layers(cells)
        return [
            part.reshape(*part.shape[:2], *plane.shape)
            for part, plane in zip(layers, self.planes, strict=True)
        ]

    def _layers(self, cells: Tensor) -> list[Tensor]:
        """Return the layers of each grid side by side, `(n, layers, cells)`."""
        if len(self.alike) == 1:
            return [cells.reshape(len(cells), self.layers.count, -1)]
        parts = torch.split(cells, self.layers.sizes, dim=1)
        return [torch.stack([parts[i] for i in group], dim=1) for group in self.alike]

    def _shape(self, weights: Tensor) -> Tensor:
        """Centre and logarithm of the width along x, y and z, and mean radius, `(n, 7)`."""
        mean = weights @ self.places / weights.sum(1, keepdim=True).clamp_min(1e-6)
        centre, square, radius = mean[:, :3], mean[:, 3:6], mean[:, 6:]
        return torch.cat([centre, 0.5 * torch.log((square - centre**2).clamp_min(1e-6)), radius], dim=1)


def _in_common(volume: Tensor, hits: Tensor) -> tuple[Tensor, Tensor]:
    """Return what neighbouring layers of volumes `(n, layers, x, y)` have in common, `(n, layers - 1)` each.

    Cells hit in both, over one more than the hits of the first, and the overlap of their shares of energy.
    """
    root = torch.sqrt(volume / volume.sum((2, 3), keepdim=True).clamp_min(_SOFT) + _LEAST**2)
    both = (hits[:, 1:] * hits[:, :-1]).sum((2, 3)) / (1 + hits[:, :-1].sum((2, 3)))
    return both, (root[:, 1:] * root[:, :-1]).sum((2, 3))


def _moments(profiles: Tensor) -> tuple[Tensor, Tensor]:
    """Return centre and width, `(n, layers)`, of profiles `(n, layers, cells)` over an axis from -1 to 1.

    A layer without energy has its centre and its width at 0.
    """
    place = torch.linspace(-1, 1, profiles.shape[2], device=profiles.device)
    profiles = profiles / profiles.sum(2, keepdim=True).clamp_min(_SOFT)
    centre = profiles @ place
    spread = (profiles * (place - centre.unsqueeze(2)) ** 2).sum(2)
    return centre, torch.sqrt(spread + 1e-8)

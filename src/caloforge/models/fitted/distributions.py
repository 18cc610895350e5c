"""How often each cell is hit and how hard, as it changes with the energy of its layer."""

from __future__ import annotations

__all__ = ["CellDistributions", "alike"]

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from caloforge.models.fitted.layers import LayerIndex

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from caloforge.detector import Detector
    from caloforge.models.settings import FitSettings

_NEVER = 8.0  # threshold of a cell that is never hit, in units of a normal variable
_UNSEEN = 0.2  # of a hit more than there were, where there were none: the mean of all cells is right then
_JUST = 1e-6  # share of a cell's hits: nearer to the softest and the hardest the slope has no limit
_JUMP = 1e-6  # between the middles of two parts, as good as none
EXTRA = 0.
_LEAST = 1e-3  # MeV in a layer, whose logarithm is then finite


def alike(images: Tensor) -> Tensor:
    """Return for each cell the first of those that it is mirrored to, `(n_cells,)`.

    Args:
        images: `(m, n_cells)`: which cell each cell gets its energy from, in all mirror images.
    """
    return images.amin(0)


class CellDistributions(nn.Module):
    r"""Maps the normal variable of each cell to its energy, and back.

    Showers are divided by the energy :math:`E_l` of the layer. In each part a cell has a threshold, which the
    variable exceeds as often as the cell is hit, and quantiles of :math:`\ln E_c / E_l` of its hits. Between
    the middles of two parts both go along straight lines. Mirror images share both. Cells with few hits share
    quantiles with cells of the layer that are hit about as often.

    Args:
        detector: Whose cells.
        settings: How finely.
        particles: How many particles are told apart, each with distributions of its own; 0 if there is one.
    """

    places: Tensor
    threshold: Tensor
    row: Tensor
    table: Tensor

    def __init__(self, detector: Detector, settings: FitSettings, particles: int = 0) -> None:
        super().__init__()
        self.layers = LayerIndex(detector)
        self.settings, self.kinds = settings, max(particles, 1)
        shape = self.kinds, settings.parts
        self.register_buffer("places", torch.zeros(*shape, self.layers.count))
        self.register_buffer("threshold", torch.full((*shape, self.layers.cells), _NEVER))
        self.register_buffer("row", torch.zeros((*shape, self.layers.cells), dtype=torch.int32))
        self.register_buffer("table", torch.zeros(1, settings.levels))
        self.register_buffer("levels", _levels(settings.levels), persistent=False)

    def _load_from_state_dict(self, state_dict: Mapping[str, Tensor], prefix: str, *others: object) -> None:
        """Take as many rows as were fitted."""
        name = f"{prefix}table"
        if name in state_dict and state_dict[name].ndim == 2:
            self.table = self.table.new_zeros(state_dict[name].shape)
        super()._load_from_state_dict(state_dict, prefix, *others)  # type: ignore[arg-type, no-untyped-call]

    def fit(self, cells: Tensor, which: Sequence[Tensor], images: Tensor) -> None:
        """Take the distributions of real showers.

        Args:
            cells: `(n, n_cells)` MeV.
            which: Of each particle `(n,)`, whether it is a shower of it.
            images: `(m, n_cells)` mirror images of the cells, the first the cells themselves.
        """
        rows: list[NDArray[np.float32]] = []
        first = alike(images)
        logarithms = self._logarithms(self.layers.sums(cells))
        for kind, mine in enumerate(which):
            some = mine.nonzero().squeeze(1)
            for layer, span in enumerate(self.layers.spans):
                energy = logarithms[some, layer]
                hit = some[energy > math.log(2 * _LEAST)] if bool((energy > math.log(2 * _LEAST)).any()) else some
                parts = self._parts(logarithms[hit, layer], hit)
                for part, showers in enumerate(parts):
                    self.places[kind, part, layer] = logarithms[showers, layer].mean()
                    shares = cells[showers, span] / torch.exp(logarithms[showers, layer : layer + 1])
                    orbit = first[span] - span.start
                    found = _describe(shares.numpy(), orbit.numpy(), self.levels.numpy(), self.settings.hits)
                    self.threshold[kind, part, span] = torch.from_numpy(found[0])
                    self.row[kind, part, span] = torch.from_numpy(found[1] + sum(map(len, rows))).int()
                    rows.append(found[2])
        self.table = torch.from_numpy(np.concatenate(rows)).to(self.table)

    def _parts(self, logarithm: Tensor, showers: Tensor) -> list[Tensor]:
        """Return the showers of each part, by rising energy; of few there are fewer, the last repeated.

        Parts are as wide in the logarithm, or wider, where there would be too few showers.
        """
        order = logarithm.argsort()
        rising, number = logarithm[order], len(order)
        width = float(rising[-1] - rising[0]) / self.settings.parts
        parts, start = [], 0
        while start < number:
            end = max(int((rising < rising[start] + width).sum()), start + self.settings.enough)
            if number - end < self.settings.enough:
                end = number
            parts.append(showers[order[start:end]])
            start = end
        return parts + parts[-1:] * (self.settings.parts - len(parts))

    def _logarithms(self, energies: Tensor) -> Tensor:
        return torch.log(energies.clamp_min(_LEAST))

    def between(self, energies: Tensor, which: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Find where the energies of layers lie between the parts.

        Args:
            energies: `(n, n_layers)` MeV.
            which: `(n, kinds)` share of each particle; the largest counts.

        Returns:
            Row of the lower part and of the upper part, among those of all particles, and how far it is from
            the lower to the upper one, 0 to 1, `(n, n_layers)` each.
        """
        logarithm = self._logarithms(energies).unsqueeze(1)
        places = self.places.flatten(0, 1)[None] if self.kinds == 1 else self.places[which.argmax(1)]
        steps = ((logarithm - places[:, :-1]) / places.diff(dim=1).clamp_min(_JUMP)).clamp(0, 1).sum(1)
        if EXTRA:
            d=places.diff(dim=1)
            below=((logarithm-places[:,:1]).squeeze(1)/d[:,0].clamp_min(1e-2)).clamp(-EXTRA,0)
            last=d.masked_fill(d<1e-3,9e9); gap=d.flip(1)[:,0]; 
            steps=steps+below
        lower = steps.floor().clamp(0, max(self.settings.parts - 2, 0))
        base = 0 if self.kinds == 1 else self.settings.parts * which.argmax(1, keepdim=True)
        row = lower.long() + base
        return row, row + (1 if self.settings.parts > 1 else 0), steps - lower

    def thresholds(self, place: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Return what the normal variables must exceed for a hit, `(n, n_cells)`."""
        low, high = (self._taken(self.threshold, row) for row in place[:2])
        return torch.lerp(low, high, self.layers.spread(place[2]))

    def energies(self, normal: Tensor, threshold: Tensor, place: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Map normal variables `(n, n_cells)` to cells over the energy of their layer."""
        above = 0.5 - 0.5 * torch.erf(normal * math.sqrt(0.5))
        hits = 0.5 - 0.5 * torch.erf(threshold * math.sqrt(0.5))
        ratio = (above / hits.clamp_min(1e-12)).clamp(_JUST, 1 - _JUST)
        level = (2 / math.pi * (self.settings.levels - 1)) * torch.acos(torch.sqrt(ratio))
        start = level.floor().clamp(0, self.settings.levels - 2)
        step, first = level - start, start.int()
        found = [self._quantile(self._taken(self.row, row), first, step) for row in place[:2]]
        share = torch.exp(torch.lerp(*found, self.layers.spread(place[2])))
        return torch.where(normal > threshold, share, torch.zeros_like(share))

    def _quantile(self, row: Tensor, first: Tensor, step: Tensor) -> Tensor:
        place = row * self.settings.levels + first
        low, high = (
            self.table.flatten().index_select(0, x.flatten()).view_as(step) for x in (place, place + 1)
        )
        return torch.lerp(low, high, step)

    def _taken(self, values: Tensor, row: Tensor) -> Tensor:
        """Return what each cell has in the part `row` `(n, n_layers)`, of `(kinds, parts, n_cells)`."""
        number = self.layers.spread(row) * self.layers.cells + self.layers.numbers
        return values.flatten().index_select(0, number.flatten()).view_as(number)

    def normal(self, cells: Tensor, energies: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
        """Return normal variables of hits, and thresholds, `(n, n_cells)` each: the way back.

        Where there was no hit, the variable is the threshold.
        """
        place = self.between(energies, which)
        threshold = self.thresholds(place)
        hit = cells > 0
        share = torch.log(cells / self.layers.spread(energies.clamp_min(_LEAST)))[hit]
        rows = [self._taken(self.row, row)[hit].long() for row in place[:2]]
        step = self.layers.spread(place[2])[hit]
        table = self.table
        low, high = torch.zeros_like(rows[0]), torch.full_like(rows[0], self.settings.levels - 1)
        # Bisection on the quantiles that lie between those of the two parts.
        while bool((high - low > 1).any()):
            middle = (low + high) // 2
            value = torch.lerp(table[rows[0], middle], table[rows[1], middle], step)
            low, high = torch.where(value <= share, middle, low), torch.where(value <= share, high, middle)
        start, end = (torch.lerp(table[rows[0], x], table[rows[1], x], step) for x in (low, high))
        inside = ((share - start) / (end - start).clamp_min(1e-12)).clamp(0, 1)
        level = (low + inside) / (self.settings.levels - 1)
        ratio = torch.cos(0.5 * math.pi * level).square().clamp(_JUST, 1 - _JUST).double()
        above = ratio * torch.special.ndtr(-threshold[hit].double())
        normal = threshold.clone()
        normal[hit] = torch.maximum(-torch.special.ndtri(above).float(), threshold[hit])
        return normal, threshold


def _levels(number: int) -> Tensor:
    """Return shares of the hits that lie below each quantile: close together at both ends."""
    return torch.sin(0.5 * math.pi * torch.linspace(0, 1, number, dtype=torch.float64)).square()


def _describe(
    shares: NDArray[np.float32], orbit: NDArray[np.int64], levels: NDArray[np.float64], enough: int
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
    """Describe the cells of a layer in one part of the showers.

    Args:
        shares: `(n, cells)` of the layer's energy.
        orbit: `(cells,)` the first of the cells that are alike.
        levels: Of the quantiles.
        enough: Hits that tell a distribution.

    Returns:
        Threshold of each cell, row of its quantiles, and these, `(rows, len(levels))`, of the logarithm.
    """
    hit = shares > 0
    names, place = np.unique(orbit, return_inverse=True)
    seen = len(shares) * np.bincount(place)
    hits = np.bincount(place, hit.sum(0), len(names))
    share = (hits + _UNSEEN * (hits < 1)) / (seen + 2 * _UNSEEN)
    threshold = np.where(hits > 0, -torch.special.ndtri(torch.from_numpy(share)).numpy(), _NEVER)
    # Cells that are hit about as often, until there are enough hits.
    order = np.argsort(-hits / seen, kind="stable")
    group, found = np.zeros(len(names), np.int64), 0.0
    number = 0
    for one in order:
        if found >= enough:
            number, found = number + 1, 0.0
        group[one] = number
        found += hits[one]
    if 0 < found < enough and number:
        group[group == number] = number - 1
        number -= 1
    elif not found and number:
        group[group == number] = number - 1
        number -= 1
    row = group[place]
    table = np.stack([_quantiles(shares, hit, row == one, levels) for one in range(number + 1)])
    return threshold[place].astype(np.float32), row, table


def _quantiles(
    shares: NDArray[np.float32], hit: NDArray[np.bool_], mine: NDArray[np.bool_], levels: NDArray[np.float64]
) -> NDArray[np.float32]:
    values = shares[:, mine][hit[:, mine]]
    if not len(values):
        return np.linspace(-1e-6, 0, len(levels), dtype=np.float32) + np.float32(math.log(1e-6))
    found = np.quantile(np.log(values.astype(np.float64)), levels)
    # Equal quantiles would have no way back.
    return (np.maximum.accumulate(found) + 1e-6 * np.arange(len(levels))).astype(np.float32)

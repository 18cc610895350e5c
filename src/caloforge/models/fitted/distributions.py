"""How often each cell is hit and how hard, as it changes with the energy of its layer."""

from __future__ import annotations

__all__ = ["CellDistributions", "Place"]

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtri
from torch import Tensor, nn

from caloforge.models.fitted.layers import LayerIndex
from caloforge.models.fitted.parts import divided

if TYPE_CHECKING:
    from caloforge.detector import Detector
    from caloforge.models.settings import FitSettings

_NEVER = 8.0  # threshold of a cell that is never hit, in units of a normal variable
_UNSEEN = 0.2  # of a hit more than there were, where there were none
JUST = 1e-6  # share of a cell's hits: nearer to the softest and the hardest the slope has no limit
RARE = 1e-12  # share of hits that is none
_JUMP = 1e-6  # between the middles of two parts, as good as none
LEAST_ENERGY = 1e-3  # MeV in a layer, whose logarithm is then finite
_FAINT = 1e-6  # share of the layer's energy in a cell that was never hit
_RISE = 1e-6  # between two quantiles of a logarithm


class Place(NamedTuple):
    """Where the energies of layers lie between the parts, for each cell of each shower, `(n * n_cells,)`.

    Attributes:
        low: Number of the cell in the part below, of those of all parts.
        high: The same in the part above.
        step: How far it is from the one to the other, 0 to 1.
    """

    low: Tensor
    high: Tensor
    step: Tensor


class CellDistributions(nn.Module):
    r"""Maps the normal variable of each cell to its share of the layer's energy, and back.

    Showers are divided by the energy :math:`E_l` of the layer. In each part a cell has a threshold, which the
    variable exceeds as often as the cell is hit, and quantiles of :math:`\ln E_c / E_l` of its hits. Between
    the middles of two parts both go along straight lines. Mirror images share both. Cells with few hits share
    quantiles with cells of the layer that are hit about as often.

    Args:
        detector: Whose cells.
        settings: How finely.
    """

    places: Tensor
    threshold: Tensor
    row: Tensor
    table: Tensor

    def __init__(self, detector: Detector, settings: FitSettings) -> None:
        super().__init__()
        self.layers, self.settings = LayerIndex(detector), settings
        shape = settings.parts, self.layers.cells
        self.register_buffer("places", torch.zeros(settings.parts, self.layers.count))
        self.register_buffer("threshold", torch.full(shape, _NEVER))
        self.register_buffer("row", torch.zeros(shape, dtype=torch.int32))
        self.register_buffer("table", torch.zeros(1, settings.levels))

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *others: Any) -> None:
        """Take as many rows as were fitted."""
        found = state_dict.get(f"{prefix}table")
        if found is not None and found.ndim == 2:
            self.table = self.table.new_zeros(len(found), self.settings.levels)
        super()._load_from_state_dict(state_dict, prefix, *others)

    def fit(self, cells: Tensor, images: Tensor) -> None:
        """Take the distributions of real showers.

        Args:
            cells: `(n, n_cells)` MeV.
            images: `(m, n_cells)` cell that each cell gets its energy from, in all mirror images.
        """
        rows: list[NDArray[np.float32]] = []
        orbits, energies = images.amin(0), self.layers.sums(cells)
        for layer, span in enumerate(self.layers.spans):
            lit = (energies[:, layer] > 0).nonzero().squeeze(1)
            lit = lit if len(lit) else torch.arange(len(cells), device=cells.device)
            logarithm = _logarithm(energies[lit, layer])
            for part, mine in enumerate(divided(logarithm, self.settings)):
                shares = cells[lit[mine], span] / torch.exp(logarithm[mine]).unsqueeze(1)
                found = _describe(shares, orbits[span], self.settings)
                self.places[part, layer] = logarithm[mine].mean()
                self.threshold[part, span] = torch.from_numpy(found.threshold)
                self.row[part, span] = torch.from_numpy(found.row + sum(map(len, rows))).int()
                rows.append(found.table)
        self.table = torch.from_numpy(np.concatenate(rows)).to(self.table)

    def hits(self) -> Tensor:
        """Return in which share of the showers each cell is hit, `(n_cells,)`."""
        share: Tensor = torch.special.ndtr(-self.threshold).mean(0)
        return share

    def between(self, energies: Tensor) -> Place:
        """Find where the energies of layers, `(n, n_layers)` MeV, lie between the parts."""
        logarithm, last = _logarithm(energies).unsqueeze(1), self.settings.parts - 1
        gaps = self.places.diff(dim=0).clamp_min(_JUMP)
        steps = ((logarithm - self.places[:-1]) / gaps).clamp(0, 1).sum(1)
        lower = steps.floor().clamp(0, max(last - 1, 0))
        low = (self.layers.spread(lower.long() * self.layers.cells) + self.layers.numbers).flatten()
        high = low + self.layers.cells if last else low
        return Place(low, high, self.layers.spread(steps - lower).flatten())

    def thresholds(self, place: Place) -> Tensor:
        """Return what the normal variables must exceed for a hit, `(n, n_cells)`."""
        low, high = (_taken(self.threshold, part) for part in (place.low, place.high))
        return (low + place.step * (high - low)).view(-1, self.layers.cells)

    def shares(self, normal: Tensor, threshold: Tensor, place: Place) -> Tensor:
        """Map normal variables `(n, n_cells)` to shares of the energy of the layer."""
        above = 0.5 - 0.5 * torch.erf(normal * math.sqrt(0.5))
        hits = 0.5 - 0.5 * torch.erf(threshold * math.sqrt(0.5))
        ratio = (above / hits.clamp_min(RARE)).clamp(JUST, 1 - JUST)
        level = (2 / math.pi * (self.settings.levels - 1)) * torch.acos(torch.sqrt(ratio))
        start = level.floor().clamp(max=self.settings.levels - 2)
        first, step = start.long().flatten(), (level - start).flatten()
        low, high = (self._quantile(part, first, step) for part in (place.low, place.high))
        share = torch.exp(low + place.step * (high - low)).view_as(normal)
        return share * (normal > threshold)

    def _quantile(self, part: Tensor, first: Tensor, step: Tensor) -> Tensor:
        number = _taken(self.row.long() * self.settings.levels, part) + first
        low, high = _taken(self.table, number), _taken(self.table, number + 1)
        return low + step * (high - low)

    def normal(self, cells: Tensor, energies: Tensor) -> tuple[Tensor, Tensor]:
        """Return normal variables of hits, and thresholds, `(n, n_cells)` each: the way back.

        Where there was no hit, the variable is the threshold.
        """
        place = self.between(energies)
        threshold = self.thresholds(place)
        hit = cells > 0
        share = (torch.log(cells) - self.layers.spread(_logarithm(energies)))[hit]
        mine = hit.flatten()
        rows = [_taken(self.row, part[mine]).long() for part in (place.low, place.high)]
        step, table = place.step[mine], self.table
        low, high = torch.zeros_like(rows[0]), torch.full_like(rows[0], self.settings.levels - 1)
        # Bisection on the quantiles that lie between those of the two parts.
        while bool((high - low > 1).any()):
            middle = (low + high) // 2
            value = torch.lerp(table[rows[0], middle], table[rows[1], middle], step)
            low, high = torch.where(value <= share, middle, low), torch.where(value <= share, high, middle)
        start, end = (torch.lerp(table[rows[0], x], table[rows[1], x], step) for x in (low, high))
        inside = ((share - start) / (end - start).clamp_min(RARE)).clamp(0, 1)
        level = (low + inside) / (self.settings.levels - 1)
        ratio = torch.cos(0.5 * math.pi * level).square().clamp(JUST, 1 - JUST).double()
        above = ratio * torch.special.ndtr(-threshold[hit].double())
        normal = threshold.clone()
        normal[hit] = torch.maximum(-torch.special.ndtri(above).float(), threshold[hit])
        return normal, threshold


def _taken(values: Tensor, numbers: Tensor) -> Tensor:
    """Return those of all values in a row that have these numbers."""
    # Not by index_select: ONNX Runtime's Gather takes eight times as long as its GatherElements.
    return values.flatten().gather(0, numbers)


def _logarithm(energies: Tensor) -> Tensor:
    return torch.log(energies.clamp_min(LEAST_ENERGY))


class _Described(NamedTuple):
    """Cells of a layer in one part of the showers.

    Attributes:
        threshold: `(cells,)`.
        row: `(cells,)` of the table.
        table: `(rows, levels)` quantiles of the logarithm of the share.
    """

    threshold: NDArray[np.float32]
    row: NDArray[np.int64]
    table: NDArray[np.float32]


def _describe(shares: Tensor, orbits: Tensor, settings: FitSettings) -> _Described:
    """Describe cells by their shares of a layer's energy, `(n, cells)`; those of an orbit are alike."""
    values = shares.cpu().numpy()
    hit = values > 0
    names, place = np.unique(orbits.cpu().numpy(), return_inverse=True)
    seen = len(values) * np.bincount(place)
    hits: NDArray[np.float64] = np.bincount(place, hit.sum(0), len(names)).astype(np.float64)
    share = (hits + _UNSEEN * (hits < 1)) / (seen + 2 * _UNSEEN)
    threshold = np.where(hits > 0, -ndtri(share), _NEVER)
    row = _grouped(hits, seen, settings.hits)[place]
    shown = np.argsort(row, kind="stable")
    ends = np.cumsum(np.bincount(row))[:-1]
    groups = np.split(shown, ends)
    at = np.sin(0.5 * math.pi * np.linspace(0, 1, settings.levels)) ** 2
    table = np.stack([_quantiles(values[:, mine][hit[:, mine]], at) for mine in groups])
    return _Described(threshold[place].astype(np.float32), row, table)


def _grouped(hits: NDArray[np.float64], seen: NDArray[np.int64], enough: int) -> NDArray[np.int64]:
    """Put what is hit about as often together until there are enough hits; return the group of each."""
    order = np.argsort(-hits / seen, kind="stable")
    group, number, found = np.zeros(len(hits), np.int64), 0, 0.0
    for one in order:
        if found >= enough:
            number, found = number + 1, 0.0
        group[one] = number
        found += hits[one]
    # The last ones are too few by themselves.
    if number and found < enough:
        group[group == number] = number - 1
    return group


def _quantiles(shares: NDArray[np.float32], at: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return quantiles of the logarithm, close at both ends, and rising: equal ones have no way back."""
    if not len(shares):
        shares = np.array([_FAINT], np.float32)
    found = _at_shares(np.log(shares.astype(np.float64)), at)
    rising: NDArray[np.float64] = np.maximum.accumulate(found) + _RISE * np.arange(len(at))
    return rising.astype(np.float32)


def _at_shares(values: NDArray[np.float64], shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what `np.quantile` does, to the last bit, and several times faster for a few hundred values."""
    ordered, place = np.sort(values), shares * (len(values) - 1)
    below = place.astype(np.int64)
    low, high, above = ordered[below], ordered[np.minimum(below + 1, len(values) - 1)], place - below
    step = high - low
    found: NDArray[np.float64] = np.where(above < 0.5, low + step * above, high - step * (1 - above))
    return found

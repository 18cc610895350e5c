"""From how far cells lie above their thresholds to their energies."""

from __future__ import annotations

__all__ = ["UNIT", "FoldedCells", "folded_cells"]

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from caloforge.models.fitted.distributions import JUST, LEAST_ENERGY, RARE
from caloforge.models.fitted.statistics import HIT, LEAST_SHARE
from caloforge.models.inference.layerwise import LayerSpread
from caloforge.models.inference.tables import Steps

if TYPE_CHECKING:
    from caloforge.models.fitted.distributions import CellDistributions

UNIT = math.sqrt(0.5)
"""What normal variables and thresholds of cells are multiplied with: the error function wants them so."""

_FEW = 0.15  # share of the cells that are hit, below which these are looked up one by one


def folded_cells(distributions: CellDistributions) -> FoldedCells:
    """Return what gives cells their energies in the way that is faster for as many hits as there are."""
    hits = float(torch.special.ndtr(-distributions.threshold).mean())
    return (_FewCells if hits < _FEW else _ManyCells)(distributions)


class FoldedCells(nn.Module, ABC):
    """Gives cells their energies as `CellDistributions.shares` and `ShowerStatistics.cells` do.

    Args:
        distributions: Fitted ones.
    """

    threshold: Tensor
    rows: Tensor
    table: Tensor

    def __init__(self, distributions: CellDistributions) -> None:
        super().__init__()
        self.layers, self.levels = distributions.layers, distributions.settings.levels
        self.steps, self.spread = Steps(distributions.places.T), LayerSpread(self.layers.sizes)
        self.last = max(len(distributions.places) - 2, 0)
        self.register_buffer("threshold", UNIT * distributions.threshold.flatten())
        self.register_buffer("rows", distributions.row.long().flatten() * self.levels)
        self.register_buffer("table", distributions.table.flatten().clone())
        self.higher = self.layers.cells if len(distributions.places) > 1 else 0

    def between(self, energies: Tensor) -> Tensor:
        """Return how far the energies of layers lie on the way between parts, `(n, n_layers, parts - 1)`."""
        logarithm = torch.log(energies.clamp_min(LEAST_ENERGY)).unsqueeze(2)
        steps: Tensor = self.steps(logarithm)
        return steps

    @abstractmethod
    def forward(self, above: Tensor, steps: Tensor, energies: Tensor) -> Tensor:
        """Make cells.

        Args:
            above: `(n, n_cells)` how far normal variables lie above their thresholds, in units of `UNIT`.
            steps: Of `between`.
            energies: `(n, n_layers)` MeV.

        Returns:
            `(n, n_cells)` MeV.
        """

    def _parts(self, steps: Tensor) -> tuple[Tensor, Tensor]:
        """Return the part below, and how far it is to that above, `(n, n_layers)`."""
        far = steps.sum(2)
        part = far.floor().clamp(max=self.last)
        return part, far - part

    def _lacking(self, above: Tensor) -> Tensor:
        """Return how much all cells of a layer rise, so that none with energy is without a hit."""
        return torch.relu(UNIT * HIT - self.layers.maxima(above))

    def _shares(self, over: Tensor, low: Tensor, step: Tensor) -> Tensor:
        """Return shares of hits before all are scaled.

        Args:
            over: `(hits,)` how far they lie above their thresholds.
            low: Numbers of the cells in the part below, of those of all parts.
            step: How far it is to the part above.
        """
        high = low + self.higher
        threshold = _between(self.threshold.gather(0, low), self.threshold.gather(0, high), step)
        above, hits = 1 - torch.erf(over + threshold), 1 - torch.erf(threshold)
        ratio = (above / hits.clamp_min(2 * RARE)).clamp(JUST, 1 - JUST)
        level = (2 / math.pi * (self.levels - 1)) * torch.acos(torch.sqrt(ratio))
        start = level.floor().clamp(max=self.levels - 2)
        first, beyond = start.long(), level - start
        quantiles = (self._quantile(self.rows.gather(0, part) + first, beyond) for part in (low, high))
        return torch.exp(_between(*quantiles, step))

    def _quantile(self, number: Tensor, beyond: Tensor) -> Tensor:
        # Not by index_select: ONNX Runtime's Gather takes eight times as long as its GatherElements.
        return _between(self.table.gather(0, number), self.table.gather(0, number + 1), beyond)


def _between(low: Tensor, high: Tensor, step: Tensor) -> Tensor:
    return low + step * (high - low)


class _FewCells(FoldedCells):
    """Most cells are empty: what is looked up and computed for a cell is for the hits alone."""

    layer: Tensor

    def __init__(self, distributions: CellDistributions) -> None:
        super().__init__(distributions)
        self.register_buffer("layer", self.layers.layer.clone())

    def forward(self, above: Tensor, steps: Tensor, energies: Tensor) -> Tensor:
        lacking = self._lacking(above)
        lit = (above > -self.spread(lacking)).flatten().nonzero().squeeze(1)
        shower = torch.div(lit, self.layers.cells, rounding_mode="trunc")
        cell = lit - shower * self.layers.cells
        layer = shower * self.layers.count + self.layer.gather(0, cell)
        part, step = self._parts(steps)
        low = (part * self.layers.cells).long().flatten().gather(0, layer) + cell
        over = above.flatten().gather(0, lit) + lacking.flatten().gather(0, layer)
        share = self._shares(over, low, step.flatten().gather(0, layer))
        sums = torch.zeros_like(energies).flatten().scatter_add(0, layer, share)
        scale = energies.flatten() / sums.clamp_min(LEAST_SHARE)
        energy = share * scale.gather(0, layer)
        return torch.zeros_like(above).flatten().scatter(0, lit, energy).view_as(above)


class _ManyCells(FoldedCells):
    """Many cells are hit: finding those that are costs more than to treat all as if they were."""

    number: Tensor

    def __init__(self, distributions: CellDistributions) -> None:
        super().__init__(distributions)
        self.register_buffer("number", torch.arange(self.layers.cells, dtype=torch.float32))

    def forward(self, above: Tensor, steps: Tensor, energies: Tensor) -> Tensor:
        above = above + self.spread(self._lacking(above))
        part, step = self._parts(steps)
        # In float32, where numbers up to 2^24 are exact.
        low = (self.spread(part * self.layers.cells) + self.number).long()
        flat = (above, low, self.spread(step))
        shares = self._shares(*(x.flatten() for x in flat)).view_as(above) * (above > 0)
        scale = energies / self.spread.sums(shares).clamp_min(LEAST_SHARE)
        return shares * self.spread(scale)

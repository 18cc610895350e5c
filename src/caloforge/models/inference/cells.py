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
from caloforge.models.inference.layerwise import LayerProducts, LayerSpread
from caloforge.models.inference.tables import Steps

if TYPE_CHECKING:
    from caloforge.models.fitted.distributions import CellDistributions

UNIT = math.sqrt(0.5)
"""What normal variables and thresholds of cells are multiplied with: the error function wants them so."""

_AT_ONCE = 1e3  # rate of the first step
_FEW = 0.15  # share of the cells that are hit, below which these are looked up one by one


def folded_cells(distributions: CellDistributions) -> FoldedCells:
    """Return what gives cells their energies in the way that is faster for as many hits as there are."""
    hits = float(torch.special.ndtr(-distributions.threshold).mean())
    return (_FewCells if hits < _FEW else _ManyCells)(distributions)


class FoldedCells(nn.Module, ABC):
    """Gives cells their energies as `CellDistributions.shares` and `ShowerStatistics.cells` do.

    Args:
        distributions: Fitted ones.

    Attributes:
        local_rows: `(numbers, n_cells)` that multiply the first of `local_numbers`, for what this wants.
    """

    local_rows: Tensor
    threshold: Tensor
    rows: Tensor
    table: Tensor
    following_threshold: Tensor
    following_rows: Tensor
    following_table: Tensor

    def __init__(self, distributions: CellDistributions) -> None:
        super().__init__()
        self.layers, self.levels = distributions.layers, distributions.settings.levels
        below = torch.full((1, self.layers.count), math.log(LEAST_ENERGY) - 1)
        self.steps = Steps(torch.cat([below, distributions.places]), _AT_ONCE)
        self.spread = LayerSpread(self.layers.sizes)
        self.last = max(len(distributions.places) - 1, 1)
        # What lies between two parts, or two levels, is told by the lower one and the rise to the higher.
        threshold = UNIT * distributions.threshold
        rows, table = distributions.row.long() * self.levels, distributions.table
        for name, value, following in (
            ("threshold", threshold, _next(threshold) - threshold),
            ("rows", rows, _next(rows)),
            ("table", table, _next(table.T).T - table),
        ):
            self.register_buffer(name, value.flatten())
            self.register_buffer(f"following_{name}", following.flatten())

    def between(self, energies: Tensor) -> Tensor:
        """Return how far the energies of layers lie on the way between parts, `(n, parts, n_layers)`.

        The first is the step from nothing to the first part, which all have taken.
        """
        logarithm = torch.log(energies.clamp_min(LEAST_ENERGY)).unsqueeze(1)
        steps: Tensor = self.steps(logarithm)
        return steps

    @abstractmethod
    def local_numbers(self, steps: Tensor, others: Tensor) -> Tensor:
        """Return numbers of each layer that normal variables of its cells follow, others being the last."""

    @abstractmethod
    def forward(self, above: Tensor, steps: Tensor, energies: Tensor) -> Tensor:
        """Make cells.

        Args:
            above: `(n, n_cells)` normal variables, in units of `UNIT`; less what `local_rows` say.
            steps: Of `between`.
            energies: `(n, n_layers)` MeV.

        Returns:
            `(n, n_cells)` MeV.
        """

    def _parts(self, steps: Tensor) -> tuple[Tensor, Tensor]:
        """Return the part below, and how far it is to that above, `(n, n_layers)`."""
        far = steps.sum(1)
        part = far.floor().clamp(max=self.last)
        return part - 1, far - part

    def _lacking(self, above: Tensor) -> Tensor:
        """Return how much all cells of a layer rise, so that none with energy is without a hit."""
        return torch.relu(UNIT * HIT - self.layers.maxima(above))

    def _shares(self, over: Tensor, threshold: Tensor, low: Tensor, step: Tensor) -> Tensor:
        """Return shares of hits before all are scaled.

        Args:
            over: `(hits,)` how far they lie above their thresholds.
            threshold: Of the same.
            low: Numbers of the cells in the part below, of those of all parts.
            step: How far it is to the part above.
        """
        above, hits = 1 - torch.erf(over + threshold), 1 - torch.erf(threshold)
        ratio = (above / hits.clamp_min(2 * RARE)).clamp(JUST, 1 - JUST)
        # Less than the last level, as a ratio is more than nothing.
        level = (2 / math.pi * (self.levels - 1)) * torch.acos(torch.sqrt(ratio))
        start = level.floor()
        first, beyond = start.long(), level - start
        lower = self._quantile(self.rows.gather(0, low) + first, beyond)
        higher = self._quantile(self.following_rows.gather(0, low) + first, beyond)
        return torch.exp(lower + step * (higher - lower))

    def _quantile(self, number: Tensor, beyond: Tensor) -> Tensor:
        # Not by index_select: ONNX Runtime's Gather takes eight times as long as its GatherElements.
        return self.table.gather(0, number) + beyond * self.following_table.gather(0, number)


def _along_parts(values: Tensor) -> Tensor:
    """Return what `values`, `(parts, k)`, rise by with each step: the first from nothing."""
    return torch.cat([values[:1], values.diff(dim=0)])


def _next(values: Tensor) -> Tensor:
    """Return for each row the next one; for the last itself."""
    return torch.cat([values[1:], values[-1:]])


class _FewCells(FoldedCells):
    """Most cells are empty: what is looked up and computed for a cell is for the hits alone."""

    layer: Tensor

    def __init__(self, distributions: CellDistributions) -> None:
        super().__init__(distributions)
        self.register_buffer("layer", self.layers.layer.clone())
        self.local_rows = -UNIT * _along_parts(distributions.threshold)

    def local_numbers(self, steps: Tensor, others: Tensor) -> Tensor:
        return torch.cat([steps.flatten(1), others], dim=1)

    def forward(self, above: Tensor, steps: Tensor, energies: Tensor) -> Tensor:
        above = (above + self.spread(self._lacking(above))).flatten()
        lit = (above > 0).nonzero().squeeze(1)
        shower = torch.div(lit, self.layers.cells, rounding_mode="trunc")
        cell = lit - shower * self.layers.cells
        layer = shower * self.layers.count + self.layer.gather(0, cell)
        part, step = self._parts(steps)
        low = (part * self.layers.cells).long().flatten().gather(0, layer) + cell
        step = step.flatten().gather(0, layer)
        threshold = self.threshold.gather(0, low) + step * self.following_threshold.gather(0, low)
        share = self._shares(above.gather(0, lit), threshold, low, step)
        sums = torch.zeros_like(energies).flatten().scatter_add(0, layer, share)
        scale = energies.flatten() / sums.clamp_min(LEAST_SHARE)
        energy = share * scale.gather(0, layer)
        return torch.zeros_like(above).scatter(0, lit, energy).reshape(-1, self.layers.cells)


class _ManyCells(FoldedCells):
    """Many cells are hit: finding those that are costs more than to treat all as if they were."""

    number: Tensor

    def __init__(self, distributions: CellDistributions) -> None:
        super().__init__(distributions)
        self.register_buffer("number", torch.arange(self.layers.cells, dtype=torch.float32))
        self.thresholds = LayerProducts(UNIT * _along_parts(distributions.threshold), self.layers.sizes)
        self.local_rows = distributions.threshold[:0]

    def local_numbers(self, steps: Tensor, others: Tensor) -> Tensor:  # noqa: ARG002 - thresholds are told
        return others

    def forward(self, above: Tensor, steps: Tensor, energies: Tensor) -> Tensor:
        threshold = self.thresholds(steps.flatten(1))
        above = above - threshold
        above = above + self.spread(self._lacking(above))
        part, step = self._parts(steps)
        # In float32, where numbers up to 2^24 are exact.
        low = (self.spread(part * self.layers.cells) + self.number).long()
        told = (above, threshold, low, self.spread(step))
        shares = self._shares(*(x.flatten() for x in told)).view_as(above)
        shares = shares * (above > 0)
        scale = energies / self.spread.sums(shares).clamp_min(LEAST_SHARE)
        cells: Tensor = shares * self.spread(scale)
        return cells

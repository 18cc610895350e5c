"""What the cells of a shower follow, as few products of numbers of the shower."""

from __future__ import annotations

__all__ = ["FoldedTrends"]

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from caloforge.models.fitted.trends import FARTHEST

if TYPE_CHECKING:
    from caloforge.models.fitted.trends import CellTrends

_CORE = 2  # numbers of the core's place


class FoldedTrends(nn.Module):
    """Numbers of a shower that the means of its cells are linear in, as `CellTrends` has them.

    What is squared less 1 there is squared here: the constant takes the rest.

    Args:
        trends: Fitted ones.
        given: How many numbers describe the incident particle.

    Attributes:
        size: How many numbers are common to all cells.
        coefficients: `(size, n_cells)` of these.
        constant: `(n_cells,)`.
        own: `(3, n_cells)` of the normal variable of the cell's layer, its square and its product with the
            logarithm of the energy.
    """

    axes: Tensor
    first: Tensor
    second: Tensor

    def __init__(self, trends: CellTrends, given: int) -> None:
        super().__init__()
        self.centre, self.layers = trends.centre, trends.layers.count
        self.register_buffer("axes", trends.axes.clone())
        parts = trends.components
        # Numbers that are multiplied: the logarithm, the core's place, components; then all else given.
        logarithm, core = 0, [1, 2]
        part = list(range(1 + _CORE, 1 + _CORE + parts))
        pairs = [(part[i], part[j]) for i, j in trends.pairs.T.tolist()]
        thrice = [(logarithm, logarithm), (1, 1), (2, 2), (1, 2)]
        products = thrice + [(k, k) for k in part] + [(logarithm, k) for k in part + core] + pairs
        self.register_buffer("first", torch.tensor([i for i, _ in products]))
        self.register_buffer("second", torch.tensor([j for _, j in products]))
        self.thrice = len(thrice)
        self._fold(trends, given, parts, len(pairs))

    def _fold(self, trends: CellTrends, given: int, parts: int, pairs: int) -> None:
        sizes = [1, 1, 1, 1, given - 1, parts, parts, parts, pairs, 2, 2, 1, 2, 2, 1, 1, 1, 1]
        (one, line, square, cube, rest, part, part2, along, pair, core, core2, both, line_core, line_core2,
         line_both, own, own2, line_own) = torch.split(trends.coefficients, sizes)  # fmt: skip
        self.coefficients = torch.cat(
            [
                *(line - line_core2.sum(0), core, part, rest),
                *(square, core2, both, part2, along, line_core, pair),
                *(cube, line_core2, line_both),
            ]
        )
        self.constant = (one - part2.sum(0) - core2.sum(0) - own2).squeeze(0)
        self.own = torch.cat([own, own2, line_own])
        self.size = len(self.coefficients)

    def forward(self, given: Tensor, normal: Tensor) -> tuple[Tensor, Tensor]:
        """Return the common numbers `(n, size)`, and three of each layer, `(n, 3 x n_layers)`."""
        first, normal = given[:, :1], normal.clamp(-FARTHEST, FARTHEST)
        parts = (normal @ self.axes).clamp(-FARTHEST, FARTHEST)
        single = torch.cat([first, normal[:, self.centre], parts], dim=1)
        products = single.index_select(1, self.first) * single.index_select(1, self.second)
        triple = first * products[:, : self.thrice]
        own = normal[:, 1 : self.centre.start]
        return (
            torch.cat([single, given[:, 1:], products, triple], dim=1),
            torch.cat([own, own * own, first * own], dim=1),
        )

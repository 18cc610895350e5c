"""How the normal variables of cells follow the incident particle and the energies of all layers."""

from __future__ import annotations

__all__ = ["CellTrends"]

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from caloforge.models.fitted.layers import LayerIndex
from caloforge.models.fitted.summaries import SUMMARIES

if TYPE_CHECKING:
    from caloforge.detector import Detector
    from caloforge.models.settings import FitSettings

FARTHEST = 4.0  # spreads that energies lie from their middle at most
_CENTRE, _OWN = 10, 3  # terms of the core's place, and of the cell's own layer
_RIDGE = 3.0  # showers that say there is no trend
_DROPPED = 1e-3  # of the largest: variance of a component that is none


class CellTrends(nn.Module):
    r"""Mean of each cell's normal variable.

    The distributions of cells follow the energy of their own layer. What else tells of them is linear in
    powers of the logarithm of the incident energy, in the incident particle's other numbers, in the normal
    variables of the core's place and in principal components of all those of the `ShowerCopula`, in squares
    and products of these, and in the variable of the cell's own layer.

    Args:
        detector: Whose cells.
        settings: How many components.
        given: How many numbers describe the incident particle, the first the logarithm of its energy.
    """

    pairs: Tensor
    axes: Tensor
    coefficients: Tensor

    def __init__(self, detector: Detector, settings: FitSettings, given: int) -> None:
        super().__init__()
        self.layers = LayerIndex(detector)
        variables = 1 + self.layers.count + SUMMARIES
        self.components = min(settings.components, variables)
        self.centre = slice(1 + self.layers.count, 3 + self.layers.count)
        pairs = torch.triu_indices(self.components, self.components, 1)
        self.terms = 4 + given - 1 + 3 * self.components + pairs.shape[1] + _CENTRE
        self.register_buffer("pairs", pairs, persistent=False)
        self.register_buffer("axes", torch.zeros(variables, self.components))
        self.register_buffer("coefficients", torch.zeros(self.terms + _OWN, self.layers.cells))

    def begin(self, normal: Tensor) -> None:
        """Take the principal components of normal variables of showers, `(n, variables)`."""
        values, vectors = torch.linalg.eigh((normal.T @ normal / len(normal)).double())
        order = values.argsort(descending=True)[: self.components]
        scale = torch.where(values[order] > _DROPPED * values.max(), values[order].rsqrt(), 0.0)
        self.axes.copy_(vectors[:, order] * scale)

    def fit(self, variables: Tensor, seen: Tensor, given: Tensor, normal: Tensor) -> Tensor:
        """Fit the trends of normal variables `(n, k)` of the cells `seen`, `(k,)`; others have none.

        Returns:
            Means of these variables, `(n, k)`.
        """
        means = torch.empty_like(variables)
        common, own = self._common(given, normal), self._own(given, normal)
        for layer in range(self.layers.count):
            mine = self.layers.layer[seen] == layer
            mine_own = [term[:, layer : layer + 1] for term in own]
            terms = torch.cat([common, *mine_own], dim=1).double()
            square = terms.T @ terms + _RIDGE * torch.eye(terms.shape[1], dtype=terms.dtype)
            found = torch.linalg.solve(square, terms.T @ variables[:, mine].double())
            self.coefficients[:, seen[mine]] = found.float()
            means[:, mine] = (terms @ found).float()
        return means

    def forward(self, given: Tensor, normal: Tensor) -> Tensor:
        """Return means, `(n, n_cells)`.

        Args:
            given: `(n, given)` what the incident particle is.
            normal: `(n, variables)` of the `ShowerCopula`.
        """
        means = self._common(given, normal) @ self.coefficients[: self.terms]
        for own, slopes in zip(self._own(given, normal), self.coefficients[self.terms :], strict=True):
            means = means + self.layers.spread(own) * slopes
        return means

    def _common(self, given: Tensor, normal: Tensor) -> Tensor:
        first, normal = given[:, :1], normal.clamp(-FARTHEST, FARTHEST)
        parts = (normal @ self.axes).clamp(-FARTHEST, FARTHEST)
        core = normal[:, self.centre]
        places = torch.cat([core, core.square() - 1, core[:, :1] * core[:, 1:]], dim=1)
        first_of, second_of = (parts.index_select(1, which) for which in self.pairs)
        products = first_of * second_of
        powers = [torch.ones_like(first), first, first**2, first**3]
        squares = parts.square() - 1
        return torch.cat(
            [*powers, given[:, 1:], parts, squares, first * parts, products, places, first * places], dim=1
        )

    def _own(self, given: Tensor, normal: Tensor) -> list[Tensor]:
        """Return three terms of each layer, `(n, n_layers)`."""
        own = normal[:, 1 : self.centre.start].clamp(-FARTHEST, FARTHEST)
        return [own, own.square() - 1, given[:, :1] * own]

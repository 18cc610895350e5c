"""A normalising flow moves the noise behind cells: exact likelihoods, and showers in one pass."""

from __future__ import annotations

__all__ = ["FlowTransport"]

from typing import TYPE_CHECKING

from torch import Tensor, nn

from caloforge.models.transport.base import CellTransport
from caloforge.models.transport.coupling import coupling_flow

if TYPE_CHECKING:
    from caloforge.models.settings import FlowSettings


class FlowTransport(CellTransport):
    """CaloINN's class (arXiv:2312.09290) in the coordinates of the fit, where it begins as the identity.

    Args:
        variables: How many move.
        seen: Numbers that they depend on.
        settings: The `model` part of a recipe.
    """

    def __init__(self, variables: int, seen: int, settings: FlowSettings) -> None:
        super().__init__()
        self.variables = variables
        self.flow = coupling_flow(variables, seen, settings.transforms, [settings.width] * 2)
        for transform in self.flow.transform.transforms:
            nn.init.zeros_(transform.hyper[-1].weight)
            nn.init.zeros_(transform.hyper[-1].bias)

    def forward(self, noise: Tensor, seen: Tensor) -> Tensor:
        moved: Tensor = self.flow(seen).transform.inv(noise)
        return moved

    def loss(self, behind: Tensor, seen: Tensor) -> Tensor:
        """Return the negative log-likelihood of a variable, mean over all."""
        found: Tensor = -self.flow(seen).log_prob(behind).mean() / self.variables
        return found

"""The contract: noise is moved to where the noise behind real showers is."""

from __future__ import annotations

__all__ = ["CellTransport"]

from abc import ABC, abstractmethod

from torch import Tensor, nn


class CellTransport(nn.Module, ABC):
    """Moves the noise behind the cells of a shower."""

    @abstractmethod
    def forward(self, noise: Tensor, seen: Tensor) -> Tensor:
        """Return noise `(n, variables)` as it is behind real showers, of standard normal one.

        Args:
            noise: `(n, variables)`, of common factors and of single cells.
            seen: `(n, seen)`, the incident particle and the shower as a whole.
        """

    def adapt(self, hits: Tensor) -> None:
        """Take note in which share of the real showers each cell is hit, `(n_cells,)`."""

    @abstractmethod
    def loss(self, behind: Tensor, seen: Tensor) -> Tensor:
        """Return what is to become small, of noise behind real showers `(n, variables)`."""

"""What each layer of a shower has of its own, and its cells share."""

from __future__ import annotations

__all__ = ["LayerProducts", "LayerSpread"]

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class LayerProducts(nn.Module):
    """Multiplies numbers of each layer with a matrix of its own.

    Args:
        matrix: `(numbers, n_cells)`.
        sizes: Cells of each layer.
    """

    own: Tensor

    def __init__(self, matrix: Tensor, sizes: Sequence[int]) -> None:
        super().__init__()
        parts = torch.split(matrix, list(sizes), dim=1)
        self.equal = len(set(sizes)) == 1
        # Layers of several sizes are few and small: zeros cost less than a product for each.
        self.register_buffer("own", torch.stack(parts) if self.equal else torch.block_diag(*parts))

    def forward(self, numbers: Tensor) -> Tensor:
        """Map `(n, n_layers, numbers)` to `(n, n_cells)`."""
        if self.equal:
            return (numbers.transpose(0, 1) @ self.own).transpose(0, 1).flatten(1)
        return numbers.flatten(1) @ self.own


class LayerSpread(nn.Module):
    """Repeats a value of each layer for each of its cells; the other way round, adds cells up.

    Args:
        sizes: Cells of each layer.
    """

    ones: Tensor

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        self.size, self.equal = sizes[0], len(set(sizes)) == 1
        ones = torch.empty(0) if self.equal else torch.block_diag(*(torch.ones(1, size) for size in sizes))
        self.register_buffer("ones", ones)

    def forward(self, values: Tensor) -> Tensor:
        """Map `(n, n_layers)` to `(n, n_cells)`."""
        if self.equal:
            return values.unsqueeze(2).expand(-1, -1, self.size).flatten(1)
        return values @ self.ones

    def sums(self, cells: Tensor) -> Tensor:
        """Map `(n, n_cells)` to `(n, n_layers)`."""
        return cells.unflatten(1, (-1, self.size)).sum(2) if self.equal else cells @ self.ones.T

"""What each layer of a shower has of its own, and its cells share."""

from __future__ import annotations

__all__ = ["LayerProducts", "LayerSpread", "SomeProducts", "one_after_the_other"]

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_MOST = 0.6  # share of the columns from which on none is left out


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
        own = torch.stack(parts) if self.equal else one_after_the_other(matrix, sizes)
        self.register_buffer("own", own)
        self.numbers, self.layers = len(matrix), len(sizes)

    def forward(self, numbers: Tensor, to: Tensor | None = None) -> Tensor:
        """Map `(n, numbers x n_layers)` to `(n, n_cells)`, and add it to what there is."""
        if not self.equal:
            return numbers @ self.own if to is None else torch.addmm(to, numbers, self.own)
        each = numbers.reshape(-1, self.numbers, self.layers).permute(2, 0, 1)
        made = (each @ self.own).transpose(0, 1).flatten(1)
        return made if to is None else to + made


def one_after_the_other(matrix: Tensor, sizes: Sequence[int]) -> Tensor:
    """Return `(numbers x n_layers, n_cells)`: each row of `(numbers, n_cells)` cut into its layers."""
    layer = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    mine = layer == torch.arange(len(sizes)).unsqueeze(1)
    return (matrix.unsqueeze(1) * mine).flatten(0, 1)


class LayerSpread(nn.Module):
    """Repeats a value of each layer for each of its cells; the other way round, adds cells up.

    Args:
        sizes: Cells of each layer.
    """

    ones: Tensor

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        self.layers, self.size, self.equal = len(sizes), sizes[0], len(set(sizes)) == 1
        ones = torch.empty(0) if self.equal else one_after_the_other(torch.ones(1, sum(sizes)), sizes)
        self.register_buffer("ones", ones)

    def forward(self, values: Tensor) -> Tensor:
        """Map `(n, n_layers)` to `(n, n_cells)`."""
        if self.equal:
            return values.unsqueeze(2).expand(-1, -1, self.size).flatten(1)
        return values @ self.ones

    def sums(self, cells: Tensor) -> Tensor:
        """Map `(n, n_cells)` to `(n, n_layers)`."""
        return cells.reshape(-1, self.layers, self.size).sum(2) if self.equal else cells @ self.ones.T


class SomeProducts(nn.Module):
    """Multiplies with a matrix of which many columns may be zero, which are then left out.

    Args:
        matrix: `(numbers, n_cells)`.
        constant: `(n_cells,)`, zero where the matrix is.
    """

    matrix: Tensor
    constant: Tensor
    column: Tensor

    def __init__(self, matrix: Tensor, constant: Tensor) -> None:
        super().__init__()
        there = (matrix != 0).any(0) | (constant != 0)
        self.every = int(there.sum()) > _MOST * len(there)
        if not self.every:
            # The last column is that of all that have none.
            numbers = torch.cumsum(there, 0) - 1
            self.register_buffer("column", torch.where(there, numbers, int(there.sum())).unsqueeze(0))
            matrix = F.pad(matrix[:, there], (0, 1))
            constant = F.pad(constant[there], (0, 1))
        self.register_buffer("matrix", matrix)
        self.register_buffer("constant", constant)

    def forward(self, numbers: Tensor) -> Tensor:
        """Map `(n, numbers)` to `(n, n_cells)`."""
        made = torch.addmm(self.constant, numbers, self.matrix)
        return made if self.every else made.gather(1, self.column.expand(made.shape[0], -1))

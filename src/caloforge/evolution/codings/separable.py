"""Tensors as sums of outer products of vectors, one for each axis: filters that are separable."""

from __future__ import annotations

__all__ = ["SeparableCoding"]

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from caloforge.evolution.codings.base import DensePart, Part, PartwiseCoding
from caloforge.evolution.codings.factored import AddedPart


class SeparableCoding(PartwiseCoding):
    """A canonical decomposition: `sum over r of a_r (x) b_r (x) ...`, one vector for each axis of the tensor.

    A filter's part along each axis of space is a vector, and so is its part along the channels. A matrix is
    of low rank. Tensors that would have no fewer genes than weights are dense. Products of normal numbers
    have long tails: their variance is that of an initialisation, but most are smaller, and some far larger.
    """

    def _part(self, start: NDArray[np.float32], spread: float) -> Part:
        lengths = [length for length in start.shape if length > 1]
        if self.settings.rank * sum(lengths) >= start.size or len(lengths) < 2:
            return DensePart(start, spread)
        return _Separable(start, spread, self.settings.rank, lengths)


class _Separable(AddedPart):
    def __init__(self, start: NDArray[np.float32], spread: float, rank: int, lengths: list[int]) -> None:
        super().__init__(start, spread, rank * sum(lengths), rank * lengths[-1])
        self.rank, self.lengths = rank, lengths

    def draw(self, genes: Tensor) -> Tensor:
        vectors = torch.split(genes, [self.rank * length for length in self.lengths], dim=1)
        rows, columns, *others = (vector.reshape(len(genes), self.rank, -1) for vector in vectors)
        for vector in others:
            columns = (columns.unsqueeze(3) * vector.unsqueeze(2)).flatten(2)
        return rows.transpose(1, 2).div(self.rank**0.5) @ columns

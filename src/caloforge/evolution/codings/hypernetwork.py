"""A small network that draws a tensor's weights from their coordinates."""

from __future__ import annotations

__all__ = ["HypernetworkCoding"]

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from caloforge.evolution.codings.base import DensePart, Part, PartwiseCoding
from caloforge.evolution.codings.factored import AddedPart


class HypernetworkCoding(PartwiseCoding):
    """For each tensor a network with one layer of sine units; its parameters are the genes.

    A weight at `x`, its place along each axis from -1 to 1, is `sum over h of a_h sin(w_h x + b_h)`. Channels
    and places in a filter are coordinates alike, as in HyperNEAT (Stanley et al., Artificial Life 15 (2009)
    185), and one network draws the weights of another (arXiv:1609.09106). The number of genes does not depend
    on how large the tensor is. The sine of a sum is a sum of products, so a tensor is drawn by one product of
    two matrices. Tensors of one axis, and those of no more weights than genes, are dense.
    """

    def _part(self, start: NDArray[np.float32], spread: float) -> Part:
        genes = self.settings.units * (start.ndim + 2)
        if start.ndim < 2 or genes >= start.size:
            return DensePart(start, spread)
        return _Drawn(start, spread, self.settings.units, self.settings.periods)


class _Drawn(AddedPart):
    """Genes are, for all units, the frequencies of each axis, the phases, and the amplitudes."""

    def __init__(self, start: NDArray[np.float32], spread: float, units: int, periods: float) -> None:
        super().__init__(start, spread, units * (start.ndim + 2), linear=units)
        self.units = units
        for axis, length in enumerate(start.shape):
            # Faster than pi from one place to the next is slower again; x is 2 / (length - 1) apart.
            fastest = min(math.pi * periods, math.pi * (length - 1) / 2)
            places = torch.linspace(-fastest, fastest, length)
            self.register_buffer(f"places{axis}", places, persistent=False)

    def draw(self, genes: Tensor) -> Tensor:
        *frequencies, phases, amplitudes = genes.reshape(len(genes), -1, self.units).unbind(1)
        angles = [
            places[:, None] * frequency[:, None]
            for places, frequency in zip(self._places(), frequencies, strict=True)
        ]
        rows = angles[0] + math.pi * phases[:, None]
        columns = angles[1]
        for angle in angles[2:]:
            columns = (columns.unsqueeze(2) + angle.unsqueeze(1)).flatten(1, 2)
        left = torch.cat([rows.sin(), rows.cos()], 2) * amplitudes.repeat(1, 2)[:, None]
        right = torch.cat([columns.cos(), columns.sin()], 2)
        return left @ right.transpose(1, 2) * math.sqrt(2 / self.units)

    def _places(self) -> list[Tensor]:
        return [self.get_buffer(f"places{axis}") for axis in range(len(self.shape))]

"""Tensors in a cosine basis, of which the low frequencies are genes: smooth filters."""

from __future__ import annotations

__all__ = ["CosineCoding"]

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from caloforge.evolution.codings.base import DensePart, Part, PartwiseCoding
from caloforge.evolution.codings.factored import AddedPart

_ROUNDING = 1e-9  # 8 * 0.125^(1/3) is 4


class CosineCoding(PartwiseCoding):
    """The inverse cosine transform (type II, orthonormal) of low frequencies (Koutnik et al., GECCO 2010).

    Filters are transformed over their extent in space, axes 2 and beyond, for each pair of channels; matrices
    over both axes. Along each of `d` axes the lowest `share^(1/d)` of the frequencies are kept, rounded up.
    Tensors of one axis are dense.
    """

    def _part(self, start: NDArray[np.float32], spread: float) -> Part:
        extent = start.shape[2:] if math.prod(start.shape[2:]) > 1 else start.shape
        axes = sum(length > 1 for length in extent)
        share = self.settings.share ** (1 / max(axes, 1)) - _ROUNDING
        kept = [max(1, math.ceil(length * share)) for length in extent]
        if start.ndim < 2 or math.prod(kept) == math.prod(extent):
            return DensePart(start, spread)
        return _Cosine(start, spread, extent, kept)


class _Cosine(AddedPart):
    def __init__(
        self, start: NDArray[np.float32], spread: float, extent: tuple[int, ...], kept: list[int]
    ) -> None:
        filters = start.size // math.prod(extent)
        genes = filters * math.prod(kept)
        super().__init__(start, spread, genes, linear=genes)
        self.block = (filters, *kept)
        self.gain = math.sqrt(start.size / genes)
        for axis, (length, count) in enumerate(zip(extent, kept, strict=True)):
            self.register_buffer(f"basis{axis}", torch.from_numpy(_basis(length, count)), persistent=False)

    def draw(self, genes: Tensor) -> Tensor:
        values = genes.reshape(-1, *self.block[1:])
        for axis in range(len(self.block) - 1):
            values = torch.tensordot(values, self.get_buffer(f"basis{axis}"), dims=([1], [0]))
        return values * self.gain


def _basis(length: int, count: int) -> NDArray[np.float32]:
    """Return the lowest frequencies, shape `(count, length)`, rows of length 1."""
    frequencies, places = np.arange(count)[:, None], np.arange(length) + 0.5
    waves = np.cos(math.pi / length * frequencies * places)
    basis: NDArray[np.float32] = (waves / np.linalg.norm(waves, axis=1, keepdims=True)).astype(np.float32)
    return basis

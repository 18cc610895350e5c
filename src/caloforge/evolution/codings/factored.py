"""What codings by factors share: genes of several kinds for one tensor, and how they begin."""

from __future__ import annotations

__all__ = ["AddedPart"]

from abc import abstractmethod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from caloforge.evolution.codings.base import Part
from caloforge.evolution.noise import normal

_SEED = 0x6661


class AddedPart(Part):
    """Weights that are those to begin with, and what the genes draw, times the spread of the tensor.

    Genes of 0 draw nothing, and where genes are multiplied with each other, small ones draw next to nothing.
    So beside trained weights the genes begin as in LoRA (arXiv:2106.09685): the linear ones are 0, and all
    others are random.

    Args:
        start: Weights to begin with.
        spread: Standard deviation that an initialisation gives them.
        genes: How many there are.
        linear: How many of the last ones are factors of all that is drawn.
    """

    def __init__(self, start: NDArray[np.float32], spread: float, genes: int, linear: int) -> None:
        begin = np.zeros(genes, np.float32)
        if start.any():
            begin[: genes - linear] = normal(_SEED, genes - linear)
        super().__init__(begin, np.ones(genes, np.float32))
        self.shape, self.scale = start.shape, spread
        self.base: Tensor
        self.register_buffer("base", torch.from_numpy(start.copy()), persistent=False)

    def decode(self, genes: Tensor) -> Tensor:
        drawn = self.draw(genes).reshape(len(genes), *self.shape)
        return torch.add(self.base, drawn, alpha=self.scale)

    @abstractmethod
    def draw(self, genes: Tensor) -> Tensor:
        """Return `k` times the elements of the tensor, of variance 1 for genes of variance 1."""

"""The contract of codings: genes of individuals to weights of their networks."""

from __future__ import annotations

__all__ = ["Coding", "DensePart", "FixedPart", "Part", "PartwiseCoding", "check_tensors"]

from abc import abstractmethod
from collections.abc import Mapping
from math import inf, prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from caloforge.errors import EvolutionError


class Coding(nn.Module):
    """Turns genes into weights; a module, so that what it needs for that goes to a device with `to`.

    Genes drawn as `start + spread * normal` give weights with the spread of an initialisation. Genes that are
    `start` give the weights to begin with. Tensors whose spread is 0 have no genes: they stay as they are.
    """

    names: tuple[str, ...]
    """Of the tensors."""
    evolving: Mapping[str, tuple[int, ...]]
    """Shapes of the tensors that have genes of their own, in their order; none where genes are of all."""
    size: int
    """Genes."""
    start: NDArray[np.float32]
    """Genes to begin with, shape `(size,)`."""
    spread: NDArray[np.float32]
    """Scale of each gene, shape `(size,)`."""

    @abstractmethod
    def decode(self, genes: Tensor) -> dict[str, Tensor]:
        """Return weights.

        Args:
            genes: Of `k` individuals, shape `(k, size)`.

        Returns:
            Each tensor of the network, shape `(k, *shape)`.
        """


class Part(nn.Module):
    """How the genes of one tensor become its weights.

    Args:
        start: The part's genes to begin with.
        spread: Scale of each.
    """

    def __init__(self, start: NDArray[np.float32], spread: NDArray[np.float32]) -> None:
        super().__init__()
        self.start = start.astype(np.float32)
        self.spread = spread.astype(np.float32)

    @abstractmethod
    def decode(self, genes: Tensor) -> Tensor:
        """Return weights, shape `(k, *shape)`, of genes of shape `(k, genes of the part)`."""


class DensePart(Part):
    """Genes that are weights; decoded without a copy."""

    def __init__(self, start: NDArray[np.float32], spread: float) -> None:
        super().__init__(start.ravel(), np.full(start.size, spread, np.float32))
        self.shape = start.shape

    def decode(self, genes: Tensor) -> Tensor:
        return genes.reshape(len(genes), *self.shape)


class FixedPart(Part):
    """A tensor without genes, the same for all individuals; it is not copied for them."""

    def __init__(self, start: NDArray[np.float32]) -> None:
        super().__init__(np.empty(0, np.float32), np.empty(0, np.float32))
        self.weights: Tensor
        self.register_buffer("weights", torch.from_numpy(start.copy()), persistent=False)

    def decode(self, genes: Tensor) -> Tensor:
        return self.weights.expand(len(genes), *self.weights.shape)


class PartwiseCoding(Coding):
    """A coding in which each tensor has genes of its own, in the order of the tensors.

    Args:
        settings: Of the coding.
        shapes: Of the tensors, by name.
        start: Weights around which initialisation draws, or trained ones.
        spread: Standard deviation that initialisation gives each tensor.

    Attributes:
        evolving: Shapes of the tensors that have genes.

    Raises:
        EvolutionError: The names or shapes of the three do not agree.
    """

    def __init__(
        self,
        settings: Any,
        shapes: Mapping[str, tuple[int, ...]],
        start: Mapping[str, NDArray[np.float32]],
        spread: Mapping[str, float],
    ) -> None:
        super().__init__()
        check_tensors(shapes, start, spread)
        self.settings = settings
        self.names = tuple(shapes)
        self.evolving = {name: shape for name, shape in shapes.items() if spread[name]}
        parts = [self._whichever(np.asarray(start[name], np.float32), spread[name]) for name in shapes]
        self.parts = nn.ModuleList(parts)
        self.start = np.concatenate([part.start for part in parts])
        self.spread = np.concatenate([part.spread for part in parts])
        self.size = len(self.start)

    def decode(self, genes: Tensor) -> dict[str, Tensor]:
        pieces = torch.split(genes, [len(part.start) for part in self._parts()], dim=1)
        return {
            name: part.decode(piece)
            for name, part, piece in zip(self.names, self._parts(), pieces, strict=True)
        }

    def _whichever(self, start: NDArray[np.float32], spread: float) -> Part:
        return self._part(start, spread) if spread else FixedPart(start)

    @abstractmethod
    def _part(self, start: NDArray[np.float32], spread: float) -> Part:
        """Return how a tensor is decoded that begins with `start`."""

    def _parts(self) -> list[Part]:
        return [part for part in self.parts if isinstance(part, Part)]


def check_tensors(
    shapes: Mapping[str, tuple[int, ...]],
    start: Mapping[str, NDArray[np.float32]],
    spread: Mapping[str, float],
) -> None:
    """Raise an `EvolutionError` unless there is a start of each shape, and a spread."""
    for name, shape in shapes.items():
        got = np.shape(start[name]) if name in start else None
        if got != tuple(shape) or not prod(shape) or not 0 <= spread.get(name, -1) < inf:
            raise EvolutionError(
                "each tensor needs weights to begin with and a spread",
                where=name,
                got=got,
                expected=tuple(shape),
            )

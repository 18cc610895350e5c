"""The evolution strategy whose individuals differ from the mean by one outer product for each tensor."""

from __future__ import annotations

__all__ = ["Factors", "RankOneEs"]

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from caloforge.errors import EvolutionError
from caloforge.evolution.algorithms.es import Es
from caloforge.evolution.noise import normal
from caloforge.evolution.settings import EsSettings

Factors: TypeAlias = dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]
"""For each tensor, `u` of shape `(k, rows)` and `v` of shape `(k, columns)`."""


class RankOneEs(Es):
    """The evolution strategy with changes of rank one, arXiv:2511.16652.

    A tensor is seen as a matrix, its first axis by all others; what has one axis is one row. An individual's
    change of it is `u v^T`, both drawn from its seed. A layer then costs one product with the mean, which all
    share, and for each individual a dot product and an outer one. Where there is a single row or column, its
    factor is 1, so the change is normal in each element. The gradient is a product of all `u` and `v`.

    Args:
        shapes: The genes as tensors, in order.

    Raises:
        EvolutionError: The tensors are not the genes, or the spread changes within one.
    """

    code = b"es1r"

    def __init__(
        self,
        settings: EsSettings,
        start: NDArray[np.float32],
        spread: NDArray[np.float32],
        seed: int,
        shapes: Mapping[str, tuple[int, ...]],
    ) -> None:
        super().__init__(settings, start, spread, seed)
        self._layout = np.array([_matrix(shape) for shape in shapes.values()], np.int64).reshape(-1, 2)
        genes = self._layout.prod(1)
        if genes.sum() != self.size:
            raise EvolutionError("the tensors are not the genes", got=int(genes.sum()), expected=self.size)
        firsts = np.cumsum(genes) - genes
        self._scales = self.spread[firsts]
        if not np.array_equal(np.repeat(self._scales, genes), self.spread):
            raise EvolutionError(
                "changes of rank one need one spread for each tensor", cure="take rank: full"
            )

    @classmethod
    def factors(
        cls,
        shared: Sequence[NDArray[Any]],
        chromosomes: Sequence[bytes],
        shapes: Mapping[str, tuple[int, ...]],
    ) -> Factors:
        """Return what individuals differ from the mean, `shared[0]`, by.

        Args:
            shared: Of their `Generation`.
            chromosomes: `k` of them.
            shapes: The tensors that the algorithm was made for.

        Raises:
            EvolutionError: A chromosome of another evolution, or a changed one; other tensors.
        """
        if [_matrix(shape) for shape in shapes.values()] != shared[2].tolist():
            raise EvolutionError("these chromosomes are of other tensors", got=dict(shapes))
        pairs = cls._scaled(shared, chromosomes, sum(map(prod, shapes.values())))
        return dict(zip(shapes, pairs, strict=True))

    @classmethod
    def decode(
        cls, shared: Sequence[NDArray[Any]], chromosomes: Sequence[bytes], size: int
    ) -> NDArray[np.float32]:
        genes = np.empty((len(chromosomes), size), np.float32)
        first = 0
        for u, v in cls._scaled(shared, chromosomes, size):
            last = first + u.shape[1] * v.shape[1]
            change = (u[:, :, None] * v[:, None, :]).reshape(len(genes), last - first)
            np.add(shared[0][first:last], change, out=genes[:, first:last])
            first = last
        return genes

    @classmethod
    def _scaled(
        cls, shared: Sequence[NDArray[Any]], chromosomes: Sequence[bytes], size: int
    ) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        seeds = np.array(cls._signed_seeds(shared, chromosomes, size), np.int64)
        signs = np.sign(seeds).astype(np.float32)[:, None]
        pairs = zip(_drawn(np.abs(seeds), shared[2]), shared[1], strict=True)
        return [(u * (signs * scale), v) for (u, v), scale in pairs]

    def _common(self) -> tuple[NDArray[Any], ...]:
        return self.mean, np.float32(self.settings.sigma) * self._scales, self._layout

    def _weighted(self, seeds: NDArray[np.int64], weights: NDArray[np.float32]) -> NDArray[np.float32]:
        pairs = _drawn(seeds, self._layout)
        return np.concatenate([((u * weights[:, None]).T @ v).ravel() for u, v in pairs])


def _matrix(shape: tuple[int, ...]) -> list[int]:
    return [shape[0], prod(shape[1:])] if len(shape) > 1 else [1, prod(shape)]


def _drawn(
    seeds: NDArray[np.int64], layout: NDArray[np.int64]
) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Return `u` and `v` of each tensor; where there is one row or column only, its factor is 1."""
    rows = [0 if row == 1 else row for row, _ in layout.tolist()]
    columns = [0 if column == 1 < row else column for row, column in layout.tolist()]
    needed = [count for pair in zip(rows, columns, strict=True) for count in pair]
    numbers = np.empty((len(seeds), sum(needed)), np.float32)
    for seed, row in zip(seeds, numbers, strict=True):
        row[:] = normal(int(seed), len(row))
    ones = np.ones((len(seeds), 1), np.float32)
    pieces = [
        piece if piece.shape[1] else ones for piece in np.split(numbers, np.cumsum(needed)[:-1], axis=1)
    ]
    return list(zip(pieces[0::2], pieces[1::2], strict=True))

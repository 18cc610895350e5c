"""Few coefficients along the directions in which the weights of trained runs vary."""

from __future__ import annotations

__all__ = ["DirectionsCoding"]

from collections.abc import Mapping, Sequence
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from caloforge.errors import EvolutionError
from caloforge.evolution.codings.base import Coding, check_tensors
from caloforge.evolution.settings import DirectionsSettings

_NOTHING = 1e-9  # of the first singular value: rounding


class DirectionsCoding(Coding):
    """Principal components of all weights together over some trained runs.

    Weights are `start + sum over j of gene_j * deviation_j * direction_j`, where `deviation_j` is the
    standard deviation of the runs along a direction. So genes are of the order of 1. Networks trained from
    different seeds have their features in another order each, and a mixture of them is rarely a good network.
    Runs that went on from one another, or began with the same weights, have something in common.

    Args:
        settings: How many directions.
        shapes: Of the tensors, by name.
        start: Weights to begin with: trained ones, as the directions lead from one trained network to others.
        spread: 0 leaves a tensor as it is.
        examples: Weights of the runs; at least two.

    Raises:
        EvolutionError: Runs of other networks, or too few for so many directions.
    """

    def __init__(
        self,
        settings: DirectionsSettings,
        shapes: Mapping[str, tuple[int, ...]],
        start: Mapping[str, NDArray[np.float32]],
        spread: Mapping[str, float],
        examples: Sequence[Mapping[str, NDArray[np.float32]]],
    ) -> None:
        super().__init__()
        for weights in (start, *examples):
            check_tensors(shapes, weights, spread)
        self.shapes, self.names, self.evolving = dict(shapes), tuple(shapes), {}
        free = np.concatenate([np.full(prod(shape), spread[name] > 0) for name, shape in shapes.items()])
        runs = np.stack([self._flat(weights) for weights in examples]) * free
        directions = principal_directions(runs, settings.count)
        self.size = len(directions)
        self.start, self.spread = np.zeros(self.size, np.float32), np.ones(self.size, np.float32)
        self.base: Tensor
        self.directions: Tensor
        self.register_buffer("base", torch.from_numpy(self._flat(start)), persistent=False)
        self.register_buffer("directions", torch.from_numpy(directions), persistent=False)

    def decode(self, genes: Tensor) -> dict[str, Tensor]:
        weights = torch.addmm(self.base, genes, self.directions)
        pieces = torch.split(weights, [prod(shape) for shape in self.shapes.values()], dim=1)
        return {
            name: piece.reshape(len(genes), *shape)
            for (name, shape), piece in zip(self.shapes.items(), pieces, strict=True)
        }

    def _flat(self, weights: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        return np.concatenate([np.asarray(weights[name], np.float32).ravel() for name in self.shapes])


def principal_directions(runs: NDArray[np.float32], count: int | None) -> NDArray[np.float32]:
    """Return the directions in which rows vary most, each as long as their standard deviation along it.

    Args:
        runs: Weights, shape `(runs, weights)`.
        count: How many; None: all.

    Returns:
        Directions, shape `(count, weights)`.

    Raises:
        EvolutionError: The rows vary in fewer directions.
    """
    deviations = runs - runs.mean(0, dtype=np.float64)
    _, values, directions = np.linalg.svd(deviations, full_matrices=False)
    there = int((values > _NOTHING * values[0]).sum())
    if there < (count or 1):
        raise EvolutionError(
            "the weights of these runs vary in too few directions",
            got=f"{there} of {len(runs)} runs",
            expected=f"at least {count or 1}",
            cure="name more runs, or ask for fewer directions",
        )
    kept = slice(count or there)
    lengths = values[kept, None] / np.sqrt(len(runs) - 1)
    scaled: NDArray[np.float32] = (lengths * directions[kept]).astype(np.float32)
    return scaled

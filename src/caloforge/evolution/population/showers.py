"""Showers of many generators, of the same noise and incident particles."""

from __future__ import annotations

__all__ = ["ShowerMaker", "batchable", "noise_for", "showers_of_each"]

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from caloforge.evolution.population.many import many, one_by_one
from caloforge.evolution.population.pieces import Pieces
from caloforge.models.blocks.noise import draw_noise

if TYPE_CHECKING:
    from caloforge.evolution.population.many import Weights
    from caloforge.models.base import Generator

_TRIED = 9  # showers that tell whether many generators can be made at once
_TINY = 1e-30
_CLOSE = 1e-4  # relative: what batched products may differ by from one after another


def showers_of_each(
    generator: Generator, weights: Weights, count: int, noise: Tensor, incident: Tensor, at_once: bool
) -> Tensor:
    """Return the showers that each of many generators makes of the same noise and incident particles.

    Args:
        generator: In evaluation mode.
        weights: Of each individual.
        count: Individuals.
        noise: `(n, *noise_shape)`.
        incident: `(n, k)`.
        at_once: In one pass; `batchable` says whether that can be.

    Returns:
        `(count, n, n_cells)` MeV.
    """
    if not at_once:
        made = []
        for number in range(count):
            with one_by_one(generator, {name: values[number] for name, values in weights.items()}):
                made.append(generator(noise, incident))
        return torch.stack(made)
    with many(generator, weights, count):
        rows = (x.expand(count, *x.shape).flatten(0, 1) for x in (noise, incident))
        cells: Tensor = generator(*rows)
    return cells.reshape(count, len(incident), -1)


@torch.no_grad()
def batchable(generator: Generator, names: Mapping[str, nn.Parameter], incident: Tensor) -> bool:
    """Say whether many of this generator can be made at once, by trying it with two individuals.

    Not so a network that uses its weights elsewhere than in the layer that owns them, or looks across rows.

    Args:
        generator: In evaluation mode.
        names: The weights that are an individual's own.
        incident: Some particles, `(n, k)`.
    """
    random = torch.Generator().manual_seed(0)
    device = incident.device
    pair = {
        name: torch.stack([value, value + 0.1 * torch.randn(value.shape, generator=random).to(device)])
        for name, value in names.items()
    }
    noise = generator.sample_noise(len(incident), random).to(device)
    try:
        at_once, apart = (showers_of_each(generator, pair, 2, noise, incident, way) for way in (True, False))
    except (RuntimeError, TypeError):
        return False
    # Rounding may empty a cell of a shower or two that the other way has not, and so change these a lot.
    wrong = (at_once - apart).abs().amax(2) / apart.abs().amax(2).clamp_min(_TINY)
    return bool((wrong.median(1).values < _CLOSE).all())


class ShowerMaker:
    """Makes the showers of many generators in the way that suits the network and the memory.

    Args:
        generator: In evaluation mode.
        names: The weights that are an individual's own.
        incident: Particles of one batch.
        memory: Bytes for individuals that are made at once.

    Attributes:
        at_once: Whether they are made in one pass.
        pieces: How many at a time.

    Raises:
        EvolutionError: Not even one individual fits.
    """

    def __init__(
        self, generator: Generator, names: Mapping[str, nn.Parameter], incident: Tensor, memory: int
    ) -> None:
        self._generator = generator
        self.at_once = batchable(generator, names, incident[:_TRIED])
        self.pieces = Pieces.measured(generator, names, incident, memory)

    def __call__(self, weights: Weights, count: int, noise: Tensor, incident: Tensor) -> Tensor:
        """See `showers_of_each`."""
        return showers_of_each(self._generator, weights, count, noise, incident, self.at_once)


def noise_for(generator: Generator, incident: Tensor, key: tuple[int, ...]) -> Tensor:
    """Return noise for each of these particles, on their device; the key decides it."""
    noise = draw_noise(np.random.default_rng(key), len(incident), generator.noise_shape)
    return torch.from_numpy(noise).to(incident.device)

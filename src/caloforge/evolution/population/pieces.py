"""How many individuals are made and judged at once, so that they fit a stated memory."""

from __future__ import annotations

__all__ = ["Pieces"]

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from caloforge.errors import EvolutionError

if TYPE_CHECKING:
    from caloforge.models.base import Generator

_MOST, _LEAST = 64, 16  # individuals of a piece: more gain little, fewer lose some
_FEWEST = 4
_SHARES = 8  # of a population that several processes can take
_VIEWS = 16  # arrays as large as the cells that are there when showers are judged


@dataclass(frozen=True)
class Pieces:
    """How many individuals are made at once, so that they fit a memory.

    Args:
        weights: Bytes of one individual's weights.
        activations: Bytes of what its layers put out for one batch.
        cells: Bytes of the showers of one batch, as an individual makes it.
        memory: Bytes that may be used.
        cache: Bytes of what layers put out that are near at hand; beyond, one pass is slower than several.

    Raises:
        EvolutionError: Not even one fits.
    """

    weights: int
    activations: int
    cells: int
    memory: int
    cache: int = 8 << 20

    def __post_init__(self) -> None:
        if self.each > self.memory:
            raise EvolutionError(
                "not even one individual fits into the memory",
                where="objective.memory_mb",
                got=f"{self.memory >> 20} MB",
                expected=f"at least {-(-self.each // 2**20)} MB, with batches of this size",
                cure="--set objective.memory_mb=... or a smaller schedule.batch",
            )

    @property
    def each(self) -> int:
        # Weights and genes that they came from; what layers put out, and what they work with.
        return 2 * self.weights + 2 * self.activations + _VIEWS * self.cells

    def of(self, count: int) -> Iterator[slice]:
        """Cut so many individuals into pieces, the same however many processes there are."""
        shared = max(_LEAST, count // _SHARES)
        near = max(_FEWEST, self.cache // max(self.activations, 1))
        size = min(self.memory // self.each, shared, near, _MOST)
        for first in range(0, count, size):
            yield slice(first, min(first + size, count))

    @classmethod
    @torch.no_grad()
    def measured(
        cls, generator: Generator, names: Mapping[str, nn.Parameter], incident: Tensor, memory: int
    ) -> Pieces:
        """Let one individual make a batch, and see what it takes."""
        put_out = 0

        def count(_: nn.Module, __: object, made: object) -> None:
            nonlocal put_out
            if isinstance(made, Tensor):
                put_out += made.numel() * made.element_size()

        hooks = [module.register_forward_hook(count) for module in generator.modules()]
        noise = torch.zeros((len(incident), *generator.noise_shape), device=incident.device)
        made = generator(noise, incident)
        for hook in hooks:
            hook.remove()
        weights = sum(value.numel() * value.element_size() for value in names.values())
        cells = made.numel() * made.element_size()
        return cls(weights, put_out, cells, memory, memory if made.is_cuda else cls.cache)

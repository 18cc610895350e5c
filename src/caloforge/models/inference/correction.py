"""The trained correction, whose two passes are one batch."""

from __future__ import annotations

__all__ = ["Correction", "correction_of"]

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from caloforge.models.inference.cells import UNIT
from caloforge.models.tuned.trunks import DenseGenerator, GeneratorTrunk

if TYPE_CHECKING:
    from caloforge.models.tuned.generator import TunedGenerator

_HALF = 0.5 * UNIT  # what the difference of two opposite showers is multiplied with


def correction_of(generator: TunedGenerator) -> Correction:
    """Return what a tuned generator adds to its fit, as it is exported."""
    trunk, inputs = generator.trunk, generator.inputs
    if isinstance(trunk, DenseGenerator):
        return DenseCorrection(trunk, *inputs)
    return WholeCorrection(trunk, *inputs)


class Correction(nn.Module, ABC):
    """Adds half the difference of what a trunk says of a shower and of its opposite.

    Args:
        trunk: A trained one.
        inputs: Numbers that it sees.
        given: How many of these, the last, say what the incident particle is and keep their sign.
    """

    signs: Tensor

    def __init__(self, trunk: GeneratorTrunk, inputs: int, given: int) -> None:
        super().__init__()
        self.trunk = trunk
        signs = torch.ones(2, inputs)
        signs[1, : inputs - given] = -1
        self.register_buffer("signs", signs)

    @abstractmethod
    def forward(self, to: Tensor, seed: Tensor, noise: Tensor) -> Tensor:
        """Add to the cells' normal variables, as `FoldedCells` wants them, in units of `UNIT`.

        Args:
            to: `(n, n_cells)`.
            seed: `(n, inputs)`.
            noise: `(n, trunk.noise)`.
        """

    def both(self, seed: Tensor) -> Tensor:
        """Return each shower and its opposite, `(2 n, inputs)`."""
        return (seed.unsqueeze(1) * self.signs).flatten(0, 1)


class WholeCorrection(Correction):
    """That of any trunk."""

    def forward(self, to: Tensor, seed: Tensor, noise: Tensor) -> Tensor:
        noises = torch.stack([noise, -noise], dim=1).flatten(0, 1)
        seen = self.trunk.seen(self.both(seed), noises)
        one, opposite = seen.reshape(-1, 2, *seen.shape[1:]).unbind(1)
        return to + _HALF * self.trunk.last(one - opposite, None)


class DenseCorrection(Correction):
    """That of a dense trunk, whose last layer is linear and adds to what there is."""

    last: Tensor

    def __init__(self, trunk: DenseGenerator, inputs: int, given: int) -> None:
        super().__init__(trunk, inputs, given)
        self.body = trunk.body
        self.width = trunk.out.weight.shape[1]
        self.register_buffer("last", _HALF * trunk.out.weight.detach().T)

    def forward(self, to: Tensor, seed: Tensor, noise: Tensor) -> Tensor:  # noqa: ARG002 - cells have theirs
        seen = self.body(self.both(seed)).reshape(-1, 2 * self.width)
        one, opposite = torch.split(seen, self.width, dim=1)
        return torch.addmm(to, one - opposite, self.last)

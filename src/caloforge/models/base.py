"""The contract of a generator: noise and the incident particle in, cell energies out."""

from __future__ import annotations

__all__ = ["Generator"]

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from caloforge.detector import Detector


class Generator(nn.Module, ABC):
    """Makes showers of one detector.

    Physical units go in and come out; whatever scaling a network wants is part of it, so that what is
    exported is what was trained.

    Args:
        detector: Whose cells are filled.
    """

    conditions: tuple[str, ...] = ("energy",)
    """Columns of `incident`: a subset of energy (MeV), theta, phi (rad), x, y (mm), in this order."""

    noise_shape: tuple[int, ...]
    """Shape of the noise that seeds one shower."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def sample_noise(
        self, n: int, generator: torch.Generator | None = None, device: torch.device | str | None = None
    ) -> Tensor:
        """Draw standard normal noise, shape `(n, *noise_shape)`."""
        return torch.randn((n, *self.noise_shape), generator=generator, device=device)

    @abstractmethod
    def forward(self, noise: Tensor, incident: Tensor) -> Tensor:
        """Make showers.

        Args:
            noise: `(n, *noise_shape)` from `sample_noise`.
            incident: `(n, len(conditions))` in MeV, rad and mm.

        Returns:
            Energy of every cell in MeV, `(n, n_cells)`, layer-major.
        """

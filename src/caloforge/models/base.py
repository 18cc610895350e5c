"""The contracts: a generator makes cell energies of noise and incident particle, a critic judges them."""

from __future__ import annotations

__all__ = ["GEV", "Critic", "Generator", "Network"]

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from caloforge.errors import RecipeError

if TYPE_CHECKING:
    from caloforge.detector import Detector

GEV = 1e3  # MeV


class Network(nn.Module):
    """Belongs to one detector, and may look at its showers before a training begins.

    Args:
        detector: Whose cells it fills or sees.
    """

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def adapt(self, cells: Tensor, incident: Tensor, images: Tensor | None = None) -> None:
        """Take statistics from real showers before a training begins.

        Args:
            cells: `(n, n_cells)` MeV.
            incident: `(n, k)` columns `conditions` of the generator in MeV, rad and mm.
            images: `(m, n_cells)` cell that each cell gets its energy from, in mirror images that might have
                been measured as well; none if there is no symmetry.
        """

    def measures_by(self) -> dict[str, Any] | None:
        """Return the settings that decide what `adapt` takes, besides the showers; None: not worth keeping.

        What is taken must all be in `state_dict`: trainings of the same showers hand it on to each other.
        """
        return None


class Generator(Network, ABC):
    """Makes showers of one detector.

    Physical units go in and come out; whatever scaling a network wants is part of it, so that what is
    exported is what was trained.
    """

    conditions: tuple[str, ...] = ("energy",)
    """Columns of `incident`: energy (MeV) and of theta, phi (rad), x, y (mm), pdg those that it knows, in
    this order."""

    noise_shape: tuple[int, ...]
    """Shape of the noise that seeds one shower."""

    def sample_noise(
        self, n: int, generator: torch.Generator | None = None, device: torch.device | str | None = None
    ) -> Tensor:
        """Draw standard normal noise, shape `(n, *noise_shape)`."""
        return torch.randn((n, *self.noise_shape), generator=generator, device=device)

    def begin_epoch(self, epoch: int) -> None:
        """Take note that the epoch of this number begins, from 0; for what changes in a training's course."""

    @abstractmethod
    def forward(self, noise: Tensor, incident: Tensor) -> Tensor:
        """Make showers.

        Args:
            noise: `(n, *noise_shape)` from `sample_noise`.
            incident: `(n, len(conditions))` in MeV, rad and mm; particles by PDG id.

        Returns:
            Energy of every cell in MeV, `(n, n_cells)`, layer-major.
        """


class Critic(Network, ABC):
    """Tells Geant4's showers from generated ones, and may measure them too."""

    unit: float = GEV
    """MeV in a cell that its networks see as 1: the unit of the critic's slope, which the Wasserstein loss
    keeps near 1."""

    @abstractmethod
    def forward(self, cells: Tensor, incident: Tensor) -> dict[str, Tensor]:
        """Judge showers; they must be all real or all generated, as some features compare within the batch.

        Args:
            cells: `(n, n_cells)` MeV.
            incident: `(n, k)` columns as the generator's `conditions`: what was asked for.

        Returns:
            `logit` `(n,)` of being real, and where the model has them: `auxiliary` `(n,)`, its estimate of
            the incident energy in units of 100 GeV; `angle` `(n,)`, the angle measured in the image less
            that asked for, rad; `counts` `(n, k)`, cells in bins of energy; `classes` `(n, k)`, scores of
            the particles told apart.
        """

    def views(self, cells: Tensor, incident: Tensor) -> tuple[Tensor, ...]:  # noqa: ARG002 - of those that can
        """Return what the networks see of showers, numbers of the order of one, `(n, k)` each.

        First observables that mean something one by one, then what was asked for, then others.

        Raises:
            RecipeError: This critic has no such views.
        """
        raise RecipeError(
            "this critic does not look at observables",
            where="objective.matching_weight or real_penalty",
            got=type(self).__name__,
            cure="leave both at 0, or take a model whose critic does: kind: tuned",
        )

    def read(self, *views: Tensor) -> dict[str, Tensor]:
        """Return what `forward` does, of `views`."""
        raise NotImplementedError

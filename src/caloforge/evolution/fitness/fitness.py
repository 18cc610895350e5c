"""The fitness of a recipe: what it has measured of real showers, and the sum of its terms."""

from __future__ import annotations

__all__ = ["Fitness"]

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from caloforge.errors import RecipeError
from caloforge.evolution.fitness.faulty import broken
from caloforge.evolution.fitness.terms import TERMS, Seen
from caloforge.models.base import Network
from caloforge.models.blocks.energy_distance import directions
from caloforge.models.blocks.incidence import Incidence
from caloforge.models.tuned.features import ShowerFeatures
from caloforge.observables.figure_of_merit import axes_of, energy_ranges

if TYPE_CHECKING:
    from caloforge.detector import Detector
    from caloforge.evolution.fitness.settings import FitnessSettings

_SHOWERS = 4096  # that it takes its statistics from
_HIT = 0.1  # of a typical hit
_LEAST = 0.05  # spread of a count


class Fitness(Network):
    """Judges the showers of many generators at once.

    Args:
        detector: Any.
        settings: The `objective.fitness` part of a recipe.
        conditions: The generator's.
        particles: PDG ids that are told apart.

    Raises:
        RecipeError: This detector has no figure of merit, and it is asked for.
    """

    ranges: Tensor
    counted: Tensor
    projections: Tensor

    def __init__(
        self,
        detector: Detector,
        settings: FitnessSettings,
        conditions: Sequence[str],
        particles: Sequence[int] = (),
    ) -> None:
        super().__init__(detector)
        self.settings = settings
        self.features = ShowerFeatures(detector)
        self.incidence = Incidence(detector, conditions, particles)
        axes = axes_of(detector)
        if settings.merit and not axes:
            raise RecipeError(
                "the figure of merit needs an axis with more than one cell",
                where="objective.fitness.merit",
                got=f"detector {detector.name}, where no axis has two",
                cure="--set objective.fitness.merit=0",
            )
        self.powers = 2 * len(axes)
        self.bins = [axis.share.shape[1] for axis in axes]
        columns = [axis.powers for axis in axes] + [axis.share for axis in axes]
        table = np.concatenate(columns, axis=1) if columns else np.zeros((detector.n_cells, 0))
        self.register_buffer("projections", torch.tensor(table, dtype=torch.float32), persistent=False)
        self.register_buffer("ranges", torch.zeros(4, 2))
        self.register_buffer("counted", torch.ones(len(detector.layers) + 1))

    def measures_by(self) -> dict[str, Any]:
        return {}

    @torch.no_grad()
    def adapt(self, cells: Tensor, incident: Tensor, images: Tensor | None = None) -> None:  # noqa: ARG002
        cells, energy = cells[:_SHOWERS], incident[:_SHOWERS, 0]
        self.features.fit(cells, energy)
        self.ranges.copy_(torch.from_numpy(energy_ranges(energy.numpy())))
        self.counted.copy_(self.counts(cells).std(0).clamp_min(_LEAST))

    def forward(self, made: Tensor, real: Tensor, incident: Tensor, along: Tensor) -> dict[str, Tensor]:
        """Judge many generators by the showers that they made of the same incident particles.

        Args:
            made: `(individuals, n, n_cells)` MeV.
            real: `(n, n_cells)` MeV.
            incident: `(n, k)` MeV, rad, mm.
            along: From `along`.

        Returns:
            The terms that have a weight, and `fitness`, their sum: `(individuals,)` each, smaller is better.
            Showers that are no numbers, or all empty, give infinity.
        """
        faulty = broken(made)
        made = made.nan_to_num(0, 0, 0) if bool(faulty.any()) else made
        seen = self._seen(made, real, incident, along)
        wanted = self.settings.wanted()
        terms = {name: TERMS[name](self, seen) for name in wanted}
        total = torch.stack([weight * terms[name] for name, weight in wanted.items()]).sum(0)
        return terms | {"fitness": total.nan_to_num(torch.inf).masked_fill(faulty, torch.inf)}

    @property
    def width(self) -> int:
        """Observables, and what was asked for."""
        return self.features.count + self.incidence.width

    def along(self, key: tuple[int, ...]) -> Tensor:
        """Return directions in the space of observables and what was asked for; the key decides them."""
        random = torch.Generator().manual_seed(int(np.random.default_rng(key).integers(2**62)))
        return directions(self.width, torch.device("cpu"), random).to(self.ranges.device)

    def observe(self, cells: Tensor, incident: Tensor) -> Tensor:
        """Return observables of showers, `(n, n_cells)` to `(n, observables)`."""
        seen: Tensor = self.features(cells, self.features.hits(cells), incident[:, 0])
        return seen

    def counts(self, cells: Tensor) -> Tensor:
        """Cells above a tenth of a typical hit, `(..., n_cells)` to `(..., n_layers + 1)`; the last: all."""
        above = self._hit(cells).to(cells.dtype).flatten(0, -2)
        layers = self.features.layers.sums(above).reshape(*cells.shape[:-1], -1)
        return torch.cat([layers, layers.sum(-1, keepdim=True)], dim=-1)

    def deepest(self, cells: Tensor) -> Tensor:
        """Number of the deepest layer with such a cell, from 1; 0 without one: `(..., 1)`."""
        hit = self.counts(cells)[..., :-1] > 0
        place = torch.arange(1, hit.shape[-1] + 1, device=cells.device, dtype=cells.dtype)
        return (hit * place).amax(-1, keepdim=True)

    def member(self, energy: Tensor) -> Tensor:
        """Which showers the figure of merit compares together, `(n, 1 + ranges)`."""
        low, high = self.ranges.T
        inside = (low <= energy[:, None]) & (energy[:, None] <= high)
        return torch.cat([torch.ones_like(energy)[:, None], inside.to(energy)], dim=1)

    def _hit(self, cells: Tensor) -> Tensor:
        return cells > _HIT * self.features.typical[self.features.layers.layer]

    def _seen(self, made: Tensor, real: Tensor, incident: Tensor, along: Tensor) -> Seen:
        rows, again = made.flatten(0, 1), incident.expand(len(made), *incident.shape).flatten(0, 1)
        observables = self.observe(rows, again).reshape(*made.shape[:2], -1)
        given = self.incidence(incident)
        return Seen(made, real, incident, observables, self.observe(real, incident), given, along)

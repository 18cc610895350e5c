"""How far showers are from Geant4's, in the figures of the account."""

from __future__ import annotations

__all__ = ["FIGURES", "fidelity"]

from typing import TYPE_CHECKING

import numpy as np
import torch

from caloforge.evolution.fitness.fitness import Fitness
from caloforge.evolution.fitness.settings import FitnessSettings
from caloforge.models.blocks.energy_distance import energy_distance
from caloforge.observables.figure_of_merit import axes_of, figure_of_merit
from caloforge.search.figures.distances import physics_distance, separation

if TYPE_CHECKING:
    from caloforge.showers import Showers

FIGURES = {
    "merit": "figure of merit",
    "auc": "AUC of trees",
    "fpd": "FPD x 1000",
    "hits": "numbers of hits",
    "depth": "deepest layer",
}
"""What they are called."""
_SEED = 1


def fidelity(geant4: Showers, made: Showers) -> dict[str, float]:
    """Return the figures of showers; smaller is better for all.

    Args:
        geant4: Geant4's.
        made: As many, of the same incident particles, or of others for the floor.

    Returns:
        By the names of `FIGURES`; the deepest layer where there are several, the figure of merit where there
        is an axis.

    Raises:
        SearchError: Too few showers.
    """
    found = {
        "merit": figure_of_merit(geant4, made) if axes_of(geant4.detector) else None,
        "auc": separation(geant4, made, _SEED),
        "fpd": physics_distance(geant4, made),
        **_without_gradient(geant4, made),
    }
    return {name: float(value) for name, value in found.items() if value is not None}


@torch.no_grad()
def _without_gradient(geant4: Showers, made: Showers) -> dict[str, float]:
    """Return energy distances of numbers of hits and of the deepest layer."""
    detector = geant4.detector
    counter = Fitness(detector, FitnessSettings(), ("energy",))
    real, other = (torch.from_numpy(np.ascontiguousarray(showers.cells)) for showers in (geant4, made))
    counter.adapt(real, torch.from_numpy(geant4.incident.matrix(("energy",))))
    one, many = (counter.counts(cells) / counter.counted for cells in (real, other))
    found = {"hits": float(energy_distance(many[None], one)[0])}
    if len(detector.layers) > 1:
        deepest = [counter.deepest(cells) for cells in (other[None], real)]
        found["depth"] = float(energy_distance(*deepest)[0])
    return found

"""A quick look at the physics of a generator in training: moments beside Geant4's, and one score."""

from __future__ import annotations

__all__ = ["QuickLook", "score"]

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import wasserstein_distance

from caloforge.errors import RecipeError
from caloforge.models.blocks.chunks import chunks
from caloforge.models.blocks.noise import draw_noise
from caloforge.observables import evaluate, observables_for
from caloforge.observables.figure_of_merit import axes_of, figure_of_merit
from caloforge.showers import Showers

if TYPE_CHECKING:
    from caloforge.models.base import Generator

_WORST = 10.0  # distance, in widths, from which on everything is equally bad
_HEADLINES = ("response", "hits", "fraction", "depth")


@dataclass(frozen=True)
class QuickLook:
    """Compares generated showers with Geant4's of the same incident particles.

    Args:
        geant4: Showers that do not train.
        seed: Seed of the noise, the same at every look.
        select: Also give the figure of merit of 3DGAN, if that is what epochs are compared by.

    Raises:
        RecipeError: This detector has no figure of merit.
    """

    geant4: Showers
    seed: int
    select: Literal["score", "merit"] = "score"

    def __post_init__(self) -> None:
        if self.select == "merit" and not axes_of(self.geant4.detector):
            raise RecipeError(
                "the figure of merit needs an axis with more than one cell",
                where="schedule.select",
                got=f"detector {self.geant4.detector.name}, where no axis has two",
                cure="--set schedule.select=score",
            )

    def __call__(self, generator: Generator) -> dict[str, Any]:
        """Return `score`, `merit` where that selects, and mean and spread of some observables.

        The score is `score` of all observables of the detector.
        """
        wanted = observables_for(self.geant4.detector)
        truth = evaluate(wanted, self.geant4)
        generated = self._generate(generator)
        made = evaluate(wanted, generated)
        shown = [i for i, observable in enumerate(wanted) if observable.quantity in _HEADLINES]
        names = [wanted[i].name for i in shown]
        return {
            "score": score(truth, made),
            **({"merit": figure_of_merit(self.geant4, generated)} if self.select == "merit" else {}),
            "generated": {name: _moments(made[:, i]) for name, i in zip(names, shown, strict=True)},
            "geant4": {name: _moments(truth[:, i]) for name, i in zip(names, shown, strict=True)},
        }

    def _generate(self, generator: Generator) -> Showers:
        incident = self.geant4.incident
        given = incident.matrix(generator.conditions)
        noise = draw_noise(np.random.default_rng(self.seed), len(given), generator.noise_shape)
        device = next(iter(generator.state_dict().values())).device
        was_training = generator.training
        generator.eval()
        with torch.no_grad():
            parts = [
                generator(torch.from_numpy(noise[rows]).to(device), torch.from_numpy(given[rows]).to(device))
                for rows in chunks(len(given), self.geant4.detector.n_cells)
            ]
        generator.train(was_training)
        # What a run keeps makes no negative energies, even where the training still lets them through.
        cells = torch.cat(parts).clamp_min(0)
        return Showers(self.geant4.detector, incident, cells.cpu().numpy())


def score(truth: NDArray[np.float32], made: NDArray[np.float32]) -> float:
    """Return the mean over observables of the Wasserstein distance in Geant4's standard deviations.

    Smaller is better, and it has no meaning beyond comparing generators of one detector.

    Args:
        truth: Observables of Geant4's showers, shape `(n, observables)`.
        made: Of generated showers.
    """
    return float(np.mean([_distance(*columns) for columns in zip(truth.T, made.T, strict=True)]))


def _distance(truth: NDArray[np.float32], made: NDArray[np.float32]) -> float:
    truth, made = truth[np.isfinite(truth)], made[np.isfinite(made)]
    width = float(truth.std()) if len(truth) else 0.0
    if not width:
        return 0.0  # Geant4 has no distribution to compare with
    if not len(made):
        return _WORST
    return min(float(wasserstein_distance(truth, made)) / width, _WORST)


def _moments(values: NDArray[np.float32]) -> dict[str, float]:
    """Mean and standard deviation; None in JSON where nothing is defined."""
    values = values[np.isfinite(values)]
    if not len(values):
        return {"mean": float("nan"), "spread": float("nan")}
    return {"mean": float(values.mean()), "spread": float(values.std())}

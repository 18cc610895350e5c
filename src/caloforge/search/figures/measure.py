"""Figures of one trained run, on showers of Geant4 that did not train."""

from __future__ import annotations

__all__ = ["measure", "selection_of"]

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from caloforge.errors import BundleError, CaloforgeError, RecipeError, ShowersError, TrainingError
from caloforge.observables import evaluate, observables_for
from caloforge.observables.figure_of_merit import axes_of, figure_of_merit
from caloforge.search.figures.table import known_figure
from caloforge.showers import Showers

if TYPE_CHECKING:
    from caloforge.deploy.torch_sampler import RunSampler
    from caloforge.training import Run


def measure(run: Run, names: Sequence[str], selection: Showers, seed: int) -> dict[str, float]:
    """Measure figures of a trained run.

    All are the same again with the same seed, but for `ms`, and `seconds` of another training.

    Args:
        run: The run.
        names: Of figures, see `FIGURES`.
        selection: Geant4's showers that select. The generator makes as many, of the same incident particles.
        seed: Seed of the noise, and of what else is random.

    Returns:
        The figures by name.

    Raises:
        SearchError: No such figure, or too few showers for it.
        RecipeError: The detector has no figure of merit.
        RunError: The run has no weights yet.
        TrainingError: The generator makes impossible energies, cannot be exported for `ms`, or a figure of it
            is no number.
    """
    for name in names:
        known_figure(name, "figures")
    trained = _Trained(run, selection, seed)
    found = {name: float(_MEASURED[name](trained)) for name in names}
    for name, value in found.items():
        if not math.isfinite(value):
            raise TrainingError(
                f"the figure {name} of this generator is no number", where=run.path, got=value
            )
    return found


def selection_of(run: Run, paths: Sequence[Path]) -> Showers:
    """Return the showers which select epochs in a training.

    Args:
        run: The training.
        paths: Its shower files.

    Raises:
        RecipeError: Its recipe keeps none for that.
        ShowersError: A file cannot be read, or is of another detector.
    """
    from caloforge.training.batches import selection_showers

    return selection_showers(paths, run.recipe.data, run.detector)


@dataclass
class _Trained:
    """A run and what figures share of it, made when it is first needed."""

    run: Run
    geant4: Showers
    seed: int

    @cached_property
    def sampler(self) -> RunSampler:
        from caloforge.deploy.torch_sampler import RunSampler

        return RunSampler(self.run.path)

    @cached_property
    def made(self) -> Showers:
        """Showers of the same incident particles, as a bundle makes them."""
        from caloforge.deploy.sampling import make_showers

        try:
            return make_showers(self.sampler, self.geant4.incident, np.random.default_rng(self.seed))
        except ShowersError as error:
            raise _useless(self.run, error) from None

    @cached_property
    def observables(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """All observables of Geant4's showers and of those made, shape `(n, observables)` each."""
        wanted = observables_for(self.geant4.detector)
        return evaluate(wanted, self.geant4), evaluate(wanted, self.made)


def _useless(run: Run, error: CaloforgeError) -> TrainingError:
    """What the training came to is no generator, which is no fault of the showers or of the machine."""
    return TrainingError(error.problem, where=run.path, got=error.details["got"])


def _merit(trained: _Trained) -> float:
    detector = trained.geant4.detector
    if not axes_of(detector):
        raise RecipeError(
            "the figure of merit needs an axis with more than one cell",
            got=f"detector {detector.name}, where no axis has two",
            cure="take score instead of merit",
        )
    return figure_of_merit(trained.geant4, trained.made)


def _score(trained: _Trained) -> float:
    from caloforge.training.quicklook import score

    return score(*trained.observables)


def _weights(trained: _Trained) -> float:
    return float(
        sum(t.numel() for t in trained.sampler.generator.state_dict().values() if t.is_floating_point())
    )


def _auc(trained: _Trained) -> float:
    from caloforge.search.figures.distances import separation

    return separation(trained.geant4, trained.made, trained.seed)


def _fpd(trained: _Trained) -> float:
    from caloforge.search.figures.distances import physics_distance

    return physics_distance(trained.geant4, trained.made)


def _response(trained: _Trained) -> float:
    from caloforge.search.figures.distances import mean_deviation

    return mean_deviation(trained.geant4, trained.made)


def _ms(trained: _Trained) -> float:
    from caloforge.search.figures.timing import ms_per_shower

    try:
        return ms_per_shower(trained.run.path)
    except BundleError as error:
        raise _useless(trained.run, error) from None


def _seconds(trained: _Trained) -> float:
    return float(trained.run.summary()["seconds"])


_MEASURED: dict[str, Callable[[_Trained], float]] = {
    "merit": _merit,
    "auc": _auc,
    "fpd": _fpd,
    "response": _response,
    "score": _score,
    "ms": _ms,
    "weights": _weights,
    "seconds": _seconds,
}

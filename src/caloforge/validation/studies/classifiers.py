"""Can a classifier tell the candidates' showers from Geant4's? High level, trees, cells, convolutions."""

from __future__ import annotations

__all__ = ["convolutional", "high_level", "high_plan", "low_level", "normalised", "trees"]

from collections.abc import Callable

import numpy as np

from caloforge.observables import high_level_names
from caloforge.validation.classifiers.families import Network, Trees
from caloforge.validation.classifiers.inputs import (
    Cells,
    Table,
    high_level_inputs,
    low_level_inputs,
)
from caloforge.validation.classifiers.pictures import charts, features_table
from caloforge.validation.classifiers.recipes import QUICK, Recipe
from caloforge.validation.classifiers.separation import FEWEST, Train
from caloforge.validation.inputs.sample import Sample
from caloforge.validation.inputs.samples import Samples
from caloforge.validation.studies.family import (
    Make,
    Plan,
    details_of,
    findings_of,
    judge,
    method_of,
    numbers_of,
    showers_of,
)
from caloforge.validation.study import Study, Tell

_TRAININGS = 5


def high_level(samples: Samples, tell: Tell, *, recipe: Recipe = QUICK, trainings: int = _TRAININGS) -> Study:
    """Train networks on high-level observables: `auc_high` and `jsd_high`.

    Args:
        samples: What is compared.
        tell: Called with the progress.
        recipe: How; `calochallenge` sees the challenge's own features, the others CloFlow's and the response.
        trainings: Classifiers of each pair, 2 or more.
    """
    return _study(samples, tell, high_plan(recipe, trainings))


def high_plan(recipe: Recipe, trainings: int) -> Plan:
    """Return how networks on high-level observables are trained."""
    make = _dense(recipe, lambda a, b: high_level_inputs(a, b, recipe.preprocessing))
    return Plan("high", "high-level", recipe.method, trainings, False, make)


def trees(samples: Samples, tell: Tell, *, trainings: int = _TRAININGS) -> Study:
    """Grow boosted trees on high-level observables, and find which they look at: `auc_trees`.

    With few showers they find more than a network does.

    Args:
        samples: What is compared.
        tell: Called with the progress.
        trainings: Classifiers of each pair, 2 or more.
    """

    def make(first: Sample, second: Sample) -> Train:
        return Trees(np.concatenate([first.features, second.features]))

    method = (
        "40 gradient-boosted trees of up to 15 leaves on histograms of 64 bins, learning rate 0.2; 60 % of "
        "the showers train, 20 % calibrate (isotonic regression), 20 % test. What a feature is worth: "
        "the AUC "
        "that is lost when its values are dealt anew among the tested showers; features that say the same "
        "share it."
    )
    return _study(samples, tell, Plan("trees", "boosted trees", method, trainings, False, make))


def low_level(samples: Samples, tell: Tell, *, recipe: Recipe = QUICK, trainings: int = _TRAININGS) -> Study:
    """Train networks on the cells: `auc_low` and `jsd_low`.

    Args:
        samples: What is compared.
        tell: Called with the progress.
        recipe: How.
        trainings: Classifiers of each pair, 2 or more.
    """
    make = _dense(recipe, _cells(recipe, normalised=False))
    return _study(samples, tell, Plan("low", "low-level", recipe.method, trainings, True, make))


def normalised(samples: Samples, tell: Tell, *, recipe: Recipe = QUICK, trainings: int = _TRAININGS) -> Study:
    """Train networks on cells over the energy of their layer, and these: `auc_normalised`, `jsd_normalised`.

    Args:
        samples: What is compared.
        tell: Called with the progress.
        recipe: How.
        trainings: Classifiers of each pair, 2 or more.
    """
    make = _dense(recipe, _cells(recipe, normalised=True))
    return _study(
        samples, tell, Plan("normalised", "normalised layers", recipe.method, trainings, True, make)
    )


def convolutional(samples: Samples, tell: Tell, *, recipe: Recipe = QUICK, trainings: int = 3) -> Study:
    """Train residual convolutional networks on the cells: `auc_cnn` and `jsd_cnn`.

    Args:
        samples: What is compared.
        tell: Called with the progress.
        recipe: How.
        trainings: Classifiers of each pair, 2 or more.
    """
    cells = _cells(recipe, normalised=False)

    def make(first: Sample, second: Sample) -> Train:
        from caloforge.validation.classifiers.networks import Convolutional

        channels, blocks = recipe.channels, recipe.blocks
        return Network(
            cells(first, second),
            lambda k: Convolutional(samples.detector, k, channels, blocks),
            recipe.convolution,
        )

    method = (
        f"Residual convolutional network in the spirit of the challenge's ResNet (arXiv 2410.21611), "
        "stages of "
        f"{', '.join(map(str, recipe.channels))} channels with {recipe.blocks} blocks each, "
        "three-dimensional if all "
        f"layers share one grid; Adam at {recipe.convolution.learning_rate:g}, batches of "
        f"{recipe.convolution.batch}, at most {recipe.convolution.epochs} epochs. Cells scaled as recipe "
        f"{recipe.name}."
    )
    return _study(samples, tell, Plan("cnn", "convolutional", method, trainings, True, make))


def _dense(recipe: Recipe, inputs: Callable[[Sample, Sample], Table | Cells]) -> Make:
    def make(first: Sample, second: Sample) -> Train:
        from caloforge.validation.classifiers.networks import dense

        return Network(
            inputs(first, second), lambda k: dense(k, recipe.width, recipe.hidden), recipe.schedule
        )

    return make


def _cells(recipe: Recipe, normalised: bool) -> Callable[[Sample, Sample], Table | Cells]:
    return lambda first, second: low_level_inputs(first, second, recipe.preprocessing, normalised)


def _study(samples: Samples, tell: Tell, plan: Plan) -> Study:
    showers = showers_of(samples, plan.cells)
    if showers < FEWEST:
        return plan.untrained(samples, showers)
    judged = judge(samples, tell, plan)
    pictures = charts(judged, plan.key, plan.label)
    if plan.key == "trees":
        pictures = (*pictures, features_table(judged, high_level_names(samples.detector), samples.detector))
    floor, *candidates = judged.grown
    return Study(
        name=plan.key,
        title=plan.title,
        numbers=tuple(numbers_of(plan, grown, floor) for grown in candidates),
        charts=pictures,
        findings=tuple(findings_of(plan, found, judged) for found in judged.candidates),
        method=method_of(plan, showers),
        details=details_of(judged),
    )

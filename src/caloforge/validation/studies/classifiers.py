"""Can a classifier tell the candidates' showers from Geant4's? High level, trees, cells, convolutions."""

from __future__ import annotations

__all__ = ["convolutional", "high_level", "low_level", "normalised", "trees"]

from collections.abc import Callable

import numpy as np
from threadpoolctl import threadpool_limits

from caloforge.observables import high_level_names
from caloforge.validation.classifiers.families import Network, Trees
from caloforge.validation.classifiers.inputs import (
    Cells,
    Table,
    high_level_inputs,
    low_level_inputs,
)
from caloforge.validation.classifiers.pictures import Judged, charts, features_table
from caloforge.validation.classifiers.recipes import QUICK, Recipe
from caloforge.validation.classifiers.separation import FEWEST, Separation, Train, separate
from caloforge.validation.inputs.sample import Sample
from caloforge.validation.inputs.samples import Samples
from caloforge.validation.parallel import side_by_side
from caloforge.validation.studies.family import (
    Plan,
    details_of,
    findings_of,
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
    plan = Plan("high", "high-level", recipe.method, trainings, False)
    return _study(
        samples, tell, plan, _dense(recipe, lambda a, b: high_level_inputs(a, b, recipe.preprocessing))
    )


def trees(samples: Samples, tell: Tell, *, trainings: int = _TRAININGS) -> Study:
    """Grow boosted trees on high-level observables, and find which they look at: `auc_trees`.

    With few showers they find more than a network does.

    Args:
        samples: What is compared.
        tell: Called with the progress.
        trainings: Classifiers of each pair, 2 or more.
    """

    def train(first: Sample, second: Sample) -> tuple[Train, int]:
        features = Table(np.concatenate([s.features[: showers_of(samples, False)] for s in (first, second)]))
        return Trees(features.values), len(features) // 2

    method = (
        "40 gradient-boosted trees of up to 15 leaves on histograms of 64 bins, learning rate 0.2; 60 % of "
        "the showers train, 20 % calibrate (isotonic regression), 20 % test. What a feature is worth: "
        "the AUC "
        "that is lost when its values are dealt anew among the tested showers; features that say the same "
        "share it."
    )
    return _study(samples, tell, Plan("trees", "boosted trees", method, trainings, False), train)


def low_level(samples: Samples, tell: Tell, *, recipe: Recipe = QUICK, trainings: int = _TRAININGS) -> Study:
    """Train networks on the cells: `auc_low` and `jsd_low`.

    Args:
        samples: What is compared.
        tell: Called with the progress.
        recipe: How.
        trainings: Classifiers of each pair, 2 or more.
    """
    plan = Plan("low", "low-level", recipe.method, trainings, True)
    return _study(samples, tell, plan, _dense(recipe, _cells(recipe, normalised=False)))


def normalised(samples: Samples, tell: Tell, *, recipe: Recipe = QUICK, trainings: int = _TRAININGS) -> Study:
    """Train networks on cells over the energy of their layer, and these: `auc_normalised`, `jsd_normalised`.

    Args:
        samples: What is compared.
        tell: Called with the progress.
        recipe: How.
        trainings: Classifiers of each pair, 2 or more.
    """
    plan = Plan("normalised", "normalised layers", recipe.method, trainings, True)
    return _study(samples, tell, plan, _dense(recipe, _cells(recipe, normalised=True)))


def convolutional(samples: Samples, tell: Tell, *, recipe: Recipe = QUICK, trainings: int = 3) -> Study:
    """Train residual convolutional networks on the cells: `auc_cnn` and `jsd_cnn`.

    Args:
        samples: What is compared.
        tell: Called with the progress.
        recipe: How.
        trainings: Classifiers of each pair, 2 or more.
    """
    cells = _cells(recipe, normalised=False)

    def train(first: Sample, second: Sample) -> tuple[Train, int]:
        from caloforge.validation.classifiers.networks import Convolutional

        inputs = cells(first, second)
        channels, blocks = recipe.channels, recipe.blocks
        network = Network(
            inputs, lambda k: Convolutional(samples.detector, k, channels, blocks), recipe.convolution
        )
        return network, len(inputs) // 2

    method = (
        f"Residual convolutional network in the spirit of the challenge's ResNet (arXiv 2410.21611), "
        "stages of "
        f"{', '.join(map(str, recipe.channels))} channels with {recipe.blocks} blocks each, "
        "three-dimensional if all "
        f"layers share one grid; Adam at {recipe.convolution.learning_rate:g}, batches of "
        f"{recipe.convolution.batch}, at most {recipe.convolution.epochs} epochs. Cells scaled as recipe "
        f"{recipe.name}."
    )
    return _study(samples, tell, Plan("cnn", "convolutional", method, trainings, True), train)


_Make = Callable[[Sample, Sample], tuple[Train, int]]


def _dense(recipe: Recipe, inputs: Callable[[Sample, Sample], Table | Cells]) -> _Make:
    def train(first: Sample, second: Sample) -> tuple[Train, int]:
        from caloforge.validation.classifiers.networks import dense

        data = inputs(first, second)
        return Network(data, lambda k: dense(k, recipe.width, recipe.hidden), recipe.schedule), len(data) // 2

    return train


def _cells(recipe: Recipe, normalised: bool) -> Callable[[Sample, Sample], Table | Cells]:
    return lambda first, second: low_level_inputs(first, second, recipe.preprocessing, normalised)


def _study(samples: Samples, tell: Tell, plan: Plan, make: _Make) -> Study:
    showers = showers_of(samples, plan.cells)
    if showers < FEWEST:
        return plan.untrained(samples, showers)
    judged = _judge(samples, tell, plan, make)
    pictures = charts(judged, plan.key, plan.label)
    if plan.key == "trees":
        pictures = (*pictures, features_table(judged, high_level_names(samples.detector), samples.detector))
    return Study(
        name=plan.key,
        title=plan.title,
        numbers=tuple(numbers_of(plan, found, judged, showers) for found in judged.candidates),
        charts=pictures,
        findings=tuple(findings_of(plan, found, judged) for found in judged.candidates),
        method=method_of(plan, showers),
        details=details_of(judged),
    )


def _judge(samples: Samples, tell: Tell, plan: Plan, make: _Make) -> Judged:
    def against(other: Sample) -> Callable[[Tell], Separation]:
        def job(tell: Tell) -> Separation:
            train, showers = make(samples.reference, other)
            note = f"{plan.label} against {other.name}"
            return separate(showers, train, plan.trainings, samples.seed, lambda done: tell(done, note))

        return job

    jobs = [against(other) for other in (samples.floor, *samples.candidates)]
    with threadpool_limits(1, user_api="blas"):
        found = side_by_side(jobs, tell)
    return Judged(tuple(sample.name for sample in samples.candidates), found[0], tuple(found[1:]))

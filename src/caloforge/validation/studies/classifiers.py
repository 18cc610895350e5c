"""Can a classifier tell the candidates' showers from Geant4's? High level, trees, cells, convolutions."""

from __future__ import annotations

__all__ = [
    "Plan",
    "convolutional",
    "details_of",
    "findings_of",
    "high_level",
    "low_level",
    "method_of",
    "normalised",
    "numbers_of",
    "showers_of",
    "trees",
]

from collections.abc import Callable

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

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
from caloforge.validation.measure import Measure, Number
from caloforge.validation.parallel import side_by_side
from caloforge.validation.study import Finding, Study, Tell

_TRAININGS = 5
_CERTAIN = 4.0


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


class Plan:
    """What one family of classifiers is called and how it is trained."""

    def __init__(self, key: str, label: str, method: str, trainings: int, cells: bool) -> None:
        self.key, self.label, self.method = key, label, method
        self.trainings, self.cells = trainings, cells

    @property
    def title(self) -> str:
        """Title of the study."""
        return f"Classifier, {self.label}"

    def untrained(self, samples: Samples, showers: int) -> Study:
        """Return the study where there are too few showers for one."""
        method = f"{self.title}: not trained, {showers} showers of each kind are fewer than {FEWEST}."
        return Study(self.key, self.title, tuple(() for _ in samples.candidates), method=method)


_Make = Callable[[Sample, Sample], tuple[Train, int]]


def _dense(recipe: Recipe, inputs: Callable[[Sample, Sample], Table | Cells]) -> _Make:
    def train(first: Sample, second: Sample) -> tuple[Train, int]:
        from caloforge.validation.classifiers.networks import dense

        data = inputs(first, second)
        return Network(data, lambda k: dense(k, recipe.width, recipe.hidden), recipe.schedule), len(data) // 2

    return train


def _cells(recipe: Recipe, normalised: bool) -> Callable[[Sample, Sample], Table | Cells]:
    return lambda first, second: low_level_inputs(first, second, recipe.preprocessing, normalised)


def showers_of(samples: Samples, cells: bool) -> int:
    """Showers of each kind that all classifiers of a family see."""
    every = (samples.reference, samples.floor, *samples.candidates)
    return min(s.cells.shape[0] if cells else len(s.features) for s in every)


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


def method_of(plan: Plan, showers: int) -> str:
    """Return what the method page says of a family of classifiers."""
    return (
        f"{plan.title}. {plan.method} {plan.trainings} trainings on {showers} showers of each kind; the "
        "floor is the same between two samples of Geant4, trained the same way. JSD = 1 - BCE / ln 2."
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


def numbers_of(plan: Plan, found: Separation, judged: Judged, showers: int) -> tuple[Number, ...]:
    """Return AUC and divergence of one candidate beside those of the floor."""
    floor = judged.floor
    spread = f"{len(found.auc)} trainings, {showers} showers of each kind, spread {found.auc.std(ddof=1):.3f}"
    auc = Number(
        f"auc_{plan.key}",
        f"AUC, {plan.label}",
        Measure(float(found.auc.mean()), found.auc_error, float(floor.auc.mean()), floor.auc_error),
        meaning="Area under the ROC curve of a classifier, Geant4 against the candidate: 0.5 cannot "
        "tell, 1 always "
        f"can ({spread}).",
    )
    jsd = Number(
        f"jsd_{plan.key}",
        f"JSD, {plan.label}",
        Measure(float(found.jsd.mean()), found.jsd_error, float(floor.jsd.mean()), floor.jsd_error),
        meaning="Jensen-Shannon divergence from the calibrated classifier, 1 - BCE / ln 2: 0 alike, 1 "
        "never alike; "
        "a bound from below, and a little below 0 where there is nothing to find.",
    )
    return auc, jsd


def findings_of(plan: Plan, found: Separation, judged: Judged) -> tuple[Finding, ...]:
    """Say whether a classifier tells a candidate, or Geant4 from itself."""
    auc, floor = float(found.auc.mean()), float(judged.floor.auc.mean())
    error = float(np.hypot(found.auc_error, judged.floor.auc_error))
    findings = []
    if auc - floor > _CERTAIN * error:
        text = f"AUC {auc:.3f} ± {found.auc_error:.3f}, Geant4 against Geant4 {floor:.3f}."
        findings.append(Finding("note", f"A classifier tells it: {plan.label}", text, f"roc_{plan.key}"))
    if floor - 0.5 > _CERTAIN * judged.floor.auc_error:
        text = f"The classifier ({plan.label}) tells the two samples of Geant4 apart, AUC {floor:.3f}."
        findings.append(Finding("warning", "The floor is above chance", text, f"roc_{plan.key}"))
    return tuple(findings)


def details_of(judged: Judged) -> dict[str, object]:
    """AUC and divergence of every training, for those who quote mean and spread."""
    return {
        "floor": _trainings(judged.floor),
        "candidates": [
            {"name": name, **_trainings(found)}
            for name, found in zip(judged.names, judged.candidates, strict=True)
        ],
    }


def _trainings(found: Separation) -> dict[str, list[float]]:
    return {"auc": found.auc.round(5).tolist(), "jsd": found.jsd.round(5).tolist()}

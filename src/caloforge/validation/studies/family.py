"""What a family of classifiers reports: its numbers beside the floor, findings, method and details."""

from __future__ import annotations

__all__ = [
    "Plan",
    "above_chance",
    "details_of",
    "findings_of",
    "method_of",
    "numbers_of",
    "showers_of",
]

import numpy as np

from caloforge.validation.classifiers.pictures import Judged
from caloforge.validation.classifiers.separation import FEWEST, Separation
from caloforge.validation.inputs.samples import Samples
from caloforge.validation.measure import Measure, Number
from caloforge.validation.study import Absent, Finding, Study, without_numbers

_CERTAIN = 4.0
_GUESS = 0.5


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
        return without_numbers(self.key, self.title, samples.candidates, Absent(showers, FEWEST))


def showers_of(samples: Samples, cells: bool) -> int:
    """Showers of each kind that all classifiers of a family see."""
    every = (samples.reference, samples.floor, *samples.candidates)
    return min(s.cells.shape[0] if cells else len(s.features) for s in every)


def method_of(plan: Plan, showers: int) -> str:
    """Return what the method page says of a family of classifiers."""
    return (
        f"{plan.title}. {plan.method} {plan.trainings} trainings on {showers} showers of each kind; the "
        "floor is the same between two samples of Geant4, trained the same way. JSD = 1 - BCE / ln 2."
    )


def numbers_of(plan: Plan, found: Separation, judged: Judged, showers: int) -> tuple[Number, ...]:
    """Return AUC and divergence of one candidate beside those of the floor."""
    floor = judged.floor
    spread = f"{len(found.auc)} trainings, {showers} showers of each kind, spread {found.auc.std(ddof=1):.3f}"
    area = Measure(float(found.auc.mean()), found.auc_error, float(floor.auc.mean()), floor.auc_error)
    auc = Number(
        f"auc_{plan.key}",
        f"AUC, {plan.label}",
        area,
        beyond=above_chance(area, _GUESS),
        meaning="Area under the ROC curve of a classifier, Geant4 against the candidate: 0.5 cannot "
        "tell, 1 always "
        f"can ({spread}).",
    )
    divergence = Measure(float(found.jsd.mean()), found.jsd_error, float(floor.jsd.mean()), floor.jsd_error)
    jsd = Number(
        f"jsd_{plan.key}",
        f"JSD, {plan.label}",
        divergence,
        beyond=above_chance(divergence, 0.0),
        meaning="Jensen-Shannon divergence from the calibrated classifier, 1 - BCE / ln 2: 0 alike, 1 "
        "never alike; "
        "a bound from below, and a little below 0 where there is nothing to find.",
    )
    return auc, jsd


def above_chance(measure: Measure, least: float) -> bool:
    """Say whether a value is four standard errors above its floor, and above what a guess gives.

    A floor below a guess is chance, and what is above it need not be more: trainings that share showers err
    together, a third more than each error says (measured).

    Args:
        measure: Value and floor.
        least: What a guess gives: 0.5 of an AUC.
    """
    error = float(np.hypot(measure.error, measure.floor_error))
    return measure.value - max(measure.floor, least) > _CERTAIN * error


def findings_of(plan: Plan, found: Separation, judged: Judged) -> tuple[Finding, ...]:
    """Say whether a classifier tells a candidate, or Geant4 from itself."""
    auc, floor = float(found.auc.mean()), float(judged.floor.auc.mean())
    findings = []
    if above_chance(Measure(auc, found.auc_error, floor, judged.floor.auc_error), _GUESS):
        text = f"AUC {auc:.3f} ± {found.auc_error:.3f}, Geant4 against Geant4 {floor:.3f}."
        findings.append(Finding("note", f"A classifier tells it: {plan.label}", text, f"roc_{plan.key}"))
    if floor - _GUESS > _CERTAIN * judged.floor.auc_error:
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

"""What a family of classifiers reports: its numbers beside the floor, findings, method and details."""

from __future__ import annotations

__all__ = [
    "Make",
    "Plan",
    "above_chance",
    "details_of",
    "findings_of",
    "judge",
    "method_of",
    "numbers_of",
    "showers_of",
]

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from caloforge.validation.classifiers.growth import PARTS, Grown, grow
from caloforge.validation.classifiers.pictures import Judged
from caloforge.validation.classifiers.separation import FEWEST, Separation, Train
from caloforge.validation.inputs.sample import Sample
from caloforge.validation.inputs.samples import Samples
from caloforge.validation.measure import Measure, Number
from caloforge.validation.parallel import side_by_side
from caloforge.validation.study import Absent, Finding, Study, Tell, without_numbers

_CERTAIN = 4.0
_GUESS = 0.5

Make = Callable[[Sample, Sample], Train]
"""Makes of Geant4's sample and another one, of as many showers, what trains a classifier of their rows."""


@dataclass(frozen=True)
class Plan:
    """What one family of classifiers is called and how it is trained.

    Attributes:
        key: End of the names of its numbers and charts.
        label: For people.
        method: What the method page says.
        trainings: Classifiers of each pair of samples.
        cells: Whether they look at cells.
        make: Makes what trains one.
    """

    key: str
    label: str
    method: str
    trainings: int
    cells: bool
    make: Make

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


def judge(samples: Samples, tell: Tell, plan: Plan, parts: tuple[int, ...] = PARTS) -> Judged:
    """Train classifiers of Geant4 against Geant4, and against each candidate.

    Args:
        samples: What is compared.
        tell: Called with the progress.
        plan: Which classifiers.
        parts: Of the showers that they learn from, see `grow`.
    """
    showers = showers_of(samples, plan.cells)
    rows = np.arange(showers)
    reference = samples.reference.only(rows)

    def against(other: Sample) -> Callable[[Tell], Grown]:
        def job(tell: Tell) -> Grown:
            train = plan.make(reference, other.only(rows))
            note = f"{plan.label} against {other.name}"
            return grow(showers, train, plan.trainings, samples.seed, lambda done: tell(done, note), parts)

        return job

    jobs = [against(other) for other in (samples.floor, *samples.candidates)]
    with threadpool_limits(1, user_api="blas"):
        found = side_by_side(jobs, tell)
    return Judged(tuple(sample.name for sample in samples.candidates), tuple(found))


def method_of(plan: Plan, showers: int) -> str:
    """Return what the method page says of a family of classifiers."""
    return (
        f"{plan.title}. {plan.method} {plan.trainings} trainings on {showers} showers of each kind, and as "
        "many on an eighth, a quarter and a half of these, tested on the same showers; the floor is the same "
        "between two samples of Geant4, trained the same way. JSD = 1 - BCE / ln 2."
    )


def numbers_of(plan: Plan, candidate: Grown, floor: Grown) -> tuple[Number, ...]:
    """Return AUC and divergence of one candidate beside those of the floor."""
    found, chance = candidate.all, floor.all
    area = Measure(*candidate.auc[-1], *floor.auc[-1])
    auc = Number(
        f"auc_{plan.key}",
        f"AUC, {plan.label}",
        area,
        beyond=above_chance(area, _GUESS),
        meaning="Area under the ROC curve of a classifier, Geant4 against the candidate: 0.5 cannot "
        f"tell, 1 always can. {_told(candidate, floor)} ({len(found.auc)} trainings, spread "
        f"{found.auc.std(ddof=1):.3f}).",
        showers=candidate.showers[-1],
    )
    divergence = Measure(float(found.jsd.mean()), found.jsd_error, float(chance.jsd.mean()), chance.jsd_error)
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


def _told(candidate: Grown, floor: Grown) -> str:
    """Write an AUC with the number of showers that it comes from, and what fewer give."""
    *fewer, (most, last) = zip(candidate.showers, candidate.auc, strict=True)
    steps = "".join(
        f"{',' if i else ';'} {auc:.3f} with {showers:,}" for i, (showers, (auc, _)) in enumerate(fewer[::-1])
    )
    rising = ", still rising" if candidate.rising else ""
    of_all, chance = (f"{auc:.3f} ± {error:.3f}" for auc, error in (last, floor.auc[-1]))
    return f"{of_all} with {most:,} showers of each kind{rising}{steps}; floor {chance}"


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
        text = (
            f"AUC {auc:.3f} ± {found.auc_error:.3f} with {judged.grown[0].showers[-1]:,} showers of each "
            f"kind, Geant4 against Geant4 {floor:.3f}."
        )
        findings.append(Finding("note", f"A classifier tells it: {plan.label}", text, f"roc_{plan.key}"))
    if floor - _GUESS > _CERTAIN * judged.floor.auc_error:
        text = f"The classifier ({plan.label}) tells the two samples of Geant4 apart, AUC {floor:.3f}."
        findings.append(Finding("warning", "The floor is above chance", text, f"roc_{plan.key}"))
    return tuple(findings)


def details_of(judged: Judged) -> dict[str, object]:
    """AUC and divergence of every training, for those who quote mean and spread, and the growth."""
    floor, *candidates = judged.grown
    return {
        "floor": _trainings(floor),
        "candidates": [
            {"name": name, **_trainings(grown)} for name, grown in zip(judged.names, candidates, strict=True)
        ],
    }


def _trainings(grown: Grown) -> dict[str, object]:
    return {
        "auc": grown.all.auc.round(5).tolist(),
        "jsd": grown.all.jsd.round(5).tolist(),
        "growth": [
            {"showers": showers, "auc": auc, "error": error}
            for showers, (auc, error) in zip(grown.showers, grown.auc, strict=True)
        ],
    }

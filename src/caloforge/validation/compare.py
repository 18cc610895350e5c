"""The comparison itself: one pass over each file, then numbers; no figures, no files written."""

from __future__ import annotations

__all__ = ["Comparison", "Scalar", "Steps", "compare"]

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caloforge.detector import Detector
from caloforge.observables import observables_for
from caloforge.progress import Progress
from caloforge.showers import Showers
from caloforge.validation.checks import (
    Finding,
    check_detectors,
    check_energies,
    check_particles,
    check_showers,
)
from caloforge.validation.classifier import FOLDS, Classifier, classify
from caloforge.validation.distances import Distance, Measure, distances
from caloforge.validation.linearity import Linearity, energy_edges, linearity
from caloforge.validation.profiles import Profile, profiles_for
from caloforge.validation.sample import Pass, Sample, collect
from caloforge.validation.source import Source
from caloforge.validation.split import Plan, Rows, plan
from caloforge.validation.verdict import Verdict, judge

PAIRS = 4


@dataclass(frozen=True)
class Scalar:
    """A number of the whole sample with its floor.

    Attributes:
        name: Stable key.
        label: For people.
        unit: `%` or empty.
        measure: Value and floor with errors; the floor is 0 but for chance.
    """

    name: str
    label: str
    unit: str
    measure: Measure

    @property
    def off(self) -> bool:
        """Whether value and floor are four standard errors apart."""
        m = self.measure
        return abs(m.value - m.floor) > 4 * float(np.hypot(m.error, m.floor_error))


@dataclass(frozen=True)
class Comparison:
    """All that a report says, before it is drawn.

    Attributes:
        detector: What was hit.
        plan: Which showers were compared.
        names: Files of reference, candidate and floor (None: halves of the reference).
        counts: Showers in them.
        provenance: How reference and candidate were made.
        samples: Reference, floor, candidate.
        shown: Single showers of reference and candidate, paired by incident energy.
        distances: All distributions and profiles.
        separation: Mean separation power of the distributions.
        profiles: The profiles among them.
        classifiers: Empty for tiny samples.
        scalars: Response and resolution of the whole sample.
        edges: Bins of incident energy, MeV.
        linearities: Response and resolution in these bins: reference, floor, candidate.
        findings: Faults, warnings and notes.
        verdict: The answer.
    """

    detector: Detector
    plan: Plan
    names: tuple[str, str, str | None]
    counts: tuple[int, int, int | None]
    provenance: tuple[dict[str, object], dict[str, object]]
    samples: tuple[Sample, Sample, Sample]
    shown: tuple[Showers, Showers]
    distances: list[Distance]
    separation: Measure
    profiles: tuple[Profile, ...]
    classifiers: list[Classifier]
    scalars: list[Scalar]
    edges: NDArray[np.float64]
    linearities: tuple[Linearity, Linearity, Linearity]
    findings: list[Finding]
    verdict: Verdict


class Steps:
    """Counts steps of work for a progress bar.

    Args:
        progress: What to tell, or None.
        total: Steps in all.
    """

    def __init__(self, progress: Progress | None, total: int) -> None:
        self.progress, self.total, self.done = progress, total, 0

    def advance(self, note: str, steps: int = 1) -> None:
        """Count `steps` more."""
        self.done += steps
        if self.progress is not None:
            self.progress(self.done, max(self.total, self.done), note)


TRAININGS = 4 * FOLDS


def compare(
    reference: Source, candidate: Source, floor: Source | None, seed: int, steps: Steps
) -> Comparison:
    """Compare a candidate with Geant4, and Geant4 with Geant4.

    Args:
        reference: Geant4's showers.
        candidate: Showers to judge.
        floor: Independent showers of Geant4; without them the reference is cut in halves.
        seed: Seed of all choices.
        steps: Told of each training and each file read.

    Raises:
        ValidationError: Detectors, energies or sizes that cannot be compared.
    """
    findings = _before(reference, candidate, floor)
    chosen = plan(len(reference), len(candidate), None if floor is None else len(floor), seed)
    first, second, third, picked = _read(reference, candidate, floor, chosen, seed, steps)
    findings += check_showers(picked[0], picked[1], (len(reference), len(candidate)), chosen.size)
    profiles = profiles_for(reference.detector)
    found, separation = distances(first, second, third, observables_for(reference.detector), profiles, seed)
    one, two, three = _shuffled((first, second, third), seed)
    classifiers = classify(one, two, three, seed, steps.advance)
    if not classifiers:
        steps.advance("too few showers for classifiers", TRAININGS)
    edges = energy_edges(np.concatenate([first.incident.energy, second.incident.energy]))
    return Comparison(
        detector=reference.detector,
        plan=chosen,
        names=(reference.name, candidate.name, None if floor is None else floor.name),
        counts=(len(reference), len(candidate), None if floor is None else len(floor)),
        provenance=(reference.provenance, candidate.provenance),
        samples=(first, second, third),
        shown=(picked[0].picked, picked[1].picked),
        distances=found,
        separation=separation,
        profiles=profiles,
        classifiers=classifiers,
        scalars=_scalars(first, second, third),
        edges=edges,
        linearities=(_linear(first, edges), _linear(second, edges), _linear(third, edges)),
        findings=findings,
        verdict=judge(found, classifiers, findings, chosen.size),
    )


def _before(reference: Source, candidate: Source, floor: Source | None) -> list[Finding]:
    findings: list[Finding] = []
    for other in (candidate, floor):
        if other is not None:
            findings += check_detectors(reference, other)
            findings += check_particles(reference, other)
            findings += check_energies(reference, other, halves=floor is None)
    return findings


def _read(
    reference: Source, candidate: Source, floor: Source | None, chosen: Plan, seed: int, steps: Steps
) -> tuple[Sample, Sample, Sample, tuple[Pass, Pass]]:
    observables = observables_for(reference.detector)
    rows, partners = _pairs(reference, candidate, seed)

    def read(source: Source, wanted: Sequence[Rows], picks: NDArray[np.int64]) -> Pass:
        result = collect(source, wanted, observables, picks, lambda _: None)
        steps.advance(f"read {source.name}")
        return result

    if floor is None:
        first = read(reference, [chosen.reference, chosen.floor], rows)
        second = first.samples[1]
    else:
        first = read(reference, [chosen.reference], rows)
        second = read(floor, [chosen.floor], rows[:0]).samples[0]
    third = read(candidate, [chosen.candidate], partners)
    return first.samples[0], second, third.samples[0], (first, third)


def _pairs(reference: Source, candidate: Source, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose random showers, one in each quarter of the energies, and the candidate's nearest in energy."""
    rng = np.random.default_rng([seed, 5])
    order = np.argsort(reference.incident.energy, kind="stable")
    rows = np.array([rng.choice(part) for part in np.array_split(order, PAIRS) if len(part)])
    apart = np.abs(candidate.incident.energy[None] - reference.incident.energy[rows][:, None])
    return rows, apart.argmin(axis=1)


def _shuffled(samples: tuple[Sample, ...], seed: int) -> list[NDArray[np.float32]]:
    """Return features in random order: files may be sorted, and classifiers see the first rows."""
    rng = np.random.default_rng([seed, 6])
    return [sample.features[rng.permutation(len(sample))] for sample in samples]


def _linear(sample: Sample, edges: NDArray[np.float64]) -> Linearity:
    return linearity(sample.incident.energy, sample.response, edges)


def _scalars(reference: Sample, floor: Sample, candidate: Sample) -> list[Scalar]:
    every = np.array([0.0, np.inf])
    geant4, again, other = (_linear(sample, every) for sample in (reference, floor, candidate))

    def relative(key: str) -> Measure:
        base, base_error = getattr(geant4, key)[0], getattr(geant4, f"{key}_error")[0]
        pairs = [(getattr(s, key)[0] / base, getattr(s, f"{key}_error")[0] / base) for s in (other, again)]
        numbers = [
            (100 * (ratio - 1), 100 * float(np.hypot(error, ratio * base_error / base)))
            for ratio, error in pairs
        ]
        return Measure(*(float(number) for pair in numbers for number in pair))

    return [
        Scalar("response", "Mean response, difference to Geant4", "%", relative("response")),
        Scalar("resolution", "Resolution, difference to Geant4", "%", relative("resolution")),
    ]

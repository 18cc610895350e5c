"""The comparison itself: one pass over each file, then the studies; no figures, no files written."""

from __future__ import annotations

__all__ = ["Comparison", "Given", "compare", "expected_seconds"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from caloforge.cluster import Cluster
from caloforge.observables import observables_for
from caloforge.validation.bar import Bar
from caloforge.validation.diagnosis import diagnose, faults_tested
from caloforge.validation.elsewhere import study_elsewhere, without_cells
from caloforge.validation.inputs.checks import (
    check_detectors,
    check_directions,
    check_energies,
    check_memory,
    check_model,
    check_particles,
    check_reference,
    check_showers,
    check_training,
)
from caloforge.validation.inputs.sample import Pass, collect
from caloforge.validation.inputs.samples import Model, Samples
from caloforge.validation.inputs.source import Source
from caloforge.validation.inputs.split import Plan, Rows, all_rows, plan
from caloforge.validation.measure import Number
from caloforge.validation.metrics.distances import Distance
from caloforge.validation.parallel import two_cores
from caloforge.validation.registry import ENTRIES, Entry, Options
from caloforge.validation.studies.distributions import Distances
from caloforge.validation.study import Absent, Finding, Study, faults_first
from caloforge.validation.verdict import Verdict, judge
from caloforge.workers import Workers

_WORTH_A_PROCESS = 4000
"""Showers in a sample from which starting another process pays."""


@dataclass(frozen=True)
class Given:
    """What is compared.

    Attributes:
        reference: Geant4.
        candidates: What is judged, by name.
        floor: More showers of Geant4, None to cut the reference in halves.
        training: What the candidates learned from, if known.
        model: The generator of the first candidate, if known.
    """

    reference: Source
    candidates: Mapping[str, Source]
    floor: Source | None = None
    training: Source | None = None
    model: Model | None = None

    @property
    def sources(self) -> tuple[Source, ...]:
        """All files."""
        others = (self.floor, self.training)
        return (
            self.reference,
            *self.candidates.values(),
            *(source for source in others if source is not None),
        )


@dataclass(frozen=True)
class Comparison:
    """All that a report says, before it is drawn.

    Attributes:
        given: The files.
        plan: Which showers were compared.
        samples: What was read of them.
        studies: What was found, in the order of the registry.
        findings: Faults, warnings and notes on each candidate.
        remarks: Findings on reference, floor and training.
        verdicts: The answer for each candidate.
        digests: Hash of each shower in the reference's and in each candidate's whole file.
    """

    given: Given
    plan: Plan
    samples: Samples
    studies: tuple[Study, ...]
    findings: tuple[tuple[Finding, ...], ...]
    remarks: tuple[Finding, ...]
    verdicts: tuple[Verdict, ...]
    digests: tuple[NDArray[np.uint64], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the candidates."""
        return tuple(self.given.candidates)

    def distances(self, candidate: int = 0) -> tuple[Distance, ...]:
        """Return all distributions and profiles of a candidate; none if they were not asked for."""
        return _distances(self.studies, candidate)

    def numbers(self, candidate: int = 0) -> dict[str, Number]:
        """Return every number of a candidate by name, those of single distributions as `separation.hits`."""
        found = {number.name: number for study in self.studies for number in study.numbers[candidate]}
        for distance in self.distances(candidate):
            for key, measure in distance.measures.items():
                name = f"{key}.{distance.name}"
                found[name] = Number(name, f"{distance.label}, {key}", measure, beyond=distance.off)
        return found

    def absent(self, candidate: int = 0) -> dict[str, Absent]:
        """Return why numbers of a candidate are not there that its studies are known for."""
        there, known = self.numbers(candidate), {entry.name: entry.numbers for entry in ENTRIES}
        unknown = Absent(len(self.samples), 0, "these showers do not tell it")
        return {
            name: study.missing.get(name) or study.absent or unknown
            for study in self.studies
            for name in known[study.name]
            if name not in there
        }


def compare(
    given: Given,
    entries: Sequence[Entry],
    options: Options,
    seed: int,
    folder: Path,
    bar: Bar,
    cluster: Cluster | None = None,
) -> Comparison:
    """Compare candidates with Geant4, and Geant4 with Geant4.

    Args:
        given: What is compared.
        entries: The studies to make.
        options: How classifiers are trained.
        seed: Seed of all choices.
        folder: For temporary files; must outlive the comparison.
        bar: Told of everything.
        cluster: Where classifiers are trained, if not here.

    Raises:
        ValidationError: Detectors, energies or sizes that cannot be compared.
    """
    remarks, findings = _before(given)
    floor = None if given.floor is None else len(given.floor)
    chosen = plan(len(given.reference), [len(source) for source in given.candidates.values()], floor, seed)
    samples, after, about, digests = _read(given, chosen, seed, folder, bar)
    scale = _scale(given, chosen.size)
    if cluster is None:
        studies = _study(entries, samples, options, bar, scale)
    else:
        studies = _study_there(entries, samples, options, bar, scale, cluster)
    every = tuple(
        faults_first((*first, *second, *_diagnosis(samples, i, first, studies), *_found(studies, i)))
        for i, (first, second) in enumerate(zip(findings, about, strict=True))
    )
    verdicts = tuple(
        judge(
            _distances(studies, i),
            [n for study in studies for n in study.numbers[i]],
            found,
            chosen.size,
            faults_tested(samples, samples.candidates[i]) + _tested(studies, i),
        )
        for i, found in enumerate(every)
    )
    return Comparison(given, chosen, samples, studies, every, (*remarks, *after), verdicts, digests)


def _study(
    entries: Sequence[Entry], samples: Samples, options: Options, bar: Bar, scale: float
) -> tuple[Study, ...]:
    """Make all studies; those that need no cells in another process meanwhile, if that saves time."""
    light = [entry for entry in entries if entry.light]
    heavy = [entry for entry in entries if not entry.light]
    if len(samples) < _WORTH_A_PROCESS or not (light and heavy and two_cores()):
        return _study_here(entries, samples, options, bar, scale)
    with Workers(1, _study_light) as worker:
        future = worker.submit(light, without_cells(samples), options)
        # two threads of ours beside another process would wait for each other
        with threadpool_limits(1, user_api="blas"):
            studies = _study_here(heavy, samples, options, bar, scale)
        tell = bar.part(scale * sum(entry.seconds for entry in light))
        tell(0.0, "waiting for classifiers")
        studies += future.result()
        tell(1.0, "classifiers")
    return _in_order(entries, (*heavy, *light), studies)


def _study_there(
    entries: Sequence[Entry], samples: Samples, options: Options, bar: Bar, scale: float, cluster: Cluster
) -> tuple[Study, ...]:
    there = [entry for entry in entries if entry.apart]
    here = [entry for entry in entries if not entry.apart]
    studies = study_elsewhere(
        there,
        samples,
        options,
        cluster,
        lambda: _study_here(here, samples, options, bar, scale),
        lambda: bar.part(scale * sum(entry.seconds for entry in there)),
    )
    return _in_order(entries, (*there, *here), studies)


def _in_order(entries: Sequence[Entry], made: Sequence[Entry], studies: Sequence[Study]) -> tuple[Study, ...]:
    found = dict(zip([entry.name for entry in made], studies, strict=True))
    return tuple(found[entry.name] for entry in entries)


def _study_here(
    entries: Sequence[Entry], samples: Samples, options: Options, bar: Bar, scale: float
) -> tuple[Study, ...]:
    return tuple(entry.run(samples, bar.part(scale * entry.seconds), options) for entry in entries)


def _study_light(entries: Sequence[Entry], samples: Samples, options: Options) -> tuple[Study, ...]:
    return tuple(entry.run(samples, _silent, options) for entry in entries)


def _silent(_: float, __: str) -> None:
    """Tell nobody."""


def _distances(studies: Sequence[Study], candidate: int) -> tuple[Distance, ...]:
    return next((s.distances[candidate] for s in studies if isinstance(s, Distances)), ())


def _diagnosis(
    samples: Samples, i: int, before: Sequence[Finding], studies: Sequence[Study]
) -> tuple[Finding, ...]:
    """Look for faults of the showers, unless their particles differ: then these are the reason."""
    differ = any(f.severity == "warning" and f.title.startswith("The incident") for f in before)
    return () if differ else diagnose(samples, samples.candidates[i], _tested(studies, i))


def _tested(studies: Sequence[Study], i: int) -> int:
    """Return how many tests for faults the studies made of a candidate."""
    return sum(study.faults_tested[i] for study in studies if study.faults_tested)


def _found(studies: Sequence[Study], candidate: int) -> list[Finding]:
    return [finding for study in studies if study.findings for finding in study.findings[candidate]]


def _before(given: Given) -> tuple[list[Finding], list[list[Finding]]]:
    """Check what can be checked without reading showers."""
    halves = given.floor is None
    remarks = [] if given.floor is None else list(_alike(given.reference, given.floor, halves))
    if given.training is not None:
        remarks += check_detectors(given.reference, given.training)
    if given.model is not None:
        check_model(given.reference, given.model)
    return remarks, [_alike(given.reference, source, halves) for source in given.candidates.values()]


def _alike(reference: Source, other: Source, halves: bool) -> list[Finding]:
    checks = (
        check_detectors(reference, other),
        check_particles(reference, other),
        check_directions(reference, other),
    )
    return [finding for check in checks for finding in check] + list(check_energies(reference, other, halves))


def _read(
    given: Given, chosen: Plan, seed: int, folder: Path, bar: Bar
) -> tuple[Samples, list[Finding], list[list[Finding]], tuple[NDArray[np.uint64], ...]]:
    def read(source: Source, wanted: Sequence[tuple[str, Rows]]) -> Pass:
        tell, done = bar.part(_reading(source)), 0

        def advance(showers: int) -> None:
            nonlocal done
            done += showers
            tell(done / len(source), f"reading {source.name}")

        return collect(source, wanted, folder, advance)

    first, second = ("Geant4", chosen.reference), ("Geant4 again", chosen.floor)
    reference = read(given.reference, [first, second] if given.floor is None else [first])
    floor = reference if given.floor is None else read(given.floor, [second])
    parts = zip(given.candidates.items(), chosen.candidates, strict=True)
    candidates = [read(source, [(name, rows)]) for (name, source), rows in parts]
    learned = None
    if given.training is not None:
        learned = read(given.training, [("training", all_rows(len(given.training), seed))])
    samples = Samples(
        detector=given.reference.detector,
        reference=reference.samples[0],
        floor=floor.samples[-1],
        candidates=tuple(part.samples[0] for part in candidates),
        training=None if learned is None else learned.samples[0],
        model=given.model,
        seed=seed,
    )
    remarks = list(check_reference(reference, chosen.size, given.reference.name))
    about = [list(check_showers(reference, part)) for part in candidates]
    if learned is not None:
        remarks += check_training(learned, reference, given.reference.name)
        for findings, part in zip(about, candidates, strict=True):
            findings += check_memory(learned, part)
    return samples, remarks, about, (reference.digests, *(part.digests for part in candidates))


def expected_seconds(given: Given, entries: Sequence[Entry]) -> float:
    """Return how long a comparison and its report will take on one core, roughly, for the progress bar."""
    sizes = [len(source) for source in (given.reference, *given.candidates.values())]
    reading = sum(_reading(source) for source in given.sources)
    drawing = 0.1 * len(observables_for(given.reference.detector))
    return reading + drawing + _scale(given, min(sizes)) * sum(entry.seconds for entry in entries)


def _scale(given: Given, size: int) -> float:
    """Return what studies cost in units of what they cost for one candidate, 20,000 showers and 500 cells."""
    cells = given.reference.detector.n_cells
    return float((0.05 + size / 20_000) * (1 + len(given.candidates)) / 2 * (cells / 500) ** 0.5)


def _reading(source: Source) -> float:
    """Return the seconds that reading a file will take, roughly, for the progress bar."""
    return 0.01 + len(source) * (1e-4 + 2e-7 * source.detector.n_cells)

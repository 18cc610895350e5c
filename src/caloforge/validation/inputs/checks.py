"""What comes before any number: detectors, particles, energies, empty, repeated and copied showers."""

from __future__ import annotations

__all__ = [
    "check_detectors",
    "check_directions",
    "check_energies",
    "check_memory",
    "check_model",
    "check_particles",
    "check_reference",
    "check_showers",
    "check_training",
]

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from caloforge.detector import Detector
from caloforge.errors import ValidationError
from caloforge.validation.inputs.sample import Pass
from caloforge.validation.inputs.samples import Model
from caloforge.validation.inputs.source import Source
from caloforge.validation.metrics.one_dimensional import kolmogorov_smirnov
from caloforge.validation.study import Finding

_UNLIKELY = 1e-4
"""Five columns of the incident particles are looked at: by chance one report in 2000 warns of any."""

_SMALL_SHARE = 1e-3
_FEW = 500
_DIRECTIONS = {
    "theta": ("rad", "The angle"),
    "phi": ("rad", "The azimuth"),
    "x": ("mm", "The impact point"),
    "y": ("mm", "The impact point"),
}


def check_detectors(reference: Source, other: Source) -> Iterator[Finding]:
    """Refuse showers of detectors with other cells; note a detector that differs in its material or text.

    Raises:
        ValidationError: Cells cannot be compared one by one.
    """
    a, b = reference.detector, other.detector
    if _cells(a) != _cells(b):
        raise ValidationError(
            "these showers come from detectors with different cells",
            where=other.name,
            got=f"{b.name}: {b.n_layers} layers, {b.n_cells} cells",
            expected=f"{a.name}: {a.n_layers} layers, {a.n_cells} cells, as in {reference.name}",
            cure="compare showers of one detector; `caloforge inspect` prints which one a file holds",
        )
    if a.digest != b.digest:
        text = f"{other.name} says {b.name}, {reference.name} says {a.name}; the cells are the same."
        yield Finding("warning", "The detectors are described differently", text)


def check_model(reference: Source, model: Model) -> None:
    """Refuse a generator of another detector.

    Raises:
        ValidationError: Its cells differ from the reference's.
    """
    if _cells(model.detector) != _cells(reference.detector):
        raise ValidationError(
            "the generator makes showers for other cells",
            where="--model",
            got=f"{model.detector.name}: {model.detector.n_layers} layers, {model.detector.n_cells} cells",
            expected=f"the {reference.detector.n_cells} cells of {reference.detector.name}",
            cure="give the run or bundle that made the candidate",
        )


def _cells(detector: Detector) -> object:
    layers = [(layer.start, layer.thickness, layer.grid) for layer in detector.layers]
    return layers, detector.readout.threshold


def check_particles(reference: Source, other: Source) -> Iterator[Finding]:
    """Warn if the incident particles differ; unknown particles (0) differ from nothing."""
    a, b = (set(np.unique(s.incident.pdg).tolist()) - {0} for s in (reference, other))
    if a and b and a != b:
        text = f"PDG ids {sorted(b)} in {other.name}, {sorted(a)} in {reference.name}."
        yield Finding("warning", "The incident particles differ", text)


def check_energies(reference: Source, other: Source, halves: bool) -> Iterator[Finding]:
    """Compare spectra of incident energy, without which no other comparison means anything.

    Raises:
        ValidationError: The ranges have nothing in common.
    """
    a, b = (np.asarray(s.incident.energy, np.float64) for s in (reference, other))
    if a.min() > b.max() or b.min() > a.max():
        raise ValidationError(
            "the incident energies have nothing in common",
            where=other.name,
            got=_range(b),
            expected=f"{_range(a)}, as in {reference.name}",
            cure="generate the candidate with `--like` and the reference file",
        )
    distance, p = kolmogorov_smirnov(a, b)
    if p < _UNLIKELY:
        text = (
            f"{other.name} spans {_range(b)}, {reference.name} {_range(a)}; the largest distance of the "
            f"cumulative spectra is {distance:.3f} (chance gives that with p = {p:.1g}). Every quantity that "
            "grows with the energy differs for this reason alone: generate with --like and the reference."
        )
        yield Finding("warning", "The incident energies differ", text)
    elif not halves and len(a) == len(b) and np.array_equal(a, b):
        text = (
            f"{other.name} has the incident energies of {reference.name} shower by shower, which two "
            "independent Geant4 samples have not. Energy-like distances may therefore lie below the floor."
        )
        yield Finding("note", "Same incident energies as the reference", text)


def check_directions(reference: Source, other: Source) -> Iterator[Finding]:
    """Warn if angles or impact points are distributed otherwise: a shower follows its particle."""
    for name, (unit, label) in _DIRECTIONS.items():
        a, b = (np.asarray(getattr(s.incident, name), np.float64) for s in (reference, other))
        if (a == a[0]).all() and (b == a[0]).all():
            continue
        distance, p = kolmogorov_smirnov(a, b)
        if p < _UNLIKELY:
            here, there = (f"{v.min():.4g} to {v.max():.4g} {unit}" for v in (b, a))
            text = (
                f"{label} runs from {here} in {other.name}, from {there} in {reference.name}; the largest "
                f"distance of the cumulative distributions is {distance:.3f} (p = {p:.1g}). Showers differ "
                "for this reason alone."
            )
            yield Finding("warning", f"The incident {name} differs", text)


def _range(energy: NDArray[np.float64]) -> str:
    return f"{energy.min() / 1e3:.4g} to {energy.max() / 1e3:.4g} GeV"


def check_reference(reference: Pass, size: int, name: str) -> Iterator[Finding]:
    """Refuse a reference without any energy; warn if few showers are compared.

    Args:
        reference: What one pass over the reference gave.
        size: Showers in each sample that is compared.
        name: The reference's file.

    Raises:
        ValidationError: The reference has no energy at all.
    """
    if len(reference.digests) == 0:
        raise ValidationError(
            "no shower of the reference has any energy",
            where=name,
            got=f"{reference.empty} empty showers",
            cure="simulate it again",
        )
    if size < _FEW:
        text = f"{size} showers are compared; differences that a few thousand would show stay hidden."
        yield Finding("warning", "Small samples", text)


def check_showers(reference: Pass, candidate: Pass) -> Iterator[Finding]:
    """Look for empty, repeated and copied showers in a candidate.

    Args:
        reference: What one pass over the reference gave.
        candidate: The same for the candidate.
    """
    yield from _empty(reference, candidate)
    yield from _repeated(reference, candidate)
    text = "The samples are not independent, and distances come out too small."
    yield from _copied(candidate, reference, "Copies of the reference", f"showers of the reference. {text}")


def check_training(training: Pass, reference: Pass, name: str) -> Iterator[Finding]:
    """Look for showers that the generator was trained on among those that judge it.

    Args:
        training: What one pass over the training showers gave.
        reference: What one pass over the reference gave.
        name: Its file.
    """
    text = "What was learned by heart looks like what was understood: take showers that were not trained on."
    yield from _copied(
        reference, training, f"{name} holds training showers", f"training showers. {text}", name
    )


def check_memory(training: Pass, candidate: Pass) -> Iterator[Finding]:
    """Look for training showers among the candidate's."""
    text = "The generator gives back what it was shown."
    yield from _copied(candidate, training, "Copies of training showers", f"training showers. {text}")


def _copied(part: Pass, other: Pass, title: str, text: str, name: str = "the candidate") -> Iterator[Finding]:
    count = len(part.digests) + part.empty
    copied = int(np.isin(part.digests, other.digests).sum())
    if copied / count > _SMALL_SHARE:
        yield Finding("fault", title, f"{copied} of {count} showers of {name} are, bit for bit, {text}")


def _empty(reference: Pass, candidate: Pass) -> Iterator[Finding]:
    counts = [len(part.digests) + part.empty for part in (reference, candidate)]
    shares = [part.empty / count for part, count in zip((reference, candidate), counts, strict=True)]
    if shares[1] > 2 * shares[0] + _SMALL_SHARE:
        text = (
            f"{candidate.empty} of {counts[1]} showers of the candidate have no energy in any cell; "
            f"in Geant4 {reference.empty} of {counts[0]}."
        )
        yield Finding("fault", "Empty showers", text)


def _repeated(reference: Pass, candidate: Pass) -> Iterator[Finding]:
    counts = [len(part.digests) + part.empty for part in (reference, candidate)]
    repeats = [len(part.digests) - len(np.unique(part.digests)) for part in (reference, candidate)]
    if repeats[1] / counts[1] > 2 * repeats[0] / counts[0] + _SMALL_SHARE:
        text = (
            f"{repeats[1]} of {counts[1]} showers of the candidate repeat another one bit for bit; "
            f"in Geant4 {repeats[0]} of {counts[0]}. They add no statistics."
        )
        yield Finding("fault", "Repeated showers", text, "repeats")

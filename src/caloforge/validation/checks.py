"""What comes before any number: detectors, particles, energies, empty, repeated and copied showers."""

from __future__ import annotations

__all__ = ["Finding", "check_detectors", "check_energies", "check_particles", "check_showers"]

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from caloforge.detector import Detector
from caloforge.errors import ValidationError
from caloforge.validation.metrics import kolmogorov_smirnov
from caloforge.validation.sample import Pass
from caloforge.validation.source import Source

_UNLIKELY = 1e-3
_SMALL_SHARE = 1e-3
_FEW = 500


@dataclass(frozen=True)
class Finding:
    """Something a reader must know.

    Attributes:
        severity: `fault` (the candidate is wrong), `warning` (the comparison is weak) or `note`.
        title: A few words.
        text: A sentence or two.
    """

    severity: Literal["fault", "warning", "note"]
    title: str
    text: str


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


def _range(energy: NDArray[np.float64]) -> str:
    return f"{energy.min() / 1e3:.4g} to {energy.max() / 1e3:.4g} GeV"


def check_showers(reference: Pass, candidate: Pass, counts: tuple[int, int], size: int) -> Iterator[Finding]:
    """Look for empty, repeated and copied showers, and for too small samples.

    Args:
        reference: What one pass over the reference gave.
        candidate: The same for the candidate.
        counts: Showers in both files.
        size: Showers in each sample that is compared.

    Raises:
        ValidationError: The reference has no energy at all.
    """
    if reference.empty == counts[0]:
        raise ValidationError(
            "no shower of the reference has any energy",
            got=f"{counts[0]} empty showers",
            cure="simulate it again",
        )
    yield from _empty(reference, candidate, counts)
    yield from _repeated(reference, candidate, counts)
    if size < _FEW:
        text = f"{size} showers are compared; differences that a few thousand would show stay hidden."
        yield Finding("warning", "Small samples", text)


def _empty(reference: Pass, candidate: Pass, counts: tuple[int, int]) -> Iterator[Finding]:
    shares = [part.empty / count for part, count in zip((reference, candidate), counts, strict=True)]
    if shares[1] > 2 * shares[0] + _SMALL_SHARE:
        text = (
            f"{candidate.empty} of {counts[1]} showers of the candidate have no energy in any cell; "
            f"in Geant4 {reference.empty} of {counts[0]}."
        )
        yield Finding("fault", "Empty showers", text)


def _repeated(reference: Pass, candidate: Pass, counts: tuple[int, int]) -> Iterator[Finding]:
    repeats = [len(part.digests) - len(np.unique(part.digests)) for part in (reference, candidate)]
    if repeats[1] / counts[1] > 2 * repeats[0] / counts[0] + _SMALL_SHARE:
        text = (
            f"{repeats[1]} of {counts[1]} showers of the candidate repeat another one bit for bit; "
            f"in Geant4 {repeats[0]} of {counts[0]}. They add no statistics."
        )
        yield Finding("fault", "Repeated showers", text)
    copied = int(np.isin(candidate.digests, reference.digests).sum())
    if copied / counts[1] > repeats[0] / counts[0] + _SMALL_SHARE:
        text = (
            f"{copied} of {counts[1]} showers of the candidate are, bit for bit, showers of the reference. "
            "The samples are not independent, and distances come out too small."
        )
        yield Finding("fault", "Copies of the reference", text)

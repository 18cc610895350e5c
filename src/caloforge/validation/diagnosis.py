"""Faults that have a name: a wrong energy scale, a shifted shower, noise, missing soft cells, a wrong spread."""

from __future__ import annotations

__all__ = ["diagnose"]

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from caloforge.detector import CartesianGrid, Detector, Layer
from caloforge.observables import observables_for
from caloforge.validation.linearity import energy_edges, linearity
from caloforge.validation.sample import SPECTRUM_EDGES, Sample
from caloforge.validation.samples import Samples
from caloforge.validation.study import Finding

Array = NDArray[np.float64]
_SIGMAS = 5.0
_CELLS_APART = 0.1
"""Least shift, in cells, that is called a shift: below it a shower is only a little asymmetric."""

_HITS = 0.03
_SPREAD = 0.15


def diagnose(samples: Samples, candidate: Sample) -> tuple[Finding, ...]:
    """Look for faults that a physicist would call by name.

    Args:
        samples: For Geant4's two samples, which are taken together.
        candidate: What is judged.

    Returns:
        Faults that are five standard errors and large enough to matter, with the figure that shows each.
    """
    if not candidate.mean_cells.any():
        return ()
    return (*_scale(samples, candidate), *_shift(samples, candidate), *_hits(samples, candidate))


def _geant4(samples: Samples, name: str) -> Array:
    both = (samples.reference, samples.floor)
    return np.concatenate([np.asarray(sample.column(name), np.float64) for sample in both])


def _scale(samples: Samples, candidate: Sample) -> Iterator[Finding]:
    """Tell one wrong factor from a response that depends on the energy, and a wrong spread."""
    energy = np.concatenate([samples.reference.incident.energy, samples.floor.incident.energy])
    edges = energy_edges(energy)
    geant4 = linearity(energy, _geant4(samples, "response"), edges)
    other = linearity(candidate.incident.energy, candidate.column("response"), edges)
    ratio = other.response / geant4.response
    error = ratio * np.hypot(other.response_error / other.response, geant4.response_error / geant4.response)
    known = np.isfinite(ratio) & (error > 0)
    if not known.any():
        return
    weight = 1 / error[known] ** 2
    mean, sigma = float(np.average(ratio[known], weights=weight)), float(weight.sum() ** -0.5)
    chi2 = float(np.sum((ratio[known] - mean) ** 2 * weight))
    alike = chi2 < known.sum() - 1 + 3 * np.sqrt(2 * max(known.sum() - 1, 1))
    if alike and abs(mean - 1) > _SIGMAS * sigma and abs(mean - 1) > 1e-3:
        way = "high" if mean > 1 else "low"
        yield Finding(
            "fault",
            f"Energies {abs(mean - 1):.1%} too {way}",
            f"The response is {mean:.4f} ± {sigma:.4f} of Geant4's in all {int(known.sum())} bins of energy: one factor "
            "explains it.",
            "response",
        )
    elif not alike:
        worst = int(np.nanargmax(np.where(known, np.abs(ratio - 1) / error, 0)))
        yield Finding(
            "fault",
            "Response depends on the energy in a wrong way",
            f"Its ratio to Geant4's runs from {ratio[known].min():.3f} to {ratio[known].max():.3f}; it is farthest off at "
            f"{geant4.energy[worst] / 1e3:.3g} GeV, with {ratio[worst]:.3f} ± {error[worst]:.3f}.",
            "response",
        )
    yield from _resolution(
        geant4.resolution, geant4.resolution_error, other.resolution, other.resolution_error
    )


def _resolution(geant4: Array, geant4_error: Array, other: Array, other_error: Array) -> Iterator[Finding]:
    ratio = other / geant4
    error = ratio * np.hypot(other_error / other, geant4_error / geant4)
    known = np.isfinite(ratio) & (error > 0)
    if not known.any():
        return
    weight = 1 / error[known] ** 2
    mean, sigma = float(np.average(ratio[known], weights=weight)), float(weight.sum() ** -0.5)
    if abs(mean - 1) > max(_SIGMAS * sigma, _SPREAD):
        word = "wide" if mean > 1 else "narrow"
        text = f"σ/μ of the response is {mean:.2f} ± {sigma:.2f} of Geant4's, averaged over the energies."
        yield Finding("fault", f"Energy resolution too {word}", text, "resolution")


def _shift(samples: Samples, candidate: Sample) -> Iterator[Finding]:
    for axis in "xy":
        found = list(_layer_shifts(samples, candidate, axis))
        if not found:
            continue
        layers, shifts, errors, cells = (np.array(part) for part in zip(*found, strict=True))
        sure = (np.abs(shifts) > _SIGMAS * errors) & (np.abs(shifts) > _CELLS_APART * cells)
        if not sure.any():
            continue
        layer = int(layers[np.argmax(np.where(sure, np.abs(shifts) / errors, 0))])
        i = int(np.flatnonzero(layers == layer)[0])
        text = (
            f"Centroids along {axis} lie {shifts[i]:+.3g} ± {errors[i]:.2g} mm beside Geant4's in "
            f"{samples.detector.layers[layer].name.replace('_', ' ')}, {shifts[i] / cells[i]:+.2f} of its cells; shifted are "
            f"{int(sure.sum())} of {len(layers)} layers that resolve {axis}."
        )
        yield Finding("fault", f"Showers shifted along {axis}", text, f"centroid_{axis}_{layer}")


def _layer_shifts(
    samples: Samples, candidate: Sample, axis: str
) -> Iterator[tuple[int, float, float, float]]:
    """Yield layer, shift of its mean centroid, its error, and the size of its cells, in mm."""
    names = {o.name for o in observables_for(samples.detector)}
    for layer in samples.detector.layers:
        name = f"centroid_{axis}_{layer.index}"
        if name not in names:
            continue
        geant4, other = _geant4(samples, name), np.asarray(candidate.column(name), np.float64)
        geant4, other = geant4[np.isfinite(geant4)], other[np.isfinite(other)]
        if min(len(geant4), len(other)) < 10:
            continue
        error = float(np.hypot(geant4.std() / np.sqrt(len(geant4)), other.std() / np.sqrt(len(other))))
        if error > 0:
            yield (
                layer.index,
                float(other.mean() - geant4.mean()),
                error,
                _cell_size(samples.detector, layer, axis),
            )


def _cell_size(detector: Detector, layer: Layer, axis: str) -> float:
    if isinstance(layer.grid, CartesianGrid):
        return float(layer.grid.cell["xy".index(axis)])
    return float(detector.sizes[layer.cells, 0].mean())


def _hits(samples: Samples, candidate: Sample) -> Iterator[Finding]:
    """Name noise, or soft cells that are missing, by the part of the cell spectrum that is off."""
    geant4, other = _geant4(samples, "hits"), np.asarray(candidate.column("hits"), np.float64)
    error = float(np.hypot(geant4.std() / np.sqrt(len(geant4)), other.std() / np.sqrt(len(other))))
    apart = float(other.mean() - geant4.mean())
    if abs(apart) <= max(_SIGMAS * error, _HITS * geant4.mean()):
        return
    before = (samples.reference.spectrum + samples.floor.spectrum).sum(axis=0) / len(geant4)
    difference = candidate.spectrum.sum(axis=0) / len(other) - before
    share = np.cumsum(np.maximum(difference * np.sign(apart), 0.0))
    below = SPECTRUM_EDGES[1 + int(np.searchsorted(share, 0.9 * share[-1]))]
    title = "Noise: too many cells hit" if apart > 0 else "Soft cells missing: too few cells hit"
    text = (
        f"{other.mean():.1f} cells per shower have energy, in Geant4 {geant4.mean():.1f}; nine tenths of what is "
        f"{'too much' if apart > 0 else 'missing'} lies below {_energy(below)}."
    )
    yield Finding("fault", title, text, "cell_spectrum")


def _energy(mev: float) -> str:
    scale, unit = next(
        ((s, u) for s, u in ((1e3, "GeV"), (1.0, "MeV"), (1e-3, "keV")) if mev >= s), (1e-6, "eV")
    )
    return f"{mev / scale:.3g} {unit}"

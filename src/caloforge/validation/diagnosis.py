"""Faults that have a name: a wrong energy scale, shifted showers, noise, missing soft cells."""

from __future__ import annotations

__all__ = ["diagnose"]

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from caloforge.detector import CartesianGrid, Detector, Layer
from caloforge.observables import observables_for
from caloforge.validation.inputs.sample import SPECTRUM_EDGES, Sample
from caloforge.validation.inputs.samples import Samples
from caloforge.validation.metrics.linearity import energy_edges, linearity
from caloforge.validation.study import Finding

Array = NDArray[np.float64]
_SIGMAS = 5.0
_CELLS_APART = 0.1
"""Least shift, in cells, that is called a shift: below it a shower is only a little asymmetric."""

_CELLS_OFF = 0.03
_FEWEST = 30
"""Showers without which a standard error is itself too uncertain."""

_IMPOSSIBLE = 2.0
_HOLDS = 0.9
"""Cells are soft below the energy above which the others hold this share of the shower."""

_SPREAD = 0.15


def diagnose(samples: Samples, candidate: Sample) -> tuple[Finding, ...]:
    """Look for faults that a physicist would call by name.

    Args:
        samples: For Geant4's two samples, which are taken together.
        candidate: What is judged.

    Returns:
        Faults that are five standard errors and large enough to matter, with the figure that shows each.
    """
    if not candidate.mean_cells.any() or len(candidate) < _FEWEST:
        return ()
    if impossible := tuple(_impossible(samples, candidate)):
        return impossible  # a mean that one such shower rules says nothing
    return (*_scale(samples, candidate), *_shift(samples, candidate), *_soft(samples, candidate))


def _impossible(samples: Samples, candidate: Sample) -> Iterator[Finding]:
    """Find showers with far more energy than any of Geant4's has for its particle."""
    most = float(np.nanmax(_geant4(samples, "response")))
    above = int(np.count_nonzero(candidate.column("response") > _IMPOSSIBLE * most))
    if above:
        text = (
            f"In {above} of {len(candidate)} showers the energy over the incident one is more than "
            f"{_IMPOSSIBLE:g} times that of any shower of Geant4."
        )
        yield Finding("fault", "Impossible energies", text, "response")


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
            f"The response is {mean:.4f} ± {sigma:.4f} of Geant4's in all {int(known.sum())} bins of energy: "
            "one factor explains it.",
            "response_vs_energy",
        )
    elif not alike:
        worst = int(np.nanargmax(np.where(known, np.abs(ratio - 1) / error, 0)))
        yield Finding(
            "fault",
            "Response depends on the energy in a wrong way",
            f"Its ratio to Geant4's runs from {ratio[known].min():.3f} to {ratio[known].max():.3f}; it is "
            f"farthest off at {geant4.energy[worst] / 1e3:.3g} GeV: {ratio[worst]:.3f} ± {error[worst]:.3f}.",
            "response_vs_energy",
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
        text = f"σ/μ of the response is {mean:.2f} ± {sigma:.2f} times Geant4's, averaged over the energies."
        yield Finding("fault", f"Energy resolution too {word}", text, "resolution_vs_energy")


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
        name = samples.detector.layers[layer].name.replace("_", " ")
        text = (
            f"Centroids along {axis} lie {shifts[i]:+.3g} ± {errors[i]:.2g} mm beside Geant4's in "
            f"{name}, {shifts[i] / cells[i]:+.2f} of its cells; "
            f"shifted are {int(sure.sum())} of {len(layers)} layers that resolve {axis}."
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


def _soft(samples: Samples, candidate: Sample) -> Iterator[Finding]:
    """Name noise, or soft cells that are missing, by how many cells lie above an energy."""
    geant4, error = _above(
        np.concatenate([samples.reference.spectrum, samples.floor.spectrum]), 2 * len(samples)
    )
    other, other_error = _above(candidate.spectrum, len(candidate))
    middle = np.sqrt(SPECTRUM_EDGES[1:] * SPECTRUM_EDGES[:-1])
    energy = np.cumsum((samples.reference.spectrum.sum(axis=0) * middle)[::-1])[::-1]
    soft = (energy > _HOLDS * energy[0]) & (geant4 > 0)
    apart = np.where(soft, other - geant4, 0.0)
    # where nearly all cells are hit, a few of the empty ones tell as much
    matters = _CELLS_OFF * min(geant4[0], max(samples.detector.n_cells - geant4[0], 1.0))
    worst = int(np.abs(apart).argmax())
    if abs(apart[worst]) <= max(_SIGMAS * float(np.hypot(error[worst], other_error[worst])), matters):
        return
    title = "Noise: too many soft cells" if apart[worst] > 0 else "Soft cells missing"
    text = f"{other[0]:.4g} cells per shower have energy, in Geant4 {geant4[0]:.4g}"
    if other[worst] < 0.99 * other[0]:
        above = _energy(SPECTRUM_EDGES[worst])
        text += f"; above {above} there are {other[worst]:.4g}, in Geant4 {geant4[worst]:.4g}"
    yield Finding("fault", title, f"{text}.", "cell_spectrum")


def _above(spectrum: NDArray[np.int64], showers: int) -> tuple[Array, Array]:
    """Return cells per shower above each lower edge of the spectrum's bins, and their standard errors."""
    blocks = np.cumsum(spectrum[:, ::-1], axis=1)[:, ::-1] * (len(spectrum) / showers)
    return blocks.mean(axis=0), blocks.std(axis=0, ddof=1) / np.sqrt(len(spectrum))


def _energy(mev: float) -> str:
    scale, unit = next(
        ((s, u) for s, u in ((1e3, "GeV"), (1.0, "MeV"), (1e-3, "keV")) if mev >= s), (1e-6, "eV")
    )
    return f"{mev / scale:.3g} {unit}"

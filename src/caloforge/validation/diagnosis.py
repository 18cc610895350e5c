"""Faults that have a name: a wrong energy scale, shifted showers, noise, missing soft cells."""

from __future__ import annotations

__all__ = ["diagnose", "faults_tested"]

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from caloforge.detector import Detector, Layer, PolarGrid
from caloforge.observables import observables_for
from caloforge.validation.energy_faults import TESTS, energy_faults
from caloforge.validation.inputs.sample import SPECTRUM_EDGES, Sample
from caloforge.validation.inputs.samples import Samples
from caloforge.validation.metrics.exchange import Tested, clear, means_apart, tested
from caloforge.validation.study import Finding

Array = NDArray[np.float64]
_CELLS_APART = 0.1
"""Least shift, in cells, that is called a shift: below it a shower is only a little asymmetric."""

_CELLS_OFF = 0.03
_FEWEST_CENTROIDS = 10
_FEWEST = 30
"""Showers without which a standard error is itself too uncertain."""

_IMPOSSIBLE = 2.0
_HOLDS = 0.9
"""Cells are soft below the energy above which the others hold this share of the shower."""


def diagnose(samples: Samples, candidate: Sample, more: int = 0) -> tuple[Finding, ...]:
    """Look for faults that a physicist would call by name.

    Args:
        samples: For Geant4's two samples, which are taken together.
        candidate: What is judged.
        more: Tests for faults that studies make of it besides.

    Returns:
        Faults that are more than chance and large enough to matter, with the figure that shows each. Chance
        alone names one or more in 1 of 400 candidates.
    """
    own = faults_tested(samples, candidate)
    if not own:
        return ()
    tests = own + more
    if impossible := tuple(_impossible(samples, candidate)):
        return impossible  # a mean that one such shower rules says nothing
    return (
        *energy_faults(samples, candidate, tests),
        *_shift(samples, candidate, tests),
        *_soft(samples, candidate, tests),
    )


def faults_tested(samples: Samples, candidate: Sample) -> int:
    """Return how many tests `diagnose` makes of a candidate: none of empty ones and of a handful."""
    if not candidate.mean_cells.any() or len(candidate) < _FEWEST:
        return 0
    shifts = sum(len(_resolving(samples.detector, axis)) for axis in "xy")
    return TESTS + shifts + int(_soft_edges(samples).sum())


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


def _shift(samples: Samples, candidate: Sample, tests: int) -> Iterator[Finding]:
    for axis in "xy":
        layers = _resolving(samples.detector, axis)
        if not layers:
            continue
        found = _centroids(samples, candidate, [f"centroid_{axis}_{layer.index}" for layer in layers])
        cells = np.array([_cell_size(samples.detector, layer, axis) for layer in layers])
        sure = clear(found.sigmas, tests) & (np.abs(found.value) > _CELLS_APART * cells)
        if not sure.any():
            continue
        i = int(np.argmax(np.where(sure, np.abs(found.sigmas), 0)))
        text = (
            f"Centroids along {axis} lie {found.value[i]:+.3g} ± {found.error[i]:.2g} mm beside Geant4's in "
            f"{layers[i].name.replace('_', ' ')}, {found.value[i] / cells[i]:+.2f} of its cells; "
            f"shifted are {int(sure.sum())} of {len(layers)} layers that resolve {axis}."
        )
        yield Finding("fault", f"Showers shifted along {axis}", text, f"centroid_{axis}_{layers[i].index}")


def _resolving(detector: Detector, axis: str) -> list[Layer]:
    """Return the layers that have a centroid along an axis."""
    names = {o.name for o in observables_for(detector)}
    return [layer for layer in detector.layers if f"centroid_{axis}_{layer.index}" in names]


def _centroids(samples: Samples, candidate: Sample, names: list[str]) -> Tested:
    """Compare mean centroids, mm; a layer in which a sample has fewer than ten of them counts as equal."""
    sums = np.concatenate([_block_sums(s, names) for s in (samples.reference, samples.floor, candidate)])
    totals, counts = sums[:, 0], sums[:, 1]
    few = counts.reshape(3, -1, len(names)).sum(axis=1).min(axis=0) < _FEWEST_CENTROIDS
    found = tested(means_apart(totals, counts), samples.blocks, samples.seed)
    return Tested(found.value, found.error, np.where(few, 0.0, found.sigmas))


def _block_sums(sample: Sample, names: list[str]) -> Array:
    """Return the sum of each observable and the number of showers that have it, `(blocks, 2, names)`."""
    blocks, found = len(sample.counts), []
    for name in names:
        values = np.asarray(sample.column(name), np.float64)
        known = np.isfinite(values)
        parts = (values[known], None)
        found.append([np.bincount(sample.block[known], part, blocks) for part in parts])
    return np.asarray(found, np.float64).transpose(2, 1, 0)


def _cell_size(detector: Detector, layer: Layer, axis: str) -> float:
    # of rings that along the radius stands for both
    column = 0 if isinstance(layer.grid, PolarGrid) else "xy".index(axis)
    return float(detector.sizes[layer.cells, column].mean())


def _soft(samples: Samples, candidate: Sample, tests: int) -> Iterator[Finding]:
    """Name noise, or soft cells that are missing, by how many cells lie above an energy."""
    parts = (samples.reference, samples.floor, candidate)
    above = np.concatenate([_above(sample) for sample in parts])
    counts = np.concatenate([sample.counts for sample in parts])[:, None].astype(np.float64)
    found = tested(means_apart(above, counts), samples.blocks, samples.seed)
    geant4 = above[: 2 * samples.blocks].sum(axis=0) / (2 * len(samples))
    other = geant4 + found.value
    apart = np.where(_soft_edges(samples) & clear(found.sigmas, tests), found.value, 0.0)
    # where nearly all cells are hit, a few of the empty ones tell as much
    matters = _CELLS_OFF * min(geant4[0], max(samples.detector.n_cells - geant4[0], 1.0))
    worst = int(np.abs(apart).argmax())
    if abs(apart[worst]) <= matters:
        return
    title = "Noise: too many soft cells" if apart[worst] > 0 else "Soft cells missing"
    text = f"{other[0]:.4g} cells per shower have energy, in Geant4 {geant4[0]:.4g}"
    if other[worst] < 0.99 * other[0]:
        energy = _energy(SPECTRUM_EDGES[worst])
        text += f"; above {energy} there are {other[worst]:.4g}, in Geant4 {geant4[worst]:.4g}"
    yield Finding("fault", title, f"{text}.", "cell_spectrum")


def _soft_edges(samples: Samples) -> NDArray[np.bool_]:
    """Say which lower edges of the spectrum's bins are soft: cells above hold nearly all energy."""
    above = _above(samples.reference).sum(axis=0) + _above(samples.floor).sum(axis=0)
    middle = np.sqrt(SPECTRUM_EDGES[1:] * SPECTRUM_EDGES[:-1])
    energy = np.cumsum((samples.reference.spectrum.sum(axis=0) * middle)[::-1])[::-1]
    # edges with the same cells above them are one test
    return np.asarray((energy > _HOLDS * energy[0]) & (above > 0) & (np.diff(above, append=-1.0) != 0))


def _above(sample: Sample) -> Array:
    """Return the cells above each lower edge of the spectrum's bins in each block, `(blocks, bins)`."""
    return np.asarray(np.cumsum(sample.spectrum[:, ::-1], axis=1)[:, ::-1], np.float64)


def _energy(mev: float) -> str:
    scale, unit = next(
        ((s, u) for s, u in ((1e3, "GeV"), (1.0, "MeV"), (1e-3, "keV")) if mev >= s), (1e-6, "eV")
    )
    return f"{mev / scale:.3g} {unit}"

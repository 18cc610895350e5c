"""What is compared: an observable, the cell spectrum or a profile, ready for any resampling."""

from __future__ import annotations

__all__ = [
    "Histogram",
    "Item",
    "known_mean",
    "known_spread",
    "observable_item",
    "profile_item",
    "spectrum_item",
]

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caloforge.observables import Observable
from caloforge.validation.binning import binning, widened
from caloforge.validation.metrics import Ranked, separation_power
from caloforge.validation.profiles import Profile
from caloforge.validation.resampling import Resampling
from caloforge.validation.sample import SPECTRUM_EDGES, Sample

Array = NDArray[np.float64]
Compare = Callable[[Resampling], dict[str, Array]]


@dataclass(frozen=True)
class Histogram:
    """Counts of three samples in one binning; the last three bins are below, above and undefined."""

    edges: Array
    log: bool
    reference: NDArray[np.int64]
    floor: NDArray[np.int64]
    candidate: NDArray[np.int64]


@dataclass(frozen=True)
class Item:
    """Something to compare, before the floor is known.

    Attributes:
        name: Stable key; the next five are those of the `Distance` that it becomes.
        label: For people.
        unit: Unit of the values.
        theme: Section of the report.
        quantity: What is measured, without the layer.
        layer: Index of the layer, or None.
        against_floor: Distances of Geant4 to Geant4 for given resamplings.
        against_candidate: Distances of Geant4 to the candidate.
        resolution: The least scatter that a floor is taken to have: what never varies in Geant4 has none.
        mean: Mean of Geant4's values.
        candidate_mean: Mean of the candidate's values.
        sigma: Standard deviation of Geant4's values.
        histogram: Counts for the figure.
    """

    name: str
    label: str
    unit: str
    theme: str
    quantity: str
    layer: int | None
    against_floor: Compare
    against_candidate: Compare
    resolution: float = 1e-6
    mean: float = np.nan
    candidate_mean: float = np.nan
    sigma: float = np.nan
    histogram: Histogram | None = None


def observable_item(
    observable: Observable, i: int, reference: Sample, floor: Sample, candidate: Sample
) -> Item:
    """Prepare column `i` of the samples' values; bins are chosen from Geant4 alone."""
    columns = [np.asarray(s.values[:, i], np.float64) for s in (reference, floor, candidate)]
    geant4 = np.concatenate(columns[:2])
    bins = binning(geant4, observable.integer)
    shown = widened(bins, columns[2])
    sigma = known_spread(geant4) or 1.0
    with_floor = _ranked(columns[0], columns[1], reference, floor, bins.edges, sigma)
    with_candidate = _ranked(columns[0], columns[2], reference, candidate, bins.edges, sigma)
    counts = [_counts(column, shown) for column in columns]
    return Item(
        *(observable.name, observable.label, observable.unit, observable.theme),
        *(observable.quantity, observable.layer, with_floor, with_candidate),
        mean=known_mean(geant4),
        resolution=1 / len(reference),
        candidate_mean=known_mean(columns[2]),
        sigma=sigma,
        histogram=Histogram(shown, bins.log, *counts),
    )


def _ranked(first: Array, second: Array, a: Sample, b: Sample, edges: Array, sigma: float) -> Compare:
    ranked = Ranked.of(np.concatenate([first, second]), edges)
    block = np.concatenate([a.block, b.block + len(a.counts)])

    def compare(resampling: Resampling) -> dict[str, Array]:
        found = [
            ranked.distances(r.first[:, block], r.second[:, block]) for r in resampling.parts(len(block))
        ]
        separation, distance = (np.concatenate(part) for part in zip(*found, strict=True))
        return {"separation": separation, "wasserstein": distance / sigma}

    return compare


def _counts(values: Array, edges: Array) -> NDArray[np.int64]:
    return Ranked.of(values, edges).histogram(np.ones(len(values), np.bool_))[
        [*range(1, len(edges)), 0, len(edges), len(edges) + 1]
    ]


def spectrum_item(reference: Sample, floor: Sample, candidate: Sample) -> Item:
    """Prepare the spectrum of the cells' energies; its Wasserstein distance is that of the logarithms."""
    position = (np.log10(SPECTRUM_EDGES[1:]) + np.log10(SPECTRUM_EDGES[:-1])) / 2
    geant4 = (reference.spectrum + floor.spectrum).sum(axis=0)
    mean, sigma = _weighted(position, geant4)

    def against(other: Sample) -> Compare:
        blocks = np.concatenate([reference.spectrum, other.spectrum])
        return lambda resampling: _histogram_distances(
            resampling.first @ blocks, resampling.second @ blocks, position, sigma
        )

    counts = [np.pad(s.spectrum.sum(axis=0), (0, 3)) for s in (reference, floor, candidate)]
    return Item(
        *("cell_spectrum", "Cell energy", "MeV", "cells", "cell_spectrum", None),
        *(against(floor), against(candidate)),
        mean=mean,
        candidate_mean=_weighted(position, counts[2][:-3])[0],
        sigma=sigma,
        histogram=Histogram(SPECTRUM_EDGES, True, *counts),
    )


def _histogram_distances(
    first: NDArray[np.int64], second: NDArray[np.int64], position: Array, sigma: float
) -> dict[str, Array]:
    with np.errstate(divide="ignore", invalid="ignore"):
        f = np.cumsum(first, axis=1) / first.sum(axis=1, keepdims=True)
        g = np.cumsum(second, axis=1) / second.sum(axis=1, keepdims=True)
    area = np.abs(f - g)[:, :-1] @ np.diff(position)
    # a sample without any hit has no spectrum, which is as different as can be
    nothing = (first.sum(axis=1) == 0) | (second.sum(axis=1) == 0)
    separation = np.where(nothing, 1.0, separation_power(first, second))
    return {"separation": separation, "wasserstein": area / sigma}


def _weighted(position: Array, counts: NDArray[np.int64]) -> tuple[float, float]:
    if counts.sum() == 0:
        return np.nan, 1.0
    mean = float(np.average(position, weights=counts))
    return mean, float(np.sqrt(np.average((position - mean) ** 2, weights=counts))) or 1.0


def profile_item(profile: Profile, reference: Sample, floor: Sample, candidate: Sample) -> Item:
    """Prepare a mean profile."""

    def against(other: Sample) -> Compare:
        energy = np.concatenate([profile.project(reference.images), profile.project(other.images)])
        showers = np.concatenate([reference.counts, other.counts])
        return lambda resampling: {"difference": _apart(resampling, energy, showers)}

    return Item(
        *(profile.name, profile.label, "MeV", "profiles", profile.name, None),
        *(against(floor), against(candidate)),
    )


def _apart(resampling: Resampling, energy: Array, showers: NDArray[np.int64]) -> Array:
    """Return the area between two mean profiles over the area under the first."""
    first = (resampling.first @ energy) / (resampling.first @ showers)[:, None]
    second = (resampling.second @ energy) / (resampling.second @ showers)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = np.abs(first - second).sum(axis=1) / first.sum(axis=1)
    # where Geant4 has no energy at all, any energy is as different as can be
    return np.asarray(np.where(first.sum(axis=1) > 0, apart, second.sum(axis=1) > 0), np.float64)


def known_mean(values: Array) -> float:
    """Return the mean of the defined values, NaN if there are none."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else np.nan


def known_spread(values: Array) -> float:
    """Return the standard deviation of the defined values, NaN if there are none."""
    known = values[np.isfinite(values)]
    return float(known.std()) if len(known) else np.nan

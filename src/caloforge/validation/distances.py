"""Every distribution of a candidate against Geant4, beside Geant4 against Geant4."""

from __future__ import annotations

__all__ = ["Distance", "Histogram", "Measure", "distances"]

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caloforge.observables import Observable
from caloforge.validation.binning import binning, widened
from caloforge.validation.metrics import Ranked, separation_power
from caloforge.validation.profiles import Profile
from caloforge.validation.resampling import Resampling, bootstraps, splits
from caloforge.validation.sample import SPECTRUM_EDGES, Sample

Array = NDArray[np.float64]
Compare = Callable[[Resampling], dict[str, Array]]
LARGEST_P = 0.01


@dataclass(frozen=True)
class Measure:
    """One number with its floor.

    Attributes:
        value: Candidate against Geant4.
        error: Its standard error.
        floor: The same number between two independent Geant4 samples of the same size.
        floor_error: How much that scatters from one pair of samples to the next.
    """

    value: float
    error: float
    floor: float
    floor_error: float

    @property
    def excess(self) -> float:
        """How many standard deviations of the floor the value lies above it."""
        return (self.value - self.floor) / self.floor_error


@dataclass(frozen=True)
class Histogram:
    """Counts of three samples in one binning; the last three bins are below, above and undefined."""

    edges: Array
    log: bool
    reference: NDArray[np.int64]
    floor: NDArray[np.int64]
    candidate: NDArray[np.int64]


@dataclass(frozen=True)
class Distance:
    """How far a distribution or profile of the candidate is from Geant4's.

    Attributes:
        name: Stable key.
        label: For people.
        unit: Unit of the values.
        theme: Section of the report.
        quantity: What is measured, without the layer.
        layer: Index of the layer, or None.
        measures: `separation` and `wasserstein` of a distribution, `difference` of a profile.
        excess: The largest excess over the floor among them, in standard deviations.
        p_value: How often chance alone gives a larger excess in any of the report's distributions.
        mean: Mean of Geant4's values, NaN for a profile.
        candidate_mean: Mean of the candidate's values.
        sigma: Standard deviation of Geant4's values, the scale of the Wasserstein distance.
        histogram: Counts, None for a profile.
    """

    name: str
    label: str
    unit: str
    theme: str
    quantity: str
    layer: int | None
    measures: dict[str, Measure]
    excess: float
    p_value: float
    mean: float
    candidate_mean: float
    sigma: float
    histogram: Histogram | None

    @property
    def off(self) -> bool:
        """Whether the difference to Geant4 is more than chance."""
        return self.p_value < LARGEST_P


@dataclass(frozen=True)
class _Item:
    """Something to compare, before the floor is known."""

    name: str
    label: str
    unit: str
    theme: str
    quantity: str
    layer: int | None
    against_floor: Compare
    against_candidate: Compare
    mean: float = np.nan
    candidate_mean: float = np.nan
    sigma: float = np.nan
    histogram: Histogram | None = None


def distances(
    reference: Sample,
    floor: Sample,
    candidate: Sample,
    observables: Sequence[Observable],
    profiles: Sequence[Profile],
    seed: int,
) -> tuple[list[Distance], Measure]:
    """Compare all observables, the cell spectrum and all profiles.

    The floor of a metric is its mean over 200 random cuts of all Geant4 showers in two halves. Its scatter is
    the unit of `excess`. The p-value compares an excess with the largest among all distributions in each cut
    (Westfall and Young's max-T), so that looking at a hundred figures does not make chance look like a fault.

    Args:
        reference: Geant4.
        floor: Geant4 again, as many showers.
        candidate: As many showers.
        observables: Columns of the samples' values.
        profiles: Profiles of the detector.
        seed: Seed of the resampling.

    Returns:
        One entry each, and the mean separation power over all that have one.
    """
    items = [
        *(_observable(o, i, reference, floor, candidate) for i, o in enumerate(observables)),
        _spectrum(reference, floor, candidate),
        *(_profile(p, reference, floor, candidate) for p in profiles),
    ]
    blocks = len(reference.counts)
    cuts, draws, once = splits(blocks, seed), bootstraps(blocks, seed), Resampling.identity(blocks)
    nulls = [item.against_floor(cuts) for item in items]
    values = [{key: float(v[0]) for key, v in item.against_candidate(once).items()} for item in items]
    drawn = [item.against_candidate(draws) for item in items]
    errors = [{key: _spread(v) for key, v in draw.items()} for draw in drawn]
    return list(_judge(items, nulls, values, errors, 1 / len(reference))), _overall(nulls, values, drawn)


def _judge(
    items: Sequence[_Item],
    nulls: Sequence[dict[str, Array]],
    values: Sequence[dict[str, float]],
    errors: Sequence[dict[str, float]],
    resolution: float,
) -> Iterator[Distance]:
    """Turn values and null distributions into measures and corrected p-values."""
    measures, chance = [], []
    for null, value, error in zip(nulls, values, errors, strict=True):
        centre = {key: _centre(v) for key, v in null.items()}
        # a quantity that never varies in Geant4 has no scatter; one shower more or less is its resolution
        scatter = {key: float(np.fmax(_spread(v), resolution)) for key, v in null.items()}
        measures.append({k: Measure(value[k], error[k], centre[k], scatter[k]) for k in null})
        chance.append(np.array([(v - centre[k]) / scatter[k] for k, v in null.items()]))
    largest = np.nanmax(np.concatenate(chance), axis=0)
    for item, measured in zip(items, measures, strict=True):
        excess = np.nanmax([m.excess for m in measured.values()])
        p_value = (1 + np.count_nonzero(largest >= excess)) / (1 + len(largest))
        yield Distance(
            *(item.name, item.label, item.unit, item.theme, item.quantity, item.layer, measured),
            *(float(excess), float(p_value), item.mean, item.candidate_mean, item.sigma, item.histogram),
        )


def _overall(
    nulls: Sequence[dict[str, Array]], values: Sequence[dict[str, float]], drawn: Sequence[dict[str, Array]]
) -> Measure:
    """Return the mean separation power; cuts and draws are the same for all distributions."""
    key = "separation"
    chance = np.mean([null[key] for null in nulls if key in null], axis=0)
    draw = np.mean([value[key] for value in drawn if key in value], axis=0)
    value = float(np.mean([value[key] for value in values if key in value]))
    return Measure(value, _spread(draw), _centre(chance), _spread(chance))


def _observable(observable: Observable, i: int, reference: Sample, floor: Sample, candidate: Sample) -> _Item:
    columns = [np.asarray(s.values[:, i], np.float64) for s in (reference, floor, candidate)]
    geant4 = np.concatenate(columns[:2])
    bins = binning(geant4, observable.integer)
    shown = widened(bins, columns[2])
    sigma = _spread(geant4) or 1.0
    with_floor = _ranked(columns[0], columns[1], reference, floor, bins.edges, sigma)
    with_candidate = _ranked(columns[0], columns[2], reference, candidate, bins.edges, sigma)
    counts = [_counts(column, shown) for column in columns]
    return _Item(
        *(observable.name, observable.label, observable.unit, observable.theme),
        *(observable.quantity, observable.layer, with_floor, with_candidate),
        *(_centre(geant4), _centre(columns[2]), sigma, Histogram(shown, bins.log, *counts)),
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


def _spectrum(reference: Sample, floor: Sample, candidate: Sample) -> _Item:
    position = (np.log10(SPECTRUM_EDGES[1:]) + np.log10(SPECTRUM_EDGES[:-1])) / 2
    geant4 = (reference.spectrum + floor.spectrum).sum(axis=0)
    mean, sigma = _weighted(position, geant4)

    def against(other: Sample) -> Compare:
        blocks = np.concatenate([reference.spectrum, other.spectrum])
        return lambda resampling: _histogram_distances(
            resampling.first @ blocks, resampling.second @ blocks, position, sigma
        )

    counts = [np.pad(s.spectrum.sum(axis=0), (0, 3)) for s in (reference, floor, candidate)]
    return _Item(
        *("cell_spectrum", "Cell energy", "MeV", "cells", "cell_spectrum", None),
        *(against(floor), against(candidate)),
        *(mean, _weighted(position, counts[2][:-3])[0], sigma, Histogram(SPECTRUM_EDGES, True, *counts)),
    )


def _histogram_distances(
    first: NDArray[np.int64], second: NDArray[np.int64], position: Array, sigma: float
) -> dict[str, Array]:
    with np.errstate(divide="ignore", invalid="ignore"):
        f = np.cumsum(first, axis=1) / first.sum(axis=1, keepdims=True)
        g = np.cumsum(second, axis=1) / second.sum(axis=1, keepdims=True)
    area = np.abs(f - g)[:, :-1] @ np.diff(position)
    return {"separation": separation_power(first, second), "wasserstein": area / sigma}


def _weighted(position: Array, counts: NDArray[np.int64]) -> tuple[float, float]:
    if counts.sum() == 0:
        return np.nan, 1.0
    mean = float(np.average(position, weights=counts))
    return mean, float(np.sqrt(np.average((position - mean) ** 2, weights=counts))) or 1.0


def _profile(profile: Profile, reference: Sample, floor: Sample, candidate: Sample) -> _Item:
    def against(other: Sample) -> Compare:
        energy = np.concatenate([profile.project(reference.images), profile.project(other.images)])
        showers = np.concatenate([reference.counts, other.counts])
        return lambda resampling: {"difference": _apart(resampling, energy, showers)}

    return _Item(
        *(profile.name, profile.label, "MeV", "profiles", profile.name, None),
        *(against(floor), against(candidate)),
    )


def _apart(resampling: Resampling, energy: Array, showers: NDArray[np.int64]) -> Array:
    """Return the area between two mean profiles over the area under the first."""
    first = (resampling.first @ energy) / (resampling.first @ showers)[:, None]
    second = (resampling.second @ energy) / (resampling.second @ showers)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.abs(first - second).sum(axis=1) / first.sum(axis=1))


def _centre(values: Array) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else np.nan


def _spread(values: Array) -> float:
    known = values[np.isfinite(values)]
    return float(known.std()) if len(known) else np.nan

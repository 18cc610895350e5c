"""Every distribution of a candidate against Geant4, beside Geant4 against Geant4."""

from __future__ import annotations

__all__ = ["Distance", "Measure", "distances"]

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caloforge.observables import Observable
from caloforge.validation.items import (
    Histogram,
    Item,
    known_mean,
    known_spread,
    observable_item,
    profile_item,
    spectrum_item,
)
from caloforge.validation.profiles import Profile
from caloforge.validation.resampling import Resampling, bootstraps, splits
from caloforge.validation.sample import Sample

Array = NDArray[np.float64]
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
        *(observable_item(o, i, reference, floor, candidate) for i, o in enumerate(observables)),
        spectrum_item(reference, floor, candidate),
        *(profile_item(p, reference, floor, candidate) for p in profiles),
    ]
    blocks = len(reference.counts)
    cuts, draws, once = splits(blocks, seed), bootstraps(blocks, seed), Resampling.identity(blocks)
    nulls = [item.against_floor(cuts) for item in items]
    values = [{key: float(v[0]) for key, v in item.against_candidate(once).items()} for item in items]
    drawn = [item.against_candidate(draws) for item in items]
    errors = [{key: known_spread(v) for key, v in draw.items()} for draw in drawn]
    return list(_judge(items, nulls, values, errors)), _overall(nulls, values, drawn)


def _judge(
    items: Sequence[Item],
    nulls: Sequence[dict[str, Array]],
    values: Sequence[dict[str, float]],
    errors: Sequence[dict[str, float]],
) -> Iterator[Distance]:
    """Turn values and null distributions into measures and corrected p-values."""
    measures, chance = [], []
    for item, null, value, error in zip(items, nulls, values, errors, strict=True):
        centre = {key: known_mean(v) for key, v in null.items()}
        # a quantity that never varies in Geant4 has no scatter; one shower more or less is its resolution
        scatter = {key: float(np.fmax(known_spread(v), item.resolution)) for key, v in null.items()}
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
    return Measure(value, known_spread(draw), known_mean(chance), known_spread(chance))

"""Every distribution of a candidate against Geant4, beside Geant4 against Geant4."""

from __future__ import annotations

__all__ = ["Distance", "distances"]

from collections.abc import Sequence
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
from caloforge.validation.measure import Measure
from caloforge.validation.profiles import Profile
from caloforge.validation.resampling import Resampling, bootstraps, splits
from caloforge.validation.sample import Sample

Array = NDArray[np.float64]
LARGEST_P = 0.01


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
        p_value: How often chance alone gives as clear a difference in any of the report's distributions.
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

    The floor of a metric is its mean over 200 random cuts of all Geant4 showers in two halves, and its
    scatter is the unit of `excess`.

    The p-value is that of an exchange test: if the candidate is Geant4, its showers and the reference's may
    be shuffled and cut again, and the distance at hand is one among these. It is compared with the largest of
    all distributions in each cut (Westfall and Young's max-T), so that looking at a hundred figures does not
    make chance look like a fault. Cuts of Geant4 alone would not do: they know nothing of how far off the
    next rare shower may be.

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
    floors = [item.against_floor(cuts) for item in items]
    values = [{key: float(v[0]) for key, v in item.against_candidate(once).items()} for item in items]
    drawn = [item.against_candidate(draws) for item in items]
    measures = [_measures(*parts) for parts in zip(items, values, drawn, floors, strict=True)]
    chance = [
        _in_scatters(item, value, item.against_candidate(cuts))
        for item, value in zip(items, values, strict=True)
    ]
    found = _judge(items, measures, chance)
    return found, _overall(floors, values, drawn)


def _measures(
    item: Item, value: dict[str, float], drawn: dict[str, Array], floor: dict[str, Array]
) -> dict[str, Measure]:
    return {key: _measure(value[key], drawn[key], floor[key], item.resolution) for key in value}


def _measure(value: float, drawn: Array, floor: Array, resolution: float) -> Measure:
    middle, scatter = _scale(floor, resolution)
    return Measure(value, known_spread(drawn), middle, scatter, (value - middle) / scatter)


def _scale(chance: Array, resolution: float) -> tuple[float, float]:
    # what never varies has no scatter: one shower more or less is its resolution
    return known_mean(chance), float(np.fmax(known_spread(chance), resolution))


def _in_scatters(item: Item, value: dict[str, float], exchanged: dict[str, Array]) -> tuple[float, Array]:
    """Return the largest metric of the sample at hand, and of each exchange, in units of chance's scatter."""
    scales = {key: _scale(chance, item.resolution) for key, chance in exchanged.items()}
    here = [(value[key] - middle) / scatter for key, (middle, scatter) in scales.items()]
    there = [(exchanged[key] - middle) / scatter for key, (middle, scatter) in scales.items()]
    return float(np.nanmax(here)), np.nanmax(there, axis=0)


def _judge(
    items: Sequence[Item],
    measures: Sequence[dict[str, Measure]],
    chance: Sequence[tuple[float, Array]],
) -> list[Distance]:
    """Correct each p-value for the largest of all distributions in each exchange."""
    largest = np.max([there for _, there in chance], axis=0)
    found = []
    for item, measured, (here, _) in zip(items, measures, chance, strict=True):
        excess = float(np.nanmax([m.excess for m in measured.values()]))
        p_value = (1 + np.count_nonzero(largest >= here)) / (1 + len(largest))
        found.append(
            Distance(
                *(item.name, item.label, item.unit, item.theme, item.quantity, item.layer, measured),
                *(excess, float(p_value), item.mean, item.candidate_mean, item.sigma, item.histogram),
            )
        )
    return found


def _overall(
    floors: Sequence[dict[str, Array]], values: Sequence[dict[str, float]], drawn: Sequence[dict[str, Array]]
) -> Measure:
    """Return the mean separation power; cuts and draws are the same for all distributions."""
    key = "separation"
    chance = np.mean([null[key] for null in floors if key in null], axis=0)
    draw = np.mean([value[key] for value in drawn if key in value], axis=0)
    value = float(np.mean([value[key] for value in values if key in value]))
    floor, scatter = known_mean(chance), known_spread(chance)
    return Measure(value, known_spread(draw), floor, scatter, (value - floor) / scatter)

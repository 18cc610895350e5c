"""Mode collapse: do the showers of a candidate differ among each other as much as Geant4's?"""

from __future__ import annotations

__all__ = ["diversity"]

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caloforge.observables import Observable, observables_for
from caloforge.validation.charts import Chart, Curve, Line, Table
from caloforge.validation.inputs.pairs import PairImages, neighbours_in_energy
from caloforge.validation.inputs.resampling import Resampling, bootstraps, splits
from caloforge.validation.inputs.sample import Sample
from caloforge.validation.inputs.samples import Samples
from caloforge.validation.measure import Measure, Number
from caloforge.validation.metrics.distances import LARGEST_P, Exchanged, corrected
from caloforge.validation.metrics.spread import (
    Limits,
    Residuals,
    energy_bins,
    limits,
    relative_spread,
    residuals,
)
from caloforge.validation.study import Absent, Finding, Study, Tell

Array = NDArray[np.float64]
_FEWEST_PAIRS = 5
_COLLAPSED = 0.8
_SIGMAS = 5.0
_ERRATIC = 3.0


@dataclass(frozen=True)
class _Spreads:
    """Standard deviations over Geant4's of each observable.

    Attributes:
        value: Shape `(observables,)`.
        exchanges: After exchanges with the reference, as they are first, shape `(201, observables)`.
        draws: Of bootstraps, shape `(50, observables)`.
    """

    value: Array
    exchanges: Array
    draws: Array

    def of(self, kept: NDArray[np.bool_]) -> _Spreads:
        """Return the same of some observables."""
        return _Spreads(self.value[kept], self.exchanges[:, kept], self.draws[:, kept])


def diversity(samples: Samples, tell: Tell) -> Study:
    """Compare the spread of every whole-shower observable, and how alike pairs of showers are.

    Args:
        samples: What to compare.
        tell: Called as the work advances.
    """
    wanted = _whole(samples)
    chance, spreads = _spreads(samples, wanted, tell)
    tell(0.6, "pairs of showers")
    pairs = _pair_numbers(samples)
    every = (samples.reference, samples.floor, *samples.candidates)
    absent = Absent(min(s.cells.shape[0] for s in every), 2 * _FEWEST_PAIRS)
    kept = _kept(chance)
    wanted = [observable for observable, k in zip(wanted, kept, strict=True) if k]
    chance, *spreads = (s.of(kept) for s in (chance, *spreads))
    numbers = tuple(
        (*(_spread_numbers(chance, spread) if wanted else ()), *pair)
        for spread, pair in zip(spreads, pairs, strict=True)
    )
    return Study(
        "diversity",
        "Diversity of the showers",
        numbers,
        tuple(_charts(samples, wanted, chance, spreads)) if wanted else (),
        tuple(tuple(_findings(wanted, spread)) for spread in spreads),
        _METHOD if all(pairs) else f"{_METHOD} Pairs are left out: {absent}.",
        absent=None if all(pairs) else absent,
    )


def _kept(chance: _Spreads) -> NDArray[np.bool_]:
    """Say which observables have a spread that two samples of Geant4 agree on."""
    known = np.isfinite(chance.value) & np.isfinite(chance.exchanges).all(axis=0)
    if not known.any():
        return known
    scatter = np.where(known, chance.exchanges.std(axis=0), np.inf)
    # a number that is nearly always the same varies by a few showers in a thousand
    return np.asarray(scatter <= _ERRATIC * np.median(scatter[known]))


def _whole(samples: Samples) -> list[Observable]:
    found = observables_for(samples.detector)
    return [o for o in found if o.layer is None and o.name in samples.reference.names]


def _spreads(samples: Samples, wanted: list[Observable], tell: Tell) -> tuple[_Spreads, list[_Spreads]]:
    """Return relative spreads of the floor and of the candidates, each with exchanges and bootstraps."""
    inner = energy_bins(samples.reference.incident.energy)
    ways = splits(samples.blocks, samples.seed), bootstraps(samples.blocks, samples.seed)
    every = (samples.floor, *samples.candidates)
    drawn = [[np.full((len(way.first), len(wanted)), np.nan) for way in ways] for _ in every]
    for j, observable in enumerate(wanted):
        tell(0.6 * j / len(wanted), "spread of observables")
        cut = limits(samples.reference.column(observable.name), samples.reference.incident.energy, inner)
        reference = _residuals(samples.reference, observable.name, cut)
        for i, sample in enumerate(every):
            other = _residuals(sample, observable.name, cut)
            for way, rows in zip(ways, drawn[i], strict=True):
                rows[:, j] = _ratio(way, reference, other)
    floor, *others = (_Spreads(exchanges[0], exchanges, draws) for exchanges, draws in drawn)
    return floor, others


def _residuals(sample: Sample, name: str, cut: Limits) -> Residuals:
    values, blocks = sample.column(name), len(sample.counts)
    return residuals(values, sample.incident.energy, cut, sample.block, blocks)


def _ratio(resampling: Resampling, a: Residuals, b: Residuals) -> Array:
    return relative_spread(resampling(a.squares, b.squares), resampling(a.counts, b.counts))


def _spread_numbers(chance: _Spreads, spread: _Spreads) -> tuple[Number, ...]:
    # a candidate without energy has no widths; what it has is compared
    known = np.isfinite(spread.exchanges).all(axis=0) & np.isfinite(spread.draws).all(axis=0)
    if not known.any():
        return ()
    drawn = [100 * np.abs(x[:, known] - 1) for x in (chance.exchanges[1:], spread.exchanges, spread.draws)]
    worst, middle = (
        Exchanged(float(exchanges[0]), cuts, exchanges, draws)
        for cuts, exchanges, draws in ([f(x, axis=1) for x in drawn] for f in (np.max, np.median))
    )
    p_worst, p_middle = (p < LARGEST_P for p in corrected([worst, middle]))
    return (
        Number("spread_worst", "Spread, worst", worst.measure(), "%", "low", f"Largest {_MEANING}", p_worst),
        Number("spread", "Spread, median", middle.measure(), "%", "low", f"Median {_MEANING}", p_middle),
    )


_MEANING = (
    "deviation of the standard deviation of a whole-shower observable at fixed energy from that of Geant4."
)


def _pair_numbers(samples: Samples) -> list[tuple[Number, ...]]:
    """Return how alike showers of nearly the same energy within each candidate are."""
    images = PairImages.of(samples.reference)
    every = (samples.reference, samples.floor, *samples.candidates)
    if min(s.cells.shape[0] for s in every) < 2 * _FEWEST_PAIRS or not images.weights.any():
        return [() for _ in samples.candidates]
    found = []
    for sample in every:
        first, second = neighbours_in_energy(sample.energies[: sample.cells.shape[0]], images.most)
        found.append(images.similarity(sample, first, sample, second))
    geant4 = np.concatenate(found[:2])
    floor = (float(geant4.mean()), float(geant4.std(ddof=1) / len(geant4) ** 0.5))
    return [
        (
            Number(
                "pair_ssim",
                "SSIM between its showers",
                Measure(float(pairs.mean()), float(pairs.std(ddof=1) / len(pairs) ** 0.5), *floor),
                better="floor",
                meaning="Mean structural similarity of two showers of a sample at nearly the same energy.",
            ),
        )
        for pairs in found[2:]
    ]


def _findings(wanted: list[Observable], spread: _Spreads) -> list[Finding]:
    if not wanted:
        return []
    # of exchanges: a bootstrap of a sample that is narrow by chance has a small error, too;
    # undefined is not alike: no comparison with NaN is true
    chance = spread.exchanges[1:]
    low = np.flatnonzero(
        (spread.value < _COLLAPSED) & (chance.mean(axis=0) - spread.value > _SIGMAS * chance.std(axis=0))
    )
    if 2 * len(low) < len(wanted):
        return []
    worst = int(np.nanargmin(spread.value))
    text = (
        f"{len(low)} of {len(wanted)} whole-shower observables scatter less than {100 * _COLLAPSED:.0f} % as "
        f"much as Geant4's at the same energy; {wanted[worst].label} {100 * spread.value[worst]:.0f} %."
    )
    return [Finding("fault", "The showers are too much alike", text, "spread")]


def _charts(
    samples: Samples, wanted: list[Observable], chance: _Spreads, spreads: list[_Spreads]
) -> list[Chart]:
    names = [sample.name for sample in samples.candidates]
    errors = [s.draws.std(axis=0) for s in (chance, *spreads)]
    order = np.argsort(-np.abs(spreads[0].value - 1))
    rows = tuple(
        (
            wanted[j].label,
            *((float(s.value[j]), float(e[j])) for s, e in zip((chance, *spreads), errors, strict=True)),
        )
        for j in order
    )
    lines = [
        Line(samples.floor.name, "floor", np.sort(chance.value)),
        *(Line(n, "candidate", np.sort(s.value)) for n, s in zip(names, spreads, strict=True)),
    ]
    at = np.arange(1, len(wanted) + 1, dtype=np.float64)
    return [
        Curve(
            key="spread",
            title="Spread of whole-shower observables over Geant4's",
            theme="generative",
            caption="Standard deviation at fixed energy over that of Geant4, sorted. Collapse lies below 1.",
            x="Observable, sorted",
            unit="",
            y="Standard deviation / Geant4's",
            y_unit="",
            at=at,
            lines=tuple(lines),
            ratio=False,
            level=1.0,
        ),
        Table(
            key="spread_table",
            title="Spread of each whole-shower observable over Geant4's",
            theme="generative",
            columns=("observable", samples.floor.name, *names),
            rows=rows,
        ),
    ]


_METHOD = (
    "Diversity (outliers beyond twice Geant4's 1 to 99 % range count as at its ends): the standard "
    "deviation of every whole-shower observable over that of Geant4, about a straight line in the incident "
    "energy in each of up to ten bins of it, mean over the bins; floor: 200 cuts of all Geant4 showers in "
    "two halves; errors: bootstrap of 100 random blocks; what is beyond chance is decided by exchanges of "
    "showers with the reference. SSIM between pairs of showers of one sample that "
    "are neighbours in energy, on log10 of cell over incident energy, three decades, Gaussian weights, "
    "mean over layers by energy; its floor is that of pairs of Geant4 showers. Observables whose ratio "
    "chance alone moves three times as much as that of most are left out."
)

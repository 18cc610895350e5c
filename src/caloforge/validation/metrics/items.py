"""What is compared: an observable, the cell spectrum or a profile, as sums of blocks ready for resampling."""

from __future__ import annotations

__all__ = ["FINE", "Item", "histogram", "observable_item", "profile_item", "roles", "spectrum_item"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from caloforge.observables import Observable
from caloforge.validation.charts import Histogram, Line, Role
from caloforge.validation.inputs.resampling import Resampling
from caloforge.validation.inputs.sample import SPECTRUM_EDGES, Sample
from caloforge.validation.metrics.binning import Binning, binning, widened
from caloforge.validation.metrics.column import Column
from caloforge.validation.metrics.one_dimensional import (
    chi2,
    cumulative_difference,
    separation_power,
    sorted_distances,
)
from caloforge.validation.metrics.profiles import Profile

Array = NDArray[np.float64]
Sums = NDArray[np.floating]
Compare = Callable[[Resampling, Sums, Sums], dict[str, Array]]

FINE = 1000
"""Fine bins of an observable, equally full; resampled distances know values no better than these."""

_SHALLOW = 0.01


@dataclass(frozen=True, kw_only=True)
class Item:
    """Something to compare, before the floor is known.

    Attributes:
        name: Stable key; the next five are those of the `Distance` that it becomes.
        label: For people.
        unit: Unit of the values.
        theme: Section of the report.
        quantity: What is measured, without the layer.
        layer: Index of the layer, or None.
        sums: What is known of each block of the reference, the floor and each candidate, `(blocks, k)`.
        compare: Distances of two of these, shape `(resamplings,)` each, for given resamplings.
        tested: The distances that decide what is beyond chance.
        exact: Distances of each candidate that are known better than by `compare`.
        resolution: The least scatter that a floor is taken to have: what never varies in Geant4 has none.
        mean: Mean of Geant4's values.
        means: Mean of each candidate's values.
        sigma: Standard deviation of Geant4's values.
        bins: Bins of the distribution, None for a profile.
    """

    name: str
    label: str
    unit: str
    theme: str
    quantity: str
    layer: int | None
    sums: tuple[Sums, ...]
    compare: Compare
    tested: tuple[str, ...]
    resolution: float
    exact: tuple[dict[str, float], ...] = ()
    mean: float = np.nan
    means: tuple[float, ...] = ()
    sigma: float = np.nan
    bins: Binning = field(default_factory=lambda: Binning(np.array([0.0, 1.0])))


def observable_item(observable: Observable, columns: Sequence[Column], fine: int = FINE) -> Item:
    """Prepare one observable.

    Bins are chosen from the floor's showers: they are Geant4's, and neither of the two samples that exchange
    showers in the test has a say, which keeps the test exact.

    Args:
        observable: Which.
        columns: Its values in the reference, the floor and each candidate.
        fine: How many fine bins resampled distances may use.
    """
    reference, floor, *candidates = columns
    bins = binning(floor.ranked, observable.integer)
    edges = _fine_edges([c.ranked for c in columns], bins.edges, fine)
    starts = np.array([0, *np.searchsorted(edges, bins.edges)])
    sigma = reference.sigma
    return Item(
        name=observable.name,
        label=observable.label,
        unit=observable.unit,
        theme=observable.theme,
        quantity=observable.quantity,
        layer=observable.layer,
        sums=tuple(_by_block(c, edges, starts) for c in columns),
        compare=_distribution(len(starts) + 1, np.diff(edges[1:]), sigma),
        tested=("separation", "ks", "wasserstein"),
        resolution=1 / max(len(reference.values), 1),
        exact=tuple(_exact(reference, c, sigma) for c in candidates),
        mean=reference.mean,
        means=tuple(c.mean for c in candidates),
        sigma=sigma,
        bins=bins,
    )


def _fine_edges(ranked: Sequence[NDArray[np.float32]], shown: Array, fine: int) -> Array:
    """Return fine edges with `shown` among them; the first is minus infinity, with nothing up to the next."""
    pooled = np.sort(np.concatenate([*ranked]), kind="stable")
    last = len(pooled) - 1
    if last >= 2 * fine:
        even = np.linspace(0, last, fine)
        # a few rare showers far out can rule a mean distance: the tails are resolved value by value
        tail = np.unique(np.geomspace(1, last / fine, 40).round()) - 1
        pooled = pooled[np.concatenate([even, tail, last - tail]).round().astype(np.int64)]
    return np.concatenate([[-np.inf], np.union1d(pooled.astype(np.float64), shown)])


def _by_block(column: Column, edges: Array, starts: NDArray[np.int64]) -> NDArray[np.float32]:
    """Count each block's showers in the bins, and cumulatively in the fine bins: side by side."""
    fine, blocks = len(edges), column.blocks
    inside = np.diff(np.searchsorted(column.ranked, edges), append=len(column.ranked))
    where = column.ranked_block * fine + np.repeat(np.arange(fine), inside)
    known = np.bincount(where, minlength=blocks * fine).reshape(blocks, fine)
    unknown = np.bincount(column.block, minlength=blocks) - known.sum(axis=1)
    coarse = np.column_stack([np.add.reduceat(known, starts, axis=1), unknown])
    return np.hstack([coarse, np.cumsum(known, axis=1)]).astype(np.float32)


def _distribution(bins: int, steps: Array, sigma: float) -> Compare:
    def compare(resampling: Resampling, first: Sums, second: Sums) -> dict[str, Array]:
        coarse = resampling(first[:, :bins], second[:, :bins])
        known = (counts[:, :-1].sum(axis=1) for counts in coarse)
        apart = np.abs(resampling.difference(first[:, bins:], second[:, bins:], (*known,)))
        found = {
            "separation": separation_power(*coarse),
            "chi2": chi2(*coarse),
            "ks": apart.max(axis=1).astype(np.float64),
        }
        if sigma > 0:
            found["wasserstein"] = apart[:, 1:-1].astype(np.float64) @ steps / sigma
        return found

    return compare


def _exact(reference: Column, candidate: Column, sigma: float) -> dict[str, float]:
    ks, area = sorted_distances(reference.ranked, candidate.ranked)
    return {"ks": ks, "wasserstein": area / sigma} if sigma > 0 else {"ks": ks}


def histogram(
    observable: Observable, columns: Sequence[Column], bins: Binning, *, key: str, theme: str = ""
) -> Histogram:
    """Make the figure of an observable; the bins reach as far as the candidates do.

    Args:
        observable: Which.
        columns: Its values in the reference, the floor and each candidate.
        bins: Chosen from Geant4's showers.
        key: Key of the figure.
        theme: Where it stands, if not with its observable.
    """
    others = [c.ranked for c in columns[2:]]
    edges = widened(bins, np.concatenate(others)) if others else bins.edges
    return Histogram(
        key=key,
        title=observable.label,
        theme=theme or observable.theme,
        quantity=observable.quantity,
        layer=observable.layer,
        x=observable.label,
        unit=observable.unit,
        edges=edges,
        lines=tuple(
            Line(c.name, role, c.counts(edges).astype(np.float64))
            for c, role in zip(columns, roles(len(columns)), strict=True)
        ),
        log=bins.log,
        integer=observable.integer,
    )


def roles(samples: int) -> tuple[Role, ...]:
    """Return what each sample is in a figure: Geant4, its floor, then candidates."""
    candidates: list[Role] = ["candidate"] * (samples - 2)
    return ("geant4", "floor", *candidates)


def spectrum_item(samples: Sequence[Sample]) -> Item:
    """Prepare the spectrum of the cells' energies; its Wasserstein distance is that of the logarithms.

    Args:
        samples: The reference, the floor and each candidate.
    """
    position = (np.log10(SPECTRUM_EDGES[1:]) + np.log10(SPECTRUM_EDGES[:-1])) / 2
    mean, sigma = _weighted(position, samples[0].spectrum.sum(axis=0))

    def compare(resampling: Resampling, first: Sums, second: Sums) -> dict[str, Array]:
        first, second = resampling(first, second)
        one, two = (counts.sum(axis=1) > 0 for counts in (first, second))
        # a sample without any hit has no spectrum, which is as different as can be
        separation = np.where(one & two, separation_power(first, second), (one | two).astype(np.float64))
        apart = np.abs(cumulative_difference(first, second))
        found = {"separation": separation, "ks": apart.max(axis=1)}
        if sigma > 0:
            found["wasserstein"] = np.asarray((apart[:, :-1] * np.diff(position)).sum(axis=1) / sigma)
        return found

    return Item(
        name="cell_spectrum",
        label="Cell energy",
        unit="MeV",
        theme="cells",
        quantity="cell_spectrum",
        layer=None,
        sums=tuple(s.spectrum.astype(np.float64) for s in samples),
        compare=compare,
        tested=("separation", "ks", "wasserstein"),
        resolution=1 / len(samples[0]),
        mean=mean,
        means=tuple(_weighted(position, s.spectrum.sum(axis=0))[0] for s in samples[2:]),
        sigma=sigma,
        bins=Binning(SPECTRUM_EDGES, log=True),
    )


def _weighted(position: Array, counts: NDArray[np.int64]) -> tuple[float, float]:
    if counts.sum() == 0:
        return np.nan, np.nan
    mean = float(np.average(position, weights=counts))
    return mean, float(np.sqrt(np.average((position - mean) ** 2, weights=counts)))


def profile_item(profile: Profile, samples: Sequence[Sample]) -> Item | None:
    """Prepare a mean profile; None where Geant4 has no energy in it.

    Args:
        profile: Which.
        samples: The reference, the floor and each candidate.
    """
    energy = [profile.project(s.images) for s in samples]
    base = (energy[0] + energy[1]).sum(axis=0) / (2 * len(samples[0]))
    if not base.max() > 0:
        return None
    deep = base > _SHALLOW * base.max()

    def compare(resampling: Resampling, first: Sums, second: Sums) -> dict[str, Array]:
        first, second = resampling(first, second)
        apart = np.abs(first[:, :-1] / first[:, -1:] - second[:, :-1] / second[:, -1:])
        return {
            "difference": np.asarray(apart.sum(axis=1) / base.sum()),
            "relative": np.asarray(100 * (apart[:, deep] / base[deep]).mean(axis=1)),
            "mse": np.asarray((apart**2).mean(axis=1) / base.max() ** 2),
        }

    return Item(
        name=profile.name,
        label=profile.label,
        unit="MeV",
        theme="profiles",
        quantity=profile.name,
        layer=None,
        sums=tuple(np.column_stack([e, s.counts]) for e, s in zip(energy, samples, strict=True)),
        compare=compare,
        tested=("difference", "relative"),
        resolution=1e-6,
    )

"""Every distribution of every candidate against Geant4, beside Geant4 against Geant4."""

from __future__ import annotations

__all__ = [
    "DISTANCES_LEVEL",
    "LARGEST_P",
    "Assessment",
    "Distance",
    "Exchanged",
    "Measure",
    "corrected",
]

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caloforge.validation.inputs.resampling import bootstraps, splits
from caloforge.validation.measure import Measure
from caloforge.validation.metrics.items import Item

Array = NDArray[np.float64]
LARGEST_P = 0.01
"""How often chance alone marks one of a few numbers that were resampled alike."""

DISTANCES_LEVEL = 0.005
"""How often chance alone puts any of a report's distributions beyond its floor: the least that 200 exchanges
can tell."""

_ROUNDING = 1e-3


@dataclass(frozen=True)
class Distance:
    """How far a distribution or profile of a candidate is from Geant4's.

    Attributes:
        name: Stable key.
        label: For people.
        unit: Unit of the values.
        theme: Section of the report.
        quantity: What is measured, without the layer.
        layer: Index of the layer, or None.
        measures: `separation`, `chi2`, `ks` and `wasserstein` of a distribution; `difference` (area
            between over area below), `relative` (mean relative error in %, where the profile is above 1 % of
            its maximum) and `mse` (mean square over the maximum's square) of a profile. One that is not
            defined is left out.
        excess: The largest excess over the floor among those tested, in standard deviations of the floor.
        p_value: How often chance alone gives as clear a difference in any of the report's distributions.
        mean: Mean of Geant4's values, NaN for a profile.
        candidate_mean: Mean of the candidate's values.
        sigma: Standard deviation of Geant4's values, the scale of the Wasserstein distance.
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

    @property
    def off(self) -> bool:
        """Whether the difference to Geant4 is more than chance."""
        return self.p_value < DISTANCES_LEVEL


@dataclass(frozen=True)
class Exchanged:
    """One distance of one candidate in every resampling.

    Attributes:
        value: The distance at hand.
        cuts: Between two random halves of all Geant4 showers, shape `(200,)`.
        exchanges: Between candidate and reference as they are and after random exchanges, shape `(201,)`.
        draws: Of bootstraps, shape `(50,)`.
    """

    value: float
    cuts: Array
    exchanges: Array
    draws: Array

    def measure(self, resolution: float = 0.0) -> Measure:
        """Return the distance with its error and its floor.

        Args:
            resolution: The least scatter that the floor is taken to have.
        """
        scatter = float(np.fmax(_spread(self.cuts), resolution))
        return Measure(self.value, _spread(self.draws), _mean(self.cuts), scatter)

    def in_scatters(self, resolution: float = 0.0) -> Array:
        """Return the exchanges in units of their own scatter, `-inf` where undefined.

        Args:
            resolution: Of the distance; a scatter far below it is rounding, and says nothing.
        """
        known = self.exchanges[np.isfinite(self.exchanges)]
        if len(known) == 0:
            return np.full(len(self.exchanges), -np.inf)
        scatter = known.std()
        if scatter <= max(1e-12 * np.abs(known).max(), _ROUNDING * resolution):
            return np.where(np.isfinite(self.exchanges), 0.0, -np.inf)
        return np.asarray(np.nan_to_num((self.exchanges - known.mean()) / scatter, nan=-np.inf), np.float64)

    @property
    def p_value(self) -> float:
        """How often an exchange gives as large a distance as the samples at hand."""
        return _p_value(self.in_scatters(), self.in_scatters()[0])

    @property
    def absolute(self) -> Exchanged:
        """The absolute values: a signed distance is as clear on one side as on the other."""
        return Exchanged(abs(self.value), *(np.abs(v) for v in (self.cuts, self.exchanges, self.draws)))

    @staticmethod
    def combine(parts: Sequence[Exchanged], how: str = "mean") -> Exchanged:
        """Combine distances that were resampled alike: their mean or their largest.

        Args:
            parts: Distances of one candidate.
            how: `mean` or `max`.
        """
        take: Callable[..., Any] = np.nanmean if how == "mean" else np.nanmax
        rows = [np.column_stack([getattr(p, n) for p in parts]) for n in ("cuts", "exchanges", "draws")]
        return Exchanged(float(take([p.value for p in parts])), *(take(row, axis=1) for row in rows))


@dataclass
class Assessment:
    """Items compared one after the other; of each only its distances are kept, not its showers.

    The floor of a distance is its mean over 200 random cuts of all Geant4 showers in two halves, and its
    scatter is the unit of `Distance.excess`.

    The p-value is that of an exchange test: if the candidate is Geant4, its showers and the reference's may
    be shuffled and cut again, and the distance at hand is one among these. It is compared with the largest of
    all distributions in each cut (Westfall and Young's max-T), so that looking at a hundred figures does not
    make chance look like a fault. Cuts of Geant4 alone would not do: they know nothing of how far off the
    next rare shower may be.

    Args:
        blocks: Blocks in each sample.
        candidates: How many there are.
        seed: Seed of the resampling.
    """

    blocks: int
    candidates: int
    seed: int
    _items: list[Item] = field(default_factory=list)
    _found: list[tuple[dict[str, Exchanged], ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._exchange = splits(self.blocks, self.seed)
        self._draw = bootstraps(self.blocks, self.seed)

    def add(self, item: Item) -> None:
        """Compare an item with its floor and in every resampling."""
        reference, floor, *candidates = item.sums
        cuts = {key: v[1:] for key, v in item.compare(self._exchange, reference, floor).items()}
        self._found.append(tuple(self._against(item, c, sums, cuts) for c, sums in enumerate(candidates)))
        self._items.append(_without_sums(item))

    def _against(
        self, item: Item, c: int, sums: NDArray[np.floating], cuts: dict[str, Array]
    ) -> dict[str, Exchanged]:
        exchanges = item.compare(self._exchange, item.sums[0], sums)
        draws = item.compare(self._draw, item.sums[0], sums)
        values = {key: float(v[0]) for key, v in exchanges.items()} | (item.exact[c] if item.exact else {})
        return {key: Exchanged(values[key], cuts[key], exchanges[key], draws[key]) for key in values}

    def distances(self) -> tuple[tuple[Distance, ...], ...]:
        """Return one distance per item for each candidate."""
        return tuple(self._judge(c) for c in range(self.candidates))

    def exchanged(self, key: str, candidate: int) -> dict[str, Exchanged]:
        """Return one kind of distance of all items that have it, by the item's name."""
        pairs = zip(self._items, self._found, strict=True)
        return {item.name: found[candidate][key] for item, found in pairs if key in found[candidate]}

    def _judge(self, c: int) -> tuple[Distance, ...]:
        clear = [
            np.max([found[c][k].in_scatters(item.resolution) for k in item.tested if k in found[c]], axis=0)
            for item, found in zip(self._items, self._found, strict=True)
        ]
        largest = np.max(clear, axis=0) if clear else np.zeros(0)
        parts = zip(self._items, self._found, clear, strict=True)
        return tuple(_distance(item, found[c], c, _p_value(largest, z[0])) for item, found, z in parts)


def corrected(found: Sequence[Exchanged]) -> tuple[float, ...]:
    """Return how often chance gives as clear a difference in any of these, which were resampled alike.

    Args:
        found: Distances of one candidate, the larger the worse.
    """
    if not found:
        return ()
    clear = [f.in_scatters() for f in found]
    largest = np.max(clear, axis=0)
    return tuple(_p_value(largest, z[0]) for z in clear)


def _distance(item: Item, found: dict[str, Exchanged], c: int, p_value: float) -> Distance:
    measures = {key: f.measure(item.resolution) for key, f in found.items() if np.isfinite(f.value)}
    beyond = [(m.value - m.floor) / m.floor_error for key, m in measures.items() if key in item.tested]
    return Distance(
        *(item.name, item.label, item.unit, item.theme, item.quantity, item.layer, measures),
        *(float(np.nanmax(beyond)), p_value, item.mean),
        *(item.means[c] if item.means else np.nan, item.sigma),
    )


def _without_sums(item: Item) -> Item:
    return replace(item, sums=(), exact=())


def _p_value(largest: Array, here: float) -> float:
    # the samples at hand are one of the ways to cut them, so the least is 1 / 201
    return float(np.count_nonzero(largest >= here) / len(largest))


def _mean(values: Array) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else np.nan


def _spread(values: Array) -> float:
    known = values[np.isfinite(values)]
    return float(known.std()) if len(known) else np.nan

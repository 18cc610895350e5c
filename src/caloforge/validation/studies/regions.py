"""Where training ends: showers at energies between and beyond those that the generator has seen."""

from __future__ import annotations

__all__ = ["regions", "trained_energies"]

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from caloforge.observables import Observable, observables_for
from caloforge.validation.charts import Chart, Curve, Line, Role
from caloforge.validation.inputs.resampling import Resampling, bootstraps, splits
from caloforge.validation.inputs.sample import Sample
from caloforge.validation.inputs.samples import Samples
from caloforge.validation.measure import Number
from caloforge.validation.metrics.distances import LARGEST_P, Exchanged, corrected
from caloforge.validation.metrics.energy_bins import energy_edges
from caloforge.validation.study import Study, Tell

Array = NDArray[np.float64]
_GAPS = 50
"""Neighbouring training energies farther apart than the range over this are a gap."""

_FEWEST = 20
_NAMES = {"inside": "trained energies", "between": "energies between", "beyond": "energies beyond"}
_MEANING = (
    "Mean over the whole-shower observables of the difference of means at {}, in units of Geant4's spread at "
    "the same energy."
)


def regions(samples: Samples, tell: Tell) -> Study:
    """Compare means in bins of energy, apart for trained energies, gaps between them, and beyond them.

    Energies that were trained come from the training showers, or else from the generator's stated range.

    Args:
        samples: With `training` or `model`.
        tell: Told of the progress.

    Returns:
        Numbers `trained_shift`, and `interpolation_shift` and `extrapolation_shift` where the reference has
        showers between or beyond the trained energies.
    """
    trained = trained_energies(samples)
    edges = _edges(samples.reference, trained)
    kinds = np.array([_kind(low, high, trained) for low, high in pairwise(edges)])
    observables = [o for o in observables_for(samples.detector) if o.layer is None]
    tell(0.1, "energies outside the training")
    reference = _Sums.of(samples.reference, observables, edges)
    cuts = splits(samples.blocks, samples.seed)
    chance = _shifts(reference.joined(_Sums.of(samples.floor, observables, edges)), cuts)
    found = []
    for i, candidate in enumerate(samples.candidates):
        both = reference.joined(_Sums.of(candidate, observables, edges))
        found.append(_Shift(_shifts(both, cuts), _shifts(both, bootstraps(samples.blocks, samples.seed))))
        tell((i + 1) / len(samples.candidates), "energies outside the training")
    outside = tuple(
        (float(a), float(b)) for (a, b), k in zip(pairwise(edges), kinds, strict=True) if k != "inside"
    )
    return Study(
        "regions",
        "Energies outside the training",
        tuple(_numbers(shift, chance, kinds) for shift in found),
        charts=(
            _chart(
                samples,
                edges,
                [f.exchanges[:, 0] for f in found],
                chance[:, 0],
                outside,
            ),
        ),
        method=(
            "Generalisation: in each bin of incident energy the means of all whole-shower observables are "
            f"compared, in units of Geant4's spread in that bin. Trained energies: {_text(trained)}."
        ),
        details={
            "edges_mev": edges,
            "kinds": kinds,
            "observables": [observable.name for observable in observables],
            "shifts": [shift.exchanges[:, 0] for shift in found],
        },
    )


@dataclass(frozen=True)
class _Shift:
    """Shifts of a candidate as they are and after exchanges with the reference, and bootstrapped."""

    exchanges: Array
    draws: Array


def trained_energies(samples: Samples) -> Array:
    """Return the intervals of incident energy that were trained, shape `(k, 2)`, MeV.

    Neighbouring training energies that are farther apart than 1/50 of the range (of its logarithm, if the
    energies are spread over decades) leave a gap.
    """
    if samples.training is None:
        if samples.model is None:
            raise ValueError("neither training showers nor a model say which energies were trained")
        return np.array([[samples.model.valid.energy.min, samples.model.valid.energy.max]], np.float64)
    energy = np.unique(np.asarray(samples.training.incident.energy, np.float64))
    scale = np.log(energy) if energy[-1] > 30 * np.median(energy) else energy
    breaks = np.flatnonzero(np.diff(scale) > max((scale[-1] - scale[0]) / _GAPS, 0.0))
    starts, ends = np.r_[0, breaks + 1], np.r_[breaks, len(energy) - 1]
    return np.stack([energy[starts], energy[ends]], axis=1)


def _edges(reference: Sample, trained: Array) -> Array:
    """Return bins of energy that do not cut across the borders of training."""
    edges = energy_edges(reference.incident.energy)
    inner = [float(border) for border in trained.ravel() if edges[0] < border < edges[-1]]
    merged = np.unique(np.concatenate([edges, inner]))
    # slivers next to a border would hold no showers
    keep = [
        0,
        *(i for i in range(1, len(merged) - 1) if merged[i] in inner or _clear(merged[i], inner, edges)),
    ]
    return merged[[*keep, len(merged) - 1]]


def _clear(edge: float, borders: Sequence[float], edges: Array) -> bool:
    step = float(np.diff(edges).min())
    return all(abs(edge - border) > 0.5 * step for border in borders)


def _kind(low: float, high: float, trained: Array) -> str:
    middle = (low + high) / 2
    if np.any((trained[:, 0] <= middle) & (middle <= trained[:, 1])):
        return "inside"
    return "between" if trained[0, 0] < middle < trained[-1, 1] else "beyond"


@dataclass(frozen=True)
class _Sums:
    """Count, sum and sum of squares of each observable, shape `(observables, blocks, bins)`."""

    count: Array
    total: Array
    square: Array

    @classmethod
    def of(cls, sample: Sample, observables: list[Observable], edges: Array) -> _Sums:
        bins = len(edges) - 1
        where = np.digitize(sample.incident.energy, edges) - 1
        inside = (where >= 0) & (where < bins)
        flat = sample.block * bins + where

        def add(values: Array, keep: NDArray[np.bool_]) -> Array:
            sums = np.bincount(flat[keep], values[keep], len(sample.counts) * bins)
            return np.asarray(sums, np.float64).reshape(len(sample.counts), bins)

        rows = []
        for observable in observables:
            column = np.asarray(sample.column(observable.name), np.float64)
            keep = inside & np.isfinite(column)
            column = np.where(keep, column, 0.0)
            rows.append((add(np.ones_like(column), keep), add(column, keep), add(column**2, keep)))
        return cls(*(np.stack(part) for part in zip(*rows, strict=True)))

    def joined(self, other: _Sums) -> _Sums:
        """Return the blocks of both."""
        parts = ((self.count, other.count), (self.total, other.total), (self.square, other.square))
        return _Sums(*(np.concatenate(pair, axis=1) for pair in parts))

    def moments(self, weights: Array) -> tuple[Array, Array, Array]:
        """Return count, mean and spread for each weighting, `(observables, resamplings, bins)`."""
        count, total, square = (weights @ part for part in (self.count, self.total, self.square))
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = total / count
            return count, mean, np.sqrt(np.maximum(square / count - mean**2, 0.0))


def _shifts(sums: _Sums, resampling: Resampling) -> Array:
    """Return |shift of the mean| over Geant4's spread, `(observables, resamplings, bins)`, or NaN."""
    count, mean, spread = sums.moments(resampling.first)
    other_count, other, _ = sums.moments(resampling.second)
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = np.abs(mean - other) / spread
    return np.where((np.minimum(count, other_count) >= _FEWEST) & (spread > 0), shift, np.nan)


def _numbers(shift: _Shift, floor: Array, kinds: NDArray[np.str_]) -> tuple[Number, ...]:
    names = {"inside": "trained_shift", "between": "interpolation_shift", "beyond": "extrapolation_shift"}
    found = {}
    for kind in names:
        cuts, *parts = (_mean(x, kinds == kind) for x in (floor[:, 1:], shift.exchanges, shift.draws))
        if np.isfinite(parts[0][0]) and np.isfinite(cuts).any():
            found[kind] = Exchanged(float(parts[0][0]), cuts, *parts)
    p_values = corrected([*found.values()])
    return tuple(
        Number(
            names[kind],
            f"Shift at {_NAMES[kind]}",
            exchanged.measure(),
            "σ",
            meaning=_MEANING.format(_NAMES[kind]),
            beyond=p < LARGEST_P,
        )
        for (kind, exchanged), p in zip(found.items(), p_values, strict=True)
    )


def _mean(shift: Array, wanted: NDArray[np.bool_]) -> Array:
    """Average over observables and the wanted bins, shape `(resamplings,)`; NaN if nothing is known."""
    part = shift[:, :, wanted]
    known = np.isfinite(part)
    count = known.sum(axis=(0, 2))
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, part, 0.0).sum(axis=(0, 2)) / count)


def _chart(
    samples: Samples, edges: Array, found: list[Array], floor: Array, outside: tuple[tuple[float, float], ...]
) -> Chart:
    def line(name: str, role: Role, shift: Array) -> Line:
        return Line(name, role, _over_observables(shift))

    lines = [line(samples.floor.name, "floor", floor)]
    lines += [line(c.name, "candidate", s) for c, s in zip(samples.candidates, found, strict=True)]
    return Curve(
        key="regions",
        title="Shift of the means, in and outside the training",
        theme="bins",
        caption="Shaded: energies without training showers."
        if outside
        else "All these energies were trained.",
        x="Incident energy",
        unit="MeV",
        y="Mean |shift| / Geant4's spread",
        y_unit="",
        at=(edges[1:] + edges[:-1]) / 2,
        edges=edges,
        lines=tuple(lines),
        ratio=False,
        shaded=outside,
    )


def _over_observables(shift: Array) -> Array:
    """Return the mean over observables in each bin, shape `(bins,)`; NaN where none is known."""
    known = np.isfinite(shift)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, shift, 0.0).sum(axis=0) / known.sum(axis=0))


def _text(trained: Array) -> str:
    return ", ".join(f"{low / 1e3:.4g} to {high / 1e3:.4g} GeV" for low, high in trained)

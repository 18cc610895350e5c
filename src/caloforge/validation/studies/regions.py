"""Where training ends: showers at energies between and beyond those that the generator has seen."""

from __future__ import annotations

__all__ = ["regions", "trained_energies"]

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from caloforge.observables import Observable, observables_for
from caloforge.validation.charts import Chart, Curve, Line, Role
from caloforge.validation.linearity import energy_edges
from caloforge.validation.measure import Measure, Number
from caloforge.validation.sample import Sample
from caloforge.validation.samples import Samples
from caloforge.validation.study import Study, Tell

Array = NDArray[np.float64]
_GAPS = 50
"""Neighbouring training energies farther apart than the range over this are a gap."""

_FEWEST = 20
_NAMES = {"inside": "trained energies", "between": "energies between", "beyond": "energies beyond"}
_MEANING = (
    "Mean over the whole-shower observables of the difference of means at {}, in units of Geant4's spread at the "
    "same energy."
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
    floor = _shifts(samples.reference, samples.floor, observables, edges)
    found = []
    for i, candidate in enumerate(samples.candidates):
        found.append(_shifts(samples.reference, candidate, observables, edges))
        tell((i + 1) / len(samples.candidates), "energies outside the training")
    outside = tuple(
        (float(a), float(b)) for (a, b), k in zip(pairwise(edges), kinds, strict=True) if k != "inside"
    )
    return Study(
        "regions",
        "Energies outside the training",
        tuple(_numbers(shift, floor, kinds) for shift in found),
        charts=(_chart(samples, edges, found, floor, outside),),
        method=(
            "Generalisation: in each bin of incident energy the means of all whole-shower observables are compared, in "
            f"units of Geant4's spread in that bin. Trained energies: {_text(trained)}."
        ),
        details={
            "edges_mev": edges.tolist(),
            "kinds": kinds.tolist(),
            "shifts": [s.mean(0).tolist() for s in found],
        },
    )


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
    inner = [border for border in trained.ravel() if edges[0] < border < edges[-1]]
    merged = np.unique(np.concatenate([edges, inner]))
    # slivers next to a border would hold no showers
    keep = [
        0,
        *(i for i in range(1, len(merged) - 1) if merged[i] in inner or _clear(merged[i], inner, edges)),
    ]
    return merged[[*keep, len(merged) - 1]]


def _clear(edge: float, borders: list[float], edges: Array) -> bool:
    step = float(np.diff(edges).min())
    return all(abs(edge - border) > 0.5 * step for border in borders)


def _kind(low: float, high: float, trained: Array) -> str:
    middle = (low + high) / 2
    if np.any((trained[:, 0] <= middle) & (middle <= trained[:, 1])):
        return "inside"
    return "between" if trained[0, 0] < middle < trained[-1, 1] else "beyond"


def _shifts(reference: Sample, other: Sample, observables: list[Observable], edges: Array) -> Array:
    """Return |difference of means| over Geant4's spread, shape `(observables, bins)`; NaN if too few showers."""
    bins = [np.digitize(s.incident.energy, edges) - 1 for s in (reference, other)]
    out = np.full((len(observables), len(edges) - 1), np.nan)
    for row, observable in enumerate(observables):
        columns = [np.asarray(s.column(observable.name), np.float64) for s in (reference, other)]
        for i in range(len(edges) - 1):
            a, b = (c[(w == i) & np.isfinite(c)] for c, w in zip(columns, bins, strict=True))
            if min(len(a), len(b)) >= _FEWEST and a.std() > 0:
                out[row, i] = abs(a.mean() - b.mean()) / a.std()
    return out


def _numbers(shift: Array, floor: Array, kinds: NDArray[np.str_]) -> tuple[Number, ...]:
    names = {"inside": "trained_shift", "between": "interpolation_shift", "beyond": "extrapolation_shift"}
    return tuple(
        Number(name, f"Shift at {_NAMES[kind]}", _measure(shift[:, kinds == kind], floor[:, kinds == kind]), "σ",
               meaning=_MEANING.format(_NAMES[kind]))
        for kind, name in names.items()
        if np.isfinite(shift[:, kinds == kind]).any() and np.isfinite(floor[:, kinds == kind]).any()
    )  # fmt: skip


def _measure(shift: Array, floor: Array) -> Measure:
    """Average over observables and bins; the scatter of the observables is the error, as they correlate."""
    (value, error), (base, base_error) = (_mean(part) for part in (shift, floor))
    return Measure(value, error, base, base_error)


def _mean(part: Array) -> tuple[float, float]:
    known = np.isfinite(part)
    rows = np.where(known, part, 0.0).sum(axis=1)[known.any(axis=1)] / known.sum(axis=1)[known.any(axis=1)]
    return float(rows.mean()), float(rows.std() / np.sqrt(max(len(rows) - 1, 1)))


def _chart(
    samples: Samples, edges: Array, found: list[Array], floor: Array, outside: tuple[tuple[float, float], ...]
) -> Chart:
    def line(name: str, role: Role, shift: Array) -> Line:
        known = np.isfinite(shift).any(axis=0)
        mean = np.full(shift.shape[1], np.nan)
        mean[known] = np.nanmean(shift[:, known], axis=0)
        return Line(name, role, mean)

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


def _text(trained: Array) -> str:
    return ", ".join(f"{low / 1e3:.4g} to {high / 1e3:.4g} GeV" for low, high in trained)

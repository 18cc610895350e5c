"""Whole-shower observables in bins of incident energy, angle and impact position."""

from __future__ import annotations

__all__ = ["Axis", "axes", "bins"]

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from caloforge.detector import CartesianGrid, Detector, PolarGrid
from caloforge.observables import Observable, observables_for
from caloforge.showers import Incident
from caloforge.validation.charts import Chart, Curve, Line, Table
from caloforge.validation.inputs.samples import Samples
from caloforge.validation.measure import Number
from caloforge.validation.metrics.column import Column
from caloforge.validation.metrics.distances import LARGEST_P, Assessment, Distance, Exchanged
from caloforge.validation.metrics.energy_bins import equal_shares
from caloforge.validation.metrics.items import histogram, observable_item, roles
from caloforge.validation.metrics.one_dimensional import moments
from caloforge.validation.study import Absent, Finding, Study, Tell

Array = NDArray[np.float64]
_MOST, _PER_BIN, _LEAST = 5, 40, 10
_FINE = 100
_SPANS = 1e-3


@dataclass(frozen=True)
class Axis:
    """A property of the incident particle, and bins of it with about as many showers each.

    Attributes:
        name: `energy`, `theta` or `impact`.
        label: For people.
        unit: Its unit.
        edges: Shape `(k + 1,)`.
        values: Of each shower of each sample.
    """

    name: str
    label: str
    unit: str
    edges: Array
    values: tuple[Array, ...]

    def inside(self, i: int) -> tuple[NDArray[np.bool_], ...]:
        """Say of each shower of each sample whether it lies in bin `i`; the outermost bins are open."""
        low = -np.inf if i == 0 else self.edges[i]
        high = np.inf if i == len(self) - 1 else self.edges[i + 1]
        return tuple((v >= low) & (v < high) for v in self.values)

    def __len__(self) -> int:
        return len(self.edges) - 1

    def range_of(self, i: int) -> str:
        """Return what bin `i` holds, for people."""
        return f"{self.edges[i]:.3g} to {self.edges[i + 1]:.3g} {self.unit}"


def bins(samples: Samples, tell: Tell) -> Study:
    """Compare every whole-shower observable in bins of energy, and of angle and position if they vary.

    Args:
        samples: Geant4, its floor and the candidates.
        tell: Told before each observable.

    Returns:
        Number `separation_bins`.
    """
    with threadpool_limits(1):  # of small matrices, a second thread makes every product ten times slower
        return _compare(samples, tell)


def _compare(samples: Samples, tell: Tell) -> Study:
    each = (samples.reference, samples.floor, *samples.candidates)
    names = [s.name for s in each]
    every = axes(samples.detector, [s.incident for s in each])
    observables = [
        o for o in observables_for(samples.detector) if o.layer is None and o.name in samples.reference.names
    ]
    assessment = Assessment(samples.blocks, len(samples.candidates), samples.seed)
    charts: list[Chart] = []
    for k, observable in enumerate(observables):
        tell(k / len(observables), "bins of energy, angle and position")
        columns = [Column.of(s, observable.name) for s in each]
        for axis in every:
            charts += _in_bins(observable, columns, axis, assessment)
        charts += _curves(observable, columns, every[0], names)
    tell(1.0, "bins of energy, angle and position")
    return _study(samples, every, assessment, charts)


def axes(detector: Detector, incidents: Sequence[Incident]) -> tuple[Axis, ...]:
    """Return the energy, and angle and distance of the impact from the axis if Geant4's vary.

    An impact varies if it spreads over more than a cell of the first layer.

    Args:
        detector: What was hit.
        incidents: Particles of the reference, the floor and each candidate.
    """
    found = [_axis("energy", "Incident energy $E_{inc}$", "GeV", [i.energy / 1e3 for i in incidents])]
    theta = [np.degrees(i.theta.astype(np.float64)) for i in incidents]
    if np.ptp(theta[0]) > _SPANS:
        found.append(_axis("theta", r"Angle $\theta$", "°", theta))
    impact = [np.hypot(i.x.astype(np.float64), i.y.astype(np.float64)) for i in incidents]
    if max(np.ptp(incidents[0].x), np.ptp(incidents[0].y)) > _cell(detector):
        found.append(_axis("impact", "Distance of the impact from the axis", "mm", impact))
    return tuple(found)


def _cell(detector: Detector) -> float:
    grid = detector.layers[0].grid
    if isinstance(grid, PolarGrid):
        return float(np.diff(grid.r_edges).min())
    return min(grid.cell) if isinstance(grid, CartesianGrid) else grid.pitch


def _axis(name: str, label: str, unit: str, values: Sequence[NDArray[np.floating]]) -> Axis:
    known = np.asarray(values[0], np.float64)
    different = np.unique(known)
    if len(different) <= _MOST + 1:
        middle = (different[1:] + different[:-1]) / 2
        edges = np.array([different[0] * 0.9, *middle, different[-1] * 1.1 + (different[-1] == 0)])
    else:
        edges = np.unique([known.min(), *equal_shares(known, _MOST, _PER_BIN), known.max()])
    return Axis(name, label, unit, edges, tuple(np.asarray(v, np.float64) for v in values))


def _in_bins(
    observable: Observable, columns: Sequence[Column], axis: Axis, assessment: Assessment
) -> Iterator[Chart]:
    for i in range(len(axis)):
        inside = [c[rows] for c, rows in zip(columns, axis.inside(i), strict=True)]
        if min(len(c.values) for c in inside) < _LEAST:
            continue
        key = f"{observable.name}.{axis.name}_{i}"
        item = observable_item(observable, inside, _FINE)
        where = f"{axis.label.split(' $')[0].lower()} {axis.range_of(i)}"
        assessment.add(replace(item, name=key, label=f"{item.label}, {where}", theme="bins"))
        if axis.name == "energy":
            chart = histogram(observable, inside, item.bins, key=key, theme="bins")
            yield replace(chart, title=f"{observable.label}, {where}")


def _curves(
    observable: Observable, columns: Sequence[Column], axis: Axis, names: Sequence[str]
) -> Iterator[Curve]:
    """Draw mean and standard deviation against the energy."""
    inside = [axis.inside(i) for i in range(len(axis))]
    rows = np.array(
        [
            [moments(c.values[part]) for part in parts]
            for c, parts in zip(columns, zip(*inside, strict=True), strict=True)
        ]
    )
    if not np.isfinite(rows[0]).any():
        return
    at = np.array([axis.values[0][part[0]].mean() if part[0].any() else np.nan for part in inside])
    kept = np.isfinite(at)
    for key, what, column in (("vs_energy", "mean", 0), ("spread_vs_energy", "standard deviation", 2)):
        yield Curve(
            key=f"{observable.name}.{key}",
            title=f"{observable.label}: {what} against incident energy",
            theme="bins",
            quantity=observable.quantity,
            x=axis.label,
            unit=axis.unit,
            y=f"{observable.label}, {what}",
            y_unit=observable.unit,
            at=at[kept],
            lines=tuple(
                Line(name, role, of_sample[kept, column], of_sample[kept, column + 1])
                for name, role, of_sample in zip(names, roles(len(names)), rows, strict=True)
            ),
            # a ratio to a mean that changes its sign says nothing
            ratio=bool((rows[0, kept, column] > 0).all()),
        )


def _study(samples: Samples, every: Sequence[Axis], assessment: Assessment, charts: list[Chart]) -> Study:
    distances = assessment.distances()
    worst = [_worst(assessment, c) for c in range(len(samples.candidates))]
    if any(distances):
        charts.append(_table(samples, distances))
    return Study(
        "bins",
        "Bins of energy, angle and position",
        numbers=tuple(_numbers(found) for found in worst),
        charts=tuple(charts),
        findings=tuple(_findings(found) for found in distances),
        method=_METHOD.format(axes=", ".join(f"{len(a)} of {a.name}" for a in every), least=_LEAST),
        details={
            "edges": {a.name: a.edges.tolist() for a in every},
            "bins": [{d.name: _plain(d) for d in found} for found in distances],
        },
        absent=None if any(distances) else Absent(len(samples), 2 * _LEAST),
    )


def _worst(assessment: Assessment, c: int) -> Exchanged | None:
    """Return the largest among bins of the mean separation power of all observables."""
    by_bin: dict[str, list[Exchanged]] = {}
    for name, found in assessment.exchanged("separation", c).items():
        by_bin.setdefault(name.split(".")[1], []).append(found)
    means = [Exchanged.combine(parts) for parts in by_bin.values()]
    return Exchanged.combine(means, "max") if means else None


def _numbers(worst: Exchanged | None) -> tuple[Number, ...]:
    if worst is None:
        return ()
    number = Number(
        "separation_bins",
        "Mean separation power, worst bin",
        worst.measure(),
        meaning="Mean separation power of the whole-shower observables in the bin where it is largest.",
        beyond=worst.p_value < LARGEST_P,
    )
    return (number,)


def _findings(distances: Sequence[Distance]) -> tuple[Finding, ...]:
    off = sorted((d for d in distances if d.off), key=lambda d: -d.excess)
    if not off:
        return ()
    chart = next((d.name for d in off if ".energy_" in d.name), f"{off[0].quantity}.vs_energy")
    title = f"{len(off)} of {len(distances)} distributions in bins beyond their floor"
    return (Finding("note", title, f"Farthest from Geant4: {'; '.join(d.label for d in off[:3])}.", chart),)


def _table(samples: Samples, distances: Sequence[Sequence[Distance]]) -> Table:
    rows = []
    for sample, found in zip(samples.candidates, distances, strict=True):
        for d in found:
            separation, area = d.measures["separation"], d.measures.get("wasserstein")
            rows.append(
                (
                    *(sample.name, d.label),
                    *((separation.value, separation.error), (separation.floor, separation.floor_error)),
                    "" if area is None else (area.value, area.error),
                    "" if area is None else (area.floor, area.floor_error),
                    d.p_value,
                )
            )
    return Table(
        key="bins.table",
        title="Distances in bins",
        theme="bins",
        caption="p: how often chance gives as clear a difference anywhere in this table.",
        columns=(
            *("Sample", "Observable and bin", "Separation power", "its floor"),
            *("Wasserstein / σ", "its floor", "p"),
        ),
        rows=tuple(rows),
    )


def _plain(distance: Distance) -> dict[str, object]:
    measures = {key: vars(m) for key, m in distance.measures.items()}
    return {"excess": distance.excess, "p_value": distance.p_value, "measures": measures}


_METHOD = (
    "Bins hold about as many Geant4 showers each: {axes}. An axis along which Geant4's showers do not vary "
    "is left out, and so is a bin with fewer than {least} showers of a sample. Floors, errors and what is "
    "beyond chance are as for the inclusive distributions, the p-value corrected for all observables in all "
    "bins."
)

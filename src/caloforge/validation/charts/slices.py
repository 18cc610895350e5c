"""Charts of what slices of incident energy show."""

from __future__ import annotations

__all__ = ["slice_charts"]

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from caloforge.validation.charts import Chart, Curve, Line, Table
from caloforge.validation.classifiers.slices import Slice
from caloforge.validation.inputs.sample import Sample
from caloforge.validation.inputs.samples import Samples
from caloforge.validation.metrics.energy_bins import fixed_energies

Array = NDArray[np.float64]
_GEV = 1e3
_FLOOR = "Geant4, floor"


def slice_charts(samples: Samples, edges: Array, slices: Sequence[Sequence[Slice]]) -> Iterator[Chart]:
    """Yield AUC in slices of incident energy, if there are several, and a table of it beside the response.

    Args:
        samples: What is compared.
        edges: Of the slices, MeV.
        slices: What the classifiers say, of the floor and each candidate.
    """
    names = (_FLOOR, *(sample.name for sample in samples.candidates))
    fixed = fixed_energies(samples.reference.incident.energy)
    if len(edges) > 2:
        yield Curve(
            key="auc_slices",
            title="AUC in slices of incident energy, trees on cells",
            theme="classifiers",
            caption="Trees that were trained on all energies, tested on showers of each slice.",
            x="Incident energy $E_{inc}$",
            unit="GeV",
            y="AUC",
            y_unit="",
            at=(fixed if len(fixed) else (edges[1:] + edges[:-1]) / 2) / _GEV,
            edges=None if len(fixed) else edges / _GEV,
            lines=tuple(
                Line(
                    name,
                    "candidate" if i else "floor",
                    np.array([s.auc for s in found]),
                    np.array([s.error for s in found]),
                )
                for i, (name, found) in enumerate(zip(names, slices, strict=True))
            ),
            ratio=False,
            level=0.5,
        )
    yield _table(samples, edges, slices)


def _table(samples: Samples, edges: Array, slices: Sequence[Sequence[Slice]]) -> Table:
    """Write for each slice AUC and response of the candidates, and of the floor."""
    every = (*samples.candidates, samples.floor)
    found = (*slices[1:], slices[0])
    responses = [_responses(samples.reference, other, edges) for other in every]
    fixed = fixed_energies(samples.reference.incident.energy) / _GEV
    labels = [f"{energy:g} GeV" for energy in fixed] or [
        f"{low / _GEV:.3g} to {high / _GEV:.3g} GeV" if len(edges) > 2 else "all"
        for low, high in pairwise(edges.tolist())
    ]
    rows: list[tuple[str | float | tuple[float, float], ...]] = [
        (
            label,
            *((s[i].auc, s[i].error) for s in found),
            *(response[i] for response in responses),
        )
        for i, label in enumerate(labels)
    ]
    names = [*(sample.name for sample in samples.candidates), _FLOOR]
    return Table(
        key="slices_table",
        title="Cells and response in slices of incident energy",
        theme="classifiers",
        caption="AUC of the trees on cells, and the mean response's difference to Geant4's in percent.",
        columns=("Incident energy", *(f"AUC, {n}" for n in names), *(f"Response, {n} [%]" for n in names)),
        rows=tuple(rows),
    )


def _responses(reference: Sample, other: Sample, edges: Array) -> list[tuple[float, float]]:
    """Return the difference of mean responses in each slice, and its standard error, in percent."""
    out = []
    for i in range(len(edges) - 1):
        (a, a_error), (b, b_error) = (_response(sample, edges, i) for sample in (reference, other))
        out.append((100 * (b / a - 1), 100 * float(np.hypot(b_error, b / a * a_error)) / a))
    return out


def _response(sample: Sample, edges: Array, i: int) -> tuple[float, float]:
    values = np.asarray(sample.column("response"), np.float64)
    mine = values[(np.digitize(sample.incident.energy, edges[1:-1]) == i) & np.isfinite(values)]
    if len(mine) < 2:
        return np.nan, np.nan
    return float(mine.mean()), float(mine.std(ddof=1) / np.sqrt(len(mine)))

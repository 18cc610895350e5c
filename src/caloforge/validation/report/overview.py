"""Charts of the samples themselves: their incident energies, and quality against cost."""

from __future__ import annotations

__all__ = ["incident_chart", "pareto_charts", "repeats_chart"]

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from caloforge.validation.charts import Chart, Curve, Histogram, Line, Point, Points, binned
from caloforge.validation.inputs.samples import Samples
from caloforge.validation.measure import Number
from caloforge.validation.metrics.binning import binning

_QUALITIES = ("auc_high", "fpd", "auc_trees", "separation", "auc_low")
_MOST_SHOWN = 2

_MOST_REPEATS = 10


def incident_chart(samples: Samples) -> Chart:
    """Return the spectra of incident energy: if these differ, all that grows with energy differs, too."""
    parts = [samples.reference, samples.floor, *samples.candidates]
    energies = [np.asarray(sample.incident.energy, np.float64) for sample in parts]
    bins = binning(np.concatenate(energies[:2]))
    roles = ["geant4", "floor", *["candidate"] * len(samples.candidates)]
    return Histogram(
        key="incident_energy",
        title="Incident energy",
        theme="energy",
        caption="If these differ, everything that grows with energy differs, too.",
        quantity="incident_energy",
        x="Incident energy",
        unit="MeV",
        edges=bins.edges,
        log=bins.log,
        lines=tuple(
            Line(sample.name, role, binned(energy, bins.edges))  # type: ignore[arg-type]
            for sample, role, energy in zip(parts, roles, energies, strict=True)
        ),
    )


def pareto_charts(
    names: Sequence[str], numbers: Sequence[Mapping[str, Number]], milliseconds: Sequence[float | None]
) -> Iterator[Chart]:
    """Yield quality against milliseconds per shower, for the first two of these numbers that were computed.

    Args:
        names: Of Geant4 and of each candidate.
        numbers: Of each candidate, by name.
        milliseconds: Per shower of Geant4 and of each candidate; None where not known.
    """
    computed = [key for key in _QUALITIES if all(key in n for n in numbers)]
    for key in computed[:_MOST_SHOWN]:
        known = [n[key] for n in numbers]
        geant4 = known[0].measure
        measures = [(geant4.floor, geant4.floor_error), *((n.measure.value, n.measure.error) for n in known)]
        points = tuple(
            Point(name, "candidate" if i else "geant4", ms, value, y_error=float(np.nan_to_num(error)))
            for i, (name, ms, (value, error)) in enumerate(zip(names, milliseconds, measures, strict=True))
            if ms is not None and np.isfinite(value)
        )
        if len(points) > 1:
            yield Points(
                key=f"pareto.{key}",
                title=f"{known[0].label} against cost",
                theme="summary",
                caption="Milliseconds as each file says of its making, on the machine that made it.",
                x="ms per shower",
                y=known[0].label,
                points=points,
                log_x=True,
                pareto=True,
            )


def repeats_chart(names: Sequence[str], digests: Sequence[NDArray[np.uint64]]) -> Chart | None:
    """Return how often showers occur in a file, or None if every shower is there once.

    Args:
        names: Of Geant4 and of each candidate.
        digests: Hash of each shower with energy, over the whole files.
    """
    times = [np.unique(d, return_counts=True)[1] for d in digests]
    most = max(int(t.max(initial=1)) for t in times)
    if most < 2:
        return None
    shown = min(most, _MOST_REPEATS)
    counts = [np.bincount(np.minimum(t, shown), weights=t, minlength=shown + 1)[1:] for t in times]
    sizes = [max(len(d), 1) for d in digests]
    return Curve(
        key="repeats",
        title="How often a shower occurs",
        theme="showers",
        caption="Bit for bit the same shower, in the whole file. Repeated showers add no statistics.",
        quantity="repeats",
        x="Times that a shower occurs" + (f", {shown} or more in the last bin" if most > shown else ""),
        unit="",
        y="Share of all showers",
        y_unit="%",
        at=np.arange(1, shown + 1, dtype=np.float64),
        edges=np.arange(shown + 1, dtype=np.float64) + 0.5,
        lines=tuple(
            Line(name, "candidate" if i else "geant4", 100 * count / size, 100 * np.sqrt(count) / size)
            for i, (name, count, size) in enumerate(zip(names, counts, sizes, strict=True))
        ),
        ratio=False,
    )

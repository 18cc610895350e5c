"""Charts of the cell spectrum, of mean profiles, and of per-layer observables against the layer."""

from __future__ import annotations

__all__ = ["LayerCurves", "profile_charts", "spectrum_chart"]

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from caloforge.detector import Detector
from caloforge.observables import Observable
from caloforge.validation.charts import Curve, Histogram, Line
from caloforge.validation.inputs.sample import SPECTRUM_EDGES, Sample
from caloforge.validation.metrics.column import Column
from caloforge.validation.metrics.items import roles
from caloforge.validation.metrics.one_dimensional import moments
from caloforge.validation.metrics.profiles import Profile

Array = NDArray[np.float64]
_MANY_LAYERS = 8


def spectrum_chart(samples: Sequence[Sample]) -> Histogram:
    """Draw the energies of all cells, with errors from the scatter of blocks: cells of a shower go together.

    Args:
        samples: The reference, the floor and each candidate.
    """
    filled = np.flatnonzero(sum(s.spectrum.sum(axis=0) for s in samples))
    inside = slice(filled[0], filled[-1] + 1) if len(filled) else slice(0, len(SPECTRUM_EDGES) - 1)
    lines = [
        Line(
            s.name,
            role,
            np.pad(s.spectrum[:, inside].sum(axis=0, dtype=np.float64), (0, 3)),
            np.pad(s.spectrum[:, inside].std(axis=0, ddof=1) * np.sqrt(len(s.spectrum)), (0, 3)),
        )
        for s, role in zip(samples, roles(len(samples)), strict=True)
    ]
    return Histogram(
        key="cell_spectrum",
        title="Cell energy",
        theme="cells",
        quantity="cell_spectrum",
        x="Cell energy",
        unit="MeV",
        edges=SPECTRUM_EDGES[inside.start : inside.stop + 1],
        lines=tuple(lines),
        log=True,
        y="Cells per bin",
    )


def profile_charts(profile: Profile, samples: Sequence[Sample]) -> Iterator[Curve]:
    """Draw a mean profile; the longitudinal one also on a logarithmic scale.

    Args:
        profile: Which.
        samples: The reference, the floor and each candidate.
    """
    lines = []
    for sample, role in zip(samples, roles(len(samples)), strict=True):
        sums = profile.project(sample.images) / profile.widths
        means = sums / sample.counts[:, None]
        error = means.std(axis=0, ddof=1) / np.sqrt(len(means))
        lines.append(Line(sample.name, role, sums.sum(axis=0) / len(sample), error))
    linear = Curve(
        key=profile.name,
        title=profile.label,
        theme="profiles",
        quantity=profile.name,
        x=profile.axis,
        unit=profile.unit,
        y="Mean energy",
        y_unit="MeV/mm" if profile.density else "MeV",
        at=(profile.edges[1:] + profile.edges[:-1]) / 2,
        edges=profile.edges,
        lines=tuple(lines),
    )
    yield linear
    if profile.name == "profile_z":
        yield replace(linear, key=f"{linear.key}.log", log_y=True)


@dataclass
class LayerCurves:
    """Mean and spread of per-layer observables against the layer, for detectors of more than eight layers.

    Args:
        detector: What was hit.
        names: Name of each sample.
    """

    detector: Detector
    names: Sequence[str]
    _found: dict[str, list[tuple[Observable, Array]]] = field(default_factory=dict)

    def add(self, observable: Observable, columns: Sequence[Column]) -> None:
        """Note mean and spread of an observable of one layer in each sample."""
        if observable.layer is None or self.detector.n_layers <= _MANY_LAYERS:
            return
        rows = np.array([moments(c.ranked) for c in columns])
        self._found.setdefault(observable.quantity, []).append((observable, rows))

    def charts(self) -> Iterator[Curve]:
        """Yield two curves per quantity: `NAME.layers` and `NAME.layers_spread`."""
        for quantity, found in self._found.items():
            observable = found[0][0]
            label = observable.label.removesuffix(f", {self._layer_name(observable)}")
            at = np.array([o.layer for o, _ in found], np.float64)
            rows = np.stack([r for _, r in found])
            for suffix, what, column in (("layers", "mean", 0), ("layers_spread", "spread", 2)):
                lines = [
                    Line(name, role, rows[:, i, column], rows[:, i, column + 1])
                    for i, (name, role) in enumerate(zip(self.names, roles(len(self.names)), strict=True))
                ]
                yield Curve(
                    key=f"{quantity}.{suffix}",
                    title=f"{label}: {what} in each layer",
                    theme=observable.theme,
                    quantity=quantity,
                    x="Layer",
                    unit="",
                    y=f"{label}, {what}",
                    y_unit=observable.unit,
                    at=at,
                    lines=tuple(lines),
                    # a ratio to a mean that changes its sign says nothing
                    ratio=bool((rows[:, 0, column] > 0).all()),
                )

    def _layer_name(self, observable: Observable) -> str:
        return self.detector.layers[observable.layer or 0].name.replace("_", " ")

"""Correlations of layer energies and of whole-shower observables."""

from __future__ import annotations

__all__ = ["correlations"]

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caloforge.observables import observables_for
from caloforge.validation.charts import Face, Map, Maps
from caloforge.validation.inputs.resampling import Resampling, bootstraps, splits
from caloforge.validation.inputs.sample import Sample
from caloforge.validation.inputs.samples import Samples
from caloforge.validation.measure import Measure, Number
from caloforge.validation.metrics.correlation import (
    Products,
    largest_difference,
    pearson,
    products,
    rms_difference,
)
from caloforge.validation.study import Finding, Study, Tell

Array = NDArray[np.float64]
Columns = Callable[[Sample], Array]

_MOST_TICKS = 12
_UNDEFINED = 0.1
"""Observables that are undefined in a larger share of the showers are left out."""


@dataclass(frozen=True)
class _Matrix:
    """Correlations of some quantities in all samples.

    Attributes:
        key: Stable key.
        title: For people.
        ticks: Names of the quantities.
        reference: Coefficients of Geant4, shape `(k, k)`.
        candidates: The same of each candidate.
        measures: For each candidate the root mean square and the largest difference.
    """

    key: str
    title: str
    ticks: tuple[str, ...]
    reference: Array
    candidates: tuple[Array, ...]
    measures: tuple[tuple[Measure, Measure], ...]


def correlations(samples: Samples, tell: Tell) -> Study:
    """Compare Pearson coefficients of layer energies, as shares, and of whole-shower observables.

    Args:
        samples: What to compare.
        tell: Called as the work advances.
    """
    found = []
    for i, (key, title, ticks, columns) in enumerate(_wanted(samples)):
        tell(i / 3, title)
        matrix = _matrix(samples, key, title, ticks, columns)
        if matrix is not None:
            found.append(matrix)
    count = len(samples.candidates)
    return Study(
        "correlations",
        "Correlations",
        tuple(tuple(_numbers(found, i)) for i in range(count)),
        tuple(_chart(samples, matrix) for matrix in found),
        tuple(tuple(_findings(found, i)) for i in range(count)),
        _METHOD if found else "Correlations need two quantities that vary; there are none.",
        {matrix.key: matrix.reference.tolist() for matrix in found},
    )


def _wanted(samples: Samples) -> Iterator[tuple[str, str, tuple[str, ...], Columns]]:
    names = samples.reference.names
    layers = [f"layer_energy_{i}" for i in range(samples.detector.n_layers)]
    labels = tuple(layer.name.replace("_", " ") for layer in samples.detector.layers)
    if len(layers) > 1 and set(layers) <= set(names):
        yield "layers", "Layer energies over incident energy", labels, _over_incident(layers)
        yield "fractions", "Layer energies over total energy", labels, _over_total(layers)
    whole = [o for o in observables_for(samples.detector) if o.layer is None and o.name in names]
    columns = _without_outliers([o.name for o in whole], samples.reference)
    yield "observables", "Whole-shower observables", tuple(o.label for o in whole), columns


def _as_they_are(names: list[str]) -> Columns:
    def columns(sample: Sample) -> Array:
        values = [np.asarray(sample.column(name), np.float64) for name in names]
        return np.column_stack(values) if values else np.empty((len(sample), 0))

    return columns


def _without_outliers(names: list[str], reference: Sample) -> Columns:
    """Cut columns at twice Geant4's 1 to 99 % range, about the middle of their own."""
    plain = _as_they_are(names)
    reach = [high - low for low, high in map(_range, plain(reference).T)]

    def columns(sample: Sample) -> Array:
        out = plain(sample)
        for column, far in zip(out.T, reach, strict=True):
            middle = sum(_range(column)) / 2
            np.clip(column, middle - far, middle + far, out=column)
        return out

    return columns


def _range(values: Array) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    if not len(known):
        return 0.0, 0.0
    low, high = np.quantile(known, [0.01, 0.99])
    return float(low), float(high)


def _over_incident(layers: list[str]) -> Columns:
    def columns(sample: Sample) -> Array:
        return np.asarray(_as_they_are(layers)(sample) / sample.incident.energy[:, None], np.float64)

    return columns


def _over_total(layers: list[str]) -> Columns:
    def columns(sample: Sample) -> Array:
        energy = _as_they_are(layers)(sample)
        total = energy.sum(axis=1, keepdims=True)
        # a shower without energy has no fractions; all its layers being equal adds no correlation
        fractions = np.zeros_like(energy)
        np.divide(energy, total, out=fractions, where=total > 0)
        return fractions

    return columns


def _matrix(
    samples: Samples, key: str, title: str, ticks: tuple[str, ...], columns: Columns
) -> _Matrix | None:
    every = [columns(s) for s in (samples.reference, samples.floor, *samples.candidates)]
    kept = _kept(every)
    if kept.sum() < 2:
        return None
    centre, spread = np.nanmean(every[0][:, kept], axis=0), np.nanstd(every[0][:, kept], axis=0)
    reference, floor, *others = (
        products((values[:, kept] - centre) / spread, sample.block, samples.blocks)
        for values, sample in zip(every, (samples.reference, samples.floor, *samples.candidates), strict=True)
    )
    cuts, boots = (make(samples.blocks, samples.seed) for make in (splits, bootstraps))
    chance, measures = _differences(cuts, reference, floor), []
    for other in others:
        drawn = _differences(boots, reference, other)
        value = [f(_of(reference), _of(other))[0] for f in (rms_difference, largest_difference)]
        pair = [
            Measure(float(v), float(d.std(ddof=1)), float(c.mean()), float(c.std(ddof=1)))
            for v, d, c in zip(value, drawn, chance, strict=True)
        ]
        measures.append((pair[0], pair[1]))
    labels = tuple(tick for tick, keep in zip(ticks, kept, strict=True) if keep)
    return _Matrix(key, title, labels, _of(reference)[0], tuple(_of(o)[0] for o in others), tuple(measures))


def _kept(every: list[Array]) -> NDArray[np.bool_]:
    """Say which quantities are defined nearly everywhere, and vary in Geant4."""
    defined = [np.isfinite(values).mean(axis=0) >= 1 - _UNDEFINED for values in every]
    kept = np.asarray(np.logical_and.reduce(defined), np.bool_)
    for j in np.flatnonzero(kept):
        column = every[0][:, j]
        known = column[np.isfinite(column)]
        kept[j] = known.std() > 1e-6 * np.abs(known).max()
    return kept


def _of(sums: Products) -> Array:
    return pearson(*(x.sum(axis=0, keepdims=True) for x in (sums.counts, sums.sums, sums.squares)))


def _differences(resampling: Resampling, a: Products, b: Products) -> tuple[Array, Array]:
    parts = [resampling(x, y) for x, y in zip(_fields(a), _fields(b), strict=True)]
    one, other = (pearson(*(part[i] for part in parts)) for i in (0, 1))
    return rms_difference(one, other), largest_difference(one, other)


def _fields(sums: Products) -> tuple[Array, Array, Array]:
    return sums.counts, sums.sums, sums.squares


def _numbers(found: list[_Matrix], i: int) -> Iterator[Number]:
    for matrix in found:
        about = f"of the Pearson coefficients ({matrix.title.lower()}) from those of Geant4."
        rms, largest = matrix.measures[i]
        name = "correlation" if matrix is found[0] else f"correlation_{matrix.key}"
        label = f"Correlations, {matrix.key}"
        yield Number(name, label, rms, meaning=f"Root mean square difference {about}")
        yield Number(f"{name}_worst", f"{label}, worst", largest, meaning=f"Largest difference {about}")


def _findings(found: list[_Matrix], i: int) -> Iterator[Finding]:
    for matrix in found:
        difference = np.abs(matrix.candidates[i] - matrix.reference)
        largest = matrix.measures[i][1]
        if largest.excess > 5 and largest.value > 0.2:
            a, b = np.unravel_index(difference.argmax(), difference.shape)
            text = (
                f"{matrix.ticks[a]} and {matrix.ticks[b]} have a correlation of "
                f"{matrix.candidates[i][a, b]:.2f}; in Geant4 {matrix.reference[a, b]:.2f}."
            )
            yield Finding("note", "Correlations differ", text, f"correlation_{matrix.key}")


def _chart(samples: Samples, matrix: _Matrix) -> Maps:
    ticks = matrix.ticks if len(matrix.ticks) <= _MOST_TICKS else ()
    panels = [Map(samples.reference.name, _face(matrix.reference), "correlation", ticks)]
    for sample, values in zip(samples.candidates, matrix.candidates, strict=True):
        panels.append(Map(sample.name, _face(values), "correlation", ticks))
        difference = _face(values - matrix.reference)
        panels.append(Map(f"{sample.name} - {samples.reference.name}", difference, "difference", ticks))
    return Maps(
        key=f"correlation_{matrix.key}",
        title=f"Correlations: {matrix.title}",
        theme="correlations",
        caption="Pearson coefficients over all showers.",
        panels=tuple(panels),
    )


def _face(values: Array) -> Face:
    edges = np.arange(len(values) + 1, dtype=np.float64)
    x, y = np.meshgrid(edges, edges, indexing="ij")
    return Face(x, y, values, ("", ""))


_METHOD = (
    "Correlations: Pearson coefficients of layer energies over the incident and over the total energy, and "
    "of whole-shower observables (outliers beyond twice Geant4's 1 to 99 % range count as at its ends). "
    "The number is the root mean square difference of the coefficients off the diagonal, that is the "
    "Frobenius norm of the difference over the root of the number of entries; beside it the largest "
    "difference. Observables undefined in more than 10 % of the showers or constant in Geant4 are left "
    "out, as are showers with another undefined one; what does not vary in a candidate counts as "
    "uncorrelated. Floor: 200 cuts of all Geant4 showers in two halves; errors: bootstrap of 100 random "
    "blocks."
)

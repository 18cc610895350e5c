"""Average images and single showers: SSIM, and maps for the eye."""

from __future__ import annotations

__all__ = ["images"]

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from caloforge.detector import Detector
from caloforge.validation.charts import Chart, Cloud, Face, Map, Maps, Role
from caloforge.validation.charts.faces import even_layers, front_face, layer_face, main_layers, side_face
from caloforge.validation.inputs.pairs import PairImages, nearest_in_energy
from caloforge.validation.inputs.resampling import Resampling, bootstraps, splits
from caloforge.validation.inputs.sample import Sample
from caloforge.validation.inputs.samples import Samples
from caloforge.validation.measure import Measure, Number
from caloforge.validation.metrics.similarity import layer_similarity, log_image
from caloforge.validation.study import Study, Tell

Array = NDArray[np.float64]
Row = tuple[Sample, int]

DECADES = 4.0
"""Dynamic range of average images, below the hottest cell of each layer in Geant4."""

_CUTS, _BOOTS = 40, 20
_LAYERS = 6
_SHOWERS = 4
_HITS = 1_500


def images(samples: Samples, tell: Tell) -> Study:
    """Compare average images and single showers with those of Geant4.

    Args:
        samples: What to compare.
        tell: Called as the work advances.
    """
    averages = _average_numbers(samples, tell)
    tell(0.5, "pairs of showers")
    pairs = _pair_numbers(samples)
    tell(0.9, "images")
    missing = "" if all(pairs) else " Paired showers are left out: no whole showers are kept."
    return Study(
        "images",
        "Average images and single showers",
        tuple((*average, *pair) for average, pair in zip(averages, pairs, strict=True)),
        (*_average_charts(samples), *_shower_charts(samples)),
        method=_METHOD + missing,
    )


def _average_numbers(samples: Samples, tell: Tell) -> list[tuple[Number, ...]]:
    detector, reference = samples.detector, samples.reference
    layer = detector.layer_of_cell
    weights = np.bincount(layer, reference.mean_cells, minlength=detector.n_layers).astype(np.float64)
    if not weights.any():
        return [() for _ in samples.candidates]
    top = np.zeros(detector.n_layers)
    np.maximum.at(top, layer, reference.mean_cells)

    def similarity(one: Array, other: Array) -> Array:
        a, b = (log_image(x, top[layer], DECADES) for x in (one, other))
        return layer_similarity(detector, a, b, DECADES, weights)

    def resampled(resampling: Resampling, sample: Sample, most: int) -> Array:
        part = Resampling(resampling.first[:most], resampling.second[:most])
        sums = part(reference.images, sample.images)
        counts = part(*(np.asarray(s.counts[:, None], np.float64) for s in (reference, sample)))
        pairs = zip(sums[0] / counts[0], sums[1] / counts[1], strict=True)
        return np.concatenate([similarity(a[None], b[None]) for a, b in pairs])

    chance = resampled(splits(samples.blocks, samples.seed), samples.floor, _CUTS)
    draws = bootstraps(samples.blocks, samples.seed)
    out: list[tuple[Number, ...]] = []
    for i, sample in enumerate(samples.candidates):
        tell(0.5 * (i + 1) / (1 + len(samples.candidates)), "SSIM of average images")
        value = float(similarity(reference.mean_cells[None], sample.mean_cells[None])[0])
        error = float(resampled(draws, sample, _BOOTS).std(ddof=1))
        measure = Measure(value, error, float(chance.mean()), float(chance.std(ddof=1)))
        out.append((Number("ssim", "SSIM, average images", measure, better="high", meaning=_SSIM),))
    return out


_SSIM = "Structural similarity of the mean energies of the cells, log10, mean over layers by energy."


def _pair_numbers(samples: Samples) -> list[tuple[Number, ...]]:
    reference, scales = samples.reference, PairImages.of(samples.reference)
    others = (samples.floor, *samples.candidates)
    kept = min(sample.cells.shape[0] for sample in (reference, *others))
    if kept < 2 or not scales.weights.any():
        return [() for _ in samples.candidates]
    rows = np.arange(min(scales.most, kept))
    found = []
    for sample in others:
        near = nearest_in_energy(reference.energies[rows], sample.energies[: sample.cells.shape[0]])
        ssim = scales.similarity(reference, rows, sample, near)
        found.append((float(ssim.mean()), float(ssim.std(ddof=1) / len(ssim) ** 0.5)))
    return [
        (
            Number(
                "ssim_pairs",
                "SSIM, showers at one energy",
                Measure(*pair, *found[0]),
                better="floor",
                meaning="Mean structural similarity of Geant4's showers with those nearest in energy.",
            ),
        )
        for pair in found[1:]
    ]


def _views(detector: Detector, mean_cells: Array) -> list[tuple[str, str, int | None]]:
    """Return key, title and layer of the maps: from the front, from the side, and layers."""
    views: list[tuple[str, str, int | None]] = []
    if even_layers(detector):
        views += [("front", "all layers", None), ("side", "from the side", None)]
    return views + [
        (str(i), detector.layers[i].name.replace("_", " "), i)
        for i in main_layers(detector, mean_cells, _LAYERS)
    ]


def _face(detector: Detector, view: tuple[str, str, int | None], cells: Array) -> Face:
    if view[2] is not None:
        return layer_face(detector, view[2], cells)
    return (front_face if view[0] == "front" else side_face)(detector, cells)


def _average_charts(samples: Samples) -> Iterator[Chart]:
    detector, reference = samples.detector, samples.reference
    for view in _views(detector, reference.mean_cells):
        first = _face(detector, view, reference.mean_cells)
        panels = [Map(reference.name, first, "energy")]
        for sample in samples.candidates:
            face = _face(detector, view, sample.mean_cells)
            panels += [
                Map(sample.name, face, "energy"),
                Map(f"{sample.name} / {reference.name}", _over(face, first), "ratio"),
            ]
        yield Maps(
            key=f"image_{view[0]}",
            title=f"Average image, {view[1]}",
            theme="images",
            caption="Mean energy of the cells.",
            quantity="image",
            layer=view[2],
            panels=tuple(panels),
        )


def _over(face: Face, reference: Face) -> Face:
    ratio = np.full(face.values.shape, np.nan)
    np.divide(face.values, reference.values, out=ratio, where=reference.values > 0)
    return Face(face.x, face.y, ratio, face.labels, face.square)


def _shower_charts(samples: Samples) -> Iterator[Chart]:
    every = (samples.reference, *samples.candidates)
    kept = min(sample.cells.shape[0] for sample in every)
    for i in range(min(_SHOWERS, kept)):
        yield _showers_at_one_energy(samples.detector, _at_one_energy(every, i), i)
    if kept:
        yield _cloud(samples.detector, _at_one_energy(every, 0))


def _at_one_energy(every: tuple[Sample, ...], i: int) -> list[Row]:
    """Return a shower of Geant4 and the one of each candidate that is nearest in incident energy."""
    wanted = every[0].energies[[i]]
    return [
        (every[0], i),
        *((s, int(nearest_in_energy(wanted, s.energies[: s.cells.shape[0]])[0])) for s in every[1:]),
    ]


def _showers_at_one_energy(detector: Detector, rows: list[Row], i: int) -> Maps:
    mean = rows[0][0].mean_cells
    views = _views(detector, mean)
    # two views say enough about one shower; unlike layers are shown around the maximum
    views = views[:2] if even_layers(detector) else views[:3]
    panels = tuple(
        Map(f"{_name(sample, row)}, {view[1]}", _face(detector, view, _cells(sample, row)), "energy")
        for sample, row in rows
        for view in views
    )
    return Maps(
        key=f"shower_{i}",
        title=f"Single showers near {rows[0][0].energies[i] / 1e3:.3g} GeV",
        theme="showers",
        caption="A random shower of Geant4 and each candidate's nearest in incident energy.",
        panels=panels,
    )


def _name(sample: Sample, row: int) -> str:
    return f"{sample.name}, {sample.energies[row] / 1e3:.3g} GeV"


def _cells(sample: Sample, row: int) -> Array:
    return np.asarray(sample.cells[[row]].toarray()[0], np.float64)


def _cloud(detector: Detector, rows: list[Row]) -> Cloud:
    roles: list[Role] = ["geant4"]
    roles += ["candidate"] * (len(rows) - 1)
    reach = np.array([layer.grid.reach for layer in detector.layers]).max(axis=0)
    depth = detector.layers[-1].end - detector.layers[0].start
    return Cloud(
        key="cloud",
        title=f"A shower in space near {rows[0][0].energies[rows[0][1]] / 1e3:.3g} GeV",
        theme="showers",
        caption=f"The hottest cells, at most {_HITS:,}.",
        showers=tuple(
            (_name(sample, row), role, _hits(detector, _cells(sample, row)))
            for (sample, row), role in zip(rows, roles, strict=True)
        ),
        size=(2 * float(reach[0]), 2 * float(reach[1]), float(depth)),
    )


def _hits(detector: Detector, cells: Array) -> Array:
    hottest = np.argsort(-cells, kind="stable")[: min(_HITS, np.count_nonzero(cells))]
    return np.column_stack([detector.positions[hottest], cells[hottest]])


_METHOD = (
    "SSIM of average images: structural similarity (Gaussian weights of 1.5 cells, "
    "10.1109/TIP.2003.819861) of log10 of the mean energy of each cell, four decades below the hottest "
    "cell of the layer in Geant4, each layer on its own grid, mean over its cells and over layers by their "
    "energy. Floor: 40 cuts of all Geant4 showers; error: 20 bootstraps of 100 blocks. SSIM of showers: "
    "the same for single showers of Geant4, as shares of the incident energy over three decades, each with "
    "the shower of the candidate nearest in incident energy; the floor takes the other Geant4 sample. "
    "Neither more nor less than the floor is good: a shower without fluctuations is like all others."
)

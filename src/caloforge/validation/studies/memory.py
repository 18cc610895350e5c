"""Memorisation: are generated showers nearer to training showers than Geant4's own?"""

from __future__ import annotations

__all__ = ["memorisation", "relative_to", "share_below", "shower_digests"]

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from caloforge.validation.charts import Histogram, Line, Map, Maps, binned
from caloforge.validation.charts.faces import shower_face
from caloforge.validation.inputs.sample import Sample
from caloforge.validation.inputs.samples import Samples
from caloforge.validation.measure import Measure, Number
from caloforge.validation.metrics.energy_bins import equal_shares
from caloforge.validation.metrics.nearest import nearest_training
from caloforge.validation.study import Absent, Finding, Study, Tell, without_numbers

Array = NDArray[np.float64]

WINDOW = 1_000
QUANTILE = 0.01
_MOST_SHOWERS = 5_000
_MOST_WORK = 3e7
_ENERGY_BINS, _FEWEST = 8, 25
_TITLE = "Memorisation of training showers"
_MANY = 1e-3


@dataclass(frozen=True)
class _Near:
    """One sample beside the training showers.

    Attributes:
        sample: The sample.
        distance: To the nearest training shower, relative to Geant4's median at that energy, shape `(n,)`.
        row: That training shower, shape `(n,)`.
        copies: Share of showers that are a training shower bit for bit.
        showers: How many were looked up for copies.
    """

    sample: Sample
    distance: Array
    row: NDArray[np.int64]
    copies: float
    showers: int


def memorisation(samples: Samples, tell: Tell) -> Study:
    """Compare distances to the nearest training shower with those of Geant4 that was not trained on.

    Args:
        samples: What to compare, with the training showers.
        tell: Called as the work advances.
    """
    training, count = samples.training, _showers(samples)
    if training is None or count < _FEWEST or training.cells.shape[0] < 2:
        few = count < _FEWEST
        absent = (
            Absent(count, _FEWEST) if few else Absent(count, 0, "there are no training showers, or only one")
        )
        return without_numbers("memory", _TITLE, samples.candidates, absent)
    every = (samples.reference, samples.floor, *samples.candidates)
    found, known = [], shower_digests(training.cells)
    for i, sample in enumerate(every):
        tell(i / len(every), "nearest training showers")
        found.append(_nearest(sample, training, known, count))
    reference = found[0]
    # low energies fluctuate more: every distance in units of Geant4's median at its energy
    energy = reference.sample.energies[:count]
    scaled = [
        _Near(
            n.sample,
            relative_to(energy, reference.distance, n.sample.energies[:count], n.distance),
            *_rest(n),
        )
        for n in found
    ]
    floor, others = scaled[1], scaled[2:]
    return Study(
        "memory",
        _TITLE,
        tuple(_numbers(scaled[0], floor, near) for near in others),
        (_histogram(scaled), _closest([scaled[0], *others], training)),
        tuple(tuple(_findings(scaled[0], floor, near)) for near in others),
        _method(count, training),
    )


def _rest(near: _Near) -> tuple[NDArray[np.int64], float, int]:
    return near.row, near.copies, near.showers


def _showers(samples: Samples) -> int:
    kept = min(sample.cells.shape[0] for sample in (samples.reference, samples.floor, *samples.candidates))
    return min(kept, _MOST_SHOWERS, max(200, int(_MOST_WORK / samples.detector.n_cells)))


def _nearest(sample: Sample, training: Sample, known: NDArray[np.uint64], count: int) -> _Near:
    energies = training.energies[: training.cells.shape[0]]
    distance, row = nearest_training(
        sample.cells[:count], sample.energies[:count], training.cells, energies, WINDOW
    )
    own = shower_digests(sample.cells)
    copies = float(np.isin(own, known).sum() / sample.cells.shape[0])
    return _Near(sample, distance, row, copies, sample.cells.shape[0])


def shower_digests(cells: csr_array) -> NDArray[np.uint64]:
    """Return a hash of the cells of each shower with energy, shape `(at most n,)`.

    Args:
        cells: Energies, shape `(n, n_cells)`.
    """
    digests = [
        blake2b(cells.indices[a:b].tobytes() + cells.data[a:b].tobytes(), digest_size=8).digest()
        for a, b in zip(cells.indptr[:-1], cells.indptr[1:], strict=True)
        if b > a
    ]
    return np.frombuffer(b"".join(digests), np.uint64)


def relative_to(
    reference_energy: NDArray[np.floating],
    reference: Array,
    energy: NDArray[np.floating],
    distance: Array,
) -> Array:
    """Divide distances by the median distance of Geant4's showers of like energy.

    Args:
        reference_energy: Incident energies of Geant4's showers, shape `(n,)`.
        reference: Their distances, shape `(n,)`.
        energy: Incident energies, shape `(m,)`.
        distance: What to divide, shape `(m,)`.

    Returns:
        Shape `(m,)`; up to eight bins of energy with as many showers of Geant4 each.
    """
    inner = equal_shares(reference_energy, _ENERGY_BINS, _FEWEST)
    mine, its = np.searchsorted(inner, energy), np.searchsorted(inner, reference_energy)
    bins = [reference[its == i] for i in range(len(inner) + 1)]
    median = np.array([np.median(values) if len(values) else np.nan for values in bins])
    median = np.where(median > 0, median, np.median(reference))[mine]
    out = np.zeros_like(distance)
    np.divide(distance, median, out=out, where=median > 0)
    return out


def share_below(distance: Array, limit: float) -> tuple[float, float]:
    """Return the share of distances below a limit in percent, with its error.

    Args:
        distance: Shape `(n,)`.
        limit: The limit.
    """
    n, below = len(distance), int((distance < limit).sum())
    share = (below + 1) / (n + 2)  # so that none of n is not known without an error
    return 100 * below / n, 100 * float(np.sqrt(share * (1 - share) / n))


def _numbers(reference: _Near, floor: _Near, near: _Near) -> tuple[Number, ...]:
    limit = float(np.quantile(reference.distance, QUANTILE))
    n = len(reference.distance)
    quantile_error = 100 * (QUANTILE * (1 - QUANTILE) / n) ** 0.5
    value, error = share_below(near.distance, limit)
    chance, chance_error = share_below(floor.distance, limit)
    memorised = Measure(value, error, chance, float(np.hypot(chance_error, quantile_error)))
    # the error of a median is 1.25 times that of a mean, for anything like a Gaussian
    median, median_error = _median(near.distance)
    other, other_error = _median(floor.distance)
    return (
        Number("memorised", "Memorised showers", memorised, "%", meaning=_MEMORISED),
        Number(
            "memory_distance",
            "Distance to the training showers",
            Measure(median, median_error, other, other_error),
            better="floor",
            meaning="Median distance to the nearest training shower over that of held-out Geant4.",
        ),
        Number(
            "training_copies",
            "Copies of training showers",
            Measure(*_percent(near), *_percent(floor)),
            "%",
            meaning="Showers that are a training shower bit for bit.",
            beyond=near.copies > floor.copies + _MANY,
        ),
    )


_MEMORISED = (
    "Showers nearer to a training shower of comparable energy than 99 % of held-out Geant4 showers; 1 % is "
    "what independent showers have."
)


def _median(distance: Array) -> tuple[float, float]:
    low, middle, high = np.quantile(distance, [0.1587, 0.5, 0.8413])
    return float(middle), float(1.2533 * (high - low) / 2 / len(distance) ** 0.5)


def _percent(near: _Near) -> tuple[float, float]:
    share = (near.copies * near.showers + 1) / (near.showers + 2)
    return 100 * near.copies, 100 * float(np.sqrt(share * (1 - share) / near.showers))


def _findings(reference: _Near, floor: _Near, near: _Near) -> list[Finding]:
    out = []
    memorised, _, copies = _numbers(reference, floor, near)
    if memorised.off:
        text = (
            f"{memorised.measure.value:.1f} % of the showers are nearer to a training shower than 99 % of "
            "Geant4's; for independent showers it is 1 %."
        )
        out.append(Finding("fault", "Training showers are memorised", text, "training_distance"))
    if copies.off:
        text = f"{100 * near.copies:.2g} % of the showers are training showers bit for bit."
        out.append(Finding("fault", "Copies of training showers", text, "training_closest"))
    shared = max(reference.copies, floor.copies)
    if shared > _MANY:
        text = (
            f"{100 * shared:.2g} % of the Geant4 showers compared with are in the training file too. The "
            "comparison rewards memory: use showers that were not trained on."
        )
        out.append(Finding("fault", "Geant4's sample shares showers with the training file", text))
    return out


def _histogram(found: list[_Near]) -> Histogram:
    every = np.concatenate([near.distance for near in found])
    positive = every[every > 0]
    low, high = np.quantile(positive, [0.0005, 0.9995]) if len(positive) else (0.5, 2.0)
    edges = np.geomspace(low * 0.98, max(high, low * 1.1) * 1.02, 41)
    roles = ("geant4", "floor", *("candidate" for _ in found[2:]))
    lines = tuple(
        Line(near.sample.name, role, binned(near.distance, edges))  # type: ignore[arg-type]
        for near, role in zip(found, roles, strict=True)
    )
    return Histogram(
        key="training_distance",
        title="Distance to the nearest training shower",
        theme="generative",
        caption="Relative to the median of Geant4 at the same energy. A memorised shower is far to the left.",
        x="Distance / median of Geant4",
        unit="",
        edges=edges,
        lines=lines,
        log=True,
    )


def _closest(found: list[_Near], training: Sample) -> Maps:
    panels = []
    for near in found:
        i = int(near.distance.argmin())
        for name, sample, row in ((near.sample.name, near.sample, i), ("in training", training, near.row[i])):
            cells = np.asarray(sample.cells[[row]].toarray()[0], np.float64)
            title = f"{name}, {sample.energies[row] / 1e3:.3g} GeV"
            panels.append(Map(title, shower_face(training.detector, cells), "energy"))
    return Maps(
        key="training_closest",
        title="The shower nearest to a training shower, and that one",
        theme="generative",
        caption="For Geant4 and for each candidate; distances relative to Geant4's at the same energy.",
        panels=tuple(panels),
    )


def _method(count: int, training: Sample) -> str:
    kept, every = training.cells.shape[0], len(training)
    part = (
        "" if kept == every else f", a random part of {every:,} (what is memorised from the rest is not seen)"
    )
    return (
        f"Memorisation: Euclidean distance of cells over incident energy between {count:,} showers of each "
        f"sample and the nearest of {kept:,} training showers{part}, among the {min(WINDOW, kept):,} "
        "nearest in incident energy, in units of the median of held-out Geant4 in eight bins of energy. "
        "Memorised is what lies below the 1 % quantile of held-out Geant4; the floor is the same for the "
        "other Geant4 sample. Copies are found by a hash of all cells."
    )

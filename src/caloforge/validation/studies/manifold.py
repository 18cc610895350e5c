"""Precision, recall, density and coverage of whole showers, cell by cell."""

from __future__ import annotations

__all__ = ["log_cells", "manifold"]

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from caloforge.validation.charts import Table
from caloforge.validation.inputs.samples import Samples
from caloforge.validation.measure import Measure, Number
from caloforge.validation.metrics.neighbours import PRDC, jackknife, prdc, radii
from caloforge.validation.study import Absent, Study, Tell, without_numbers

Array = NDArray[np.float64]
Row = tuple[str | float | tuple[float, float], ...]

NEIGHBOURS = 5
EMPTY = 0.1
"""What an empty cell counts as, MeV: the CaloChallenge's choice."""

_MOST_SHOWERS = 5_000
_MOST_WORK = 2.5e10
"""Showers squared times cells: what limits the number of showers in large detectors."""

_LABELS = {
    "precision": "Share of the candidate's showers inside the manifold of Geant4's",
    "recall": "Share of Geant4's showers inside the manifold of the candidate's",
    "density": "How many of Geant4's balls hold a shower of the candidate, over k",
    "coverage": "Share of Geant4's showers whose ball holds a shower of the candidate",
}
# a candidate that stays in the core of Geant4's distribution has more precision and density than Geant4
_BETTER = {"precision": "floor", "recall": "high", "density": "floor", "coverage": "high"}


def manifold(samples: Samples, tell: Tell) -> Study:
    """Ask how the showers of each candidate fill the space of Geant4's (arXiv 2002.09797).

    Args:
        samples: What to compare.
        tell: Called as the work advances.
    """
    title = "Precision, recall, density, coverage"
    every = (samples.reference, samples.floor, *samples.candidates)
    count = _showers(samples)
    if count <= NEIGHBOURS:
        return without_numbers("manifold", title, samples.candidates, Absent(count, NEIGHBOURS + 1))
    reference = log_cells(samples.reference.cells[:count])
    own = radii(reference, NEIGHBOURS)
    found = []
    for i, sample in enumerate(every[1:]):
        tell((i + 0.5) / len(every), f"neighbours of {count:,} showers")
        test = log_cells(sample.cells[:count])
        balls = prdc(reference, test, own, radii(test, NEIGHBOURS), NEIGHBOURS)
        found.append((balls.metrics(), jackknife(balls)))
    floor, *others = found
    return Study(
        "manifold",
        title,
        tuple(_numbers(floor, other) for other in others),
        (_table(floor, others, [sample.name for sample in samples.candidates]),),
        method=_method(count),
    )


def _showers(samples: Samples) -> int:
    every = (samples.reference, samples.floor, *samples.candidates)
    kept = min(sample.cells.shape[0] for sample in every)
    return min(kept, _MOST_SHOWERS, max(1_000, int((_MOST_WORK / samples.detector.n_cells) ** 0.5)))


def log_cells(cells: csr_array) -> NDArray[np.float32]:
    """Return log10 of energies over that of an empty cell, which is 0: distances are those of log10 E.

    Args:
        cells: Energies, shape `(n, n_cells)`, MeV.
    """
    logs = cells.astype(np.float32)
    logs.data = np.log10(logs.data / np.float32(EMPTY), out=np.zeros_like(logs.data), where=logs.data > 0)
    return np.asarray(logs.toarray())


def _numbers(floor: tuple[Array, Array], other: tuple[Array, Array]) -> tuple[Number, ...]:
    return tuple(
        Number(
            name,
            name.capitalize(),
            Measure(*(float(x[i]) for x in (*other, *floor))),
            better=_BETTER[name],  # type: ignore[arg-type]
            meaning=f"{_LABELS[name]}, {NEIGHBOURS} neighbours in log10 of the cells (arXiv 2002.09797).",
        )
        for i, name in enumerate(PRDC)
    )


def _pairs(values: Array, errors: Array) -> tuple[tuple[float, float], ...]:
    return tuple((float(value), float(error)) for value, error in zip(values, errors, strict=True))


def _table(floor: tuple[Array, Array], others: list[tuple[Array, Array]], names: list[str]) -> Table:
    every = zip(("Geant4 again", *names), (floor, *others), strict=True)
    rows: tuple[Row, ...] = tuple((name, *_pairs(*found)) for name, found in every)
    return Table(
        key="manifold",
        title="Precision, recall, density and coverage",
        theme="generative",
        caption="High precision with low recall: only a part of Geant4's showers is made.",
        columns=("sample", *PRDC),
        rows=rows,
    )


def _method(count: int) -> str:
    return (
        f"Precision, recall, density and coverage (arXiv 2002.09797) of {count:,} showers in log10 of the "
        f"cells, empty cells taken as {EMPTY} MeV, with balls that reach to the {NEIGHBOURS}th neighbour, "
        "as in the CaloChallenge. Errors are a jackknife over 20 groups of both samples at fixed radii, up "
        "to twice too large. These numbers depend on the number of showers: compare them with their floor "
        "only."
    )

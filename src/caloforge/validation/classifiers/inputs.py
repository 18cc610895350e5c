"""How two samples of showers become the inputs of a classifier, by each recipe."""

from __future__ import annotations

__all__ = [
    "Cells",
    "Table",
    "gaussian_ranks",
    "high_level_inputs",
    "low_level_inputs",
]

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack
from scipy.special import ndtri
from scipy.stats import rankdata

from caloforge.detector import Detector
from caloforge.observables import high_level_names
from caloforge.validation.classifiers.recipes import Preprocessing
from caloforge.validation.inputs.sample import Sample
from caloforge.validation.metrics.shares import layer_sums

Features = NDArray[np.float32]
_KEV = 1e-3
_HUNDRED_GEV = 1e5
_TINY = 1e-8
_SOME = 2000
_FAINT = 1e-5
"""Share of a layer's energy where the logarithm of the quick recipe sets in, as for trees on cells."""

_DENSE = 100_000_000  # 400 MB


@dataclass(frozen=True)
class Table:
    """Inputs that fit into memory.

    Attributes:
        values: Shape `(n, width)`.
    """

    values: Features

    @property
    def width(self) -> int:
        """Numbers per shower."""
        return int(self.values.shape[1])

    def __len__(self) -> int:
        return len(self.values)

    def rows(self, index: NDArray[np.int64]) -> Features:
        """Return the inputs of these showers."""
        return self.values[index]


@dataclass(frozen=True)
class Cells:
    """Inputs made from cells: the cells first, then what else is known of the shower.

    Attributes:
        detector: What was hit.
        cells: Shape `(n, n_cells)`, MeV.
        divisor: What the cells of each layer are divided by, shape `(n, n_layers)`, MeV.
        extra: What else enters, shape `(n, k)`.
        centre: Mean of `log(1 + x)` of each cell, shape `(n_cells,)`, or None: cells enter as they are.
        scale: What the centred logarithms are multiplied with.
    """

    detector: Detector
    cells: csr_array
    divisor: Features
    extra: Features
    centre: Features | None = None
    scale: float = 1.0

    @property
    def width(self) -> int:
        """Numbers per shower."""
        return int(self.detector.n_cells + self.extra.shape[1])

    def __len__(self) -> int:
        return len(self.extra)

    def rows(self, index: NDArray[np.int64]) -> Features:
        """Return the inputs of these showers."""
        cells = self.cells[index].toarray() / self.divisor[index][:, self.detector.layer_of_cell]
        scaled = cells if self.centre is None else (np.log1p(cells) - self.centre) * np.float32(self.scale)
        return np.concatenate([scaled, self.extra[index]], axis=1, dtype=np.float32)


def low_level_inputs(
    first: Sample, second: Sample, preprocessing: Preprocessing, normalised: bool, kept: int = _DENSE
) -> Cells | Table:
    """Return the cells of two samples as inputs, one sample after the other.

    `calochallenge` (arXiv 2410.21611) sees log10 of the incident energy and the cells over it; normalised,
    the cells over the energy of their layer, and log10 of the layers' energies. `caloflow` (arXiv 2106.05285,
    App. B) sees cells in units of 100 GeV, or over the energy of their layer, and in both cases the
    logarithms of the incident energy and the layers'. `quick` sees logarithms, centred and so small that all
    cells together weigh as much as the ranks of responses beside them: measured, that finds most.

    Args:
        first: Geant4.
        second: What is to be told from it.
        preprocessing: By which recipe.
        normalised: Whether each layer's cells are divided by its energy.
        kept: How many numbers are made once and kept; beyond, they are made again for each batch.

    Returns:
        Inputs of as many showers of either as the smaller one keeps.
    """
    showers = min(first.cells.shape[0], second.cells.shape[0])
    cells = csr_array(vstack([first.cells[:showers], second.cells[:showers]], format="csr"))
    incident = np.concatenate([first.energies[:showers], second.energies[:showers]]).astype(np.float64)[
        :, None
    ]
    layers = layer_sums(first.detector, cells)
    divisor = (
        layers + 1e-16 if normalised else np.broadcast_to(_unit(preprocessing, incident, cells), layers.shape)
    )
    if preprocessing == "quick" and normalised:
        divisor = divisor * _FAINT
    extra = _extra(preprocessing, normalised, incident, layers)
    inputs = Cells(first.detector, cells, divisor.astype(np.float32), extra)
    inputs = _centred(inputs) if preprocessing == "quick" else inputs
    if len(inputs) * inputs.width > kept:
        return inputs
    return Table(inputs.rows(np.arange(len(inputs))))


def _centred(inputs: Cells) -> Cells:
    """Let logarithms of cells enter, centred and scaled by what some showers of both samples have."""
    some = np.linspace(0, len(inputs) - 1, min(len(inputs), _SOME)).astype(np.int64)
    logs = np.log1p(inputs.rows(some)[:, : inputs.detector.n_cells])
    centre = logs.mean(axis=0)
    spread = float(np.sqrt(np.mean((logs - centre) ** 2)))
    scale = np.sqrt(inputs.extra.shape[1] / inputs.detector.n_cells) / max(spread, _TINY)
    return replace(inputs, centre=centre, scale=float(scale))


def _unit(
    preprocessing: Preprocessing, incident: NDArray[np.float64], cells: csr_array
) -> NDArray[np.float64]:
    """What cells are divided by, shape `(n, 1)`, MeV."""
    if preprocessing == "calochallenge":
        return incident
    faint = float(np.quantile(cells.data, 0.25)) if cells.nnz else 1.0
    return np.full_like(incident, faint if preprocessing == "quick" else _HUNDRED_GEV)


def _extra(
    preprocessing: Preprocessing,
    normalised: bool,
    incident: NDArray[np.float64],
    layers: NDArray[np.float64],
) -> Features:
    """What enters beside the cells: logarithms of the incident energy and of the layers' energies."""
    if preprocessing == "quick":
        total = layers.sum(axis=1, keepdims=True)
        columns = [np.log(incident), (total + _KEV) / incident, (layers + _KEV) / incident]
        return gaussian_ranks(np.concatenate(columns, axis=1))
    if preprocessing == "caloflow":
        columns = [np.log10(incident / 1e4), np.log10((layers + _KEV) / _HUNDRED_GEV) + 2]
    else:
        columns = [np.log10(incident), np.log10(layers + _TINY)] if normalised else [np.log10(incident)]
    return np.concatenate(columns, axis=1).astype(np.float32)


def high_level_inputs(first: Sample, second: Sample, preprocessing: Preprocessing) -> Table:
    """Return the high-level features of two samples as inputs, one sample after the other.

    Args:
        first: Geant4.
        second: What is to be told from it.
        preprocessing: `quick` sees Gaussian ranks of the features, `caloflow` their published scaling (arXiv
            2106.05285), `calochallenge` the challenge's own features (arXiv 2410.21611).
    """
    showers = min(len(first.features), len(second.features))
    if preprocessing == "calochallenge":
        return Table(np.concatenate([first.challenge[:showers], second.challenge[:showers]]))
    features = np.concatenate([first.features[:showers], second.features[:showers]])
    if preprocessing == "quick":
        return Table(gaussian_ranks(features))
    return Table(_as_published(features, high_level_names(first.detector)))


def gaussian_ranks(features: NDArray[np.floating]) -> Features:
    """Replace each feature by the quantile of a normal distribution that its rank has.

    Heavy tails (a shower that leaks) would squeeze all else into one point; ranks do not have them. The
    labels take no part, so nothing of the answer leaks into the inputs.

    Args:
        features: Shape `(n, k)`.
    """
    columns = [ndtri((rankdata(column) - 0.5) / len(features)) for column in features.T]
    return np.stack(columns, axis=1).astype(np.float32)


def _as_published(features: Features, names: list[str]) -> Features:
    """Scale as CaloFlow does: logarithms of widths and fractions, centres in 10 cm, shares in tenths."""
    columns = features.astype(np.float64).T.copy()
    for name, column in zip(names, columns, strict=True):
        if name.startswith(("width_", "layer_fraction_")):
            column[:] = np.log10(column + _TINY)
        elif name.startswith("centroid_"):
            column /= 100.0
        elif name.startswith("brightest_"):
            column *= 10.0
        elif name.startswith(("log_total", "log_lateral", "log_layer")):
            column -= 3.0  # GeV
    return columns.T.astype(np.float32)

"""Pairs of showers of nearly the same incident energy, and how alike they are."""

from __future__ import annotations

__all__ = ["PairImages", "nearest_in_energy", "neighbours_in_energy"]

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caloforge.detector import Detector
from caloforge.validation.inputs.sample import Sample
from caloforge.validation.metrics.similarity import layer_similarity, log_image

Array = NDArray[np.float64]
Rows = NDArray[np.int64]

DECADES = 3.0
"""Dynamic range of single showers."""

_MOST_PAIRS = 1_000
_MOST_PIXELS = 4_000_000


@dataclass(frozen=True)
class PairImages:
    """How single showers are turned into images: log10 of the share of the incident energy.

    Attributes:
        detector: What was hit.
        top: The share that is three decades above the floor: the largest mean of the layer in Geant4,
            shape `(n_cells,)`.
        weights: Share of each layer in Geant4's energy, shape `(n_layers,)`.
    """

    detector: Detector
    top: Array
    weights: Array

    @classmethod
    def of(cls, reference: Sample) -> PairImages:
        """Take scales from Geant4."""
        detector, mean = reference.detector, reference.mean_cells / reference.incident.energy.mean()
        layer = detector.layer_of_cell
        top = np.zeros(detector.n_layers)
        np.maximum.at(top, layer, mean)
        weights = np.bincount(layer, mean, minlength=detector.n_layers)
        return cls(detector, top[layer], np.asarray(weights, np.float64))

    @property
    def most(self) -> int:
        """How many pairs can be compared in a second or two."""
        return int(np.clip(_MOST_PIXELS / self.detector.n_cells, 50, _MOST_PAIRS))

    def similarity(self, a: Sample, rows_a: Rows, b: Sample, rows_b: Rows) -> Array:
        """Return the SSIM of each pair of rows of the samples' cells, shape `(pairs,)`."""
        out, step = [np.zeros(0)], max(1, _MOST_PIXELS // (8 * self.detector.n_cells))
        for start in range(0, len(rows_a), step):
            part = slice(start, start + step)
            one, other = self._images(a, rows_a[part]), self._images(b, rows_b[part])
            out.append(layer_similarity(self.detector, one, other, DECADES, self.weights))
        return np.concatenate(out)

    def _images(self, sample: Sample, rows: Rows) -> Array:
        share = sample.cells[rows].toarray() / sample.energies[rows, None]
        return log_image(np.asarray(share, np.float64), self.top, DECADES)


def neighbours_in_energy(energy: NDArray[np.floating], most: int) -> tuple[Rows, Rows]:
    """Pair showers that are next to each other in incident energy; each is in one pair at most.

    Args:
        energy: Incident energies in random order, shape `(n,)`.
        most: How many pairs at most; they are taken evenly from all energies.
    """
    order = np.argsort(energy, kind="stable")
    pairs = order[: len(order) // 2 * 2].reshape(-1, 2)
    wanted = pairs[np.linspace(0, len(pairs) - 1, min(most, len(pairs))).astype(np.int64)]
    return wanted[:, 0], wanted[:, 1]


def nearest_in_energy(wanted: NDArray[np.floating], energy: NDArray[np.floating]) -> Rows:
    """Return the index of the nearest of `energy`, shape `(n,)`, for each of `wanted`, shape `(m,)`."""
    order = np.argsort(energy, kind="stable")
    ranked = energy[order]
    right = np.clip(np.searchsorted(ranked, wanted), 1, max(1, len(ranked) - 1))
    left = right - 1
    right = np.minimum(right, len(ranked) - 1)
    return order[np.where(wanted - ranked[left] <= ranked[right] - wanted, left, right)]

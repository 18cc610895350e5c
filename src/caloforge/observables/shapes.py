"""Sums over the cells of each layer, computed once and shared by all observables of a sample."""

from __future__ import annotations

__all__ = ["AXES", "BRIGHTEST", "Shapes"]

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from caloforge.detector import CartesianGrid, Detector, Layer, PolarGrid
from caloforge.showers import Showers

AXES = ("x", "y", "r")
"""Lateral axes: two across the layer and the distance to its centre."""

BRIGHTEST = 5
"""How many of the brightest cells of a layer are kept, as in CaloFlow (arXiv 2106.05285)."""

Array = NDArray[np.float64]


class Shapes:
    """Layer sums of a sample of showers; every property is computed when first used.

    Cells below the detector's threshold count as empty, in Geant4's showers and in a candidate's alike.

    Args:
        showers: The sample; its cells are read, never changed.

    Example:
        >>> Shapes(showers).layer_energy.shape  # doctest: +SKIP
        (1000, 3)
    """

    def __init__(self, showers: Showers) -> None:
        self.detector: Detector = showers.detector
        self.incident_energy: Array = np.asarray(showers.incident.energy, np.float64)
        self.threshold = self.detector.readout.threshold or 0.0
        self.cells = _above(np.asarray(showers.cells), self.threshold)

    def __len__(self) -> int:
        return len(self.incident_energy)

    @cached_property
    def layer_energy(self) -> Array:
        """Energy in each layer, shape `(n, n_layers)`, MeV."""
        return self._sums[:, :, 0]

    @cached_property
    def energy(self) -> Array:
        """Energy in all cells, shape `(n,)`, MeV."""
        return np.asarray(self.layer_energy.sum(axis=1))

    @cached_property
    def hits(self) -> NDArray[np.int64]:
        """Cells with energy in each layer, shape `(n, n_layers)`."""
        counts = [np.count_nonzero(self.cells[:, layer.cells], axis=1) for layer in self.detector.layers]
        return np.stack(counts, axis=1)

    @cached_property
    def brightest(self) -> Array:
        """The largest cells of each layer in falling order, shape `(n, n_layers, 5)`, MeV.

        Layers with fewer cells than five are filled up with zeros.
        """
        return np.stack([_largest(self.cells[:, layer.cells]) for layer in self.detector.layers], axis=1)

    def centroid(self, axis: str) -> Array:
        """Return the energy-weighted mean along `axis` in each layer, shape `(n, n_layers)`, mm.

        Args:
            axis: One of `x`, `y`, `r`.

        Returns:
            NaN where a layer has no energy.
        """
        return _ratio(self._sums[:, :, 1 + 2 * AXES.index(axis)], self.layer_energy)

    def width(self, axis: str) -> Array:
        r"""Return the width $\sqrt{\langle x^2\rangle-\langle x\rangle^2}$, shape `(n, n_layers)`, mm.

        Args:
            axis: One of `x`, `y`, `r`.

        Returns:
            NaN where a layer has no energy.
        """
        square = _ratio(self._sums[:, :, 2 + 2 * AXES.index(axis)], self.layer_energy)
        return spread(square, self.centroid(axis))

    @cached_property
    def _sums(self) -> Array:
        """Sums of E, and of E x, E x^2 for each axis: shape `(n, n_layers, 7)`."""
        return np.stack([self._layer_sums(layer) for layer in self.detector.layers], axis=1)

    def _layer_sums(self, layer: Layer) -> Array:
        # float64, because the variance is a small difference of two large sums
        return np.asarray(self.cells[:, layer.cells], np.float64) @ _powers(self.detector, layer)


def spread(square: Array, mean: Array) -> Array:
    """Return the standard deviation from the mean of the squares and the mean."""
    return np.sqrt(np.maximum(square - mean**2, 0.0))


def has_axis(layer: Layer, axis: str) -> bool:
    """Say whether the cells of `layer` resolve `axis`: x and y or r, depending on its grid."""
    grid = layer.grid
    if isinstance(grid, CartesianGrid):
        return axis != "r" and grid.cells["xy".index(axis)] > 1
    if isinstance(grid, PolarGrid):
        return grid.n_r > 1 if axis == "r" else grid.alpha > 1
    raise TypeError(f"no axes known for {type(grid).__name__}")


def _powers(detector: Detector, layer: Layer) -> Array:
    x, y = detector.positions[layer.cells, 0], detector.positions[layer.cells, 1]
    r = np.hypot(x, y)
    return np.stack([np.ones_like(x), x, x**2, y, y**2, r, r**2], axis=1)


def _ratio(numerator: Array, energy: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(energy > 0, numerator / energy, np.nan)


def _above(cells: NDArray[np.float32], threshold: float) -> NDArray[np.float32]:
    return cells if threshold == 0 else np.where(cells >= threshold, cells, np.float32(0))


def _largest(cells: NDArray[np.float32]) -> Array:
    count = min(BRIGHTEST, cells.shape[1])
    top = -np.sort(-np.partition(cells, -count, axis=1)[:, -count:], axis=1)
    return np.pad(top.astype(np.float64), ((0, 0), (0, BRIGHTEST - count)))

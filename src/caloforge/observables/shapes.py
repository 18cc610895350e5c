"""Sums over the cells of each layer, computed once and shared by all observables of a sample."""

from __future__ import annotations

__all__ = ["BRIGHTEST", "Shapes"]

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from caloforge.detector import Detector
from caloforge.detector.grids import Grid
from caloforge.observables.geometry import AXES, grids, middles, powers, resolves, ring_edges, ring_shares
from caloforge.observables.moments import Moments, moments
from caloforge.showers import Showers

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
        self._lateral: dict[str, Moments] = {}
        self._towers: dict[Grid, Array] = {}

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

    def hits_above(self, energy: float) -> NDArray[np.int64]:
        """Return the number of cells with at least `energy` MeV in each shower, shape `(n,)`."""
        return np.asarray(np.count_nonzero(self.cells >= np.float32(energy), axis=1))

    @cached_property
    def brightest(self) -> Array:
        """The largest cells of each layer in falling order, shape `(n, n_layers, 5)`, MeV.

        Layers with fewer cells than five are filled up with zeros.
        """
        return np.stack([_largest(self.cells[:, layer.cells]) for layer in self.detector.layers], axis=1)

    @cached_property
    def hottest(self) -> NDArray[np.int64]:
        """Index of the cell with most energy, shape `(n,)`; 0 for an empty shower."""
        return np.asarray(self.cells.argmax(axis=1))

    def lateral(self, axis: str) -> Moments:
        """Return the moments along `axis` (`x`, `y` or `r`) in each layer, shapes `(n, n_layers)`, mm."""
        if axis not in self._lateral:
            self._lateral[axis] = moments(*np.moveaxis(self._axis_sums(axis), 2, 0))
        return self._lateral[axis]

    def shower_lateral(self, axis: str) -> Moments:
        """Return the moments along `axis` over all layers that resolve it, shapes `(n,)`, mm."""
        if (key := f"shower {axis}") not in self._lateral:
            known = [resolves(layer, axis) for layer in self.detector.layers]
            self._lateral[key] = moments(*self._axis_sums(axis)[:, known].sum(axis=1).T)
        return self._lateral[key]

    @cached_property
    def depth(self) -> Moments:
        """Moments of the depth of the layers' middles, shapes `(n,)`, mm."""
        z = middles(self.detector)
        return moments(*(self.layer_energy @ np.stack([z**k for k in range(4)], axis=1)).T)

    @cached_property
    def layer_number(self) -> Moments:
        """Moments of the number of the layer, shapes `(n,)`, in layers from 0."""
        index = np.arange(self.detector.n_layers, dtype=np.float64)
        return moments(*(self.layer_energy @ np.stack([index**k for k in range(4)], axis=1)).T)

    @cached_property
    def slopes(self) -> Array:
        r"""Slopes dx/dz and dy/dz of the straight line through the layers' barycentres, shape `(n, 2)`.

        Least squares with the layers' energies as weights; NaN for a shower in a single layer.
        """
        z, depth = middles(self.detector), self.depth
        variance = np.where(depth.width > 0, depth.width**2, np.nan)
        energy = np.where(self.energy > 0, self.energy, np.nan)
        found = []
        for axis in "xy":
            first = self._axis_sums(axis)[:, :, 1]
            mixed, mean = first @ z / energy, first.sum(axis=1) / energy
            found.append((mixed - mean * depth.mean) / variance)
        return np.stack(found, axis=1)

    @cached_property
    def rings(self) -> Array:
        """Energy in each ring of `ring_edges(detector)`, all layers together, shape `(n, n_rings)`, MeV."""
        edges = ring_edges(self.detector)
        parts = [self.towers(grid) @ ring_shares(grid, edges) for grid in grids(self.detector)]
        return np.asarray(sum(parts))

    def towers(self, grid: Grid) -> Array:
        """Return the energy of each cell summed over all layers of `grid`, shape `(n, grid.n_cells)`, MeV."""
        if grid not in self._towers:
            total = np.zeros((len(self), grid.n_cells))
            for layer in grids(self.detector)[grid]:
                total += self.cells[:, layer.cells]
            self._towers[grid] = total
        return self._towers[grid]

    def _axis_sums(self, axis: str) -> Array:
        """Sums of E, E x, E x², E x³ along one axis, shape `(n, n_layers, 4)`."""
        first = 1 + 3 * AXES.index(axis)
        return self._sums[:, :, [0, first, first + 1, first + 2]]

    @cached_property
    def _sums(self) -> Array:
        """Sums of E and of E times powers of x, y, r: shape `(n, n_layers, 10)`."""
        # float64, because a variance is a small difference of two large sums
        found = np.empty((len(self), self.detector.n_layers, 10))
        for layer in self.detector.layers:
            cells = self.cells[:, layer.cells].astype(np.float64)
            np.matmul(cells, powers(layer.grid), out=found[:, layer.index])
        return found


def _above(cells: NDArray[np.float32], threshold: float) -> NDArray[np.float32]:
    return cells if threshold == 0 else np.where(cells >= threshold, cells, np.float32(0))


def _largest(cells: NDArray[np.float32]) -> Array:
    count = min(BRIGHTEST, cells.shape[1])
    # five searches of a vector are ten times faster than a partition of mostly equal (empty) cells
    left, row, top = cells.copy(), np.arange(len(cells)), np.zeros((len(cells), BRIGHTEST))
    for rank in range(count):
        at = left.argmax(axis=1)
        top[:, rank] = left[row, at]
        left[row, at] = -np.inf
    return top

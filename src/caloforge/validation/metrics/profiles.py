"""Mean profiles of a sample along the depth, across the layers and along the radius."""

from __future__ import annotations

__all__ = ["Profile", "profiles_for"]

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from caloforge.detector import Detector, Layer, NearestGrid, PolarGrid
from caloforge.observables.geometry import has_axis, resolves

Array = NDArray[np.float64]
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Profile:
    """One way to add up the cells of a mean shower.

    Attributes:
        name: Stable key, `profile_z` or `profile_x_1`.
        label: Title of the figure.
        axis: What the horizontal axis says, without its unit.
        unit: Its unit.
        edges: Edges of the bins on that axis, shape `(bins + 1,)`.
        cells: The cells that take part.
        bins: Bin of each of them, -1 for cells outside all bins.
        density: Whether the figure shows energy per mm, because the bins have different widths.
    """

    name: str
    label: str
    axis: str
    unit: str
    edges: Array
    cells: slice
    bins: NDArray[np.int64]
    density: bool

    def project(self, cells: Array) -> Array:
        """Add up energies `(k, n_cells)` to `(k, bins)`, MeV."""
        inside = np.flatnonzero(self.bins >= 0)
        shape = (len(self.bins), len(self.edges) - 1)
        member = csr_array((np.ones(len(inside)), (inside, self.bins[inside])), shape)
        return np.asarray(cells[:, self.cells] @ member, np.float64)

    @property
    def widths(self) -> Array:
        """What a figure divides the energies by: bin widths in mm, or ones."""
        return np.diff(self.edges) if self.density else np.ones(len(self.edges) - 1)


def profiles_for(detector: Detector) -> tuple[Profile, ...]:
    """Return the profiles that the detector's geometry allows.

    Along the depth if there are layers; across each layer, or across all layers together if they share one
    grid; along the radius for rings, square cells and polygons.

    Args:
        detector: Any detector.
    """
    return (*_along_depth(detector), *_across(detector))


def _along_depth(detector: Detector) -> Iterator[Profile]:
    if detector.n_layers < 2:
        return
    bins = detector.layer_of_cell
    every = slice(0, detector.n_cells)
    if detector.depth_is_nominal or _gaps(detector):
        edges = np.arange(detector.n_layers + 1, dtype=np.float64) - 0.5
        yield Profile("profile_z", "Longitudinal profile", "Layer", "", edges, every, bins, density=False)
        return
    borders = np.array([detector.layers[0].start, *(layer.end for layer in detector.layers)], np.float64)
    yield Profile("profile_z", "Longitudinal profile", "Depth", "mm", borders, every, bins, density=True)


def _gaps(detector: Detector) -> bool:
    layers = detector.layers
    return any(a.end != b.start for a, b in pairwise(layers))


def _across(detector: Detector) -> Iterator[Profile]:
    layers = detector.layers
    if len(layers) > 1 and all(layer.grid == layers[0].grid for layer in layers):
        yield from _of_grid(layers[0], slice(0, detector.n_cells), len(layers), "", "all layers")
        return
    for layer in layers:
        name = layer.name.replace("_", " ")
        yield from _of_grid(layer, layer.cells, 1, f"_{layer.index}", name)


def _of_grid(layer: Layer, cells: slice, repeat: int, suffix: str, where: str) -> Iterator[Profile]:
    for axis, edges, bins in _axes(layer):
        title = "Radial profile" if axis == "r" else f"Lateral profile in ${axis}$"
        yield Profile(
            f"profile_{axis}{suffix}",
            f"{title}, {where}",
            f"${axis}$",
            "mm",
            edges,
            cells,
            np.tile(bins, repeat),
            density=True,
        )


def _axes(layer: Layer) -> Iterator[tuple[str, Array, NDArray[np.int64]]]:
    grid = layer.grid
    if isinstance(grid, PolarGrid):
        if grid.n_r > 1:
            yield "r", np.asarray(grid.r_edges), np.tile(np.arange(grid.n_r), grid.alpha)
        return
    if isinstance(grid, NearestGrid):
        for i, axis in enumerate("xy"):
            if has_axis(layer, axis):
                yield axis, *grid.bins(i)
        if resolves(layer, "r"):
            yield "r", *_rings(grid.centres(), grid.pitch, min(grid.reach))
        return
    ix, iy = np.divmod(np.arange(grid.n_cells), grid.cells[1])
    if grid.cells[0] > 1:
        yield "x", grid.x_edges, ix
    if grid.cells[1] > 1:
        yield "y", grid.y_edges, iy
    if np.isclose(*grid.cell) and min(grid.cells) > 1:
        yield "r", *_rings(grid.centres(), grid.cell[0], min(grid.window) / 2)


def _rings(centres: Array, width: float, reach: float) -> tuple[Array, NDArray[np.int64]]:
    bins = (np.hypot(*centres.T) / width + _ROUNDING).astype(np.int64)
    # only whole rings: the corners of the window see part of a ring
    count = max(int(reach / width + _ROUNDING), 1)
    return np.arange(count + 1, dtype=np.float64) * width, np.where(bins < count, bins, -1)

"""The readout that a host can place: one cylinder of rings and sectors, or one window, in all layers."""

from __future__ import annotations

__all__ = ["Cylinder", "Window", "cylinder", "window"]

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caloforge.detector import CartesianGrid, Detector, PolarGrid
from caloforge.errors import DetectorError

_ROUNDING = 1e-6  # mm


@dataclass(frozen=True)
class Cylinder:
    """Equal rings and sectors in equal layers.

    Attributes:
        rings: Number of rings.
        sectors: Number of sectors.
        layers: Number of layers.
        ring: Thickness of a ring, mm.
        layer: Thickness of a layer, mm.
    """

    rings: int
    sectors: int
    layers: int
    ring: float
    layer: float

    def order(self, turn: int = 0) -> NDArray[np.int64]:
        """Return where the cells of a shower are, in the order (ring, sector, layer), the last fastest.

        Args:
            turn: Which of our sectors is the host's first one.
        """
        ours = np.arange(self.layers * self.sectors * self.rings).reshape(
            self.layers, self.sectors, self.rings
        )
        return np.roll(ours, -turn, axis=1).transpose(2, 1, 0).ravel()


@dataclass(frozen=True)
class Window:
    """The same cells in all layers.

    Attributes:
        cells: Number of cells in x and y.
        size: Of a cell in x and y, mm.
        layers: Number of layers.
    """

    cells: tuple[int, int]
    size: tuple[float, float]
    layers: int


def cylinder(detector: Detector, host: str) -> Cylinder:
    """Return a detector's cylinder.

    Raises:
        DetectorError: Its layers are none.
    """
    grids = {layer.grid for layer in detector.layers}
    grid = next(iter(grids))
    if len(grids) > 1 or not isinstance(grid, PolarGrid) or not _even(grid):
        raise _unfit(detector, host, "the same rings from r = 0, equally thick, and sectors in every layer")
    thickness = {layer.thickness for layer in detector.layers}
    gaps = [b.start - a.end for a, b in zip(detector.layers, detector.layers[1:], strict=False)]
    if len(thickness) > 1 or any(abs(gap) > _ROUNDING for gap in gaps) or detector.depth_is_nominal:
        raise _unfit(detector, host, "layers of one known thickness, one behind the other")
    return Cylinder(grid.n_r, grid.alpha, detector.n_layers, grid.r_edges[1], thickness.pop())


def window(detector: Detector, host: str) -> Window:
    """Return a detector's window.

    Raises:
        DetectorError: Its layers have not the same cartesian cells.
    """
    grids = {layer.grid for layer in detector.layers}
    grid = next(iter(grids))
    if len(grids) > 1 or not isinstance(grid, CartesianGrid):
        raise _unfit(detector, host, "the same cartesian cells in every layer")
    return Window(grid.cells, grid.cell, detector.n_layers)


def _even(grid: PolarGrid) -> bool:
    steps = np.arange(grid.n_r + 1) * grid.r_edges[1]
    return bool(np.abs(np.asarray(grid.r_edges) - steps).max() < _ROUNDING)


def _unfit(detector: Detector, host: str, expected: str) -> DetectorError:
    kinds = sorted({layer.grid.kind for layer in detector.layers})
    return DetectorError(
        f"{host} cannot place the cells of this detector",
        where=f"detector {detector.name}",
        got=f"{detector.n_layers} layers, {' and '.join(kinds)} cells",
        expected=expected,
        cure="use the C++ sampler (--cpp), which gives the place of each cell",
    )

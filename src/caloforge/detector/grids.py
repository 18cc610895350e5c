"""Readout grids: how one layer is cut into cells, cartesian or polar, in mm; polygons are in `nearest.py`."""

from __future__ import annotations

__all__ = ["CartesianGrid", "Grid", "PolarGrid"]

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from caloforge.detector.nearest import CellGrid, HexagonalGrid


@dataclass(frozen=True)
class CartesianGrid:
    """Equal rectangles in a window centred on the origin; flat index `ix * ny + iy`.

    Args:
        window: Full width in x and y, mm.
        cells: Number of cells in x and y.

    Example:
        >>> CartesianGrid(window=(480.0, 480.0), cells=(3, 96)).cell
        (160.0, 5.0)
    """

    kind: ClassVar[str] = "cartesian"

    window: tuple[float, float]
    cells: tuple[int, int]

    @property
    def shape(self) -> tuple[int, int]:
        """Cells in x and y."""
        return self.cells

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return self.cells[0] * self.cells[1]

    @property
    def cell(self) -> tuple[float, float]:
        """Width of one cell in x and y, mm."""
        return self.window[0] / self.cells[0], self.window[1] / self.cells[1]

    @property
    def x_edges(self) -> NDArray[np.float64]:
        """Cell borders in x, shape `(nx + 1,)`, mm."""
        return _edges(self.window[0], self.cells[0])

    @property
    def y_edges(self) -> NDArray[np.float64]:
        """Cell borders in y, shape `(ny + 1,)`, mm."""
        return _edges(self.window[1], self.cells[1])

    def index(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.int64]:
        """Return the flat index of the cell at each point.

        Args:
            x: Positions in mm, any shape.
            y: Positions in mm, same shape.

        Returns:
            Indices, -1 outside the window. A cell owns its lower borders.
        """
        (nx, ny), (dx, dy) = self.cells, self.cell
        fx = (np.asarray(x, np.float64) + self.window[0] / 2) / dx
        fy = (np.asarray(y, np.float64) + self.window[1] / 2) / dy
        inside = (fx >= 0) & (fx < nx) & (fy >= 0) & (fy < ny)
        return np.where(inside, _whole(fx) * ny + _whole(fy), -1)

    def centres(self) -> NDArray[np.float64]:
        """Return the centre of each cell, shape `(n_cells, 2)`, x and y in mm."""
        x, y = np.meshgrid(_middles(self.x_edges), _middles(self.y_edges), indexing="ij")
        return np.stack([x.ravel(), y.ravel()], axis=1)

    def within(self, cell: NDArray[np.int64], uniform: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return a place in each of these cells, uniform in its area, shape `(n, 2)`, x and y in mm.

        Args:
            cell: Flat indices, shape `(n,)`.
            uniform: Numbers from 0 to 1, shape `(n, 3)`.
        """
        corner = np.stack(np.divmod(cell, self.cells[1]), axis=1)
        return np.asarray((corner + uniform[:, :2]) * self.cell - np.divide(self.window, 2))

    def areas(self) -> NDArray[np.float64]:
        """Return the area of each cell, shape `(n_cells,)`, mm2."""
        return np.full(self.n_cells, self.cell[0] * self.cell[1])

    def sizes(self) -> NDArray[np.float64]:
        """Return the width of each cell in x and y, shape `(n_cells, 2)`, mm."""
        return np.tile(np.asarray(self.cell), (self.n_cells, 1))

    def sides(self) -> NDArray[np.int64]:
        """Return pairs of cells with a side in common, shape `(pairs, 2)`."""
        return _pairs(self.shape, ((1, 0), (0, 1)), round_the_end=False)

    def corners(self) -> NDArray[np.int64]:
        """Return pairs of cells that touch at a corner only, shape `(pairs, 2)`."""
        return _pairs(self.shape, ((1, 1), (1, -1)), round_the_end=False)

    @property
    def reach(self) -> tuple[float, float]:
        """Largest |x| and |y| that the grid covers, mm."""
        return self.window[0] / 2, self.window[1] / 2


@dataclass(frozen=True)
class PolarGrid:
    """Rings around the origin, each cut into equal sectors; flat index `i_alpha * n_r + i_r`.

    The angle runs from -pi to pi. With one sector a cell is a whole ring, and its "centre" is the point
    at half its thickness with angle 0: a point inside the cell, not its centre of gravity.

    Args:
        r_edges: Ring borders in mm, increasing, `n_r + 1` of them.
        alpha: Number of sectors.

    Example:
        >>> PolarGrid(r_edges=(0.0, 5.0, 20.0), alpha=8).shape
        (8, 2)
    """

    kind: ClassVar[str] = "polar"

    r_edges: tuple[float, ...]
    alpha: int

    @property
    def shape(self) -> tuple[int, int]:
        """Sectors and rings."""
        return self.alpha, self.n_r

    @property
    def n_r(self) -> int:
        """Number of rings."""
        return len(self.r_edges) - 1

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return self.alpha * self.n_r

    @property
    def alpha_edges(self) -> NDArray[np.float64]:
        """Sector borders, shape `(alpha + 1,)`, rad."""
        return np.linspace(-math.pi, math.pi, self.alpha + 1)

    def index(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.int64]:
        """Return the flat index of the cell at each point.

        Args:
            x: Positions in mm, any shape.
            y: Positions in mm, same shape.

        Returns:
            Indices, -1 outside the rings. A cell owns its lower borders.
        """
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        # What is no number is sorted behind the last ring.
        ring = np.searchsorted(np.asarray(self.r_edges), np.hypot(x, y), side="right") - 1
        sector = _whole((np.arctan2(y, x) + math.pi) * (self.alpha / (2 * math.pi)))
        # alpha = +pi is the same direction as -pi, so it belongs to the first sector.
        sector = np.where(sector == self.alpha, 0, sector)
        return np.where((ring >= 0) & (ring < self.n_r), sector * self.n_r + ring, -1)

    def centres(self) -> NDArray[np.float64]:
        """Return the middle of each cell in r and alpha, shape `(n_cells, 2)`, as x and y in mm."""
        alpha, r = self._mesh(_middles(self.alpha_edges), _middles(np.asarray(self.r_edges)))
        return np.stack([r * np.cos(alpha), r * np.sin(alpha)], axis=1)

    def within(self, cell: NDArray[np.int64], uniform: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return a place in each of these cells, uniform in its area, shape `(n, 2)`, x and y in mm.

        Args:
            cell: Flat indices, shape `(n,)`.
            uniform: Numbers from 0 to 1, shape `(n, 3)`.
        """
        sector, ring = np.divmod(cell, self.n_r)
        inner, outer = np.square(self.r_edges)[[ring, ring + 1]]
        r = np.sqrt(inner + uniform[:, 0] * (outer - inner))
        alpha = (sector + uniform[:, 1]) * (2 * math.pi / self.alpha) - math.pi
        return np.stack([r * np.cos(alpha), r * np.sin(alpha)], axis=1)

    def areas(self) -> NDArray[np.float64]:
        """Return the area of each cell, shape `(n_cells,)`, mm2."""
        return np.tile(np.diff(np.square(self.r_edges)) * math.pi / self.alpha, self.alpha)

    def sizes(self) -> NDArray[np.float64]:
        """Return the size of each cell in r (mm) and alpha (rad), shape `(n_cells, 2)`."""
        alpha, r = self._mesh(np.full(self.alpha, 2 * math.pi / self.alpha), np.diff(self.r_edges))
        return np.stack([r, alpha], axis=1)

    def sides(self) -> NDArray[np.int64]:
        """Return pairs of cells with a side in common, shape `(pairs, 2)`."""
        return _pairs(self.shape, ((1, 0), (0, 1)), round_the_end=True)

    def corners(self) -> NDArray[np.int64]:
        """Return pairs of cells that touch at a corner only, shape `(pairs, 2)`."""
        return _pairs(self.shape, ((1, 1), (1, -1)), round_the_end=True)

    def _mesh(
        self, alpha: NDArray[np.float64], r: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return np.repeat(alpha, self.n_r), np.tile(r, self.alpha)

    @property
    def reach(self) -> tuple[float, float]:
        """Largest |x| and |y| that the grid covers, mm."""
        return self.r_edges[-1], self.r_edges[-1]


Grid = CartesianGrid | PolarGrid | HexagonalGrid | CellGrid


def _pairs(
    shape: tuple[int, int], steps: Sequence[tuple[int, int]], *, round_the_end: bool
) -> NDArray[np.int64]:
    """Pairs of cells that are some steps apart on a grid whose first axis may go round."""
    number = np.arange(shape[0] * shape[1]).reshape(shape)
    found = [np.empty((0, 2), np.int64)]
    for along, across in steps:
        one, other = number[: shape[0] - along], number[along:]
        if round_the_end and along and shape[0] > 2:
            one, other = number, np.roll(number, -1, axis=0)
        low, high = slice(None, -1), slice(1, None)
        if across:
            one, other = (one[:, low], other[:, high]) if across > 0 else (one[:, high], other[:, low])
        found.append(np.stack([one.ravel(), other.ravel()], axis=1))
    return np.concatenate(found)


def _whole(values: NDArray[np.float64]) -> NDArray[np.int64]:
    # NaN has no whole part; the caller throws those away.
    with np.errstate(invalid="ignore"):
        return values.astype(np.int64)


def _edges(width: float, cells: int) -> NDArray[np.float64]:
    return np.linspace(-width / 2, width / 2, cells + 1)


def _middles(edges: NDArray[np.float64]) -> NDArray[np.float64]:
    return (edges[1:] + edges[:-1]) / 2

"""Grids of polygons: every cell owns the points that are nearest to its centre, hexagons among them."""

from __future__ import annotations

__all__ = ["CellGrid", "Diagram", "HexagonalGrid", "Layout", "NearestGrid", "diagram"]

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from caloforge.detector.polygons import clipped, signed_area
from caloforge.detector.triangles import Triangles

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

Real = NDArray[np.float64]
Whole = NDArray[np.int64]
_Scalar = TypeVar("_Scalar", bound=np.generic)
Points = tuple[tuple[float, float], ...]

# In sizes of the grid. From 5 on, no point of the grid is nearest to one so far away; much larger numbers
# would cost precision, as triangles are found with the squares of coordinates.
_FAR = 10.0
_SHORT = 1e-6  # of the mean cell's width: a side that is no side
_ROWS = 2.5  # per pitch: hexagons have two columns
_NEAR = 1e-9  # mm


@dataclass(frozen=True)
class Layout:
    """Where cells are.

    Attributes:
        centres: Of the cells, shape `(n, 2)`, mm.
        outside: Of what is not read out, `(m, 2)`: a point that is nearest to one of these is in no cell.
        outline: Corners of a convex polygon, counter-clockwise, `(k, 2)`: no cell reaches out of it.
    """

    centres: Real
    outside: Real
    outline: Real


@dataclass(frozen=True)
class Diagram:
    """Which point is nearest to what (Voronoi's diagram), in mm.

    Attributes:
        points: Centres of the cells, then what is not read out, then points far away, shape `(p, 2)`.
        tree: Finds the nearest of them.
        beside: Points whose regions may touch that of each; filled up with itself, shape `(p, most)`.
        count: How many these are, shape `(p,)`.
        polygons: Corners of each cell, counter-clockwise.
        sides: Pairs of cells with a side in common, shape `(pairs, 2)`, the smaller number first.
        normals: Outward normals of the outline's sides, shape `(k, 2)`.
        offsets: How far out each side lies along its normal, shape `(k,)`.
    """

    points: Real
    tree: cKDTree
    beside: Whole
    count: Whole
    polygons: tuple[Real, ...]
    sides: Whole
    normals: Real
    offsets: Real

    @cached_property
    def areas(self) -> Real:
        """Area of each cell, shape `(n_cells,)`, mm2."""
        return _frozen(np.array([signed_area(corners) for corners in self.polygons]))

    @cached_property
    def triangles(self) -> Triangles:
        """Triangles of the cells."""
        return Triangles.of(self.polygons)

    @cached_property
    def reach(self) -> tuple[float, float]:
        """Largest |x| and |y| of all cells, mm."""
        x, y = np.abs(np.concatenate(self.polygons)).max(axis=0).tolist()
        return x, y

    @cached_property
    def pitch(self) -> float:
        """Width of a hexagon of the mean area, mm."""
        return math.sqrt(float(self.areas.mean()) * 2 / math.sqrt(3))

    @cached_property
    def bins(self) -> tuple[tuple[Real, Whole], ...]:
        """Edges of rows of cells across x and across y, mm, and the row of each cell."""
        return tuple(self._rows(axis) for axis in (0, 1))

    def _rows(self, axis: int) -> tuple[Real, Whole]:
        centre, most = self.points[: len(self.polygons), axis], self.reach[axis]
        rows = np.unique(centre.round(6))
        if len(rows) <= _ROWS * 2 * most / self.pitch:
            edges = np.array([-most, *(rows[1:] + rows[:-1]) / 2, most])
        else:
            edges = np.linspace(-most, most, max(1, round(2 * most / self.pitch)) + 1)
        row = np.clip(np.searchsorted(edges, centre, side="right") - 1, 0, len(edges) - 2)
        return _frozen(edges), _frozen(row)

    def nearest(self, points: Real) -> Whole:
        """Return the number of the nearest point to each of `(n, 2)`, which must be numbers."""
        return np.asarray(self.tree.query(points)[1], np.int64)

    def beyond(self, points: Real) -> Real:
        """Return how far each of `(n, 2)` is beyond each side of the outline, `(n, k)`; negative within."""
        return points @ self.normals.T - self.offsets


class NearestGrid(ABC):
    """Cells that own the points nearest to their centre, inside a convex outline.

    A point between two cells belongs to one of them, always the same.
    """

    @property
    @abstractmethod
    def layout(self) -> Layout:
        """Centres and outline."""

    @property
    def shape(self) -> tuple[int, int]:
        """Number of cells, and 1: polygons have no rows."""
        return self.n_cells, 1

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return len(self.layout.centres)

    def index(self, x: ArrayLike, y: ArrayLike) -> Whole:
        """Return the number of the cell at each point.

        Args:
            x: Positions in mm, any shape.
            y: Positions in mm, same shape.

        Returns:
            Indices, -1 outside all cells.
        """
        points = np.stack(np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(y, np.float64)), axis=-1)
        flat = points.reshape(-1, 2)
        known = np.isfinite(flat).all(axis=1)
        flat, found = np.where(known[:, None], flat, 0.0), diagram(self)
        cell = found.nearest(flat)
        inside = known & (cell < self.n_cells) & (found.beyond(flat) <= _NEAR).all(axis=1)
        return np.where(inside, cell, -1).reshape(points.shape[:-1])

    def centres(self) -> Real:
        """Return the centre of each cell, shape `(n_cells, 2)`, x and y in mm."""
        return self.layout.centres

    def within(self, cell: Whole, uniform: Real) -> Real:
        """Return a place in each of these cells, uniform in its area, shape `(n, 2)`, x and y in mm.

        Args:
            cell: Flat indices, shape `(n,)`.
            uniform: Numbers from 0 to 1, shape `(n, 3)`.
        """
        return diagram(self).triangles.within(cell, uniform)

    def areas(self) -> Real:
        """Return the area of each cell, shape `(n_cells,)`, mm2."""
        return diagram(self).areas

    def sizes(self) -> Real:
        """Return how far each cell reaches in x and y, shape `(n_cells, 2)`, mm."""
        return np.array([np.ptp(corners, axis=0) for corners in self.polygons])

    @property
    def polygons(self) -> tuple[Real, ...]:
        """Corners of each cell, counter-clockwise, each of shape `(corners, 2)`, mm."""
        return diagram(self).polygons

    def sides(self) -> Whole:
        """Return pairs of cells with a side in common, shape `(pairs, 2)`."""
        return diagram(self).sides

    def corners(self) -> Whole:
        """Return pairs of cells that touch at a corner only: none, as polygons that do so are few."""
        return np.empty((0, 2), np.int64)

    @property
    def pitch(self) -> float:
        """Typical distance of two neighbours: the width of a hexagon of the mean area, mm."""
        return diagram(self).pitch

    def bins(self, axis: int) -> tuple[Real, Whole]:
        """Cut x (0) or y (1) into rows of cells, or, where cells form none, every pitch.

        Returns:
            Borders of the bins, mm, and the bin in which the centre of each cell is.
        """
        return diagram(self).bins[axis]

    @property
    def reach(self) -> tuple[float, float]:
        """Largest |x| and |y| that the grid covers, mm."""
        return diagram(self).reach


@dataclass(frozen=True)
class CellGrid(NearestGrid):
    """Cells of any places; flat index as they are listed.

    Args:
        places: Their centres, mm.
        outline: Corners of a convex polygon, counter-clockwise, mm.
        outside: Centres of what is not read out: dead cells, or those beyond a ragged border, mm.

    Example:
        >>> square = ((-5.0, -5.0), (5.0, -5.0), (5.0, 5.0), (-5.0, 5.0))
        >>> CellGrid(places=((-2.0, 0.0), (4.0, 0.0)), outline=square).areas().tolist()
        [60.0, 40.0]
    """

    kind: ClassVar[str] = "cells"

    places: Points
    outline: Points
    outside: Points = ()

    @cached_property
    def layout(self) -> Layout:
        return Layout(
            *(_frozen(np.array(p).reshape(-1, 2)) for p in (self.places, self.outside, self.outline))
        )


@dataclass(frozen=True)
class HexagonalGrid(NearestGrid):
    """Hexagons with two sides along y, one of them in the middle; numbered row by row from below.

    Either whole ones in rings around that in the middle, or all with their centre in a window, whose border
    cuts the outermost, or which these fill.

    Args:
        width: Of a hexagon from side to side, mm.
        rings: How many, or None.
        window: Full width in x and y, mm; or that of a hexagon with two sides along x, from side to side.

    Example:
        >>> HexagonalGrid(width=12.0, rings=2).n_cells
        19
    """

    kind: ClassVar[str] = "hexagonal"

    width: float
    rings: int | None = None
    window: tuple[float, ...] | None = None

    @cached_property
    def layout(self) -> Layout:
        if self.rings is None:
            outline = _window(self.window or ())
            centres = _lattice(self.width, *np.abs(outline).max(axis=0).tolist())
            return Layout(_frozen(_within(centres, outline)), np.empty((0, 2)), outline)
        across = (self.rings + 0.5) * self.width
        up = self.rings * self.width * math.sqrt(3) / 2 + self.width / math.sqrt(3)
        every = _lattice(self.width, across + self.width, up + self.width)
        ring = _ring(every, self.width)
        outline = _window((2 * across, 2 * up))
        return Layout(_frozen(every[ring <= self.rings]), every[ring == self.rings + 1], outline)


def _lattice(cell: float, across: float, up: float) -> Real:
    """Centres of hexagons with |x| and |y| up to these, row by row."""
    step = cell * math.sqrt(3) / 2
    rows, columns = math.floor(up / step + _NEAR), math.floor(across / cell + _NEAR) + 1
    row, column = np.arange(-rows, rows + 1), np.arange(-columns, columns + 1)
    x = (column + 0.5 * (row[:, None] % 2)) * cell
    y = np.broadcast_to(row[:, None] * step, x.shape)
    points = np.stack([x.ravel(), y.ravel()], axis=1)
    return np.asarray(points[np.abs(points[:, 0]) <= across + _NEAR])


def _ring(centres: Real, cell: float) -> Whole:
    """Return how many steps from cell to cell the middle is away."""
    row = np.rint(centres[:, 1] / (cell * math.sqrt(3) / 2))
    column = np.rint(centres[:, 0] / cell - row / 2)
    return np.asarray(np.max(np.abs([row, column, row + column]), axis=0), np.int64)


def _window(widths: tuple[float, ...]) -> Real:
    if len(widths) == 1:
        angle = np.arange(6) * math.pi / 3
        return np.asarray(np.stack([np.cos(angle), np.sin(angle)], axis=1) * widths[0] / math.sqrt(3))
    return np.asarray(np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * np.asarray(widths) / 2)


def _within(points: Real, outline: Real) -> Real:
    normals, offsets = _half_planes(outline)
    return np.asarray(points[(points @ normals.T <= offsets + _NEAR).all(axis=1)])


def _half_planes(outline: Real) -> tuple[Real, Real]:
    along = np.roll(outline, -1, axis=0) - outline
    normals = np.stack([along[:, 1], -along[:, 0]], axis=1) / np.hypot(*along.T)[:, None]
    return normals, (normals * outline).sum(axis=1)


@lru_cache(maxsize=64)
def diagram(grid: NearestGrid) -> Diagram:
    """Return the diagram of a grid; layers with equal grids share it."""
    from scipy.spatial import Delaunay, cKDTree

    layout = grid.layout
    size = float(np.abs(np.concatenate([layout.outline, layout.centres, layout.outside])).max())
    # With points far away in all directions, cells in one line have a diagram as well.
    angle = (np.arange(8) + 0.3) * math.pi / 4
    far = _FAR * size * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    points = np.concatenate([layout.centres, layout.outside, far])
    starts, numbers = Delaunay(points).vertex_neighbor_vertices
    beside = [numbers[a:b].tolist() for a, b in pairwise(starts)]
    polygons, sides = _cells(points, len(layout.centres), beside, layout.outline)
    count = np.diff(starts).astype(np.int64)
    return Diagram(
        points, cKDTree(points), _table(beside), count, polygons, sides, *_half_planes(layout.outline)
    )


def _table(beside: list[list[int]]) -> Whole:
    most = max(map(len, beside))
    return np.array([some + [i] * (most - len(some)) for i, some in enumerate(beside)], np.int64)


def _cells(points: Real, n: int, beside: list[list[int]], outline: Real) -> tuple[tuple[Real, ...], Whole]:
    """Cut the outline by the lines halfway to all neighbours, for each of the first `n` points."""
    polygons, sides = [], []
    short = _SHORT * math.sqrt(signed_area(outline) / n)
    for i in range(n):
        others = points[beside[i]]
        normals = (others - points[i]).tolist()
        offsets = (0.5 * ((others**2).sum(axis=1) - (points[i] ** 2).sum())).tolist()
        corners, behind = clipped(outline, zip(normals, offsets, beside[i], strict=True))
        lengths = np.hypot(*(np.roll(corners, -1, axis=0) - corners).T)
        polygons.append(_frozen(corners[lengths > short]))
        touching = {j for j, length in zip(behind, lengths, strict=True) if i < j < n and length > short}
        sides += [(i, j) for j in sorted(touching)]
    return tuple(polygons), _frozen(np.array(sides, np.int64).reshape(-1, 2))


def _frozen(array: NDArray[_Scalar]) -> NDArray[_Scalar]:
    array.setflags(write=False)
    return array

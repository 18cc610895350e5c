"""The grids as a detector file has them: each kind, its keys, and what is wrong with them."""

from __future__ import annotations

__all__ = ["CartesianSpec", "CellSpec", "GridSpec", "HexagonalSpec", "PolarSpec"]

import math
from itertools import pairwise
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator, model_validator

from caloforge.detector.grids import CartesianGrid, PolarGrid
from caloforge.detector.nearest import CellGrid, HexagonalGrid
from caloforge.detector.parts import MAX_LENGTH, Count, Part, Thickness, wrong
from caloforge.detector.polygons import is_convex, signed_area
from caloforge.errors import QuantityError
from caloforge.quantities import length

_MOST_POLYGONS = 100_000
_APART = 1e-3  # mm
_APART_OF = 1e-5  # of the size: Qhull, which finds what lies beside what, takes nearer points for one


class CartesianSpec(Part):
    """A window cut into equal rectangles, given their number (`cells`) or their size (`cell`)."""

    kind: Literal["cartesian"]
    window: tuple[Thickness, Thickness]
    cells: tuple[Count, Count] | None = None
    cell: tuple[Thickness, Thickness] | None = None

    @model_validator(mode="after")
    def _divides(self) -> CartesianSpec:
        if (self.cells is None) == (self.cell is None):
            raise wrong(
                "a cartesian grid needs `cells` or `cell`, not both",
                got="both" if self.cells else "neither",
                expected="cells: [3, 96] (their number) or cell: [160 mm, 5 mm] (their size)",
            )
        for axis, (window, cell) in enumerate(zip(self.window, self.cell or (), strict=False)):
            if round(window / cell) < 1 or abs(window / cell - round(window / cell)) > 1e-6:
                raise _does_not_divide(axis, window, cell)
        return self

    @property
    def n_cells(self) -> int:
        """Number of cells, without building the grid: a file may ask for 1e5 x 1e5."""
        return math.prod(self.cells) if self.cells else self.grid().n_cells

    def grid(self) -> CartesianGrid:
        """Return the grid in mm."""
        if self.cell is None:
            return CartesianGrid(self.window, self.cells or (1, 1))
        (wx, wy), (dx, dy) = self.window, self.cell
        return CartesianGrid(self.window, (round(wx / dx), round(wy / dy)))


def _does_not_divide(axis: int, window: float, cell: float) -> Exception:
    few = max(1, int(window / cell))
    fits = " or ".join(f"{round(n * cell, 9):g} mm ({n})" for n in (few, few + 1))
    return wrong(
        f"{window:g} mm is not a whole number of cells of {cell:g} mm",
        at=("cell", axis),
        got=f"{window / cell:.6g} cells in {'xy'[axis]}",
        expected=f"a window of {fits}",
        cure="change window or cell, or give the number of cells with `cells:`",
    )


def _r_edges(value: Any) -> tuple[float, ...]:
    expected = "increasing radii, one unit at the end: '0, 4.65, 9.3 mm'"
    if not isinstance(value, str):
        raise wrong("r_edges is not a text of radii", got=repr(value), expected=expected)
    *inner, last = [part.strip() for part in value.split(",")]
    unit = last.lstrip("+-.0123456789eE ")
    try:
        edges = tuple(round(length(part), 9) for part in (*(f"{part} {unit}" for part in inner), last))
    except QuantityError as error:
        raise wrong(error.problem, got=value, expected=expected) from None
    if edges[-1] > MAX_LENGTH:
        raise wrong(f"{edges[-1]:g} mm is too long", got=value, expected=f"at most {MAX_LENGTH:g} mm")
    if len(edges) < 2 or edges[0] < 0 or any(b <= a for a, b in pairwise(edges)):
        raise wrong("the radii do not increase from 0 or more", got=value, expected=expected)
    return edges


class PolarSpec(Part):
    """Rings with borders `r_edges`, or `r_cells` rings of `r_size` each, cut into `alpha` sectors."""

    kind: Literal["polar"]
    alpha: Count
    r_edges: Annotated[
        tuple[float, ...] | None,
        BeforeValidator(_r_edges),
        WithJsonSchema({"type": "string", "examples": ["0, 4.65, 9.3 mm"]}),
    ] = None
    r_cells: Count | None = None
    r_size: Thickness | None = None

    @model_validator(mode="after")
    def _one_way(self) -> PolarSpec:
        rings = (self.r_cells is not None) + (self.r_size is not None)
        if rings != (2 if self.r_edges is None else 0):
            raise wrong(
                "a polar grid needs `r_edges`, or `r_cells` with `r_size`",
                got=", ".join(sorted(self.model_fields_set)),
                expected="r_edges: '0, 5, 10 mm', or r_cells: 9 and r_size: 4.65 mm",
            )
        return self

    @property
    def n_cells(self) -> int:
        """Number of cells, without building the grid."""
        return self.alpha * (self.r_cells or len(self.r_edges or ()) - 1)

    def grid(self) -> PolarGrid:
        """Return the grid in mm."""
        if self.r_edges is not None:
            return PolarGrid(self.r_edges, self.alpha)
        size = self.r_size or 0.0
        return PolarGrid(tuple(round(i * size, 9) for i in range((self.r_cells or 0) + 1)), self.alpha)


class HexagonalSpec(Part):
    """Hexagons of width `cell` from side to side: `rings` of whole ones, or those that fill a `window`."""

    kind: Literal["hexagonal"]
    cell: Thickness
    rings: Annotated[int, Field(strict=True, ge=0, le=1_000)] | None = None
    window: Annotated[tuple[Thickness, ...], Field(min_length=1, max_length=2)] | None = None

    @field_validator("window", mode="before")
    @classmethod
    def _one_width(cls, value: Any) -> Any:
        return value if isinstance(value, list | tuple) else (value,)

    @model_validator(mode="after")
    def _one_way(self) -> HexagonalSpec:
        if (self.rings is None) == (self.window is None):
            raise wrong(
                "a hexagonal grid needs `rings` or `window`",
                got="neither" if self.rings is None else "both",
                expected="rings: 7 (around the cell in the middle), or window: [100 mm, 100 mm], "
                "or window: 166 mm (a hexagon, from side to side)",
            )
        if self.n_cells > _MOST_POLYGONS:
            raise wrong(
                "too many hexagons in a layer",
                at=("cell",),
                got=f"about {self.n_cells:,}",
                expected=f"at most {_MOST_POLYGONS:,}",
            )
        return self

    @property
    def n_cells(self) -> int:
        """Number of cells, in a window about, without building the grid."""
        if self.window is None:
            rings = self.rings or 0
            return 1 + 3 * rings * (rings + 1)
        width, height = (*self.window, self.window[0] * math.sqrt(3) / 2)[:2]
        columns, rows = width / self.cell, height / (self.cell * math.sqrt(3) / 2)
        return math.ceil(max(columns * rows, columns, rows))  # a narrow window has a cell in each row

    def grid(self) -> HexagonalGrid:
        """Return the grid in mm."""
        return HexagonalGrid(self.cell, self.rings, self.window)


def _points(value: Any) -> tuple[tuple[float, float], ...]:
    expected = "x and y of each point, one unit at the end: '0 0, 12 0, 6 10.39 mm'"
    if not isinstance(value, str):
        raise wrong("this is not a text of points", got=repr(value)[:80], expected=expected)
    pairs = [part.split() for part in value.split(",")]
    unit = pairs[-1].pop() if len(pairs[-1]) == 3 else ""
    for number, pair in enumerate(pairs):
        if len(pair) != 2 or not unit:
            what = f"point {number}: {' '.join(pair)[:80]!r}" if unit else "no unit at the end"
            raise wrong("the points cannot be read", got=what, expected=expected)
    try:
        found = tuple((round(length(f"{x} {unit}"), 9), round(length(f"{y} {unit}"), 9)) for x, y in pairs)
    except QuantityError as error:
        raise wrong(error.problem, got=str(error.details["got"])[:80], expected=expected) from None
    if max(abs(value) for point in found for value in point) > MAX_LENGTH:
        raise wrong("a point is too far away", expected=f"at most {MAX_LENGTH:g} mm")
    return found


Places = Annotated[
    tuple[tuple[float, float], ...],
    BeforeValidator(_points),
    WithJsonSchema({"type": "string", "examples": ["0 0, 12 0, 6 10.39 mm"]}),
]


class CellSpec(Part):
    """Cells that own the points nearest to their `centres`, inside a convex `outline`.

    Points that are nearest to one of `outside` belong to no cell.
    """

    kind: Literal["cells"]
    centres: Places
    outline: Places
    outside: Places = ()

    @field_validator("outline")
    @classmethod
    def _convex(cls, value: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
        corners = np.array(value)
        if signed_area(corners) < 0:
            value, corners = value[::-1], corners[::-1]
        if len(value) < 3 or not is_convex(corners):
            raise wrong(
                "the outline is not a convex polygon",
                got=f"{len(value)} corners",
                expected="its corners in order, each once, at least three, all turning to the same side",
                cure="a ragged border is said by centres beyond it: outside: '24 0, ... mm'",
            )
        first = min(range(len(value)), key=value.__getitem__)
        return value[first:] + value[:first]

    @model_validator(mode="after")
    def _sane(self) -> CellSpec:
        if self.n_cells + len(self.outside) > _MOST_POLYGONS:
            raise wrong("too many cells in a layer", expected=f"at most {_MOST_POLYGONS:,}")
        self._check_apart()
        found = self.grid().index(*np.array(self.centres).T)
        for number in np.flatnonzero(found != np.arange(self.n_cells)):
            x, y = self.centres[number]
            raise wrong(
                "a centre lies outside the outline",
                at=("centres",),
                got=f"point {number}: {x:g} {y:g} mm",
                expected="centres within it; those of what is not read out stand in `outside`",
            )
        return self

    def _check_apart(self) -> None:
        from scipy.spatial import cKDTree

        points = np.array(self.centres + self.outside)
        apart = max(_APART, _APART_OF * float(np.abs(np.append(points, self.outline)).max()))
        for one, other in sorted(cKDTree(points).query_pairs(apart)):
            x, y = points[one]
            raise wrong(
                "two centres are one point, or too near each other",
                at=("centres",),
                got=f"points {one} and {other}, counted through `centres` and `outside`: {x:g} {y:g} mm",
                expected=f"points at least {apart:g} mm apart",
            )

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return len(self.centres)

    def grid(self) -> CellGrid:
        """Return the grid in mm."""
        return CellGrid(self.centres, self.outline, self.outside)


GridSpec = CartesianSpec | PolarSpec | HexagonalSpec | CellSpec

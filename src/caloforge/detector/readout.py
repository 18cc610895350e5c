"""The readout: which deposits count, in which frame, and the layers with their grids."""

from __future__ import annotations

__all__ = [
    "MAX_CELLS",
    "MAX_LAYERS",
    "CartesianSpec",
    "Layer",
    "LayerSpec",
    "PolarSpec",
    "Readout",
    "alike",
    "expand",
]

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator, model_validator

from caloforge.detector.grids import CartesianGrid, Grid, PolarGrid
from caloforge.detector.parts import MAX_LENGTH, Count, Energy, Length, Name, Part, Thickness, Time, wrong
from caloforge.errors import QuantityError
from caloforge.quantities import length

MAX_LAYERS = 2_000
MAX_CELLS = 10_000_000
NOMINAL_THICKNESS = 1.0


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

    def grid(self) -> PolarGrid:
        """Return the grid in mm."""
        if self.r_edges is not None:
            return PolarGrid(self.r_edges, self.alpha)
        size = self.r_size or 0.0
        return PolarGrid(tuple(round(i * size, 9) for i in range((self.r_cells or 0) + 1)), self.alpha)


Fraction = Annotated[float, Field(gt=0, le=1)]


class LayerSpec(Part):
    """One layer, or `count` equal ones, as the file has them.

    `thickness` may be absent only where there is no material stack: the depth is then unknown and each
    layer is taken as 1 mm thick. `id` is the number the experiment gives the layer. `sampling_fraction`
    stands for that of the readout, where sections differ.
    """

    name: Name | None = None
    id: Annotated[int, Field(strict=True, ge=0, le=1_000_000)] | None = None
    count: Count = 1
    start: Length | None = None
    thickness: Thickness | None = None
    sampling_fraction: Fraction | None = None
    grid: CartesianSpec | PolarSpec = Field(discriminator="kind")

    def layer_names(self, first_id: int) -> list[str]:
        """Names of its layers: the given one, numbered if there are several, or `layer_<id>`."""
        if self.name is None:
            return [f"layer_{first_id + i}" for i in range(self.count)]
        return [self.name] if self.count == 1 else [f"{self.name}_{i}" for i in range(self.count)]


class Readout(Part):
    """How deposits become cells.

    Args:
        deposits: `all` counts energy in every slab, `active` only in active ones, `passive` in the others.
        frame: `detector`, or `particle`: z runs along the particle from where it enters.
        centre: the window's centre: the z `axis`, or the energy `barycentre` rounded to a cell.
        sampling_fraction: a cell is its deposit divided by this, unless its layer has its own.
        threshold: cells below it are 0, MeV (after the division).
        gate: deposits later than this do not count, ns, from when light from the front face could be there.
        layers: in order of depth.
    """

    deposits: Literal["all", "active", "passive"]
    frame: Literal["detector", "particle"] = "detector"
    centre: Literal["axis", "barycentre"] = "axis"
    sampling_fraction: Fraction | None = None
    threshold: Energy | None = None
    gate: Time | None = None
    layers: tuple[LayerSpec, ...] = Field(min_length=1)

    @field_validator("threshold")
    @classmethod
    def _not_negative(cls, value: float | None) -> float | None:
        if value is not None and value < 0:
            raise wrong("a threshold cannot be negative", got=f"{value:g} MeV", expected="0 MeV or more")
        return value

    @field_validator("gate")
    @classmethod
    def _open(cls, value: float | None) -> float | None:
        if value is not None and value <= 0:
            raise wrong("a gate must be open for a while", got=f"{value:g} ns", expected="more than 0 ns")
        return value

    @model_validator(mode="after")
    def _sane(self) -> Readout:
        n_layers = sum(spec.count for spec in self.layers)
        if n_layers > MAX_LAYERS:
            raise wrong("too many layers", at=("layers",), got=n_layers, expected=f"at most {MAX_LAYERS:,}")
        n_cells = sum(spec.count * _n_cells(spec.grid) for spec in self.layers)
        if n_cells > MAX_CELLS:
            raise wrong(
                "too many cells", at=("layers",), got=f"{n_cells:,}", expected=f"at most {MAX_CELLS:,}"
            )
        if self.centre == "barycentre":
            self._check_barycentre()
        return self

    def _check_barycentre(self) -> None:
        grids = {spec.grid.grid() for spec in self.layers}
        if self.frame == "particle" or len(grids) > 1 or not isinstance(next(iter(grids)), CartesianGrid):
            raise wrong(
                "a window can be centred on the barycentre only if all layers share one cartesian grid",
                at=("centre",),
                got="barycentre",
                expected="axis, or frame: detector and the same cartesian grid in every layer",
            )


def _n_cells(grid: CartesianSpec | PolarSpec) -> int:
    # Counted without building the grid: a file may ask for 1e5 x 1e5 cells.
    if isinstance(grid, CartesianSpec) and grid.cells is not None:
        return grid.cells[0] * grid.cells[1]
    if isinstance(grid, PolarSpec) and grid.r_cells is not None:
        return grid.alpha * grid.r_cells
    return grid.grid().n_cells


@dataclass(frozen=True)
class Layer:
    """One readout layer in its place.

    Args:
        name: Its name, unique in the detector.
        index: Its place in the detector, from 0.
        id: The number the experiment gives it; `index` unless the file says otherwise.
        start: Depth at which it starts, mm.
        thickness: Its thickness, mm.
        grid: Its cells.
        cells: Where its cells are in the vector of a shower.
        sampling_fraction: Its own, where it is not the readout's.
    """

    name: str
    index: int
    id: int
    start: float
    thickness: float
    grid: Grid
    cells: slice
    sampling_fraction: float | None = None

    @property
    def end(self) -> float:
        """Depth at which it ends, mm."""
        return round(self.start + self.thickness, 9)

    @property
    def shape(self) -> tuple[int, int]:
        """`(nx, ny)` or `(n_alpha, n_r)`."""
        return self.grid.shape

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return self.grid.n_cells


def alike(one: Layer, other: Layer) -> bool:
    """Whether two layers differ in their place alone."""
    return all(
        getattr(one, name) == getattr(other, name) for name in ("thickness", "grid", "sampling_fraction")
    )


def expand(specs: Sequence[LayerSpec]) -> tuple[Layer, ...]:
    """Return all layers in order; a layer starts where the one before ended unless it says `start`."""
    layers: list[Layer] = []
    for spec in specs:
        grid = spec.grid.grid()
        first_id = spec.id if spec.id is not None else (layers[-1].id + 1 if layers else 0)
        for i, name in enumerate(spec.layer_names(first_id)):
            after = layers[-1].end if layers else 0.0
            start = spec.start if spec.start is not None and i == 0 else after
            offset = layers[-1].cells.stop if layers else 0
            cells = slice(offset, offset + grid.n_cells)
            thickness = spec.thickness or NOMINAL_THICKNESS
            own = spec.sampling_fraction
            layers.append(Layer(name, len(layers), first_id + i, start, thickness, grid, cells, own))
    return tuple(layers)

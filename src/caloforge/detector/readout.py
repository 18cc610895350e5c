"""The readout: which deposits count, in which frame, and the layers with their grids."""

from __future__ import annotations

__all__ = [
    "MAX_CELLS",
    "MAX_LAYERS",
    "Layer",
    "LayerSpec",
    "Readout",
    "alike",
    "expand",
    "spec_of",
]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from caloforge.detector.grid_specs import CartesianSpec, GridSpec, PolarSpec
from caloforge.detector.grids import CartesianGrid, Grid, PolarGrid
from caloforge.detector.parts import Count, Energy, Length, Name, Part, Thickness, Time, wrong

MAX_LAYERS = 2_000
MAX_CELLS = 10_000_000
NOMINAL_THICKNESS = 1.0


def spec_of(grid: Grid) -> CartesianSpec | PolarSpec:
    """Return a cartesian or polar grid as a detector file has it."""
    if isinstance(grid, PolarGrid):
        return PolarSpec.model_construct(kind="polar", alpha=grid.alpha, r_edges=grid.r_edges)
    assert isinstance(grid, CartesianGrid)
    return CartesianSpec.model_construct(kind="cartesian", window=grid.window, cells=grid.cells)


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
    grid: GridSpec = Field(discriminator="kind")

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
        time: what time a cell has, by the clock of the gate: the `mean` of its deposits, weighted with what
            is seen of each. None: it has none.
        layers: in order of depth.
    """

    deposits: Literal["all", "active", "passive"]
    frame: Literal["detector", "particle"] = "detector"
    centre: Literal["axis", "barycentre"] = "axis"
    sampling_fraction: Fraction | None = None
    threshold: Energy | None = None
    gate: Time | None = None
    time: Literal["mean"] | None = None
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
        n_cells = sum(spec.count * spec.grid.n_cells for spec in self.layers)
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
        """`(nx, ny)` or `(n_alpha, n_r)`; `(n_cells, 1)` of polygons."""
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

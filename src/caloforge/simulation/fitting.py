"""What must agree before showers of one detector may lie in another."""

from __future__ import annotations

__all__ = ["check_fit"]

from collections.abc import Iterator
from typing import Any

from caloforge.detector import CartesianGrid, Detector, PolarGrid
from caloforge.detector.stack import Layered
from caloforge.errors import DetectorError


def check_fit(source: Detector, target: Detector) -> None:
    """See that showers of one detector are those of another, up to windows and electronics.

    Args:
        source: Whose showers they are.
        target: Where they are to lie.

    Raises:
        DetectorError: They are not; the error names the first difference.
    """
    for what, expected, got in _differences(source, target):
        if got != expected:
            raise DetectorError(
                f"showers of {source.name!r} cannot be put into {target.name!r}",
                where=what,
                got=got,
                expected=f"{expected}, as in {source.name!r}",
                cure="stack, layers, cell sizes and deposits must agree; windows and digitisation may differ",
            )


def _differences(one: Detector, other: Detector) -> Iterator[tuple[str, Any, Any]]:
    yield "shape", _shape(one), _shape(other)
    yield "stack", _stack(one), _stack(other)
    yield "number of layers", one.n_layers, other.n_layers
    for name in ("frame", "deposits", "sampling_fraction"):
        yield f"readout.{name}", getattr(one.readout, name), getattr(other.readout, name)
    for mine, its in zip(one.layers, other.layers, strict=False):
        yield f"depth of {mine.name}", _span(mine.start, mine.end), _span(its.start, its.end)
        yield f"cells of {mine.name}", _cells(mine.grid), _cells(its.grid)


def _shape(detector: Detector) -> str:
    radius = detector.inner_radius
    return detector.shape if radius is None else f"{detector.shape}, inner radius {radius:.9g} mm"


def _span(start: float, end: float) -> str:
    # Nine digits: what was computed in two ways is the same.
    return f"{start + 0.0:.9g} to {end:.9g} mm"


def _cells(grid: object) -> str:
    if isinstance(grid, CartesianGrid):
        return f"{grid.cell[0]:.9g} x {grid.cell[1]:.9g} mm"
    assert isinstance(grid, PolarGrid)
    return f"{grid.alpha} sectors of rings at {', '.join(f'{r:.9g}' for r in grid.r_edges)} mm"


class _Stack(tuple[Any, ...]):
    """Slabs, told in a few words."""

    def __str__(self) -> str:
        materials = len({str(slab[0]) for slab in self})
        return f"{len(self)} slabs of {materials} materials, {sum(slab[1] for slab in self):g} mm deep"


def _stack(detector: Detector) -> _Stack:
    """Slabs with what they are made of: a mixture may have any name."""
    return _Stack(_told(detector, slab) for slab in detector.slabs)


def _told(detector: Detector, slab: Layered) -> tuple[Any, ...]:
    light = tuple((plate.active, plate.birks) for plate in slab.pieces)
    return detector.made_of(slab), slab.thickness, light

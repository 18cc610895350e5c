"""The material stack: slabs in depth order, in groups that repeat; a slab may be a row of plates across."""

from __future__ import annotations

__all__ = ["MAX_SLABS", "Row", "RowSpec", "Slab", "SlabGroup", "SlabSpec", "expand", "in_row"]

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from caloforge.detector.parts import BirksConstant, Count, Part, Thickness

MAX_SLABS = 10_000
_LEAST = 1e-9  # mm; lengths are rounded to it


class SlabSpec(Part):
    """One slab as the file has it; `active` slabs are the ones that are read out.

    `birks` is Birks' constant of a scintillator: of a step of length dx that loses dE it shows
    dE / (1 + birks dE/dx).
    """

    material: str
    thickness: Thickness
    active: bool = Field(default=False, strict=True)
    birks: BirksConstant | None = None


class RowSpec(Part):
    """Plates side by side across the depth; their sequence repeats until it fills the detector's size.

    Args:
        thickness: How deep the plates reach.
        across: The axis along which they follow each other.
        slabs: The sequence; a plate's thickness is measured along that axis.
    """

    thickness: Thickness
    across: Literal["x", "y"]
    slabs: tuple[SlabSpec, ...] = Field(min_length=1)

    @property
    def period(self) -> float:
        """Length of the sequence, mm."""
        return round(sum(spec.thickness for spec in self.slabs), 9)


def _kind(value: Any) -> str:
    keys = value if isinstance(value, dict) else vars(value) if isinstance(value, Part) else ()
    return "<row>" if "across" in keys or "slabs" in keys else "<slab>"


class SlabGroup(Part):
    """Slabs that follow each other, the whole sequence `repeat` times."""

    repeat: Count = 1
    slabs: tuple[
        Annotated[
            Annotated[SlabSpec, Tag("<slab>")] | Annotated[RowSpec, Tag("<row>")], Discriminator(_kind)
        ],
        ...,
    ] = Field(min_length=1)


@dataclass(frozen=True)
class Slab:
    """One slab in its place: a plate (planar) or a tube (barrel) at `start` mm of depth.

    In a row, `start` is where a plate begins along the axis of the row. `birks` is in mm/MeV.
    """

    material: str
    thickness: float
    active: bool
    start: float
    birks: float | None = None

    @property
    def end(self) -> float:
        """Where the slab ends, mm."""
        return round(self.start + self.thickness, 9)

    @property
    def content(self) -> tuple[Any, ...]:
        """What it is, wherever it stands."""
        return self.material, self.thickness, self.active, self.birks

    @property
    def plates(self) -> tuple[Slab, ...]:
        """Itself alone."""
        return (self,)


@dataclass(frozen=True)
class Row:
    """Plates side by side at one depth.

    Attributes:
        across: The axis along which they follow each other, `x` or `y`.
        sequence: The plates that repeat; the first one starts at 0.
        extent: What they fill, mm, from minus to plus half of it.
        thickness: How deep they reach, mm.
        start: The depth at which they begin, mm.
    """

    across: Literal["x", "y"]
    sequence: tuple[Slab, ...]
    extent: float
    thickness: float
    start: float

    @property
    def end(self) -> float:
        """Depth at which the plates end, mm."""
        return round(self.start + self.thickness, 9)

    @property
    def content(self) -> tuple[Any, ...]:
        """What it is, wherever it stands."""
        return self.across, self.thickness, tuple(plate.content for plate in self.sequence)

    @property
    def active(self) -> bool:
        """Whether any plate is read out."""
        return any(plate.active for plate in self.sequence)

    @property
    def period(self) -> float:
        """Length of the sequence, mm."""
        return self.sequence[-1].end

    @cached_property
    def plates(self) -> tuple[Slab, ...]:
        """All plates in order of the axis; the last one is cut where the detector ends."""
        first, last = -self.extent / 2, self.extent / 2
        plates: list[Slab] = []
        for number in range(math.ceil(self.extent / self.period - _LEAST)):
            for plate in self.sequence:
                start = round(first + number * self.period + plate.start, 9)
                thickness = round(min(plate.thickness, last - start), 9)
                if thickness > _LEAST:
                    plates.append(replace(plate, thickness=thickness, start=start))
        return tuple(plates)


def in_row(spec: RowSpec, extent: float) -> int:
    """Return how many plates a row has, or one sequence more."""
    return (1 + math.ceil(extent / spec.period)) * len(spec.slabs)


def expand(groups: Sequence[SlabGroup], extents: Mapping[str, float]) -> tuple[Slab | Row, ...]:
    """Return all slabs of the groups in depth order, from z = 0.

    Args:
        groups: As the file has them.
        extents: How wide the detector is in mm along the axes that plates can follow.
    """
    slabs: list[Slab | Row] = []
    depth = 0.0
    for group in groups:
        for spec in group.slabs * group.repeat:
            slabs.append(_placed(spec, depth, extents))
            depth = slabs[-1].end
    return tuple(slabs)


def _placed(spec: SlabSpec | RowSpec, depth: float, extents: Mapping[str, float]) -> Slab | Row:
    if isinstance(spec, SlabSpec):
        return Slab(spec.material, spec.thickness, spec.active, depth, spec.birks)
    sequence: list[Slab] = []
    for plate in spec.slabs:
        start = sequence[-1].end if sequence else 0.0
        sequence.append(Slab(plate.material, plate.thickness, plate.active, start, plate.birks))
    return Row(spec.across, tuple(sequence), extents[spec.across], spec.thickness, depth)

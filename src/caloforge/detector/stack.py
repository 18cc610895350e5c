"""The material stack: slabs in depth order, in groups that repeat; a slab may be a row of plates across."""

from __future__ import annotations

__all__ = [
    "MAX_SLABS",
    "Fan",
    "FanSpec",
    "Layered",
    "Matter",
    "Row",
    "RowSpec",
    "Slab",
    "SlabGroup",
    "SlabSpec",
    "expand",
    "most_plates",
]

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator

from caloforge.detector.parts import Angle, BirksConstant, Count, Part, Thickness, wrong

MAX_SLABS = 10_000
_STEEPEST = 1.4  # rad
_LEAST = 1e-9  # mm; lengths are rounded to it


class Matter(Part):
    """What a slab is made of, or what fills the gaps between plates; `active` matter is read out.

    `birks` is Birks' constant of a scintillator: of a step of length dx that loses dE it shows
    dE / (1 + birks dE/dx).
    """

    material: str
    active: bool = Field(default=False, strict=True)
    birks: BirksConstant | None = None

    def slab(self, thickness: float, start: float) -> Slab:
        """Put it in its place; mm."""
        return Slab(self.material, thickness, self.active, start, self.birks)


class SlabSpec(Matter):
    """One slab as the file has it."""

    thickness: Thickness


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


class FanSpec(Part):
    """Flat plates all around a barrel, with gaps between them that grow with the radius.

    Args:
        thickness: How deep the plates reach, in radius.
        around: How often the sequence comes around the barrel.
        angle: Between a plate and the radius at its inner end.
        gaps: What is between the plates.
        slabs: The sequence; its plates are equally far apart.
    """

    thickness: Thickness
    around: Annotated[int, Field(strict=True, ge=1, le=MAX_SLABS)]
    angle: Angle = 0.0
    gaps: Matter
    slabs: tuple[SlabSpec, ...] = Field(min_length=1)

    @field_validator("angle")
    @classmethod
    def _not_flat(cls, value: float) -> float:
        if not 0 <= value <= _STEEPEST:
            raise wrong(
                f"{math.degrees(value):g} deg is out of range",
                got=f"{math.degrees(value):g} deg",
                expected=f"0 deg to {math.degrees(_STEEPEST):.1f} deg",
            )
        return value


def _kind(value: Any) -> str:
    keys = value if isinstance(value, dict) else vars(value) if isinstance(value, Part) else ()
    if "around" in keys or "gaps" in keys:
        return "<fan>"
    return "<row>" if "across" in keys or "slabs" in keys else "<slab>"


class SlabGroup(Part):
    """Slabs that follow each other, the whole sequence `repeat` times."""

    repeat: Count = 1
    slabs: tuple[
        Annotated[
            Annotated[SlabSpec, Tag("<slab>")]
            | Annotated[RowSpec, Tag("<row>")]
            | Annotated[FanSpec, Tag("<fan>")],
            Discriminator(_kind),
        ],
        ...,
    ] = Field(min_length=1)


class _Extended:
    """What begins somewhere and has a thickness, mm."""

    start: float
    thickness: float

    @property
    def end(self) -> float:
        """Where it ends, mm."""
        return round(self.start + self.thickness, 9)


@dataclass(frozen=True)
class Slab(_Extended):
    """One slab in its place: a plate (planar) or a tube (barrel) at `start` mm of depth.

    In a row, `start` is where a plate begins along the axis of the row. `birks` is in mm/MeV.
    """

    material: str
    thickness: float
    active: bool
    start: float
    birks: float | None = None

    @property
    def content(self) -> tuple[Any, ...]:
        """What it is, wherever it stands."""
        return self.material, self.thickness, self.active, self.birks

    @property
    def plates(self) -> tuple[Slab, ...]:
        """Itself alone."""
        return (self,)

    @property
    def pieces(self) -> tuple[Slab, ...]:
        """Itself alone."""
        return (self,)

    @property
    def shares(self) -> list[tuple[str, float]]:
        """How much of each material is in it, as a thickness in mm."""
        return [(self.material, self.thickness)]


@dataclass(frozen=True)
class Row(_Extended):
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
    def content(self) -> tuple[Any, ...]:
        """What it is, wherever it stands."""
        return self.across, self.thickness, tuple(plate.content for plate in self.sequence)

    @property
    def period(self) -> float:
        """Length of the sequence, mm."""
        return self.sequence[-1].end

    @property
    def pieces(self) -> tuple[Slab, ...]:
        """Each plate of the sequence once."""
        return self.sequence

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

    @property
    def shares(self) -> list[tuple[str, float]]:
        """How much of each material is in it, as a mean thickness in mm."""
        return [(plate.material, self.thickness * plate.thickness / self.extent) for plate in self.plates]


@dataclass(frozen=True)
class Fan(_Extended):
    """Flat plates all around a barrel, in a tube of what is between them.

    Attributes:
        around: How often the sequence comes.
        angle: Between a plate and the radius at its inner end, rad.
        filling: The tube between the plates.
        sequence: The plates that repeat.
        radius: Of the inner ends, mm.
        thickness: How deep they reach, mm.
        start: The depth at which they begin, mm.
    """

    around: int
    angle: float
    filling: Slab
    sequence: tuple[Slab, ...]
    radius: float
    thickness: float
    start: float

    @property
    def content(self) -> tuple[Any, ...]:
        """What it is, wherever it stands."""
        plates = tuple(plate.content for plate in self.sequence)
        return self.around, self.angle, self.filling.content, plates

    @property
    def pieces(self) -> tuple[Slab, ...]:
        """What is between the plates, and each of these once."""
        return (self.filling, *self.sequence)

    @property
    def plates(self) -> tuple[Slab, ...]:
        """What is between the plates, and these all around, from azimuth 0 on."""
        return (self.filling, *(self.sequence * self.around))

    @property
    def shares(self) -> list[tuple[str, float]]:
        """How much of each material is in it, as a mean thickness in mm."""
        low, across = self.radius * math.cos(self.angle), self.radius * math.sin(self.angle)
        high = math.sqrt((self.radius + self.thickness) ** 2 - across**2)
        # The mean of the way per mm of plate: the integral of ds / (2 pi r) along it.
        way = math.asinh(high / across) - math.asinh(low / across) if across else math.log(high / low)
        plates = [(p.material, self.around * p.thickness * way / (2 * math.pi)) for p in self.sequence]
        return [(self.filling.material, self.thickness - sum(part for _, part in plates)), *plates]

    def reach(self, thickness: float) -> tuple[float, float]:
        """Return where the middle plane of a flat plate begins and ends, mm from the inner radius along it.

        A plate is a box: it is a little shorter than its middle plane, so that its corners stay inside. It
        ends before it begins if it is too thick for that.
        """
        outer, half = self.radius + self.thickness, thickness / 2
        low, across = self.radius * math.cos(self.angle), self.radius * math.sin(self.angle)
        # The inner end touches the inner radius where it is nearest to the axis, `across` beside which the
        # middle plane passes; the outer end touches the outer radius with the corner that is farther from it.
        first = math.sqrt(self.radius**2 - max(across - half, 0.0) ** 2) - low
        return first, math.sqrt(max(outer**2 - (across + half) ** 2, 0.0)) - low


Layered = Slab | Row | Fan


def most_plates(spec: SlabSpec | RowSpec | FanSpec, extents: Mapping[str, float]) -> int:
    """Return how many pieces of material a slab has, or one sequence more."""
    if isinstance(spec, SlabSpec):
        return 1
    if isinstance(spec, FanSpec):
        return 1 + spec.around * len(spec.slabs)
    return (1 + math.ceil(extents[spec.across] / spec.period)) * len(spec.slabs)


def expand(
    groups: Sequence[SlabGroup], extents: Mapping[str, float], radius: float | None = None
) -> tuple[Layered, ...]:
    """Return all slabs of the groups in depth order, from z = 0.

    Args:
        groups: As the file has them.
        extents: How wide the detector is in mm along the axes that plates can follow.
        radius: Of the front face of a barrel, mm.
    """
    slabs: list[Layered] = []
    depth = 0.0
    for group in groups:
        for spec in group.slabs * group.repeat:
            slabs.append(_placed(spec, depth, extents, radius or 0.0))
            depth = slabs[-1].end
    return tuple(slabs)


def _placed(
    spec: SlabSpec | RowSpec | FanSpec, depth: float, extents: Mapping[str, float], radius: float
) -> Layered:
    if isinstance(spec, SlabSpec):
        return spec.slab(spec.thickness, depth)
    if isinstance(spec, FanSpec):
        plates = tuple(plate.slab(plate.thickness, 0.0) for plate in spec.slabs)
        filling = spec.gaps.slab(spec.thickness, depth)
        return Fan(spec.around, spec.angle, filling, plates, radius + depth, spec.thickness, depth)
    sequence: list[Slab] = []
    for plate in spec.slabs:
        sequence.append(plate.slab(plate.thickness, sequence[-1].end if sequence else 0.0))
    return Row(spec.across, tuple(sequence), extents[spec.across], spec.thickness, depth)

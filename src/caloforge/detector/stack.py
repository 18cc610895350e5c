"""The material stack: slabs in depth order, in groups that repeat."""

from __future__ import annotations

__all__ = ["MAX_SLABS", "Slab", "SlabGroup", "SlabSpec", "expand"]

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import Field

from caloforge.detector.parts import BirksConstant, Count, Part, Thickness

MAX_SLABS = 10_000


class SlabSpec(Part):
    """One slab as the file has it; `active` slabs are the ones that are read out.

    `birks` is Birks' constant of a scintillator: of a step of length dx that loses dE it shows
    dE / (1 + birks dE/dx).
    """

    material: str
    thickness: Thickness
    active: bool = Field(default=False, strict=True)
    birks: BirksConstant | None = None


class SlabGroup(Part):
    """Slabs that follow each other, the whole sequence `repeat` times."""

    repeat: Count = 1
    slabs: tuple[SlabSpec, ...] = Field(min_length=1)


@dataclass(frozen=True)
class Slab:
    """One slab in its place: a plate (planar) or a tube (barrel) at `start` mm of depth.

    `birks` is in mm/MeV.
    """

    material: str
    thickness: float
    active: bool
    start: float
    birks: float | None = None

    @property
    def end(self) -> float:
        """Depth at which the slab ends, mm."""
        return round(self.start + self.thickness, 9)


def expand(groups: Sequence[SlabGroup]) -> tuple[Slab, ...]:
    """Return all slabs of the groups in depth order, from z = 0."""
    slabs: list[Slab] = []
    depth = 0.0
    for group in groups:
        for spec in group.slabs * group.repeat:
            slabs.append(Slab(spec.material, spec.thickness, spec.active, depth, spec.birks))
            depth = slabs[-1].end
    return tuple(slabs)

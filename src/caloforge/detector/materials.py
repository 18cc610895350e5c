"""Mixtures of one's own, and what is said of a material that nobody knows."""

from __future__ import annotations

__all__ = ["Mixture", "unknown_material"]

from typing import Annotated

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from caloforge.detector.nist import ELEMENTS, NIST_MATERIALS, nearest_material
from caloforge.detector.parts import Density, Part, wrong


class Mixture(Part):
    """A material of one's own: density in g/cm3, and what it is made of by fraction of mass.

    Example:
        >>> Mixture(density="17.8 g/cm3", composition={"W": 0.93, "Ni": 0.061, "Fe": 0.009}).nist["G4_W"]
        0.93
    """

    density: Density
    composition: dict[str, Annotated[float, Field(gt=0, le=1)]] = Field(min_length=1)

    @field_validator("density")
    @classmethod
    def _dense(cls, value: float) -> float:
        if value <= 0:
            raise wrong("a density must be positive", got=f"{value:g} g/cm3", expected="more than 0 g/cm3")
        return value

    @model_validator(mode="after")
    def _complete(self) -> Mixture:
        for name in self.composition:
            if name not in ELEMENTS and name not in NIST_MATERIALS:
                raise unknown_material(name, (*ELEMENTS, *NIST_MATERIALS), at=("composition", name))
        total = sum(self.composition.values())
        if abs(total - 1) > 1e-3:
            raise wrong(
                "the mass fractions do not add up to 1",
                at=("composition",),
                got=f"{total:g}",
                expected="1, within 0.001",
            )
        return self

    @property
    def nist(self) -> dict[str, float]:
        """Mass fractions by Geant4's material names (`W` is `G4_W`)."""
        return {f"G4_{name}" if name in ELEMENTS else name: part for name, part in self.composition.items()}


def unknown_material(
    name: str, valid: tuple[str, ...], at: tuple[str | int, ...] = ()
) -> PydanticCustomError:
    """Return the error for a material nobody knows, with the closest name."""
    return wrong(
        f"unknown material {name!r}",
        at=at,
        got=name,
        expected="a Geant4 NIST name such as G4_Pb, or a mixture defined under `materials:`",
        near=nearest_material(name, valid),
        cure="`caloforge detector materials` lists Geant4's",
    )

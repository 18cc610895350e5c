"""What a recipe may say about fitness; free of torch."""

from __future__ import annotations

__all__ = ["FitnessSettings"]

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError
from typing_extensions import Self

Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class FitnessSettings(BaseModel):
    """Weights of what a fitness adds up; each is a distance from Geant4, 0 where there is none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    distance: Weight = 1.0
    """Energy distance of all observables, as they follow the incident particle."""
    merit: Weight = 0.0
    """3DGAN's figure of merit: mean moments and mean profiles (arXiv:1912.06794)."""
    response: Weight = 0.0
    """How far the mean response is from Geant4's, as a share of it."""
    spread: Weight = 0.0
    """How far spreads of observables at fixed energy are from Geant4's: mean of |logarithms of ratios|."""
    hits: Weight = 0.0
    """Energy distance of the numbers of cells above a tenth of a typical hit, of each layer and of all."""
    depth: Weight = 0.0
    """Energy distance of the deepest layer with such a cell, in layers."""

    @model_validator(mode="after")
    def _asks_for_something(self) -> Self:
        if not any(weight for _, weight in self):
            raise PydanticCustomError("no_fitness", "a weight that is not 0")
        return self

    def wanted(self) -> dict[str, float]:
        """Return the weights that are not 0."""
        return {name: weight for name, weight in self if weight}

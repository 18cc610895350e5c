"""What a recipe may say about an evolution of topology; free of torch."""

from __future__ import annotations

__all__ = ["LimitSettings", "TopologySettings", "WaySettings"]

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError
from typing_extensions import Self

Whole = Annotated[int, Field(ge=1, le=10**6)]
Share = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class LimitSettings(_Settings):
    """How large a generator may become."""

    stages: Annotated[int, Field(ge=1, le=64)] = 6
    filters: Annotated[int, Field(ge=1, le=1024)] = 64
    """Most in a stage, and of the coarse image."""
    weights: Whole = 200_000
    """Of the whole generator."""


class WaySettings(_Settings):
    """How often children are made in each way, as shares of one another."""

    weights: Share = 1.0
    """The parent's topology: only the weights change."""
    preserve: Share = 1.0
    """A wider or deeper network that makes the parent's showers at first."""
    change: Share = 1.0
    """Any other change of one thing."""
    crossover: Share = 1.0
    """The first stages of one parent, the later ones of another."""

    @model_validator(mode="after")
    def _are_some(self) -> Self:
        if not any(share for _, share in self):
            raise PydanticCustomError("no_ways", "a share that is not 0")
        return self


class TopologySettings(_Settings):
    """The stages of a generator evolve, and in each child its weights as the objective says."""

    population: Annotated[int, Field(ge=2, le=10_000)] = 12
    """Generators that live on from one generation to the next, and children of each."""
    generations: Whole = 20
    """After that of the founders."""
    steps: Whole = 20
    """Generations of the objective's algorithm on the weights of each child."""
    first_steps: Whole = 100
    """The same of each founder, whose weights are random."""
    tolerance: Annotated[float, Field(gt=1)] = 3.0
    """A fitness so many times that of the best is too bad, however quick or small the generator is."""
    limits: LimitSettings = LimitSettings()
    ways: WaySettings = WaySettings()

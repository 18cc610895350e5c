"""What a recipe may say about an evolution; free of torch, so that a recipe can be read quickly."""

from __future__ import annotations

__all__ = [
    "AlgorithmSettings",
    "CmaEsSettings",
    "CodingSettings",
    "CoevolutionSettings",
    "CosineSettings",
    "DeepGaSettings",
    "DenseSettings",
    "DirectionsSettings",
    "EsSettings",
    "EvolutionSettings",
    "HypernetworkSettings",
    "LeeaSettings",
    "SeparableSettings",
    "SnesSettings",
]

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError
from typing_extensions import Self

from caloforge.evolution.fitness.settings import FitnessSettings

Whole = Annotated[int, Field(ge=1, le=10**6)]
Several = Annotated[int, Field(ge=2, le=10**6)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Part = Annotated[float, Field(gt=0, le=1)]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class _Algorithm(_Settings):
    """Of every algorithm. Lengths are in units of each gene's spread, which initialisation gives it."""

    first: NotNegative | None = None
    """How far the first individuals (or the first mean) are drawn from the weights to begin with. Left out:
    1, a fresh initialisation; from weights that were given, 0 for a mean, one mutation for individuals."""

    @property
    def drawn(self) -> float:
        """`first`, from nothing."""
        return 1.0 if self.first is None else self.first

    @property
    def near(self) -> float:
        """`first`, from given weights."""
        return 0.0

    def beginning_with(self, given: bool) -> Self:
        """Return these settings with `first` as it is to be, whether weights were given or not."""
        if self.first is not None:
            return self
        return self.model_copy(update={"first": self.near if given else self.drawn})


class DeepGaSettings(_Algorithm):
    """Deep GA, arXiv:1712.06567: mutation and truncation, no crossover; chromosomes are chains of seeds.

    Its power is 0.002 in weights whose spread is about 0.04: hence 0.05.
    """

    kind: Literal["deep-ga"] = "deep-ga"
    population: Several = 1000
    """Individuals of a generation, with the elite."""
    parents: Annotated[Whole, Field(validate_default=True)] = 20
    """The best, which have children."""
    power: Positive = 0.05
    """Standard deviation of a mutation."""
    elites: Annotated[Whole, Field(validate_default=True)] = 10
    """Candidates that are judged again; the best of them lives on unchanged."""

    @field_validator("parents", "elites")
    @classmethod
    def _are_of_the_population(cls, value: int, info: ValidationInfo) -> int:
        return _at_most(value, info.data.get("population"))

    @property
    def near(self) -> float:
        return self.power


class LeeaSettings(_Algorithm):
    """LEEA, Morse and Stanley, GECCO 2016: a small batch a generation, and fitness that is inherited."""

    kind: Literal["leea"] = "leea"
    population: Several = 1000
    parents: Part = 0.4
    """Share of the best, which have children."""
    crossover: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Share of the children that have two parents, of each half the genes; the others are mutated."""
    power: Positive = 0.2
    """Standard deviation of a mutated gene in the first generation."""
    rate: Part = 0.04
    """Share of the genes that a mutation changes."""
    power_decay: Part = 0.99
    """What the power is multiplied with after each generation."""
    decay: Part = 0.2
    """Share of the inherited fitness that is forgotten in each generation."""

    @property
    def near(self) -> float:
        return self.power


class EsSettings(_Algorithm):
    """OpenAI's evolution strategy, arXiv:1703.03864: mirrored samples, ranks, Adam."""

    kind: Literal["es"] = "es"
    population: Several = 256
    """Individuals of a generation, in mirrored pairs."""
    rank: Literal["full", "one"] = "full"
    """What is drawn from a seed: each weight by itself, or each matrix's change as an outer product
    (arXiv:2511.16652), which is quicker to evaluate."""
    sigma: Positive = 0.1
    """Standard deviation of the individuals around the mean."""
    rate: Positive = 0.03
    """Learning rate: about how far the mean moves in a generation."""
    decay: NotNegative = 0.0
    """Weight decay, in shares of the mean per unit of rate (AdamW's, arXiv:1711.05101)."""

    @field_validator("population")
    @classmethod
    def _is_of_pairs(cls, value: int) -> int:
        if value % 2:
            raise PydanticCustomError("odd", "an even number, as individuals come in mirrored pairs")
        return value


class SnesSettings(_Algorithm):
    """Separable natural evolution strategy, arXiv:1106.4487: a spread for each gene that adapts."""

    kind: Literal["snes"] = "snes"
    population: Several | None = None
    """Individuals of a generation; left out: 4 + 3 ln(genes), as in the publication."""
    sigma: Positive = 1.0
    """Standard deviation of the first generation around its mean."""


class CmaEsSettings(_Algorithm):
    """CMA-ES, arXiv:1604.00772, as the package cmaes has it; for 1,000 genes at most."""

    kind: Literal["cma-es"] = "cma-es"
    population: Annotated[int, Field(ge=4, le=10**6)] | None = None
    """Individuals of a generation; left out: 4 + 3 ln(genes), as in the publication."""
    sigma: Positive = 1.0
    """Standard deviation of the first generation around its mean."""


AlgorithmSettings = Annotated[
    DeepGaSettings | LeeaSettings | EsSettings | SnesSettings | CmaEsSettings, Field(discriminator="kind")
]


class DenseSettings(_Settings):
    """The genes are the weights."""

    kind: Literal["dense"] = "dense"


class SeparableSettings(_Settings):
    """A tensor is a sum of outer products of one vector for each of its axes; a matrix is of low rank."""

    kind: Literal["separable"] = "separable"
    rank: Whole = 4
    """Outer products that are added."""


class CosineSettings(_Settings):
    """The low frequencies of a cosine transform: of filters over their extent, of matrices over both axes.

    After Koutnik et al., Evolving neural networks in compressed weight space, GECCO 2010.
    """

    kind: Literal["cosine"] = "cosine"
    share: Part = 0.25
    """Share of the coefficients that are kept, about."""


class HypernetworkSettings(_Settings):
    """A small network draws a tensor's weights from their coordinates (HyperNEAT; arXiv:1609.09106)."""

    kind: Literal["hypernetwork"] = "hypernetwork"
    units: Whole = 32
    """Sine units of the network that draws one tensor."""
    periods: Positive = 1.0
    """How often the pattern of a unit repeats along an axis, at genes of 1."""


class DirectionsSettings(_Settings):
    """Coefficients along the principal directions in which the weights of trained runs vary."""

    kind: Literal["directions"] = "directions"
    runs: Annotated[tuple[str, ...], Field(min_length=2)]
    """Folders of trained runs of the same model."""
    count: Whole | None = None
    """Directions; left out: all there are, one less than runs."""


CodingSettings = Annotated[
    DenseSettings | SeparableSettings | CosineSettings | HypernetworkSettings | DirectionsSettings,
    Field(discriminator="kind"),
]


class EvolutionSettings(_Settings):
    """No gradients: a population of generators, of which each batch judges a generation."""

    kind: Literal["evolution"] = "evolution"
    algorithm: AlgorithmSettings = EsSettings()
    """What proposes individuals, and learns from their fitness."""
    coding: Annotated[CodingSettings, Field(validate_default=True)] = DenseSettings()
    """How genes become weights."""
    fitness: FitnessSettings = FitnessSettings()
    """What individuals are judged by."""
    evolve: Annotated[tuple[str, ...], Field(min_length=1)] = ("*",)
    """Names of the weights that evolve, `*` for anything; the others stay as they begin."""
    again: Annotated[int, Field(ge=2)] = 500
    """Showers that select on which elites are judged again, where the algorithm has them."""
    memory_mb: Whole = 1024
    """MB, in each process, for individuals that are judged at once, and as many for decoded parents."""

    @field_validator("coding")
    @classmethod
    def _changes_are_of_weights(cls, value: Any, info: ValidationInfo) -> Any:
        algorithm = info.data.get("algorithm")
        if isinstance(algorithm, EsSettings) and algorithm.rank == "one" and value.kind != "dense":
            raise PydanticCustomError("of_weights", "kind: dense, as changes of rank one are of weights")
        return value

    @field_validator("algorithm", "coding", mode="before")
    @classmethod
    def _of_the_usual_kind(cls, value: Any, info: ValidationInfo) -> Any:
        usual = cls.model_fields[str(info.field_name)].default.kind
        return {"kind": usual} | value if isinstance(value, dict) else value


class CoevolutionSettings(_Settings):
    """Two populations against each other: generators that pass for real, critics that are not deceived."""

    kind: Literal["coevolution"] = "coevolution"
    algorithm: AlgorithmSettings = LeeaSettings(population=64)
    """Of the generators."""
    critics: AlgorithmSettings = LeeaSettings(population=32)
    """Of the critics."""
    coding: CodingSettings = DenseSettings()
    """How genes become weights, on both sides."""
    opponents: Annotated[int, Field(ge=1, le=256)] = 8
    """Those of the other side whom everyone meets in a generation."""
    archive: Annotated[int, Field(ge=0, le=10**4)] = 32
    """Room of the hall of fame of each side, whose members are met by half; 0: none."""
    fitness: FitnessSettings | None = None
    """Physics that is added to the generators' fitness; left out: what critics say alone."""
    memory_mb: Whole = 1024
    """MB for individuals that are made and judged at once."""

    @field_validator("algorithm", "critics", "coding", mode="before")
    @classmethod
    def _of_the_usual_kind(cls, value: Any, info: ValidationInfo) -> Any:
        usual = cls.model_fields[str(info.field_name)].default.kind
        return {"kind": usual} | value if isinstance(value, dict) else value


def _at_most(value: int, population: int | None) -> int:
    if population is not None and value > population:
        raise PydanticCustomError(
            "too_many", "at most the population, {population}", {"population": population}
        )
    return value

"""What a recipe may say about an objective; free of torch, so that a recipe can be read quickly."""

from __future__ import annotations

__all__ = [
    "AdversarialSettings",
    "DirectSettings",
    "DistanceSettings",
    "EvolutionSettings",
    "FittingSettings",
    "GradientSettings",
    "ObjectiveSettings",
]

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from caloforge.evolution.settings import CoevolutionSettings, EvolutionSettings

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Whole = Annotated[int, Field(ge=1)]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class GradientSettings(_Settings):
    """Of every objective that follows gradients."""

    optimiser: Literal["adam", "rmsprop"] = "adam"
    generator_rate: Positive = 2e-4
    """Learning rate of the generator."""
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Adam's memory of the gradient."""
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """Adam's memory of the squared gradient, and RMSprop's (Keras: 0.9)."""
    average: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Memory of a running average of the generator's weights, which is then what is kept: 0.99 averages over
    some hundred steps, and over fewer in the beginning. 0 keeps the weights themselves."""


class AdversarialSettings(GradientSettings):
    """A generator against a critic; the defaults are those of CaloGAN."""

    kind: Literal["adversarial"] = "adversarial"
    loss: Literal["cross-entropy", "wasserstein"] = "cross-entropy"
    """How real and generated showers are told apart: by cross entropy, or by the Wasserstein distance with a
    gradient penalty (arXiv:1704.00028)."""
    gradient_penalty: Annotated[float, Field(ge=0)] = 10.0
    """Weight of the penalty; without meaning for cross entropy."""
    critic_rate: Positive = 2e-5
    """Learning rate of the critic."""
    weight: Positive = 1.0
    """Weight of telling real from generated."""
    real_label: Annotated[float, Field(gt=0.5, le=1)] = 1.0
    """What real showers are labelled with, and what the generator wants to read; less than 1 smooths."""
    flips: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """Share of the critic's labels that are turned round."""
    generator_flips: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """Share of the labels turned round in the generator's steps."""
    energy_weight: Annotated[float, Field(ge=0)] = 0.05
    """Weight of the distance between the energy in the cells and the energy that they should hold."""
    energy_error: Literal["mae", "mape"] = "mae"
    """That distance: mean absolute error in GeV, or in percent."""
    energy_target: Literal["incident", "response"] = "incident"
    """What the cells should hold: the incident energy, or as much as a fit to the real showers gives."""
    auxiliary_weight: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the critic's estimate of the incident energy, mean absolute error in percent."""
    angle_weight: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the distance between the angle measured in the image and that asked for, rad."""
    counts_weight: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the distance between the numbers of cells in bins of energy, in percent; needs
    `requested: batch`."""
    class_weight: Annotated[float, Field(ge=0)] = 0.2
    """Weight of telling the particles apart, where the model does."""
    class_flips: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the generated showers whose particle is given as another one in the critic's step."""
    generator_class_flips: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """The same in the generator's steps."""
    matching_weight: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the distance between the distributions of observables of generated and real showers; needs
    `requested: batch` and a critic that observes."""
    requested: Annotated[Literal["uniform", "batch"], Field(validate_default=True)] = "uniform"
    """What is asked of the generator: uniform over the range of the data, or the particles of the batch."""
    middle_epochs: Annotated[int, Field(ge=0)] = 0
    """First epochs, in which only energies from the middle of the range are asked for."""
    together: bool = False
    """Let the critic learn from real and generated showers in one step instead of two."""
    real_penalty: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the squared slope of the critic at real showers (arXiv:1801.04406), which keeps it gentle."""
    critic_steps: Whole = 1
    """Steps of the critic, each on its own batch, before those of the generator."""
    generator_steps: Whole = 2
    """Steps of the generator after each step of the critic on real and on generated showers."""
    running_norms: bool = True
    """Show the critic showers made with the running statistics of the generator's norms, as Keras' `predict`
    does. They lag behind by some hundred steps: a short training does better without."""

    @field_validator("requested")
    @classmethod
    def _comparisons_need_partners(cls, value: str, info: ValidationInfo) -> str:
        # Showers of other particles differ by far more than generated ones from real ones.
        for name in ("counts_weight", "matching_weight"):
            if info.data.get(name) and value != "batch":
                raise PydanticCustomError("no_partners", f"batch, as {name} is not 0")
        return value

    @field_validator("together", "real_penalty")
    @classmethod
    def _is_of_the_loss(cls, value: float, info: ValidationInfo) -> float:
        if value and info.data.get("loss") == "wasserstein":
            raise PydanticCustomError("own_ways", "false or 0, as the Wasserstein loss has its own way")
        return value

    @field_validator("gradient_penalty", "real_label", "flips", "generator_flips")
    @classmethod
    def _fits_the_loss(cls, value: float, info: ValidationInfo) -> float:
        if info.data.get("loss") != "wasserstein":
            return value
        if info.field_name == "gradient_penalty" and not value:
            raise PydanticCustomError("no_penalty", "more than 0 with the Wasserstein loss")
        if info.field_name != "gradient_penalty" and value != cls.model_fields[str(info.field_name)].default:
            raise PydanticCustomError("no_labels", "left out, as the Wasserstein loss has no labels")
        return value


class FittingSettings(_Settings):
    """Nothing is trained: what a model measures of real showers at its beginning is all of it."""

    kind: Literal["fit"] = "fit"


class DirectSettings(GradientSettings):
    """What the model itself says of real showers, without a critic: a likelihood, or flow matching."""

    kind: Literal["direct"] = "direct"
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Adam's memory of the gradient."""
    longest: Positive = 1.0
    """Length to which a longer gradient is cut."""


class DistanceSettings(GradientSettings):
    """The energy distance of observables alone, without a critic: as an evolution, but by gradients."""

    kind: Literal["distance"] = "distance"


ObjectiveSettings = Annotated[
    AdversarialSettings
    | CoevolutionSettings
    | DirectSettings
    | DistanceSettings
    | EvolutionSettings
    | FittingSettings,
    Field(discriminator="kind"),
]

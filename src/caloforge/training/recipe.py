"""Recipes: everything that decides a training, as one tree with defaults only in its classes."""

from __future__ import annotations

__all__ = [
    "AdversarialSettings",
    "DataSettings",
    "FitObjective",
    "Recipe",
    "ScheduleSettings",
    "load_recipe",
    "recipe_names",
]

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from caloforge.documents import Document, KeyPath, Kind, parse_yaml, read_text
from caloforge.errors import RecipeError, nearest
from caloforge.models.settings import CaloganSettings, ModelSettings
from caloforge.quantities import MOST_AT_ONCE, MOST_SEED
from caloforge.training.faults import recipe_error

_PRESETS = files("caloforge.training") / "presets"
_KIND = Kind("recipe", RecipeError, cure="see docs/training.md, or `caloforge train --list`")
_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Whole = Annotated[int, Field(ge=1, le=10**9)]


class DataSettings(BaseModel):
    """Which part of the showers trains and which selects; what is left is never looked at."""

    model_config = _STRICT

    split: Literal["shower", "file"] = "shower"
    """What is divided: the showers of each file, or whole files, in the order in which they are given."""
    train: Annotated[float, Field(gt=0, le=1)] = 0.70
    """The first part of each file, or of the files, which trains."""
    select: Annotated[float, Field(ge=0, lt=1)] = 0.15
    """The next part, on which epochs are compared."""
    mirror: bool = False
    """Show each shower as one of its mirror images, drawn anew each time: along x, along y, and with x and y
    exchanged, as far as the detector and the incident particles are symmetric."""


class AdversarialSettings(BaseModel):
    """A generator against a critic; the defaults are those of CaloGAN."""

    model_config = _STRICT

    kind: Literal["adversarial"] = "adversarial"
    loss: Literal["cross-entropy", "wasserstein"] = "cross-entropy"
    """How real and generated showers are told apart: by cross entropy, or by the Wasserstein distance with a
    gradient penalty (arXiv:1704.00028)."""
    gradient_penalty: Annotated[float, Field(ge=0)] = 10.0
    """Weight of the penalty; without meaning for cross entropy."""
    optimiser: Literal["adam", "rmsprop"] = "adam"
    generator_rate: Positive = 2e-4
    """Learning rate of the generator."""
    critic_rate: Positive = 2e-5
    """Learning rate of the critic."""
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Adam's memory of the gradient."""
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """Adam's memory of the squared gradient, and RMSprop's (Keras: 0.9)."""
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
    average: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Memory of a running average of the generator's weights, which is then what is kept: 0.99 averages over
    some hundred steps, and over fewer in the beginning. 0 keeps the weights themselves."""
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


class FitObjective(BaseModel):
    """Nothing is trained: what a model measures of real showers at its beginning is all of it."""

    model_config = _STRICT

    kind: Literal["fit"] = "fit"


Objective = Annotated[AdversarialSettings | FitObjective, Field(discriminator="kind")]


class ScheduleSettings(BaseModel):
    """How long, with what, and what is kept."""

    model_config = _STRICT

    epochs: Whole = 50
    batch: Annotated[int, Field(ge=2, le=MOST_AT_ONCE)] = 256
    """Showers of a step; several processes share them."""
    accumulate: Whole = 1
    """Parts of the batch that are computed one after another, where it does not fit into memory as a whole.
    The gradients are those of all; norms and comparisons between showers see one part at a time."""
    rates: Literal["constant", "exponential", "cosine"] = "constant"
    """The course of both learning rates: exponential and cosine fall, cosine to zero at the end."""
    decay: Positive = 0.24
    """exponential: by how much the logarithm of the rates falls in an epoch, a twentieth of it 20 times."""
    decay_after: Annotated[float, Field(ge=0)] = 4.0
    """exponential: epochs with the full rates."""
    warm_up: Annotated[int, Field(ge=0)] = 0
    """Steps in which the rates grow linearly to their full size."""
    seed: Annotated[int, Field(ge=0, le=MOST_SEED)] = 1
    minutes: Positive | None = None
    """Stop after this time even if epochs are left; a resumed training gets the time anew."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto: bf16 where the hardware multiplies it natively."""
    checkpoint_seconds: Positive = 120.0
    """Time between checkpoints: what a killed training loses at most."""
    look_every: Whole = 1
    """Epochs between two looks at the physics on the selection part."""
    keep: Literal["best", "last"] = "best"
    """Which generator the run holds: the one nearest to Geant4 on the selection part, or the last."""
    select: Literal["score", "merit"] = "score"
    """How near a generator is: by the distributions of all observables, or by 3DGAN's figure of merit (mean
    profiles and moments)."""
    compile: bool = False
    """Let torch compile both networks; takes a minute at the start."""


class Recipe(BaseModel):
    """Everything that decides a training.

    Example:
        >>> recipe = load_recipe("calogan", ["schedule.epochs=10"])
        >>> recipe.objective.critic_rate, recipe.schedule.epochs
        (2e-05, 10)
    """

    model_config = _STRICT

    name: str
    about: str = ""
    published: bool = False
    """Whether it reproduces a published system."""
    detector: str
    """Preset or file of the detector that the showers must come from."""
    data: DataSettings = DataSettings()
    model: ModelSettings = CaloganSettings()
    objective: Objective = Field(default_factory=dict, validate_default=True)
    schedule: ScheduleSettings = ScheduleSettings()

    @field_validator("objective", mode="before")
    @classmethod
    def _kind_unless_said(cls, value: Any, info: ValidationInfo) -> Any:
        fitted = getattr(info.data.get("model"), "kind", "") == "fitted"
        return {"kind": "fit" if fitted else "adversarial"} | value if isinstance(value, dict) else value

    @field_validator("objective")
    @classmethod
    def _suits_the_model(cls, value: Objective, info: ValidationInfo) -> Objective:
        if "model" not in info.data:
            return value  # the model is at fault, and said to be
        kind = info.data["model"].kind
        if value.kind == "fit" and kind not in ("fitted", "tuned"):
            raise PydanticCustomError("nothing_to_fit", "kind adversarial, as this model has nothing to fit")
        if value.kind == "adversarial" and kind == "fitted":
            raise PydanticCustomError("no_critic", "kind fit, as this model has nothing to train")
        return value

    def to_yaml(self) -> str:
        """Return the whole tree with every default written out."""
        return yaml.safe_dump(self.model_dump(), sort_keys=False, allow_unicode=True)


def recipe_names() -> list[str]:
    """Return the names of the recipes that come with caloforge, sorted."""
    names = (entry.name for entry in _PRESETS.iterdir())
    return sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml"))


def load_recipe(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Return a preset recipe by name or one from a YAML file.

    Args:
        name_or_path: `calogan`, or `my-recipe.yaml`.
        overrides: Changes such as `schedule.epochs=10`.

    Raises:
        RecipeError: No such recipe, unknown keys or impossible values.
    """
    text, where = _read(str(name_or_path))
    document = parse_yaml(text, where, _KIND)
    if not isinstance(document.data, dict):
        raise RecipeError("a recipe is a mapping of keys to values", where=where, cure=_KIND.cure)
    changed = [_apply(document.data, override) for override in overrides]
    # A section without anything in it asks for nothing.
    tree = {key: value for key, value in document.data.items() if value is not None}
    try:
        return Recipe.model_validate(tree)
    except ValidationError as error:
        raise recipe_error(error, Recipe, _Place(where, document, changed)) from None


@dataclass(frozen=True)
class _Place:
    """Where in a recipe's file, or in what `--set` changed, a key is."""

    where: str
    document: Document
    changed: Sequence[KeyPath]

    def __call__(self, path: KeyPath) -> str:
        if any(path[: len(keys)] == keys for keys in self.changed):
            return "--set"
        return f"{self.where}, line {self.document.line(path)}"


def _read(name: str) -> tuple[str, str]:
    if name in recipe_names():
        return (_PRESETS / f"{name}.yaml").read_text(encoding="utf-8"), f"recipe {name}"
    if not Path(name).is_file():
        problem = (
            "is a folder, not a recipe" if Path(name).is_dir() else "is neither a preset recipe nor a file"
        )
        raise RecipeError(
            f"{name!r} {problem}",
            expected="a YAML file, or one of " + ", ".join(recipe_names()),
            near=nearest(name, recipe_names()),
        )
    return read_text(Path(name), _KIND), name


def _apply(tree: dict[str, Any], override: str) -> KeyPath:
    """Set one key: `a.b=c`, where c is YAML; returns its path."""
    path, equals, value = override.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise RecipeError("this is not a setting", where="--set", got=override, expected="section.key=value")
    for depth, key in enumerate(keys[:-1]):
        if tree.get(key) is None:  # also a section without anything in it
            tree[key] = {}
        tree = tree[key]
        if not isinstance(tree, dict):
            raise RecipeError(
                f"{'.'.join(keys[: depth + 1])} has no keys below it", where="--set", got=override
            )
    tree[keys[-1]] = _value(value, f"--set {path.strip()}")
    return tuple(keys)


def _value(text: str, where: str) -> Any:
    if not text.strip():
        return None
    try:
        return parse_yaml(text, where, _KIND).data
    except RecipeError:
        if text.lstrip()[0] in "[{!":
            raise
        return text  # names of files are not always YAML

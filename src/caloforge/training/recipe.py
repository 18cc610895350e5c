"""Recipes: everything that decides a training, as one tree with defaults only in its classes."""

from __future__ import annotations

__all__ = [
    "AdversarialSettings",
    "DataSettings",
    "Recipe",
    "ScheduleSettings",
    "load_recipe",
    "recipe_names",
]

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from caloforge.errors import RecipeError, nearest
from caloforge.models.settings import CaloganSettings, ModelSettings
from caloforge.training.faults import recipe_error

_PRESETS = files("caloforge.training") / "presets"
_STRICT = ConfigDict(extra="forbid", frozen=True)

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Whole = Annotated[int, Field(ge=1)]


class DataSettings(BaseModel):
    """Which part of each file trains and which selects; what is left is never looked at."""

    model_config = _STRICT

    train: Annotated[float, Field(gt=0, le=1)] = 0.70
    """The first part of each file, which trains."""
    select: Annotated[float, Field(ge=0, lt=1)] = 0.15
    """The next part, on which epochs are compared."""


class AdversarialSettings(BaseModel):
    """A generator against a critic, as CaloGAN was trained."""

    model_config = _STRICT

    kind: Literal["adversarial"] = "adversarial"
    generator_rate: Positive = 2e-4
    """Adam's learning rate for the generator."""
    critic_rate: Positive = 2e-5
    """Adam's learning rate for the critic."""
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Adam's memory of the gradient."""
    energy_weight: Annotated[float, Field(ge=0)] = 0.05
    """Weight of |energy in the cells - incident energy| in GeV beside the cross entropy."""
    generator_steps: Whole = 2
    """Steps of the generator after each step of the critic on real and on generated showers."""
    average: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Memory of a running average of the generator's weights, which is then what is kept: 0.99 averages over
    some hundred steps. 0 keeps the weights themselves."""
    running_norms: bool = True
    """Show the critic showers made with the running statistics of the generator's norms, as Keras' `predict`
    does. They lag behind by some hundred steps: a short training does better without."""


class ScheduleSettings(BaseModel):
    """How long, with what, and what is kept."""

    model_config = _STRICT

    epochs: Whole = 50
    batch: Annotated[int, Field(ge=2)] = 256
    seed: Annotated[int, Field(ge=0)] = 1
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
    objective: AdversarialSettings = AdversarialSettings()
    schedule: ScheduleSettings = ScheduleSettings()

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
    try:
        tree = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError("this is not valid YAML", where=where, got=str(error)) from None
    if not isinstance(tree, dict):
        raise RecipeError(
            "a recipe is a mapping of keys to values", where=where, cure="see `caloforge train --help`"
        )
    for override in overrides:
        _apply(tree, override)
    try:
        return Recipe.model_validate(tree)
    except ValidationError as error:
        raise recipe_error(error, Recipe, where) from None


def _read(name: str) -> tuple[str, str]:
    if name in recipe_names():
        return (_PRESETS / f"{name}.yaml").read_text(encoding="utf-8"), f"recipe {name}"
    if not Path(name).is_file():
        raise RecipeError(
            f"{name!r} is neither a preset recipe nor a file",
            expected="a YAML file, or one of " + ", ".join(recipe_names()),
            near=nearest(name, recipe_names()),
        )
    try:
        return Path(name).read_text(encoding="utf-8"), name
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError("the recipe cannot be read", where=name, got=str(error)) from None


def _apply(tree: dict[str, Any], override: str) -> None:
    """Set one key: `a.b=c`, where c is YAML."""
    path, equals, value = override.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise RecipeError("this is not a setting", where="--set", got=override, expected="section.key=value")
    for depth, key in enumerate(keys[:-1]):
        tree = tree.setdefault(key, {})
        if not isinstance(tree, dict):
            raise RecipeError(
                f"{'.'.join(keys[: depth + 1])} has no keys below it", where="--set", got=override
            )
    try:
        tree[keys[-1]] = yaml.safe_load(value)
    except yaml.YAMLError:
        tree[keys[-1]] = value

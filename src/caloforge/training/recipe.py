"""Recipes: everything that decides a training, as one tree with defaults only in its classes."""

from __future__ import annotations

__all__ = ["MOST_FOLDS", "DataSettings", "Recipe", "ScheduleSettings", "load_recipe", "recipe_names"]

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
from caloforge.evolution.topology import TopologySettings
from caloforge.models.settings import CaloganSettings, ModelSettings
from caloforge.quantities import MOST_AT_ONCE, MOST_SEED
from caloforge.training.faults import recipe_error
from caloforge.training.objectives import OBJECTIVES
from caloforge.training.objectives.settings import FittingSettings, ObjectiveSettings

_PRESETS = files("caloforge.training") / "presets"
_KIND = Kind("recipe", RecipeError, cure="see docs/training.md, or `caloforge train --list`")
_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

MOST_FOLDS = 100
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
    folds: Annotated[int, Field(ge=1, le=MOST_FOLDS)] = 1
    """Parts that the showers which train and select are divided into anew, for cross-validation: one of them
    selects, the others train. 1: no division, `train` and `select` are what they say."""
    fold: Annotated[int, Field(ge=0, lt=MOST_FOLDS)] = 0
    """Number of the part that selects."""
    mirror: bool = False
    """Show each shower as one of its mirror images, drawn anew each time: along x, along y, and with x and y
    exchanged, as far as the detector and the incident particles are symmetric."""


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
    """The course of the learning rates: exponential and cosine fall, cosine to zero at the end."""
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
    report_steps: Whole = 50
    """Steps between two lines of the diary; there is one every two seconds at least."""
    memory_mb: Annotated[int, Field(ge=0)] = 512
    """MB of cells up to which showers are kept as one tensor; more are read ahead by another process."""
    look_every: Whole = 1
    """Epochs between two looks at the physics on the selection part."""
    keep: Literal["best", "last"] = "best"
    """Which generator the run holds: the one nearest to Geant4 on the selection part, or the last."""
    select: Literal["score", "merit"] = "score"
    """How near a generator is: by the distributions of all observables, or by 3DGAN's figure of merit (mean
    profiles and moments)."""
    compile: bool = False
    """Let torch compile the networks; takes a minute at the start."""


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
    made_for: str | None = None
    """Preset of the detector that it was published or tuned for: taken where the showers do not say their
    own."""
    detector: str | None = None
    """Preset or file of the detector that the showers must come from; left out: whichever they come from."""
    data: DataSettings = DataSettings()
    model: ModelSettings = CaloganSettings()
    objective: ObjectiveSettings = Field(default_factory=dict, validate_default=True)
    schedule: ScheduleSettings = ScheduleSettings()
    topology: TopologySettings | None = None
    """How the model's stages evolve, in `caloforge evolve`; left out: they stay as they are."""

    @field_validator("objective", mode="before")
    @classmethod
    def _of_a_kind_that_suits(cls, value: Any, info: ValidationInfo) -> Any:
        if "model" not in info.data:
            return FittingSettings()  # the model is at fault, and said to be
        model = info.data["model"]
        if isinstance(value, dict):
            value = {"kind": model.objectives[0]} | value
        kind = value["kind"] if isinstance(value, dict) else getattr(value, "kind", None)
        # Before its other settings are looked at: those of an objective that cannot be are no use.
        if kind in OBJECTIVES and kind not in model.objectives:
            expected = f"{' or '.join(model.objectives)}, which models of kind {model.kind} learn by"
            raise PydanticCustomError("unsuited", "{expected}", {"expected": expected, "kind": kind})
        return value

    @field_validator("topology")
    @classmethod
    def _suits_model_and_objective(
        cls, value: TopologySettings | None, info: ValidationInfo
    ) -> TopologySettings | None:
        model, objective = info.data.get("model"), info.data.get("objective")
        if value is None or model is None or objective is None:
            return value
        if model.kind != "grown":
            raise PydanticCustomError("no_stages", "left out, as only models of kind grown have such stages")
        if objective.kind != "evolution" or objective.coding.kind == "directions":
            raise PydanticCustomError(
                "no_children",
                "left out, unless weights evolve (objective.kind: evolution), in any coding "
                "but directions, which are those of one topology",
            )
        return value

    @property
    def usual_detector(self) -> str | None:
        """The detector that it insists on, or else was made for."""
        return self.detector or self.made_for

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

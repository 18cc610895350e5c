"""What is compared: ways to the weights of one generator, each with the same core-seconds."""

from __future__ import annotations

__all__ = ["CODINGS", "GRADIENTS", "Arm", "Leg", "arms_of", "chosen_arms"]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from caloforge.errors import RecipeError, SearchError, nearest
from caloforge.training.recipe import Recipe, load_recipe

if TYPE_CHECKING:
    from caloforge.models.settings import GrownSettings

GRADIENTS, CODINGS = "gradients", "codings"
_LONG = 10**6  # epochs: time ends it
_BATCH = 128
_DISTANCE = {"kind": "distance", "generator_rate": 2e-3, "average": 0.998}
_FINER: dict[str, dict[str, Any]] = {  # where weights are good already
    "es": {"sigma": 0.02, "rate": 0.005},
    "snes": {"sigma": 0.02},
    "cma-es": {"sigma": 0.02},
    "deep-ga": {"power": 0.02},
    "leea": {"power": 0.02},
}
_FINE: dict[str, Any] = {"coding": {"kind": "dense"}}
_OTHERS: dict[str, dict[str, Any]] = {
    "separable": {"kind": "separable", "rank": 2},
    "cosine": {"kind": "cosine", "share": 0.3},
    "hypernetwork": {"kind": "hypernetwork"},
}


@dataclass(frozen=True)
class Leg:
    """A training that is part of an arm.

    Attributes:
        recipe: What is trained, or evolved.
        share: Of the arm's core-seconds.
        runs: Arms whose runs give the directions of its coding.
    """

    recipe: Recipe
    share: float = 1.0
    runs: str | None = None


@dataclass(frozen=True)
class Arm:
    """A way to a generator.

    Attributes:
        key: Its name in folders and on the command line.
        title: For people.
        legs: Trainings, each of which begins with the weights of the one before.
        group: What it is compared with: `gradients`, or other `codings`.
        like: It stops when it has seen as many showers as this arm.
    """

    key: str
    title: str
    legs: tuple[Leg, ...]
    group: str = GRADIENTS
    like: str | None = None

    @property
    def needs(self) -> set[str]:
        """Arms that must be there before."""
        return {name for name in (self.like, *(leg.runs for leg in self.legs)) if name is not None}


def arms_of(recipe: Recipe) -> dict[str, Arm]:
    """Return all arms of an evolution, by their keys.

    Args:
        recipe: Of one population, whose model is `grown`.

    Raises:
        RecipeError: It is another.
    """
    if recipe.objective.kind != "evolution" or recipe.model.kind != "grown" or recipe.topology is not None:
        raise RecipeError(
            "the account is of one population of generators of kind grown",
            where=f"recipe {recipe.name}",
            got=f"model.kind {recipe.model.kind}, objective.kind {recipe.objective.kind}"
            + (", and a section topology" if recipe.topology is not None else ""),
            cure="evolve-2d or evolve-3d, changed by --set as you need it",
        )
    evolved = _lasting(recipe)
    distance, adversarial = (_by_gradients(recipe, how) for how in (_DISTANCE, _adversarial()))
    found = [
        Arm("evolved", "evolved", (Leg(evolved),)),
        Arm("distance", "gradients, energy distance", (Leg(distance),)),
        Arm("adversarial", "gradients, adversarial", (Leg(adversarial),)),
        Arm("coevolved", "evolved against critics", (Leg(_coevolved(recipe)),)),
        Arm("evolved-trained", "evolved, then gradients", (Leg(evolved, 0.5), Leg(distance, 0.5))),
        Arm("trained-evolved", "gradients, then evolved", (Leg(distance, 0.5), Leg(_finer(recipe), 0.5))),
        Arm(
            "trained-hits",
            "gradients, then last layers evolved for hits",
            (Leg(distance, 0.5), Leg(_last_layers(recipe), 0.5)),
        ),
        Arm("distance-few", "energy distance, showers as for evolved", (Leg(distance),), like="evolved"),
        Arm(
            "adversarial-few",
            "adversarial, showers as for evolved",
            (Leg(adversarial),),
            like="evolved",
        ),
        *_codings(recipe),
    ]
    return {arm.key: arm for arm in found}


def chosen_arms(recipe: Recipe, wanted: Sequence[str]) -> dict[str, Arm]:
    """Return those that are wanted, and all that they need; without a wish, the ones of gradients.

    Args:
        recipe: Of the evolution.
        wanted: Keys of arms, or of groups.

    Raises:
        SearchError: There is no such arm.
    """
    known = arms_of(recipe)
    groups = {arm.group for arm in known.values()}
    for name in wanted:
        if name not in known and name not in groups:
            raise SearchError(
                f"there is no arm {name!r}",
                where="--arms",
                expected=", ".join([*known, *sorted(groups)]),
                near=nearest(name, [*known, *groups]),
            )
    asked = set(wanted or [GRADIENTS])
    keys = {key for key, arm in known.items() if {key, arm.group} & asked}
    keys |= {need for key in keys for need in known[key].needs}
    return {key: arm for key, arm in known.items() if key in keys}


def _lasting(recipe: Recipe, **sections: Any) -> Recipe:
    """Change sections; what ends it is time, and what is kept is the last."""
    told = recipe.model_dump(mode="json") | sections
    told["schedule"] = told["schedule"] | {"epochs": _LONG, "keep": "last", "minutes": None}
    return Recipe.model_validate(told)


def _by_gradients(recipe: Recipe, objective: dict[str, Any]) -> Recipe:
    return _lasting(_in_larger_batches(recipe), objective=objective)


def _in_larger_batches(recipe: Recipe) -> Recipe:
    """Return a recipe for what looks at small differences: gradients, and weights that are good already."""
    schedule = recipe.schedule.model_dump(mode="json") | {"batch": _BATCH, "look_every": 10}
    return _lasting(recipe, schedule=schedule)


def _adversarial() -> dict[str, Any]:
    return load_recipe("grown-2d").objective.model_dump(mode="json")


def _evolving(recipe: Recipe, **changes: Any) -> Recipe:
    return _lasting(recipe, objective=recipe.objective.model_dump(mode="json") | changes)


def _algorithm(recipe: Recipe, **changes: Any) -> dict[str, Any]:
    told: dict[str, Any] = recipe.objective.model_dump(mode="json")["algorithm"]
    return told | {key: value for key, value in changes.items() if key in told}


def _finer_algorithm(recipe: Recipe) -> dict[str, Any]:
    told = _algorithm(recipe)
    return told | _FINER[told["kind"]]


def _coevolved(recipe: Recipe) -> Recipe:
    objective = load_recipe("evolve-adversarial").objective.model_dump(mode="json")
    return _lasting(recipe, objective=objective)


def _finer(recipe: Recipe) -> Recipe:
    """Return the evolution for weights that are good already."""
    return _evolving(_in_larger_batches(recipe), **_FINE, algorithm=_finer_algorithm(recipe))


def _last_layers(recipe: Recipe) -> Recipe:
    """Return the evolution of the last layers alone, for numbers of hits and the deepest layer."""
    model: GrownSettings = recipe.model  # type: ignore[assignment]
    last = f"stages.{len(model.stages) - 1}.*"
    return _evolving(
        _in_larger_batches(recipe),
        **_FINE,
        algorithm=_finer_algorithm(recipe),
        evolve=[last, "head.*"],
        fitness={"distance": 1.0, "hits": 1.0, "depth": 1.0},
    )


def _codings(recipe: Recipe) -> list[Arm]:
    """Return the evolution with other chromosomes; its own is the arm `evolved`."""
    own: dict[str, Any] = recipe.objective.model_dump(mode="json")
    full = _algorithm(recipe, rank="full")
    found = [
        Arm(kind, kind, (Leg(_evolving(recipe, algorithm=full, coding=coding)),), CODINGS)
        for kind, coding in ({"dense": {"kind": "dense"}} | _OTHERS).items()
        if kind != own["coding"]["kind"]
    ]
    directions = _evolving(recipe, algorithm=full, coding={"kind": "directions", "runs": ["a", "b"]})
    chains = _evolving(
        recipe,
        algorithm={"kind": "deep-ga", "population": 128, "parents": 8, "elites": 4},
        coding={"kind": "dense"},
    )
    return [
        *found,
        Arm("directions", "directions of trained runs", (Leg(directions, runs="distance"),), CODINGS),
        Arm("deep-ga", "chains of seeds (Deep GA)", (Leg(chains),), CODINGS),
    ]

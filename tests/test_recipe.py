"""Recipes: the published values, overrides, and errors that name key, nearest key and cure."""

from __future__ import annotations

from pathlib import Path

import pytest

from caloforge.errors import RecipeError
from caloforge.models.settings import CaloganSettings
from caloforge.training import load_recipe, recipe_names
from caloforge.training.recipe import Recipe, ScheduleSettings


def test_calogan_is_as_published() -> None:
    recipe = load_recipe("calogan")
    assert recipe.published
    assert recipe.model == CaloganSettings(latent=1024, attention=True)
    objective = recipe.objective
    assert (objective.generator_rate, objective.critic_rate, objective.beta1) == (2e-4, 2e-5, 0.5)
    assert (objective.energy_weight, objective.generator_steps) == (0.05, 2)
    assert (recipe.schedule.batch, recipe.schedule.epochs) == (256, 50)


@pytest.mark.parametrize("name", recipe_names())
def test_every_preset_survives_its_own_yaml(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    file = tmp_path / "recipe.yaml"
    file.write_text(recipe.to_yaml())
    assert load_recipe(file) == recipe
    assert recipe.name == name


def test_overrides_reach_every_depth() -> None:
    recipe = load_recipe(
        "calogan", ["objective.critic_rate=1e-3", "schedule.minutes=2", "detector=mine.yaml"]
    )
    assert recipe.objective.critic_rate == 1e-3
    assert recipe.schedule.minutes == 2
    assert recipe.detector == "mine.yaml"
    assert recipe.objective.generator_rate == load_recipe("calogan").objective.generator_rate


@pytest.mark.parametrize(
    ("override", "problem", "details"),
    [
        ("schedule.epoch=3", "schedule.epoch is not a setting", {"did you mean": "epochs"}),
        ("scedule.epochs=3", "scedule is not a setting", {"did you mean": "schedule"}),
        ("schedule.batch=many", "schedule.batch has an impossible value", {"got": "many"}),
        ("objective.critic_rate=-1", "objective.critic_rate has an impossible value", {"got": -1}),
        ("objective.critic_rate=nan", "objective.critic_rate has an impossible value", {}),
        ("model.kind=calogen", "model.kind has an impossible value", {"got": "calogen"}),
        ("schedule.epochs", "this is not a setting", {"expected": "section.key=value"}),
        ("objective.critic_rate=1e999", "objective.critic_rate has an impossible value", {}),
        ("objective.real_penalty=.inf", "objective.real_penalty has an impossible value", {}),
        ("schedule.epochs=1:30", "schedule.epochs has an impossible value", {"got": "1:30"}),
        ("schedule=[a", "this is not valid YAML: expected ',' or ']', but got '<stream end>'", {}),
        ("name.first=x", "name has no keys below it", {"got": "name.first=x"}),
    ],
)
def test_bad_overrides_are_explained(override: str, problem: str, details: dict[str, object]) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe("calogan", [override])
    assert caught.value.problem == problem
    for key, value in details.items():
        assert caught.value.details[key] == value


@pytest.mark.parametrize("override", [[], ["schedule.batch=8"]])
def test_a_section_with_nothing_in_it_asks_for_nothing(tmp_path: Path, override: list[str]) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("name: mine\ndetector: calogan\nmodel: {kind: calogan}\nschedule:\n")
    schedule = load_recipe(file, override).schedule
    assert schedule.batch == (8 if override else ScheduleSettings().batch)


@pytest.mark.parametrize("objective", ["", "objective:\n", "objective: {}\n", "objective: {kind: fit}\n"])
def test_a_model_that_is_fitted_needs_no_objective(tmp_path: Path, objective: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"name: mine\ndetector: calogan\nmodel: {{kind: fitted}}\n{objective}")
    assert load_recipe(file).objective.kind == "fit"


@pytest.mark.parametrize(
    ("name", "override", "right"),
    [
        ("calogan-fit", "objective={kind: adversarial}", "fit"),
        ("calogan", "objective={kind: fit}", "adversarial or distance or evolution"),
        ("calogan", "objective.kind=fit", "adversarial or distance or evolution"),
    ],
)
def test_objective_and_model_must_suit(name: str, override: str, right: str) -> None:
    with pytest.raises(RecipeError, match=r"objective\.kind has an impossible value") as caught:
        load_recipe(name, [override])
    assert caught.value.details["got"] in override
    assert str(caught.value.details["expected"]).startswith(right + ",")


def test_settings_of_another_kind_are_said_to_be_so() -> None:
    with pytest.raises(RecipeError, match="not a setting of kind fit") as caught:
        load_recipe("calogan-tuned", ["objective.kind=fit"])
    cure = "objective={kind: fit}"
    assert cure in str(caught.value.details["cure"])
    assert load_recipe("calogan-tuned", [cure]).objective.kind == "fit"


def test_a_model_of_an_earlier_version_has_a_cure() -> None:
    with pytest.raises(RecipeError, match="earlier caloforge") as caught:
        load_recipe("calogan-tuned", ["model.kind=factored"])
    assert "kind tuned" in str(caught.value.details["got"])
    assert "train again" in str(caught.value.details["cure"])


def test_a_fault_of_the_model_is_the_only_one() -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe("calogan-fit", ["model.fit.parts=0"])
    assert caught.value.details["where"] == "--set, key model.fit.parts"


def test_unknown_recipe_names_the_nearest() -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe("calogn")
    assert caught.value.details["did you mean"] in recipe_names()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("- 1\n", "a recipe is a mapping"),
        ("{", "not valid YAML"),
        ("detector: x\n", "name is missing"),
        ("", "the recipe is empty"),
        ("name: a\ndetector: x\nschedule:\n  epoch: 1", "line 4, key schedule.epoch"),
        ("name: a\nname: b", "line 2, key name"),
        ("[" * 5000, "nested too deeply"),
    ],
)
def test_bad_files_are_explained(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(RecipeError, match=problem):
        load_recipe(file)


def test_recipes_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_recipe("calogan").name = "other"  # type: ignore[misc]
    assert isinstance(load_recipe("calogan"), Recipe)

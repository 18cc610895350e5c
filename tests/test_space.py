"""Spaces of recipes: what their files may say, that it is checked before anything runs, and what is drawn."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from caloforge.errors import RecipeError, SearchError
from caloforge.search.figures import FIGURES
from caloforge.search.space import Parameter, Space, load_space, parse_space, space_names
from caloforge.training.recipe import Recipe, load_recipe

RECIPE = load_recipe("calogan")
TUNED = load_recipe("calogan-tuned")
RATE = "  objective.generator_rate: "


def _space(search: str, recipe: Recipe = TUNED) -> Space:
    return parse_space("search:\n" + search, "s.yaml", recipe)


def _refused(text: str, recipe: Recipe = TUNED) -> dict[str, str]:
    with pytest.raises(SearchError) as caught:
        parse_space(text, "s.yaml", recipe)
    details = {key: str(value) for key, value in caught.value.details.items() if value is not None}
    return details | {"problem": caught.value.problem}


# What the file says below `search:`, the line and key of the fault, and what else the message says.
FAULTS = {
    "name": ("  model.widht: {int: [8, 64]}", 2, "model.widht", {"did you mean": "model.width"}),
    "figure": ("  merit: {float: [0, 1]}", 2, "merit", {"expected": "model.", "cure": "objectives: [merit]"}),
    "no-training": ("  detector: {choice: [calogan, clic]}", 2, "detector", {"problem": "not a setting"}),
    "judges": (
        "  data.select: {float: [0.1, 0.3]}",
        2,
        "data.select",
        {"problem": "judge", "cure": "recipe"},
    ),
    "judges-inside": (
        "  data: {choice: [{fold: 0}, {fold: 1}]}",
        2,
        "data",
        {"problem": "data.fold decides"},
    ),
    "section": ("  modle.width: {int: [8, 64]}", 2, "modle.width", {"did you mean": "model.width"}),
    "deep": ("  model.fit.factor: {int: [8, 64]}", 2, "factor", {"did you mean": "model.fit.factors"}),
    "no-key": ("  schedule.batch.x: {int: [8, 64]}", 2, "schedule.batch.x", {"problem": "not a setting"}),
    "no-range": ("  model.width: {integer: [8, 64]}", 2, "integer", {"did you mean": "int"}),
    "nothing": ("  model.width:", 2, "model.width", {"got": "nothing", "expected": "{float: [low, high]}"}),
    "two": ("  model.width: {int: [8, 64], choice: [8, 9]}", 2, "width", {"got": "int and choice"}),
    "neither": ("  model.width: {log: true}", 2, "model.width", {"got": "log"}),
    "float": ("  model.width: {float: [8, 64]}", 2, "model.width.float", {"expected": "int:"}),
    "not-a-number": (
        "  model.network: {int: [1, 2]}",
        2,
        "model.network.int",
        {"expected": "{choice: [dense, planes, volume]}"},
    ),
    "low": (f"{RATE}{{float: [0, 1]}}", 2, "generator_rate.float.0", {"expected": "greater than 0"}),
    "high": (
        "  objective.beta1:\n    float:\n    - 0\n    - 1",
        5,
        "objective.beta1.float.1",
        {"got": "1.0", "expected": "less than 1"},
    ),
    "order": (f"{RATE}{{float: [1, 0.1]}}", 2, "rate.float", {"cure": "exchange"}),
    "equal": (f"{RATE}{{float: [1, 1]}}", 2, "rate.float", {"problem": "not below"}),
    "three": (f"{RATE}{{float: [1, 2, 3]}}", 2, "rate.float", {"expected": "[low, high]"}),
    "text": (f"{RATE}{{float: [low, 1]}}", 2, "rate.float.0", {"got": "'low'", "expected": "a number"}),
    "infinite": (f"{RATE}{{float: [0.1, .inf]}}", 2, "rate.float.1", {"got": "inf"}),
    "boolean": (f"{RATE}{{float: [false, true]}}", 2, "rate.float.0", {"got": "False"}),
    "whole": ("  model.width: {int: [8, 64.5]}", 2, "model.width.int.1", {"expected": "a whole number"}),
    "log-0": ("  objective.beta1: {float: [0, 0.9], log: true}", 2, "beta1.log", {"got": "bound of 0"}),
    "log-word": (f"{RATE}{{float: [0.1, 0.9], log: yep}}", 2, "rate.log", {"got": "'yep'"}),
    "step": ("  model.width: {int: [8, 64], step: 10}", 2, "width.step", {"cure": "end at 58"}),
    "step-large": ("  model.width: {int: [8, 64], step: 100}", 2, "width.step", {"cure": "smaller"}),
    "step-0": ("  model.width: {int: [8, 64], step: 0}", 2, "width.step", {"got": "0"}),
    "step-float": (f"{RATE}{{float: [0.1, 0.55], step: 0.1}}", 2, "rate.step", {"cure": "end at 0.5"}),
    "step-log": (
        "  model.width: {int: [8, 64], step: 8, log: true}",
        2,
        "width.step",
        {"problem": "exclude"},
    ),
    "choice-log": ("  model.width: {choice: [8, 64], log: true}", 2, "width.log", {"cure": "leave log out"}),
    "one": ("  model.network: {choice: [dense]}", 2, "network.choice", {"cure": "in the recipe"}),
    "not-a-list": ("  model.network: {choice: dense}", 2, "network.choice", {"expected": "[one, another]"}),
    "choice": (
        "  model.network:\n    choice: [dense,\n      plains]",
        4,
        "model.network.choice.1",
        {"got": "'plains'", "did you mean": "planes"},
    ),
    "choice-type": ("  model.width: {choice: [8, 9.5]}", 2, "width.choice.1", {"got": "9.5"}),
    "same": ("  model.width: {choice: [8, 8]}", 2, "width.choice.1", {"problem": "twice"}),
    "empty": ("  model: {choice: [{}, {width: 8}]}", 2, "model.choice.0", {"expected": "{key: value"}),
    "not-below": (
        "  model: {choice: [tuned, {width: 8}]}",
        2,
        "model.choice.0",
        {"expected": "{key: value}, or model.kind"},
    ),
    "range-section": ("  model.fit: {int: [1, 2]}", 2, "model.fit.int", {"problem": "not a number"}),
    "inside": (
        "  model:\n    choice:\n    - {width: 8}\n    - {widht: 9}",
        5,
        "model.choice.1",
        {"did you mean": "model.width"},
    ),
    "kind": ("  model.kind: {choice: [tuned, fited]}", 2, "model.kind.choice.1", {"did you mean": "fitted"}),
    "below-kind": (
        "  objective.kind: {choice: [adversarial, {fit: 1}]}",
        2,
        "objective.kind.choice.1",
        {"problem": "no settings below it"},
    ),
    "below-number": (
        "  model: {choice: [{kind: fitted}, {kind: tuned, latent: {a: 1}}]}",
        2,
        "model.choice.1",
        {"problem": "model.latent.a is not a setting"},
    ),
    "other-kind": (
        "  model.kind: {choice: [tuned, fitted]}\n  model.width: {int: [8, 64]}",
        3,
        "model.width",
        {"problem": "not a setting of kind fitted", "cure": "when: {model.kind: ...}"},
    ),
    "lost-kind": (
        "  objective.kind: {choice: [adversarial, fit]}\n  objective.beta1: {float: [0, 0.5]}",
        3,
        "objective.beta1",
        {"problem": "not a setting of kind fit"},
    ),
    "searched-twice": (
        "  model: {choice: [{width: 8}, {width: 9}]}\n  model.width: {int: [8, 64]}",
        3,
        "model.width",
        {"got": "in model and in model.width"},
    ),
    "key-twice": (
        "  model.width: {int: [8, 64]}\n  model.width: {int: [8, 32]}",
        3,
        "model.width",
        {"cure": "keep one"},
    ),
    "when-name": (
        "  model.width: {int: [8, 64], when: {model.netwrok: dense}}",
        2,
        "model.width.when.model.netwrok",
        {"did you mean": "model.network"},
    ),
    "when-value": (
        "  model.network: {choice: [dense, planes]}\n"
        "  model.width: {int: [8, 64], when: {model.network: dens}}",
        3,
        "when.model.network",
        {"problem": "never has this value", "did you mean": "dense"},
    ),
    "when-int": (
        "  model.width: {int: [8, 64], step: 8}\n"
        "  model.latent: {int: [8, 64], when: {model.width: [8, 12]}}",
        3,
        "when.model.width",
        {"got": "12", "expected": "8 to 64"},
    ),
    "when-float": (
        f"{RATE}{{float: [0.1, 0.5]}}\n"
        "  model.latent: {int: [8, 64], when: {objective.generator_rate: 0.1}}",
        3,
        "when.objective.generator_rate",
        {"problem": "hits no single number"},
    ),
    "when-own": (
        "  model.width: {int: [8, 64], when: {model.network: dens}}",
        2,
        "when.model.network",
        {"did you mean": "dense"},
    ),
    "when-self": (
        "  model.width: {int: [8, 64], when: {model.width: 8}}",
        2,
        "model.width.when",
        {"problem": "circle"},
    ),
    "when-circle": (
        "  model.refine: {choice: [true, false], when: {model.network: dense}}\n"
        "  model.network: {choice: [dense, planes], when: {model.refine: true}}",
        None,
        "when",
        {"problem": "circle", "got": "model.refine -> model.network -> model.refine"},
    ),
    "when-empty": ("  model.width: {int: [8, 64], when: {}}", 2, "model.width.when", {"got": "nothing"}),
    "when-none": (
        "  model.width: {int: [8, 64], when: {model.network: []}}",
        2,
        "when.model.network",
        {"problem": "never holds"},
    ),
    "when-part": (
        "  model: {choice: [{network: dense}, {network: planes}]}\n"
        "  schedule.batch: {int: [8, 64], when: {model.network: dense}}",
        3,
        "when.model.network",
        {"problem": "part of model"},
    ),
    "never": (
        "  objective.loss: {choice: [cross-entropy, wasserstein]}",
        2,
        "objective.loss.choice.1",
        {"got": "'wasserstein'", "expected": "Wasserstein loss has its own way"},
    ),
    "contradiction": (
        "  model.network: {choice: [dense, planes]}\n"
        "  model.refine: {choice: [true, false], when: {model.network: dense}}\n"
        "  model.latent: {int: [8, 64], when: {model.refine: true, model.network: planes}}",
        4,
        "model.latent",
        {"expected": "conditions that hold together"},
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_of_parameters(fault: str) -> None:
    search, line, key, expected = FAULTS[fault]
    found = _refused(f"search:\n{search}\n")
    assert found["where"].startswith(f"s.yaml, line {line}" if line else "s.yaml, line"), found
    assert key in found["where"].partition(", key ")[2]
    for name, text in expected.items():
        assert text in found[name], found


@pytest.mark.parametrize(
    ("text", "where", "expected"),
    [
        ("serach: {}\n", "line 1, key serach", {"did you mean": "search"}),
        ("search: {}\n", "line 1, key search", {"got": "nothing"}),
        ("objectives: [merit]\n", "line 1", {"problem": "nothing is searched"}),
        ("[1, 2]\n", "line 1", {"expected": "search: {...}"}),
        ("", "s.yaml", {"problem": "empty"}),
        ("search: {a: [}\n", "line 1", {"problem": "not valid YAML"}),
        ("S\nobjectives: merit\n", "line 3, key objectives", {"expected": "[merit]"}),
        ("S\nobjectives: [merit, merti]\n", "key objectives.1", {"did you mean": "merit"}),
        ("S\nobjectives:\n- merit\n- merit\n", "line 5, key objectives.1", {"problem": "twice"}),
        ("S\nconstraints: [mss<0.1]\n", "key constraints.0", {"did you mean": "ms"}),
        ("S\nconstraints: [ms=0.1]\n", "key constraints.0", {"got": "'ms=0.1'"}),
        ("S\nconstraints: [ms<5%]\n", "key constraints.0", {"expected": "a limit in ms"}),
        ("S\nconstraints: ['ms<1,weights<5']\n", "key constraints.0", {"problem": "not a constraint"}),
    ],
)
def test_faults_of_files(text: str, where: str, expected: dict[str, str]) -> None:
    found = _refused(
        text.replace("S", "search:\n  model.width: {int: [8, 64]}", 1) if "S\n" in text else text
    )
    assert where in found["where"]
    for name, part in expected.items():
        assert part in found[name], found


def test_space_for_another_recipe() -> None:
    """A condition on what the recipe is decides; a space of which nothing is left is refused."""
    text = "search:\n  model.width: {int: [8, 64], when: {model.kind: tuned}}\n"
    assert parse_space(text, "s.yaml", TUNED).parameters[0].when == {}
    assert "nothing of this is for the recipe" in _refused(text, RECIPE)["problem"]
    both = text + "  schedule.batch: {choice: [64, 128]}\n"
    assert [p.name for p in parse_space(both, "s.yaml", RECIPE).parameters] == ["schedule.batch"]
    wrong = both.replace("width", "widht")
    assert _refused(wrong, RECIPE)["did you mean"] == "model.width", "also what does not count is looked at"


def test_spaces_by_name(tmp_path: Path) -> None:
    for name in ("calogn", str(tmp_path), str(tmp_path / "none.yaml")):
        with pytest.raises(SearchError) as caught:
            load_space(name, RECIPE)
        assert "calogan-tuned" in str(caught.value)
    with pytest.raises(SearchError, match="no space comes with the recipe 'lagan'"):
        load_space(None, load_recipe("lagan"))
    file = tmp_path / "mine.yaml"
    file.write_text("search: {schedule.batch: {choice: [64, 128]}}\n")
    assert load_space(file, RECIPE).parameters[0].choices == (64, 128)


@pytest.mark.parametrize("name", space_names())
def test_presets_fit_their_recipes(name: str) -> None:
    recipe = load_recipe(name)
    space = load_space(None, recipe)
    assert space == load_space(name, recipe)
    assert space.objectives, "it says what for"
    assert parse_space(space.to_yaml(), "s.yaml", recipe) == space
    for seed in range(20):
        values = space.suggest(_trial(seed))
        found = space.recipe(recipe, values)
        assert len(values) == len(space.parameters)
        assert not found.published


@pytest.mark.parametrize("name", space_names())
def test_presets_hold_their_recipes(name: str) -> None:
    recipe = load_recipe(name)
    space = load_space(None, recipe)
    own = space.own(recipe)
    assert own is not None
    assert set(own) == {parameter.name for parameter in space.parameters}
    assert space.recipe(recipe, own) == recipe.model_copy(update={"published": False})
    drawn = space.suggest(optuna.trial.FixedTrial({p.name: p.code(own[p.name]) for p in space.parameters}))
    assert drawn == own, "as a trial may be given them"


def test_own_values() -> None:
    space = _space(RICH)
    assert space.own(TUNED) is None, "it has 64 factors"
    changed = load_recipe("calogan-tuned", ["model.fit.factors=32", "model.width=48"])
    own = space.own(changed)
    assert own is not None
    assert (own["model.fit"], own["model.width"], own["model.latent"]) == ({"factors": 32}, 48, 64)
    assert space.recipe(changed, own) == changed
    assert space.own(load_recipe("calogan-tuned", ["model.fit.factors=32", "model.width=47"])) is None


def test_presets_of_the_tuned_family_are_for_all_of_it() -> None:
    for name in ("lagan-tuned", "calogan-desy-tuned", "gan3d-angle-tuned"):
        assert load_space("conv2d-tuned", load_recipe(name)).parameters


def _trial(seed: int) -> optuna.Trial:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed)).ask()


RICH = """
  model.kind: {choice: [tuned, fitted]}
  model.network: {choice: [dense, planes], when: {model.kind: tuned}}
  model.latent: {int: [8, 128], log: true, when: {model.network: dense}}
  model.width: {int: [16, 64], step: 16, when: {model.kind: tuned}}
  objective.generator_rate: {float: [1e-5, 1.0e-3], log: true, when: {model.kind: tuned}}
  objective.beta1: {float: [0.0, 0.9], step: 0.3, when: {model.kind: tuned}}
  model.fit: {choice: [{factors: 16, rounds: 4}, {factors: 32}]}
  model.given: {choice: [[], [theta], [theta, phi]]}
  schedule.minutes: {choice: [null, 5]}
  data.mirror: {choice: [true, false]}
"""
RANGES: dict[str, Any] = {
    "model.kind": {"tuned", "fitted"},
    "model.network": {"dense", "planes"},
    "model.latent": range(8, 129),
    "model.width": {16, 32, 48, 64},
    "model.fit": ({"factors": 16, "rounds": 4}, {"factors": 32}),
    "model.given": ([], ["theta"], ["theta", "phi"]),
    "schedule.minutes": (None, 5),
    "data.mirror": (True, False),
}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.booleans())
def test_drawn_values(seed: int, flat: bool) -> None:
    """Values lie in their ranges, count when their conditions hold, and make the recipe that they say."""
    space, trial = _space(RICH), _trial(seed)
    values = space.suggest(trial, flat)
    for name, value in values.items():
        if name in RANGES:
            assert value in RANGES[name]
    tuned = values["model.kind"] == "tuned"
    assert ("model.network" in values) == ("model.width" in values) == tuned
    assert ("model.latent" in values) == (values.get("model.network") == "dense")
    assert len(trial.params) == (10 if flat else len(values))
    recipe = space.recipe(TUNED, values)
    assert recipe.model.kind == values["model.kind"]
    assert recipe.objective.kind == ("adversarial" if tuned else "fit"), "what such a model learns by"
    assert recipe.model.fit.factors == values["model.fit"]["factors"]
    assert recipe.model.fit.rounds == values["model.fit"].get("rounds", 12)
    assert recipe.schedule == TUNED.schedule.model_copy(update={"minutes": values["schedule.minutes"]})
    if tuned:
        assert recipe.objective.generator_rate == values["objective.generator_rate"]
        assert 1e-5 <= recipe.objective.generator_rate <= 1e-3
        assert round(recipe.objective.beta1 / 0.3, 9).is_integer()
        assert recipe.model.latent == values.get("model.latent", TUNED.model.latent)
    assert Recipe.model_validate(yaml.safe_load(recipe.to_yaml())) == recipe, "to the last digit"


def test_values_survive_the_database(tmp_path: Path) -> None:
    """What is read back from a study is what was drawn; lists and mappings, too."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space, address = _space(RICH), f"sqlite:///{tmp_path / 'study.db'}"
    study = optuna.create_study(
        storage=address, study_name="s", sampler=optuna.samplers.RandomSampler(seed=2)
    )
    for _ in range(5):
        trial = study.ask()
        values = space.suggest(trial)
        trial.set_user_attr("values", values)
        study.tell(trial, 1.0)
    for frozen in optuna.load_study(study_name="s", storage=address).trials:
        again = space.suggest(optuna.trial.FixedTrial(frozen.params))
        assert json.dumps(again) == json.dumps(frozen.user_attrs["values"])


def test_parameters_that_others_depend_on_come_first() -> None:
    search = (
        "  model.width: {int: [8, 64], when: {model.latent: 9}}\n"
        "  model.latent: {int: [8, 64], when: {model.network: dense}}\n"
        "  schedule.batch: {choice: [64, 128]}\n"
        "  model.network: {choice: [dense, planes]}\n"
    )
    names = [p.name for p in _space(search).parameters]
    assert names.index("model.network") < names.index("model.latent") < names.index("model.width")


def test_conditional() -> None:
    assert _space(RICH).conditional
    assert not _space("  model.width: {int: [8, 64]}").conditional
    kept = "  model.width: {int: [8, 64], when: {model.network: [dense, volume]}}"
    assert not _space(kept).conditional, "the recipe's network is dense, whatever is drawn"


def test_kinds_change_from_and_to_anything() -> None:
    """A section of another kind begins with that kind's defaults; what is common is not taken over."""
    space = _space("  model.kind: {choice: [calogan, tuned, gan3d]}\n", RECIPE)
    found = space.recipe(RECIPE, {"model.kind": "gan3d"})
    assert found.model == load_recipe("gan3d", ["model={kind: gan3d}"]).model
    assert found.objective == RECIPE.objective
    assert space.recipe(RECIPE, {"model.kind": "calogan"}).model == RECIPE.model
    assert space.recipe(RECIPE, {}) == RECIPE


def test_values_that_do_not_fit_together() -> None:
    """Each may be right with others: only the trial finds out."""
    search = (
        "  objective.matching_weight: {choice: [0, 9]}\n  objective.requested: {choice: [uniform, batch]}\n"
    )
    space = _space(search)
    with pytest.raises(RecipeError, match=r"objective\.requested has an impossible value"):
        space.recipe(TUNED, {"objective.matching_weight": 9, "objective.requested": "uniform"})
    assert space.recipe(TUNED, {"objective.matching_weight": 0, "objective.requested": "uniform"})


def test_texts_that_recipes_take_for_numbers() -> None:
    """YAML takes 1e-5 for a text; recipes do not mind, and neither do spaces."""
    found = _space("  objective.generator_rate: {float: [1e-5, 1e-3], log: true}").parameters[0]
    assert (found.low, found.high) == (1e-5, 1e-3)
    choices = _space("  objective.generator_rate: {choice: [1e-5, 1e-3]}")
    assert choices.recipe(TUNED, {"objective.generator_rate": "1e-5"}).objective.generator_rate == 1e-5


def test_the_manual() -> None:
    """Its example is refused with the words that stand there, and right with the cure that it names."""
    text = (Path(__file__).parents[1] / "docs" / "space.md").read_text()
    example = text.partition("```yaml\n")[2].partition("```")[0]
    with pytest.raises(SearchError) as caught:
        parse_space(example, "space.yaml", TUNED)
    assert str(caught.value) in text
    when = ", when: {model.kind: tuned}}"
    mended = example.replace("log: true}", f"log: true{when}", 1).replace("step: 0.1}", f"step: 0.1{when}")
    space = parse_space(mended, "space.yaml", TUNED)
    assert space.recipe(TUNED, space.suggest(_trial(1)))
    table = text.partition("## Figures")[2]
    assert set(re.findall(r"^\| `(\w+)` \| ", table, re.MULTILINE)) == set(FIGURES)


def test_code() -> None:
    assert Parameter.code([1, 2]) == "[1, 2]"
    assert [Parameter.code(v) for v in (None, True, 2, 0.5, "a")] == [None, True, 2, 0.5, "a"]

"""`tune` and `train --folds` as their users run them: on real showers of a small detector."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from caloforge.cli.main import app
from caloforge.errors import CaloforgeError, RecipeError, RunError, SearchError
from caloforge.search.cross import cross_validate
from caloforge.search.tune import tune
from caloforge.training import Run, load_recipe, train
from caloforge.training.recipe import Recipe
from caloforge.training.trained_detector import from_anywhere
from tiny_toys import TINY, tiny_showers

SPACE = """search:
  objective.generator_rate: {float: [1.0e-5, 1.0e-3], log: true}
  model.width: {int: [4, 16]}
"""
MODEL = ("model={kind: tuned, latent: 4, width: 8}", "objective={kind: adversarial}")
QUICK = ("schedule.epochs=2", "schedule.batch=32", "schedule.look_every=1")


def assert_same(one: Path, other: Path) -> None:
    """The weights are the same; how long they took is not."""
    first, second = (load_file(run / "weights.safetensors") for run in (one, other))
    assert not [name for name in first if not torch.equal(first[name], second[name])]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tune")
    (folder / "tiny.yaml").write_text(TINY)
    (folder / "space.yaml").write_text(SPACE)
    tiny_showers(300).save(folder / "s.h5")
    return folder


def recipe(folder: Path, *settings: str) -> Recipe:
    return load_recipe("calogan", [f"detector={folder / 'tiny.yaml'}", *MODEL, *QUICK, *settings])


def test_from_a_space_to_the_best_run(folder: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int, str]] = []
    found = tune(
        *(recipe(folder), folder / "space.yaml"),
        data=folder / "s.h5",
        out=tmp_path / "study",
        trials=4,
        objectives=["score"],
        constraints=["weights<1e9", "seconds<1000"],
        groups=2,
        progress=lambda *told: seen.append(told),
    )
    assert found["counts"]["finished"] == 4
    assert found == json.loads((tmp_path / "study" / "study.json").read_text())
    scores = [t["objectives"]["score"] for t in found["trials"]]
    best = found["best"]["score"]
    assert best == scores.index(min(scores))
    assert found["own"] == 0  # the recipe's own values are tried first
    assert seen[-1][:2] == (4, 4)
    assert f"trial {best}" in seen[-1][2]
    # The file trains, and what it trains is what is there.
    chosen = load_recipe(tmp_path / "study" / "best.yaml")
    values = found["trials"][best]["values"]
    assert chosen.objective.generator_rate == values["objective.generator_rate"]
    assert chosen.model.width == values["model.width"]
    run = Run.open(tmp_path / "study" / "best")
    again = train(chosen, folder / "s.h5", tmp_path / "again")
    assert_same(run.path, again.path)
    assert "learning rate" in (run.path / "curves.svg").read_text()
    # Trainings share what was measured of the showers.
    assert len(list((tmp_path / "study" / "measured").iterdir())) == 2
    with pytest.raises(SearchError, match="a study already"):
        tune(recipe(folder), folder / "space.yaml", data=folder / "s.h5", out=tmp_path / "study")
    with pytest.raises(SearchError, match="another search") as caught:
        tune(
            *(recipe(folder, "schedule.seed=2"), folder / "space.yaml"),
            data=folder / "s.h5",
            out=tmp_path / "study",
            objectives=["score"],
            resume=True,
        )
    assert "different recipe, constraints" in str(caught.value)


@pytest.mark.slow
def test_folds_and_two_processes_a_training(folder: Path, tmp_path: Path) -> None:
    found = tune(
        *(recipe(folder), folder / "space.yaml"),
        data=folder / "s.h5",
        out=tmp_path / "study",
        trials=1,
        objectives=["score"],
        folds=2,
        workers=2,
    )
    (trial,) = found["trials"]
    assert len(trial["folds"]) == 2
    alone = cross_validate(recipe(folder), folder / "s.h5", tmp_path / "folds", 2)
    # Two processes sum in another order than one.
    assert trial["objectives"]["score"] == pytest.approx(alone["mean"]["score"], rel=0.02)
    environment = json.loads((tmp_path / "study" / "best" / "environment.json").read_text())
    assert environment["processes"] == 2
    assert Run.open(tmp_path / "study" / "best").recipe.data.folds == 1  # trained on all of them


def test_cross_validation_is_trainings_on_each_fold(folder: Path, tmp_path: Path) -> None:
    found = cross_validate(recipe(folder), folder / "s.h5", tmp_path / "folds", 3, groups=2)
    assert json.loads((tmp_path / "folds" / "folds.json").read_text()) == found
    scores = [fold["score"] for fold in found["folds"]]
    assert found["mean"]["score"] == pytest.approx(sum(scores) / 3)
    third = train(recipe(folder, "data.folds=3", "data.fold=2"), folder / "s.h5", tmp_path / "third")
    look = third.summary()["look"]
    assert scores[2] == pytest.approx(look["score"], rel=0.5)  # other noise, the same weights
    assert_same(tmp_path / "folds" / "fold-2", third.path)
    with pytest.raises(RunError, match="runs already"):
        cross_validate(recipe(folder), folder / "s.h5", tmp_path / "folds", 3)
    assert cross_validate(recipe(folder), folder / "s.h5", tmp_path / "folds", 3, resume=True) == found
    with pytest.raises(RunError, match="another training"):
        cross_validate(recipe(folder, "model.width=16"), folder / "s.h5", tmp_path / "folds", 3, resume=True)
    assert_same(tmp_path / "folds" / "fold-2", third.path)  # what was there is there still


@pytest.mark.parametrize(
    ("change", "error", "word"),
    [
        ({"objectives": ["merrit"]}, SearchError, "merit"),
        ({"constraints": ["ms"]}, SearchError, "not a constraint"),
        ({"sampler": "bayes"}, SearchError, "no such sampler"),
        ({"trials": 0}, CaloforgeError, "--trials"),
        ({"minutes": 0}, SearchError, "no time"),
        ({"cluster": "proceses:2"}, CaloforgeError, "processes"),
        ({"objectives": ["score", "ms"], "halving": True}, SearchError, "one figure"),
        ({"data": "nowhere.h5"}, CaloforgeError, "nowhere.h5"),
        ({"space": "nowhere.yaml"}, SearchError, "nowhere.yaml"),
        ({"storage": "oracle://u:secret@x/y"}, SearchError, "cannot be opened"),
        ({"storage": "sqlite://"}, SearchError, "gone with the command"),
    ],
)
def test_bad_input_is_refused_before_anything_is_trained(
    folder: Path, tmp_path: Path, change: dict, error: type[CaloforgeError], word: str
) -> None:
    asked = {"space": folder / "space.yaml", "data": folder / "s.h5", "out": tmp_path / "study"} | change
    with pytest.raises(error) as caught:
        tune(recipe(folder), **asked)
    assert word in str(caught.value)
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize("name", ["best/mine.txt", "trials/0/mine.txt", "index.html", "study.json"])
def test_what_a_study_would_replace_stays(folder: Path, tmp_path: Path, name: str) -> None:
    """A folder with runs of one's own, or with a study whose data base is elsewhere."""
    mine = tmp_path / "study" / name
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    for resume in (False, True):
        with pytest.raises(SearchError, match="would replace") as caught:
            tune(
                recipe(folder),
                folder / "space.yaml",
                data=folder / "s.h5",
                out=tmp_path / "study",
                resume=resume,
            )
        assert name.split("/")[0] in str(caught.value)
    assert mine.read_text() == "mine"


def test_no_recipe_and_no_run_is_named_where_none_is_within_the_constraints(
    folder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(recipe(folder).to_yaml())
    words = [file, folder / "space.yaml", "--data", folder / "s.h5", "--out", tmp_path / "study"]
    words += ["--trials", 1, "--objective", "score", "--constraint", "weights<0.5"]
    found = CliRunner().invoke(app, ["tune", *map(str, words)])
    assert found.exit_code == 0, found.output
    assert "index.html" in found.output
    assert "best.yaml" not in found.output
    assert not (tmp_path / "study" / "best.yaml").exists()


def test_the_detectors_file_is_found_from_any_folder(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers of a cluster are started where their command is not."""
    monkeypatch.chdir(folder)
    named = from_anywhere(load_recipe("calogan", ["detector=tiny.yaml"]))
    assert named.detector == str(folder / "tiny.yaml")
    found = tune(
        *(recipe(folder, "detector=tiny.yaml"), folder / "space.yaml"),
        data="s.h5",
        out=tmp_path / "study",
        trials=1,
        objectives=["weights"],
    )
    assert found["settings"]["recipe"]["detector"] == named.detector
    for name in ("clic", "no such file", None):
        asked = load_recipe("calogan").model_copy(update={"detector": name})
        assert from_anywhere(asked) is asked


def test_showers_that_do_not_select_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no showers select"):
        tune(recipe(folder, "data.select=0"), folder / "space.yaml", data=folder / "s.h5", out=tmp_path / "s")

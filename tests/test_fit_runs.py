"""Runs that are a fit and no training: what they hold, what they say, and what they refuse."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from caloforge.cli.main import app
from caloforge.errors import RunError
from caloforge.training import Recipe, Run, load_recipe, train
from tiny_toys import TINY, tiny_showers

SETTINGS = "schedule.batch=16", "model.fit.rounds=1", "model.fit.factors=2"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tiny_showers(200).save(tmp_path / "showers.h5")


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    file = tmp_path / "tiny.yaml"
    file.write_text(TINY)
    return load_recipe("calogan-fit", [f"detector={file}", *SETTINGS])


def test_the_command_line_speaks_of_no_steps(data: Path, recipe: Recipe, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(recipe.to_yaml())
    out = CliRunner().invoke(app, ["train", str(file), "--data", str(data), "--out", str(tmp_path / "run")])
    assert out.exit_code == 0, out.output
    assert "response" in out.output
    assert "steps" not in out.output
    assert "epochs" not in out.output


def test_resuming_measures_the_same_again(data: Path, recipe: Recipe, tmp_path: Path) -> None:
    run = train(recipe, data, tmp_path / "run")
    before = load_file(run.weights)
    after = load_file(train(recipe, data, run.path, resume=True).weights)
    assert before.keys() == after.keys()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert not Run.open(run.path).checkpoint.is_file()


def test_a_fit_begins_with_no_weights(data: Path, recipe: Recipe, tmp_path: Path) -> None:
    run = train(recipe, data, tmp_path / "run")
    with pytest.raises(RunError, match="cannot begin with weights"):
        train(recipe, data, tmp_path / "other", init=run.path)
    assert not (tmp_path / "other").exists()

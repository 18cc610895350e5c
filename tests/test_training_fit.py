"""Runs that are fitted and not trained: the whole way on the command line, resuming, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from caloforge.cli.main import app
from caloforge.errors import RecipeError, RunError
from caloforge.samples import positrons
from caloforge.showers import open_showers
from caloforge.training import Run, load_recipe, train
from caloforge.training.objectives.settings import FittingSettings

QUICK = ["model.fit.rounds=2", "model.fit.factors=8"]


def caloforge(*words: object) -> Result:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("fit") / "run"
    words = [word for setting in QUICK for word in ("--set", setting)]
    answer = json.loads(
        caloforge("train", "calogan-fit", "--data", positrons(), "--out", out, *words, "--json").stdout
    )
    assert answer["look"]["score"] < 0.2
    return out


def test_a_fit_goes_the_whole_way(run: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    caloforge("export", run, "--out", bundle)
    words = ("--energy", "10:50GeV", "--count", 40, "--seed", 3)
    for source, name in ((run, "torch.h5"), (bundle, "onnx.h5")):
        caloforge("generate", source, *words, "--out", tmp_path / name)
    cells = []
    for name in ("torch.h5", "onnx.h5"):
        with open_showers(tmp_path / name) as file:
            cells.append(file.read(0, 40).cells)
    np.testing.assert_allclose(cells[1], cells[0], rtol=1e-3, atol=2e-5 * cells[0].max())
    measured = caloforge("bench", bundle, "--batch", "1", "--seconds", "0.02", "--json").stdout
    rows = json.loads(measured)["rows"]
    assert rows[0]["ms_per_shower"] > 0


def test_the_diary_says_what_was_seen(run: Path) -> None:
    (entry,) = Run.open(run).metrics()
    assert entry["kind"] == "epoch"
    assert entry["generated"]["response"]["mean"] == pytest.approx(
        entry["geant4"]["response"]["mean"], abs=2e-3
    )


def test_resuming_a_fit_changes_nothing(run: Path) -> None:
    before = (run / "weights.safetensors").read_bytes()
    train(load_recipe("calogan-fit", QUICK), positrons(), run, resume=True, minutes=1)
    assert (run / "weights.safetensors").read_bytes() == before
    assert len(Run.open(run).metrics()) == 1
    with pytest.raises(RunError, match="another training") as caught:
        train(load_recipe("calogan-fit", [*QUICK, "model.fit.levels=9"]), positrons(), run, resume=True)
    assert caught.value.details["expected"] == "the same recipe and showers"
    with pytest.raises(RunError, match="already"):
        train(load_recipe("calogan-fit", QUICK), positrons(), run)


def test_the_tuned_model_can_be_fitted_alone(tmp_path: Path) -> None:
    recipe = load_recipe("calogan-tuned", ["objective={kind: fit}", "model.width=8", *QUICK])
    assert recipe.objective == FittingSettings()
    assert Run.open(train(recipe, positrons(), tmp_path / "run").path).summary()["look"]["score"] < 0.2


@pytest.mark.parametrize(
    ("name", "override", "expected"),
    [
        ("calogan", "objective={kind: fit}", "adversarial or distance or evolution, which"),
        ("calogan-fit", "objective={kind: adversarial}", "fit, which"),
        ("calogan-fit", "objective={kind: fit, average: 0.5}", "kind"),
        ("calogan-fit", "objective={kind: fitting}", "'fit'"),
    ],
)
def test_what_does_not_go_together_is_explained(name: str, override: str, expected: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(name, [override])
    assert expected in str(caught.value)

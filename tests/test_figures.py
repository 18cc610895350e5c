"""Figures of a search, against scikit-learn, scipy and numpy written out; and limits on them."""

from __future__ import annotations

import math
import operator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from scipy.linalg import sqrtm
from scipy.stats import wasserstein_distance
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from caloforge.detector import Detector
from caloforge.errors import RecipeError, SearchError, TrainingError
from caloforge.observables import (
    calochallenge_features,
    evaluate,
    high_level_features,
    high_level_names,
    observables_for,
)
from caloforge.observables.figure_of_merit import figure_of_merit
from caloforge.search.figures import FIGURES, Constraint, known_figure, measure, selection_of
from caloforge.search.figures.distances import mean_deviation, physics_distance, separation
from caloforge.search.figures.timing import ms_per_shower
from caloforge.showers import Incident, Showers
from caloforge.training import Run, load_recipe
from deploy_toys import make_bundle
from tiny_toys import TINY, planar, tiny_showers, train

SEED = 5
CHEAP = [name for name in FIGURES if name != "ms"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_showers(400).save(tmp_path_factory.mktemp("data") / "showers.h5")


@pytest.fixture(scope="module")
def run(data: Path) -> Run:
    (data.parent / "tiny.yaml").write_text(TINY)
    changes = [f"detector={data.parent / 'tiny.yaml'}", "schedule.batch=16", "data.train=0.5"]
    recipe = load_recipe("calogan-fit", [*changes, "data.select=0.4", "model.fit.rounds=1"])
    return train(recipe, data, data.parent / "run")


@pytest.fixture(scope="module")
def geant4(run: Run, data: Path) -> Showers:
    return selection_of(run, [data])


@pytest.fixture(scope="module")
def made(run: Run, geant4: Showers) -> Showers:
    """What the generator makes of the same particles, without this package's samplers."""
    generator = run.generator()
    noise = np.random.default_rng(SEED).standard_normal((len(geant4), *generator.noise_shape), np.float32)
    given = torch.from_numpy(geant4.incident.matrix(generator.conditions))
    with torch.no_grad():
        return Showers(geant4.detector, geant4.incident, generator(torch.from_numpy(noise), given).numpy())


@pytest.fixture(scope="module")
def figures(run: Run, geant4: Showers) -> dict[str, float]:
    return measure(run, CHEAP, geant4, SEED)


def test_selection(run: Run, data: Path, geant4: Showers) -> None:
    """The part after that which trains, and nothing else."""
    whole = Showers.load(data)
    assert len(geant4) == 160
    np.testing.assert_array_equal(geant4.cells, whole.cells[200:360])
    np.testing.assert_array_equal(geant4.incident.energy, whole.incident.energy[200:360])
    assert run.data["selection"] == 160


def test_no_selection(data: Path, tmp_path: Path) -> None:
    settings = [
        "schedule.batch=16",
        "data.select=0",
        "model.fit.rounds=1",
        f"detector={data.parent}/tiny.yaml",
    ]
    run = train(load_recipe("calogan-fit", settings), data, tmp_path / "run")
    with pytest.raises(RecipeError, match="no showers select"):
        selection_of(run, [data])


def test_merit(figures: dict[str, float], geant4: Showers, made: Showers) -> None:
    assert figures["merit"] == pytest.approx(figure_of_merit(geant4, made), rel=1e-5)


def test_score(figures: dict[str, float], geant4: Showers, made: Showers) -> None:
    distances = []
    for observable in observables_for(geant4.detector):
        one, other = (evaluate([observable], showers)[:, 0] for showers in (geant4, made))
        one, other = one[np.isfinite(one)], other[np.isfinite(other)]
        distances.append(wasserstein_distance(one, other) / one.std() if one.std() else 0.0)
    assert figures["score"] == pytest.approx(np.mean(distances), rel=1e-4)


def test_auc(figures: dict[str, float], geant4: Showers, made: Showers) -> None:
    """Trees and areas of scikit-learn, on parts that hold both showers of an incident particle."""
    features = np.concatenate([high_level_features(geant4), high_level_features(made)])
    truth = np.repeat([True, False], len(geant4))
    part = np.tile(np.random.default_rng([SEED, 4]).permutation(np.arange(len(geant4)) % 5), 2)
    areas = []
    for i in range(5):
        trees = HistGradientBoostingClassifier(
            max_iter=40, learning_rate=0.2, max_leaf_nodes=15, max_bins=64, early_stopping=False
        )
        trees.fit(features[part != i], truth[part != i])
        areas.append(roc_auc_score(truth[part == i], trees.decision_function(features[part == i])))
    area = float(np.mean(areas))
    assert figures["auc"] == pytest.approx(max(area, 1 - area), abs=1e-6)


def _twins(seed: int, scale: float = 1.0, n: int = 200) -> tuple[Showers, Showers]:
    """Two samples of the same incident particles; the second with other energies in its first layer."""
    rng, detector = np.random.default_rng(seed), Detector.from_yaml(TINY)
    energy = rng.uniform(1e3, 1e5, n)
    samples = []
    for factor in (1.0, scale):
        cells = rng.exponential(size=(n, detector.n_cells)) * (rng.random((n, detector.n_cells)) < 0.7)
        cells[:, detector.layer_of_cell == 0] *= factor
        cells *= (0.9 * energy / np.maximum(cells.sum(1), 1e-9))[:, None]
        samples.append(Showers(detector, Incident.of(energy, pdg=-11), cells.astype(np.float32)))
    return samples[0], samples[1]


def test_auc_of_the_same_and_of_others() -> None:
    """Trees that had seen a shower's twin would say its energy is that of the other kind: areas below 0.5."""
    same = [separation(*_twins(seed), seed) for seed in range(3)]
    assert all(0.5 <= area < 0.6 for area in same)
    assert np.mean(same) < 0.56
    assert separation(*_twins(9, scale=3.0), 9) > 0.8
    assert separation(*_twins(9, scale=1e3), 9) > 0.99
    assert len(high_level_names(Detector.from_yaml(TINY))) > 5


def test_fpd(figures: dict[str, float], geant4: Showers, made: Showers) -> None:
    one, other = (calochallenge_features(showers).astype(np.float64) for showers in (geant4, made))
    finite = np.isfinite(one).all(0) & np.isfinite(other).all(0)
    varies = (np.ptp(one, axis=0) > 0) | (np.ptp(other, axis=0) > 0)
    scale = np.abs(one).max(0)
    kept = finite & varies
    a, b = one[:, kept] / scale[kept], other[:, kept] / scale[kept]
    root = sqrtm(np.cov(a.T) @ np.cov(b.T))
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(np.cov(a.T) + np.cov(b.T) - 2 * root.real)
    assert figures["fpd"] == pytest.approx(1e3 * expected, rel=1e-3)


def test_fpd_grows_with_the_difference() -> None:
    same, near, far = (physics_distance(*_twins(3, scale)) for scale in (1.0, 1.3, 3.0))
    assert 0 < same < near < far
    first = _twins(3)[0]
    assert physics_distance(first, first) == pytest.approx(0, abs=1e-6)


def test_response(geant4: Showers) -> None:
    """Bins of equal width: 160 showers make four of them. Deviations of either sign do not cancel."""
    energy = geant4.incident.energy
    bent = geant4.cells * (0.95 + 0.1 * energy / 1e5)[:, None].astype(np.float32)
    other = Showers(geant4.detector, geant4.incident, bent)
    edges = np.linspace(energy.min(), energy.max(), 5)
    edges[-1] *= 1.1
    off = []
    for low, high in pairwise(edges):
        rows = (low <= energy) & (energy < high)
        one, two = ((s.cells[rows].sum(1, dtype=float) / energy[rows]).mean() for s in (geant4, other))
        off.append(abs(two / one - 1))
    assert mean_deviation(geant4, other) == pytest.approx(100 * np.mean(off), rel=1e-5)
    assert mean_deviation(geant4, other) > 1.5


def test_response_of_a_known_deviation(figures: dict[str, float], geant4: Showers) -> None:
    """The fit makes the response of these showers, which is 1, exactly."""
    assert figures["response"] < 1e-3
    for factor in (1.02, 0.97):
        other = Showers(geant4.detector, geant4.incident, geant4.cells * np.float32(factor))
        assert mean_deviation(geant4, other) == pytest.approx(100 * abs(factor - 1), rel=1e-4)


def test_weights(figures: dict[str, float], run: Run) -> None:
    kept = {name: tensor for name, tensor in load_file(run.weights).items() if name.startswith("generator")}
    assert figures["weights"] == sum(t.numel() for t in kept.values() if t.is_floating_point()) > 100


def test_seconds(figures: dict[str, float], run: Run) -> None:
    assert figures["seconds"] == run.summary()["seconds"]


def test_figures_are_the_same_again(run: Run, geant4: Showers, figures: dict[str, float]) -> None:
    assert list(figures) == CHEAP
    assert measure(run, CHEAP[::-1], geant4, SEED) == figures, "in whatever order"
    for name in ("merit", "auc", "fpd", "score"):
        assert measure(run, [name], geant4, SEED) == {name: figures[name]}, "whatever else is measured"
    assert measure(run, ["score"], geant4, SEED + 1)["score"] != figures["score"]
    assert all(math.isfinite(value) and value >= 0 for value in figures.values())


def test_ms_of_a_bundle(tmp_path: Path) -> None:
    """How long it is depends on the machine; that it is milliseconds does not."""
    assert 1e-3 < ms_per_shower(make_bundle(tmp_path / "bundle")) < 50


@pytest.mark.slow
def test_ms_is_of_the_exported_run(run: Run, geant4: Showers) -> None:
    found = measure(run, ["ms"], geant4, SEED)["ms"]
    assert 1e-3 < found < 1e3


class _Generator(torch.nn.Module):
    """Makes the same in all cells of all showers."""

    noise_shape, conditions = (4,), ("energy",)

    def __init__(self, energy: float, cells: int) -> None:
        super().__init__()
        self.cells = torch.full((cells,), energy)

    def forward(self, noise: torch.Tensor, incident: torch.Tensor) -> torch.Tensor:
        return self.cells.expand(len(incident), -1).clone()


def _that_makes(energy: float, run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    made = _Generator(energy, run.detector.n_cells)
    monkeypatch.setattr(Run, "generator", lambda _, **__: made)
    return run


def test_what_makes_nothing_is_bad_in_all(
    run: Run, geant4: Showers, figures: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Observables that are not defined, or no longer vary, must not make a figure smaller."""
    found = measure(_that_makes(0.0, run, monkeypatch), CHEAP, geant4, SEED)
    for name in ("merit", "fpd", "response", "score"):
        assert found[name] > 2 * figures[name]
    assert found["response"] == pytest.approx(100)
    assert found["auc"] == 1


@pytest.mark.parametrize("energy", [float("nan"), float("inf"), -1.0])
def test_impossible_energies_are_a_training_that_failed(
    energy: float, run: Run, geant4: Showers, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TrainingError, match="impossible energies"):
        measure(_that_makes(energy, run, monkeypatch), ["score"], geant4, SEED)


def test_huge_energies(run: Run, geant4: Showers, monkeypatch: pytest.MonkeyPatch) -> None:
    """A figure is a number, or the trial is refused."""
    huge = _that_makes(1e37, run, monkeypatch)
    for name in ("merit", "auc", "fpd", "response", "score"):
        with suppress(TrainingError):
            assert math.isfinite(measure(huge, [name], geant4, SEED)[name])


@pytest.mark.parametrize(("name", "n"), [("auc", 49), ("fpd", 49), ("response", 9)])
def test_too_few_showers(run: Run, geant4: Showers, name: str, n: int) -> None:
    with pytest.raises(SearchError, match=f"too few showers for the figure {name}") as caught:
        measure(run, [name], geant4[np.arange(n)], SEED)
    assert caught.value.details["got"] == n


def test_merit_needs_an_axis(tmp_path: Path) -> None:
    detector = Detector.from_yaml(planar((1, 1, 10)))
    energy = np.random.default_rng(0).uniform(1e3, 1e5, 100)
    cells = (0.9 * energy * np.random.default_rng(1).normal(1, 0.05, 100))[:, None].astype(np.float32)
    data = Showers(detector, Incident.of(energy, pdg=-11), cells).save(tmp_path / "one.h5")
    (tmp_path / "one.yaml").write_text(planar((1, 1, 10)))
    settings = [f"detector={tmp_path / 'one.yaml'}", "schedule.batch=16", "model.fit.rounds=1"]
    run = train(load_recipe("calogan-fit", settings), data, tmp_path / "run")
    with pytest.raises(RecipeError, match="figure of merit needs an axis"):
        measure(run, ["merit"], selection_of(run, [data]), SEED)


def test_unknown_figures(run: Run, geant4: Showers) -> None:
    with pytest.raises(SearchError) as caught:
        measure(run, ["merit", "scroe"], geant4, SEED)
    assert caught.value.details["did you mean"] == "score"
    assert known_figure("ms").unit == "ms"
    assert {figure.better for figure in FIGURES.values()} == {"less"}


SIGNS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


@given(st.sampled_from(list(SIGNS)), st.floats(-1e6, 1e6), st.floats(0, 1e6))
def test_constraints_are_kept_or_violated(sign: str, value: float, limit: float) -> None:
    violation = Constraint.parse(f"weights{sign}{limit!r}").violation({"weights": value})
    assert (violation <= 0) == SIGNS[sign](value, limit)


def test_constraints() -> None:
    limit = Constraint.parse(" ms < 0.1 ")
    assert (limit.name, str(limit)) == ("ms", "ms < 0.1")
    assert limit.violation({"ms": 0.15}) == pytest.approx(0.5), "in units of the limit"
    assert limit.violation({"ms": 0.05}) == pytest.approx(-0.5)
    assert Constraint.parse("response<=2%").violation({"response": 2.0}) == 0
    assert Constraint.parse("response<2").violation({"response": 3.0}) == 0.5
    assert limit.violation({"ms": math.nan}) == limit.violation({}) == math.inf
    assert limit.violation({"ms": math.inf}) == math.inf


@pytest.mark.parametrize(
    "text", ["ms", "ms<", "ms<<1", "ms<fast", "<1", "ms<1,auc<1", "", "auc<60%", "mrit<1"]
)
def test_no_constraints(text: str) -> None:
    with pytest.raises(SearchError) as caught:
        Constraint.parse(text, "a.yaml, line 3")
    assert caught.value.details["where"] == "a.yaml, line 3"

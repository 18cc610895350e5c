"""Classifiers against what is known: Gaussians, scikit-learn, and showers with known faults."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm
from sklearn.metrics import log_loss, roc_auc_score

from caloforge.detector import load_detector
from caloforge.observables import calochallenge_features, high_level_names
from caloforge.showers import Showers
from caloforge.validation.charts import Curve, Histogram, Table
from caloforge.validation.classifiers import families, inputs
from caloforge.validation.classifiers.families import Network, Trees
from caloforge.validation.classifiers.learning import Learner
from caloforge.validation.classifiers.networks import Convolutional, _Conv, dense
from caloforge.validation.classifiers.recipes import CALOCHALLENGE, CALOFLOW, RECIPES, Schedule
from caloforge.validation.classifiers.separation import _splits, hanley_mcneil, separate
from caloforge.validation.inputs.samples import Samples
from caloforge.validation.studies import classifiers as studies
from caloforge.validation.study import Study
from validation_toys import broken, samples_of, single_layer, toy_detector, toy_showers

N = 500


def _silent(share: float, note: str = "") -> None:
    assert 0 <= share <= 1


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    """A fair candidate, one with energies 2 % too high, and one without energy."""
    candidates = (toy_showers(N, 3), broken(toy_showers(N, 4), "scaled"), broken(toy_showers(N, 5), "empty"))
    return samples_of(tmp_path_factory.mktemp("s"), toy_showers(N, 1), toy_showers(N, 2), *candidates)


@pytest.fixture(scope="module")
def by_trees(samples: Samples) -> Study:
    return studies.trees(samples, _silent)


@pytest.fixture(scope="module")
def by_network(samples: Samples) -> Study:
    return studies.high_level(samples, _silent, trainings=3)


def test_network_reaches_the_analytic_auc_and_divergence_of_gaussians() -> None:
    rng = np.random.default_rng(1)
    n, apart = 20_000, 1.2
    values = rng.normal(size=(2 * n, 3)).astype(np.float32)
    values[:n, 1] += np.float32(apart)
    network = Network(inputs.Table(values), lambda k: dense(k, 32, 2), Schedule(5e-3, 500, 2, cosine=True))
    found = separate(n, network, 2, 0, _silent)
    assert found.auc.mean() == pytest.approx(norm.cdf(apart / math.sqrt(2)), abs=0.01)
    # the calibration costs a little: showers beyond the last step of the isotonic function count as certain
    assert _divergence(apart) - 0.03 < found.jsd.mean() < _divergence(apart) + 0.01
    bits = log_loss(found.truth, found.probability) / math.log(2)
    assert 1 - bits == pytest.approx(_divergence(apart), abs=0.01)


def _divergence(apart: float) -> float:
    """Jensen-Shannon divergence of two normal distributions in bits, by integration."""

    def term(x: float) -> float:
        p, q = norm.pdf(x), norm.pdf(x - apart)
        return 0.5 * (p * math.log2(2 * p / (p + q)) + q * math.log2(2 * q / (p + q)))

    return float(quad(term, -10, 10 + apart)[0])


def test_figures_are_those_of_scikit_learn(samples: Samples) -> None:
    first, second = samples.reference.features, samples.candidates[1].features
    found = separate(N, Trees(np.concatenate([first, second])), 3, 0, _silent)
    for training in range(3):
        mine = found.training == training
        assert found.auc[training] == pytest.approx(roc_auc_score(found.truth[mine], found.probability[mine]))
        bits = log_loss(found.truth[mine], found.calibrated[mine]) / math.log(2)
        assert found.jsd[training] == pytest.approx(1 - bits)


def test_quick_auc_counts_ties_as_halves() -> None:
    rng = np.random.default_rng(3)
    truth, scores = rng.random(300) < 0.4, rng.integers(0, 9, 300).astype(float)
    assert families._auc(truth, scores) == pytest.approx(roc_auc_score(truth, scores))


def test_error_of_an_auc_is_its_scatter() -> None:
    rng = np.random.default_rng(4)
    truth = np.repeat([True, False], 200)
    draws = [roc_auc_score(truth, np.r_[rng.normal(1, 1, 200), rng.normal(0, 1, 200)]) for _ in range(300)]
    assert hanley_mcneil(float(np.mean(draws)), 200) == pytest.approx(np.std(draws), rel=0.15)
    assert hanley_mcneil(1.0, 200) == pytest.approx(1 / 200)


def test_five_trainings_test_each_shower_once_and_never_train_on_it() -> None:
    tested = []
    for learn, select, test in _splits(103, 5, 0):
        assert not set(learn) & set(select)
        assert not set(test) & (set(learn) | set(select))
        assert len(learn) + len(select) + len(test) == 206
        for part in (learn, select, test):
            assert abs(int((part < 103).sum()) - int((part >= 103).sum())) == 0
        tested.extend(test)
    assert sorted(tested) == list(range(206))


def test_trees_find_the_scale_and_name_what_gives_it_away(by_trees: Study) -> None:
    fair, scaled, empty = (numbers[0] for numbers in by_trees.numbers)
    assert (fair.name, fair.off, scaled.off, empty.off) == ("auc_trees", False, True, True)
    assert scaled.measure.value > 0.65
    assert fair.measure.floor == pytest.approx(0.5, abs=4 * fair.measure.floor_error)
    assert empty.measure.value == 1.0
    table = by_trees.charts[-1]
    assert isinstance(table, Table)
    worth = {row[0]: row[2][0] for row in table.rows}  # type: ignore[index]
    assert max(worth, key=lambda name: worth[name]) == "log response"
    assert max(abs(row[4][0]) for row in table.rows) < 0.1  # type: ignore[index]


def test_network_finds_the_scale_and_says_so(by_network: Study) -> None:
    fair, scaled, empty = by_network.numbers
    assert [number.name for number in fair] == ["auc_high", "jsd_high"]
    assert (fair[0].off, scaled[0].off, empty[0].off) == (False, True, True)
    assert empty[1].measure.value == pytest.approx(1.0, abs=0.01)
    assert [len(found) for found in by_network.findings] == [0, 1, 1]
    assert by_network.findings[1][0].chart in {chart.key for chart in by_network.charts}


def test_charts_count_every_shower_once(by_network: Study, by_trees: Study) -> None:
    keys = [chart.key for study in (by_network, by_trees) for chart in study.charts]
    assert len(set(keys)) == len(keys)
    assert {"roc_high", "calibration_high", "learning_high", "roc_trees"} <= set(keys)
    for chart in by_trees.charts:
        if isinstance(chart, Histogram):
            assert [line.values.sum() for line in chart.lines] == [N, N, N]
            assert [line.role for line in chart.lines] == ["geant4", "floor", "candidate"]
        elif isinstance(chart, Curve):
            assert all(len(line.values) == len(chart.at) for line in chart.lines)


def test_roc_curve_has_the_area_that_is_quoted(by_trees: Study) -> None:
    roc = next(chart for chart in by_trees.charts if chart.key == "roc_trees")
    assert isinstance(roc, Curve)
    for line, numbers in zip(roc.lines[2:], by_trees.numbers, strict=True):
        assert np.trapezoid(line.values, roc.at) == pytest.approx(numbers[0].measure.value, abs=0.02)


def test_same_seed_same_figures_and_torch_is_left_alone(samples: Samples) -> None:
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    first, second = (studies.low_level(samples, _silent, trainings=2).details for _ in range(2))
    assert first == second
    assert torch.equal(state, torch.random.get_rng_state())


def test_floor_is_the_same_whoever_the_candidates_are(tmp_path: Path, by_trees: Study) -> None:
    alone = samples_of(tmp_path, toy_showers(N, 1), toy_showers(N, 2), broken(toy_showers(N, 4), "shifted"))
    assert studies.trees(alone, _silent).details["floor"] == by_trees.details["floor"]


def test_cells_tell_what_is_wrong(samples: Samples) -> None:
    for study in (studies.low_level, studies.normalised):
        fair, scaled, empty = (numbers[0] for numbers in study(samples, _silent, trainings=2).numbers)
        assert (fair.off, scaled.off, empty.off) == (False, True, True)


@pytest.mark.slow
def test_convolution_sees_noise(tmp_path: Path) -> None:
    noisy = broken(toy_showers(300, 3), "noisy")
    study = studies.convolutional(
        samples_of(tmp_path, toy_showers(300, 1), toy_showers(300, 2), noisy), _silent, trainings=2
    )
    auc = study.numbers[0][0]
    assert (auc.name, auc.off) == ("auc_cnn", True)
    assert auc.measure.value > 0.8


@pytest.mark.parametrize("n", [2, 20])
def test_too_few_showers_give_no_number(tmp_path: Path, n: int) -> None:
    few = samples_of(tmp_path, toy_showers(n, 1), toy_showers(n, 2), toy_showers(n, 3))
    for study in (studies.high_level, studies.trees, studies.low_level, studies.convolutional):
        found = study(few, _silent)
        assert found.numbers == ((),)
        assert f"not computed, {n} showers of each kind are too few, 50 are needed" in found.method


def _brute(
    showers: Showers,
    cells: Callable[[np.ndarray, float, float], np.ndarray],
    extra: Callable[..., list[float]],
) -> np.ndarray:
    """Inputs shower by shower and layer by layer."""
    rows = []
    for row, energy in zip(showers.cells.astype(float), showers.incident.energy.astype(float), strict=True):
        layers = [row[layer.cells] for layer in showers.detector.layers]
        sums = [layer.sum() for layer in layers]
        parts = [cells(layer, total, energy) for layer, total in zip(layers, sums, strict=True)]
        rows.append(np.concatenate([*parts, extra(energy, sums)]))
    return np.array(rows)


@pytest.mark.parametrize("normalised", [False, True])
@pytest.mark.parametrize("recipe", ["caloflow", "calochallenge"])
def test_low_level_inputs_are_the_published_ones(tmp_path: Path, recipe: str, normalised: bool) -> None:
    a, b = toy_showers(5, 1), toy_showers(5, 2)
    both = samples_of(tmp_path, a, b, b)
    found = inputs.low_level_inputs(both.reference, both.floor, recipe, normalised)  # type: ignore[arg-type]

    def cells(layer: np.ndarray, total: float, energy: float) -> np.ndarray:
        unit = total + 1e-16 if normalised else (energy if recipe == "calochallenge" else 1e5)
        return layer / unit

    def extra(energy: float, sums: list[float]) -> list[float]:
        if recipe == "caloflow":
            return [math.log10(energy / 1e4), *(math.log10((s + 1e-3) / 1e5) + 2 for s in sums)]
        return [math.log10(energy), *(math.log10(s + 1e-8) for s in sums if normalised)]

    for sample, showers, start in ((both.reference, a, 0), (both.floor, b, 5)):
        expected = _brute(showers[sample.chosen], cells, extra)
        np.testing.assert_allclose(found.rows(np.arange(start, start + 5)), expected, rtol=2e-5, atol=1e-7)


def test_inputs_of_large_detectors_are_made_batch_by_batch(samples: Samples) -> None:
    pair = samples.reference, samples.candidates[1]
    kept = inputs.low_level_inputs(*pair, "quick", True)
    made = inputs.low_level_inputs(*pair, "quick", True, kept=0)
    assert isinstance(made, inputs.Cells)
    rows = np.array([3, 700, 11])
    np.testing.assert_array_equal(made.rows(rows), kept.rows(rows))
    assert made.width == kept.width == made.rows(rows).shape[1]


def test_high_level_inputs(samples: Samples) -> None:
    pair = samples.reference, samples.floor
    ranks = inputs.high_level_inputs(*pair, "quick").values
    assert ranks[:, 0].std() == pytest.approx(1, abs=0.02)
    order = np.concatenate([sample.features[:, 0] for sample in pair]).argsort()
    assert np.all(np.diff(ranks[order, 0]) >= 0)
    challenge = inputs.high_level_inputs(*pair, "calochallenge").values
    showers = toy_showers(N, 1)[samples.reference.chosen]
    np.testing.assert_allclose(challenge[:N], calochallenge_features(showers), rtol=1e-6)
    published = inputs.high_level_inputs(*pair, "caloflow").values
    column = high_level_names(samples.detector).index("width_x_1")
    expected = np.log10(samples.reference.features[:, column] + 1e-8)
    np.testing.assert_allclose(published[:N, column], expected, rtol=1e-5)


def test_recipes_are_the_published_ones() -> None:
    # 786,433 weights in arXiv 2106.05285, App. B, with 504 cells, three layers and the incident energy
    assert sum(p.numel() for p in dense(508, CALOFLOW.width, CALOFLOW.hidden).parameters()) == 786_433
    assert CALOFLOW.schedule == Schedule(1e-3, 1000, 150)
    assert (CALOCHALLENGE.width, CALOCHALLENGE.schedule) == (2048, Schedule(2e-4, 1000, 50))
    assert all(name in recipe.method for name, recipe in RECIPES.items())


def test_learning_stops_when_nothing_is_left_to_learn() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(400, 2)).astype(np.float32)
    truth = (rng.random((400, 1)) < 0.5).astype(np.float32)
    learner = Learner(
        lambda: dense(2, 16, 1), families._loss, families._likelihood, Schedule(1e-2, 50, 200, patience=3), 0
    )
    rows = np.arange(400)
    network, history = learner.fit(inputs.Table(values), truth, rows[:300], rows[300:], _silent)
    assert len(history.unseen) == history.best + 4 < 200
    with torch.no_grad():
        said = network(torch.as_tensor(values[300:]))
    assert float(families._loss(said, torch.as_tensor(truth[300:]))) == pytest.approx(min(history.unseen))


def test_quick_schedule_takes_as_many_steps_for_any_sample() -> None:
    schedule = Schedule(1e-3, 100, 24, steps=60)
    assert [schedule.passes(n) for n in (10, 1000, 6000, 10**6)] == [24, 6, 1, 1]
    assert Schedule(1e-3, 100, 24).passes(10**6) == 24


def test_convolution_goes_round_rings() -> None:
    torch.manual_seed(0)
    conv = _Conv((1, 2), (1, 1, 1), ring=True).eval()
    x = torch.rand(2, 1, 4, 6, 3)
    turned = conv(x.roll(2, dims=-2))
    torch.testing.assert_close(turned, conv(x).roll(2, dims=-2))
    flat = _Conv((1, 2), (1, 1, 1), ring=False).eval()
    assert not torch.allclose(flat(x.roll(2, dims=-2)), flat(x).roll(2, dims=-2))


@pytest.mark.parametrize("name", ["calogan", "calochallenge-1-pions", "calochallenge-2", "single", "toy"])
def test_convolution_fits_every_detector(name: str) -> None:
    own = {"single": single_layer, "toy": toy_detector}
    detector = own[name]() if name in own else load_detector(name)
    network = Convolutional(detector, detector.n_cells + 2, (4, 8, 8), 1)
    assert network.shared == (name == "calochallenge-2")
    logits = network(torch.rand(3, detector.n_cells + 2))
    assert logits.shape == (3, 1)
    logits.sum().backward()
    assert all(p.grad is not None for p in network.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [CALOFLOW, CALOCHALLENGE])
def test_published_recipes_find_what_is_broken(tmp_path: Path, recipe: object) -> None:
    # with a few hundred showers they take fifty steps, which is enough for a shift but not for noise
    shifted = broken(toy_showers(N, 3), "shifted")
    found = studies.low_level(
        samples_of(tmp_path, toy_showers(N, 1), toy_showers(N, 2), shifted),
        _silent,
        recipe=recipe,
        trainings=2,
    )
    assert found.numbers[0][0].off

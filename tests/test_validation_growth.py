"""AUCs with the showers that they come from: their growth, and classifiers of one energy alone."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from caloforge.errors import ValidationError
from caloforge.observables import Shapes, high_level_features
from caloforge.showers import Incident, Showers
from caloforge.validation import validate
from caloforge.validation.charts import Curve, Table
from caloforge.validation.classifiers.families import Network, Trees
from caloforge.validation.classifiers.growth import Grown, grow
from caloforge.validation.classifiers.inputs import Table as Inputs
from caloforge.validation.classifiers.networks import dense
from caloforge.validation.classifiers.recipes import Schedule
from caloforge.validation.classifiers.separation import Separation, Trained, separate
from caloforge.validation.metrics.energy_bins import fixed_energies
from caloforge.validation.registry import ENTRIES, suited
from caloforge.validation.studies.classifiers import trees
from caloforge.validation.studies.energies import energies
from caloforge.validation.study import Study
from validation_toys import broken, samples_of, toy_showers

ENERGIES = (5e3, 2e4, 9e4)
WRONG = 2e4


def _silent(share: float, note: str = "") -> None:
    assert 0 <= share <= 1


def beams(n: int, seed: int, factor: float = 1.0) -> Showers:
    """Showers of three energies; cells of those of 20 GeV are multiplied by a factor."""
    showers = toy_showers(n, seed)
    energy = np.random.default_rng(seed).permutation(np.resize(ENERGIES, n))
    scale = energy / showers.incident.energy * np.where(energy == WRONG, factor, 1)
    cells = (showers.cells * scale[:, None]).astype(np.float32)
    return Showers(showers.detector, Incident.of(energy), cells)


def gaussians(n: int, apart: float, seed: int = 1) -> np.ndarray:
    values = np.random.default_rng(seed).normal(size=(2 * n, 8)).astype(np.float32)
    values[:n] += np.float32(apart / math.sqrt(8))
    return values


@pytest.mark.parametrize("family", ["trees", "network"])
def test_auc_grows_to_that_of_gaussians(family: str) -> None:
    n, apart = 4000, 0.8
    values = gaussians(n, apart)
    if family == "trees":
        train = Trees(values, rounds=60, learning_rate=0.1)
    else:
        schedule = Schedule(5e-3, 200, 6, cosine=True)
        train = Network(Inputs(values), lambda k: dense(k, 32, 2), schedule)  # type: ignore[assignment]
    grown = grow(n, train, 3, 0, _silent)
    limit = norm.cdf(apart / math.sqrt(2))
    assert grown.showers == (500, 1000, 2000, 4000)
    aucs = [auc for auc, _ in grown.auc]
    assert aucs == sorted(aucs)
    assert limit - 0.03 < aucs[-1] < limit + 0.01
    assert aucs[0] < aucs[-1] - 0.01
    assert [error for _, error in grown.auc] == [f.auc_error for f in grown.found]


def test_parts_are_nested_learn_less_and_are_tested_on_the_same() -> None:
    seen: list[tuple[np.ndarray, ...]] = []

    def train(seed: int, learn: np.ndarray, select: np.ndarray, test: np.ndarray, tell: object) -> Trained:
        seen.append((learn, select, test))
        rng = np.random.default_rng(seed)
        return Trained(rng.random(len(select)), rng.random(len(test)))

    grown = grow(403, train, 2, 0, _silent)
    assert grown.showers == (50, 100, 201, 403)
    whole = seen[-2:]
    for part, start in zip((8, 4, 2, 1), range(0, 8, 2), strict=True):
        for (learn, select, test), (all_learn, all_select, all_test) in zip(
            seen[start : start + 2], whole, strict=True
        ):
            np.testing.assert_array_equal(test, all_test)
            for some, of in ((learn, all_learn), (select, all_select)):
                assert set(some) <= set(of)
                assert (some < 403).sum() == (some >= 403).sum() == math.ceil(len(of) / 2 / part)
    assert set(seen[0][0]) <= set(seen[2][0]) <= set(seen[4][0])


@pytest.mark.parametrize(("showers", "sizes"), [(60, (60,)), (120, (60, 120)), (399, (99, 199, 399))])
def test_parts_of_too_few_showers_are_left_out(showers: int, sizes: tuple[int, ...]) -> None:
    assert grow(showers, Trees(gaussians(showers, 1.0), rounds=2), 2, 0, _silent).showers == sizes


def test_all_showers_are_those_of_no_growth() -> None:
    train = Trees(gaussians(200, 1.0))
    grown, alone = grow(200, train, 2, 0, _silent), separate(200, train, 2, 0, _silent)
    np.testing.assert_array_equal(grown.all.auc, alone.auc)
    np.testing.assert_array_equal(grown.all.lost, alone.lost)
    assert grown.found[0].lost is None


def test_rising_is_a_gain_beyond_the_scatter_of_the_trainings() -> None:
    empty = np.empty(0)

    def found(aucs: list[float]) -> Separation:
        nothing = np.empty(0, np.int64)
        return Separation(np.array(aucs), empty, 0.0, 0.0, nothing, nothing == 1, empty, empty, nothing)

    def rising(*aucs: list[float]) -> bool:
        return Grown(tuple(range(len(aucs))), tuple(found(a) for a in aucs)).rising

    before = [0.50, 0.54, 0.51, 0.55, 0.53]
    assert rising(before, [0.52, 0.565, 0.53, 0.57, 0.551])
    assert not rising(before, [0.53, 0.52, 0.52, 0.55, 0.56])
    assert not rising(before, before)
    assert not rising(before)
    # of 2000 pairs without a gain, one in a hundred looks like one
    rng = np.random.default_rng(0)
    share = np.mean([rising(*rng.normal(0.6, 0.01, (2, 5)).tolist()) for _ in range(2000)])
    assert share == pytest.approx(0.01, abs=0.007)


@pytest.fixture(scope="module")
def grown_study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("s")
    n = 240
    wrong = broken(toy_showers(n, 3), "scaled")
    return trees(samples_of(folder, toy_showers(n, 1), toy_showers(n, 2), wrong), _silent, trainings=3)


def test_growth_is_in_details_chart_and_text(grown_study: Study) -> None:
    auc = grown_study.numbers[0][0]
    floor, (candidate,) = grown_study.details["floor"], grown_study.details["candidates"]
    sizes = [60, 120, 240]
    for of, value, error in (
        (candidate, auc.measure.value, auc.measure.error),
        (floor, auc.measure.floor, auc.measure.floor_error),
    ):
        assert [step["showers"] for step in of["growth"]] == sizes
        assert (of["growth"][-1]["auc"], of["growth"][-1]["error"]) == (value, error)
        assert of["growth"][-1]["auc"] == pytest.approx(np.mean(of["auc"]), abs=1e-5)
    chart = next(c for c in grown_study.charts if c.key == "growth_trees")
    assert isinstance(chart, Curve)
    assert (chart.log_x, chart.at.tolist()) == (True, sizes)
    assert [line.role for line in chart.lines] == ["floor", "candidate"]
    np.testing.assert_array_equal(chart.lines[1].values, [step["auc"] for step in candidate["growth"]])
    assert auc.showers == 240
    assert f"{auc.measure.value:.3f} ± {auc.measure.error:.3f} with 240 showers of each kind" in auc.meaning
    assert f"{candidate['growth'][0]['auc']:.3f} with 60" in auc.meaning
    assert f"floor {auc.measure.floor:.3f} ± {auc.measure.floor_error:.3f}" in auc.meaning


def test_fixed_energies_are_few_and_come_again() -> None:
    assert fixed_energies(np.repeat(np.float32([9e4, 5e3]), 3)).tolist() == [5e3, 9e4]
    assert fixed_energies(np.linspace(1, 2, 500)).tolist() == []
    assert fixed_energies(np.array([1.0, 2.0, 3.0])).tolist() == []


@pytest.fixture(scope="module")
def by_energy(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A fair candidate, and one that is wrong at one of three energies."""
    given = [beams(540, 1), beams(540, 2), beams(540, 3), beams(540, 4, 1.03)]
    return energies(samples_of(tmp_path_factory.mktemp("s"), *given), _silent, trainings=5)


def test_one_wrong_energy_is_found_and_named(by_energy: Study) -> None:
    assert by_energy.details["energies"] == list(ENERGIES)
    fair, wrong = ({n.name: n for n in numbers} for numbers in by_energy.numbers)
    assert set(fair) == {"energy_auc_high_worst", "energy_auc_cells_worst"}
    assert not any(number.off for number in fair.values())
    assert wrong["energy_auc_high_worst"].off
    assert not wrong["energy_auc_cells_worst"].off  # shares of cells do not see the energy
    assert "at 20 GeV" in wrong["energy_auc_high_worst"].meaning
    high = by_energy.details["high"]
    assert high["showers"] == [180, 180, 180]
    aucs = [auc for auc, _ in high["candidates"][1]["auc"]]
    assert aucs[1] > 0.75 > 0.6 > max(aucs[0], aucs[2])
    assert wrong["energy_auc_high_worst"].measure.value == max(aucs)
    assert wrong["energy_auc_high_worst"].measure.floor == max(auc for auc, _ in high["floor"])
    assert [len(found) for found in by_energy.findings] == [0, 1]


def test_auc_at_an_energy_is_that_of_scikit_learn_trained_there(by_energy: Study) -> None:
    features = [
        high_level_features(Shapes(showers[showers.incident.energy == np.float32(WRONG)]))
        for showers in (beams(540, 1), beams(540, 4, 1.03))
    ]
    truth = np.repeat([True, False], 180)
    model = HistGradientBoostingClassifier(max_iter=40, max_leaf_nodes=15, early_stopping=False)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    scores = cross_val_predict(model, np.concatenate(features), truth, cv=folds, method="predict_proba")
    auc, error = by_energy.details["high"]["candidates"][1]["auc"][1]
    # a network and trees: not the same classifier, but the same showers
    assert auc == pytest.approx(roc_auc_score(truth, scores[:, 1]), abs=max(4 * error, 0.08))


def test_charts_show_each_energy(by_energy: Study) -> None:
    *curves, table = by_energy.charts
    assert [curve.key for curve in curves] == ["energies_high", "energies_cells"]
    for curve in curves:
        assert isinstance(curve, Curve)
        assert curve.at.tolist() == [5, 20, 90]
        assert curve.log_x
        assert [line.name for line in curve.lines] == ["Geant4, floor", "candidate 0", "candidate 1"]
    assert isinstance(table, Table)
    assert [row[0] for row in table.rows] == ["5 GeV", "20 GeV", "90 GeV"]
    assert all(len(row) == len(table.columns) for row in table.rows)
    assert [row[3] for row in table.rows] == by_energy.details["high"]["candidates"][1]["auc"]


@pytest.mark.parametrize(
    ("showers", "why"),
    [
        (lambda seed: toy_showers(150, seed), "not a few fixed ones"),
        (lambda seed: beams(120, seed), "at 5 GeV there are 40 showers of each kind, 50 are needed"),
        (lambda seed: beams(360, seed)[beams(360, seed).incident.energy < 6e3], "all showers have 5 GeV"),
    ],
)
def test_what_cannot_be_told_is_said(tmp_path: Path, showers: object, why: str) -> None:
    study = energies(samples_of(tmp_path, *(showers(seed) for seed in (1, 2, 3))), _silent)  # type: ignore[operator]
    assert study.numbers == ((),)
    assert why in str(study.absent)


def test_energies_are_studied_where_there_are_a_few_or_when_named() -> None:
    def names(metrics: str, required: list[str], fixed: bool) -> set[str]:
        return {entry.name for entry in suited(ENTRIES, metrics, required, fixed)}

    every = {entry.name for entry in ENTRIES}
    assert names("quick", [], True) == every
    assert names("quick", [], False) == every - {"energies"}
    assert names("quick, energies", [], False) == every
    assert names("fpd", ["energy_auc_high_worst"], False) == every


def test_a_ci_can_require_every_energy(tmp_path: Path) -> None:
    report = validate(
        beams(660, 1),
        {"fair": beams(330, 3), "wrong": beams(330, 4, 1.03)},
        out=tmp_path / "r",
        metrics="energies",
        trainings=2,
        require="energy_auc_high_worst<0.68",
    )
    assert [outcome.met for outcome in report.outcomes] == [True, False]
    told = json.loads(report.json.read_text())
    assert told["candidates"]["wrong"]["numbers"]["energy_auc_high_worst"]["showers"] >= 100
    with pytest.raises(ValidationError, match="not a few fixed ones"):
        validate(
            toy_showers(200, 1),
            toy_showers(100, 2),
            out=tmp_path / "none",
            metrics="fpd",
            require="energy_auc_high_worst<0.68",
        )


def test_only_some_showers_are_those_showers(tmp_path: Path) -> None:
    samples = samples_of(tmp_path, toy_showers(60, 1), toy_showers(60, 2), toy_showers(60, 3))
    some = replace(samples.reference, cells=samples.reference.cells[:20]).only(np.array([3, 7, 30]))
    showers = toy_showers(60, 1)[samples.reference.chosen[[3, 7, 30]]]
    np.testing.assert_array_equal(some.energies, showers.incident.energy)
    np.testing.assert_allclose(some.features, high_level_features(Shapes(showers)), rtol=1e-6)
    np.testing.assert_array_equal(some.cells.toarray(), showers.cells[:2])

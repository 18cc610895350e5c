"""Neighbours in the space of cells: manifold, memorisation and diversity, against brute force and sklearn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.neighbors import NearestNeighbors

from caloforge.showers import Incident, Showers
from caloforge.validation.charts import Table
from caloforge.validation.metrics.nearest import nearest_training
from caloforge.validation.metrics.neighbours import jackknife, prdc, radii
from caloforge.validation.metrics.spread import energy_bins, limits, relative_spread, residuals
from caloforge.validation.studies.diversity import diversity
from caloforge.validation.studies.manifold import log_cells, manifold
from caloforge.validation.studies.memory import memorisation, relative_to, shower_digests
from caloforge.validation.study import Study
from validation_toys import broken, samples_of, single_layer, toy_showers


def quiet(share: float, note: str) -> None:
    assert 0 <= share <= 1
    assert note


def value(study: Study, candidate: int, name: str) -> float:
    return {n.name: n.measure.value for n in study.numbers[candidate]}[name]


def off(study: Study, candidate: int) -> set[str]:
    return {n.name for n in study.numbers[candidate] if n.off}


def titles(study: Study, candidate: int) -> set[str]:
    return {finding.title for finding in study.findings[candidate]}


# --- precision, recall, density, coverage


def points(n: int, seed: int, shift: float = 0.0, d: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, 1, (n, d)).astype(np.float32)


def brute_prdc(real: np.ndarray, made: np.ndarray, k: int) -> list[float]:
    """The definitions of arXiv 2002.09797, point by point."""

    def apart(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.linalg.norm(a[:, None].astype(float) - b[None].astype(float), axis=2)

    real_radius = np.sort(apart(real, real), axis=1)[:, k]
    made_radius = np.sort(apart(made, made), axis=1)[:, k]
    between = apart(real, made)
    inside = between < real_radius[:, None]
    return [
        inside.any(axis=0).mean(),
        (between < made_radius[None]).any(axis=1).mean(),
        inside.sum(axis=0).mean() / k,
        (between.min(axis=1) < real_radius).mean(),
    ]


@pytest.mark.parametrize("shift", [0.0, 0.7, 3.0])
def test_prdc_is_brute_force(shift: float) -> None:
    real, made = points(317, 1), points(290, 2, shift)
    found = prdc(real, made, radii(real, 5), radii(made, 5), 5).metrics()
    assert found == pytest.approx(brute_prdc(real, made, 5), abs=1e-9)


def test_radii_are_sklearns() -> None:
    x = points(1200, 3)
    expected = NearestNeighbors(n_neighbors=6).fit(x).kneighbors(x)[0][:, 5]
    assert np.sqrt(radii(x, 5)) == pytest.approx(expected, rel=1e-3)


def test_radii_of_few_points_reach_to_the_farthest() -> None:
    x = np.array([[0.0], [1.0], [5.0]], np.float32)
    assert radii(x, 5).tolist() == [25.0, 16.0, 25.0]


def test_errors_of_prdc_are_the_scatter_of_independent_samples() -> None:
    found, errors = [], []
    for seed in range(30):
        real, made = points(400, 2 * seed, d=30), points(400, 2 * seed + 1, d=30)
        balls = prdc(real, made, radii(real, 5), radii(made, 5), 5)
        found.append(balls.metrics())
        errors.append(jackknife(balls))
    ratio = np.mean(errors, axis=0) / np.std(found, axis=0, ddof=1)
    # shares at fixed radii scatter up to twice as much as with their own: errors err on the safe side
    assert ((ratio > 0.6) & (ratio < 2.5)).all()


def test_log_cells_are_the_calochallenges_up_to_a_constant() -> None:
    cells = np.array([[0.0, 0.5, 20.0], [0.01, 0.0, 0.1]], np.float32)
    expected = np.log10(np.where(cells == 0, 0.1, cells)) - np.log10(0.1)
    assert log_cells(csr_array(cells)) == pytest.approx(expected, abs=1e-6)


def test_manifold_sees_broken_showers(tmp_path: Path) -> None:
    good, *bad = (toy_showers(800, 3), *(broken(toy_showers(800, 4), k) for k in ("shifted", "empty")))
    study = manifold(samples_of(tmp_path, toy_showers(800, 1), toy_showers(800, 2), good, *bad), quiet)
    assert off(study, 0) == set()
    assert off(study, 1) == off(study, 2) == {"precision", "recall", "density", "coverage"}
    table = study.charts[0]
    assert isinstance(table, Table)
    assert table.rows[0][0] == "Geant4 again"
    assert len(table.rows) == 4


def test_a_candidate_that_makes_one_kind_of_shower_has_no_recall(tmp_path: Path) -> None:
    one = toy_showers(600, 3)
    rows = np.arange(600) % 20  # twenty showers again and again
    study = manifold(samples_of(tmp_path, toy_showers(600, 1), toy_showers(600, 2), one[rows]), quiet)
    assert {"recall", "coverage"} <= off(study, 0)
    assert value(study, 0, "precision") > 0.7
    assert value(study, 0, "coverage") < 0.2


def test_too_few_showers_have_no_manifold(tmp_path: Path) -> None:
    study = manifold(samples_of(tmp_path, *(toy_showers(5, s) for s in (1, 2, 3))), quiet)
    assert study.numbers == ((),)
    assert "too few" in study.method


# --- memorisation


def test_nearest_training_shower_is_brute_force() -> None:
    rng = np.random.default_rng(4)
    cells, training = (csr_array(rng.gamma(0.5, 10, (n, 30)).astype(np.float32)) for n in (310, 470))
    energy, trained = (rng.uniform(1, 50, n).astype(np.float32) for n in (310, 470))
    window = 60
    distance, row = nearest_training(cells, energy, training, trained, window)
    order = np.argsort(trained, kind="stable")
    for i in range(len(energy)):
        rank = int((trained < energy[i]).sum())
        first = min(max(rank - window // 2, 0), 470 - window)
        near = order[first : first + window]
        mine, theirs = cells[[i]].toarray() / energy[i], training[near].toarray() / trained[near, None]
        apart = np.linalg.norm(mine.astype(float) - theirs, axis=1)
        assert distance[i] == pytest.approx(apart.min(), rel=1e-4)
        assert row[i] == near[apart.argmin()]


def test_nearest_of_all_training_showers_is_sklearns() -> None:
    rng = np.random.default_rng(5)
    cells, training = (rng.gamma(0.5, 1, (n, 12)).astype(np.float32) for n in (200, 300))
    one, other = np.ones(200, np.float32), np.ones(300, np.float32)
    distance, row = nearest_training(csr_array(cells), one, csr_array(training), other, 1000)
    expected, index = NearestNeighbors(n_neighbors=1).fit(training).kneighbors(cells)
    assert distance == pytest.approx(expected[:, 0], rel=1e-4)
    assert row.tolist() == index[:, 0].tolist()


def test_relative_distances_take_the_energy_out() -> None:
    rng = np.random.default_rng(6)
    energy = rng.uniform(1, 100, 4000)
    distance = rng.uniform(0.9, 1.1, 4000) / np.sqrt(energy)
    relative = relative_to(energy, distance, energy[:1000], 2 * distance[:1000])
    assert np.median(relative) == pytest.approx(2, rel=0.03)
    assert relative.std() / relative.mean() < 0.5 * distance.std() / distance.mean()


def test_digests_find_equal_showers_and_leave_out_empty_ones() -> None:
    cells = csr_array(np.array([[0, 1, 2], [0, 0, 0], [0, 1, 2], [1, 0, 2], [0, 1, 3]], np.float32))
    digests = shower_digests(cells)
    assert len(digests) == 4
    assert len(np.unique(digests)) == 3


def test_memorised_showers_are_found(tmp_path: Path) -> None:
    training = toy_showers(900, 9)
    again = training.cells * np.random.default_rng(1).normal(1, 0.01, training.cells.shape).astype(np.float32)
    memorised = Showers(training.detector, training.incident, again)
    partly = toy_showers(900, 3).cells.copy()
    partly[:90] = again[:90]
    energy = toy_showers(900, 3).incident.energy.copy()
    energy[:90] = training.incident.energy[:90]
    tenth = Showers(training.detector, Incident.of(energy), partly)
    reference, floor, fresh = (toy_showers(900, s) for s in (1, 2, 4))
    given = samples_of(tmp_path, reference, floor, fresh, memorised, tenth, training, training=training)
    study = memorisation(given, quiet)
    assert off(study, 0) == set()
    assert value(study, 0, "memorised") == pytest.approx(1, abs=1.5)
    assert value(study, 1, "memorised") > 99
    assert value(study, 1, "training_copies") == 0
    assert value(study, 1, "memory_distance") < 0.2
    assert value(study, 2, "memorised") == pytest.approx(10.9, abs=1.5)
    assert "Training showers are memorised" in titles(study, 2)
    assert value(study, 3, "training_copies") == 100
    assert "Copies of training showers" in titles(study, 3)
    assert titles(study, 0) == set()


def test_a_reference_that_was_trained_on_is_a_fault(tmp_path: Path) -> None:
    reference, floor, fresh = (toy_showers(300, s) for s in (1, 2, 3))
    half = Showers.concat([reference[:150], toy_showers(150, 9)])
    study = memorisation(samples_of(tmp_path, reference, floor, fresh, training=half), quiet)
    assert "Geant4's sample shares showers with the training file" in titles(study, 0)
    whole = memorisation(samples_of(tmp_path, reference, floor, fresh, training=reference), quiet)
    assert "Geant4's sample shares showers with the training file" in titles(whole, 0)


def test_without_training_showers_nothing_is_claimed(tmp_path: Path) -> None:
    study = memorisation(samples_of(tmp_path, *(toy_showers(100, s) for s in (1, 2, 3))), quiet)
    assert study.numbers == ((),)
    assert "no training showers" in study.method


# --- diversity


def test_spread_is_that_about_the_energy_dependence() -> None:
    rng = np.random.default_rng(7)
    energy = rng.uniform(1, 100, 5000)
    block = np.arange(5000) % 10
    wide, narrow = (energy * 3 + rng.normal(0, s, 5000) for s in (2.0, 0.5))
    cut = limits(wide, energy, energy_bins(energy))
    a, b = (residuals(x, energy, cut, block, 10) for x in (wide, narrow))
    whole = [(x.squares.sum(axis=0)[None], x.counts.sum(axis=0)[None]) for x in (a, b)]
    spread = np.sqrt(whole[0][0] / whole[0][1])
    assert spread == pytest.approx(np.full(spread.shape, 2.0), rel=0.15)
    ratio = relative_spread((whole[0][0], whole[1][0]), (whole[0][1], whole[1][1]))
    assert ratio[0] == pytest.approx(0.25, rel=0.05)


def test_a_far_outlier_is_not_the_spread() -> None:
    rng = np.random.default_rng(8)
    energy, values = rng.uniform(1, 2, 1000), rng.normal(0, 1, 1000)
    block, other = np.zeros(1000, np.int64), values.copy()
    other[0] = 1e6
    cut = limits(values, energy, energy_bins(energy))
    a, b = (residuals(x, energy, cut, block, 1) for x in (values, other))
    assert relative_spread((a.squares, b.squares), (a.counts, b.counts))[0] == pytest.approx(1, abs=0.05)
    shifted = residuals(values + 100, energy, cut, block, 1)
    assert shifted.squares == pytest.approx(a.squares)


def collapsed(n: int) -> Showers:
    """Showers that all look the same but for their energy."""
    showers = toy_showers(n, 3)
    mean = showers.cells.sum(axis=0) / showers.incident.energy.sum()
    return Showers(showers.detector, showers.incident, showers.incident.energy[:, None] * mean)


def test_mode_collapse_is_found(tmp_path: Path) -> None:
    good = toy_showers(700, 4)
    given = samples_of(tmp_path, toy_showers(700, 1), toy_showers(700, 2), good, collapsed(700))
    study = diversity(given, quiet)
    assert off(study, 0) == set()
    assert titles(study, 0) == set()
    assert off(study, 1) == {"spread_worst", "spread", "pair_ssim"}
    assert value(study, 1, "spread") > 50
    assert value(study, 1, "pair_ssim") > value(study, 0, "pair_ssim")
    assert "The showers are too much alike" in titles(study, 1)
    assert {chart.key for chart in study.charts} == {"spread", "spread_table"}


def test_repeated_showers_are_more_alike(tmp_path: Path) -> None:
    tenth = toy_showers(700, 4)[np.arange(700) % 350]
    study = diversity(samples_of(tmp_path, toy_showers(700, 1), toy_showers(700, 2), tenth), quiet)
    assert "pair_ssim" in off(study, 0)


@pytest.mark.parametrize("n", [4, 20])
def test_few_and_empty_showers_of_one_layer_are_taken(tmp_path: Path, n: int) -> None:
    showers = [toy_showers(n, s, single_layer()) for s in (1, 2, 3, 9)]
    given = samples_of(tmp_path, *showers[:3], broken(showers[2], "empty"), training=showers[3])
    for study in (manifold, memorisation, diversity):
        found = study(given, quiet)
        assert len(found.numbers) == 2
        assert all(np.isfinite(number.measure.value) for numbers in found.numbers for number in numbers)

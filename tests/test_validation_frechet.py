"""FPD and KPD against jetnet's own results, scipy's matrix root and the brute-force kernel."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
from numpy.typing import NDArray
from scipy.optimize import curve_fit

from caloforge.validation.metrics.frechet_distance import Moments, fpd, frechet, line_from_zero, plain_fpd
from caloforge.validation.metrics.kernel_distance import (
    KernelSums,
    draw_batches,
    kernel_sums,
    kpd,
    plain_kpd,
    tile_counts,
)
from caloforge.validation.studies.frechet import frechet_distances, scale_features
from validation_toys import broken, samples_of, toy_showers

Array = NDArray[np.float64]
# Made in an environment with jetnet by the script that the file holds.
JETNET = json.loads((Path(__file__).parent / "data" / "jetnet.json").read_text())
CASES = JETNET["cases"]


def features(case: str, n: int, d: int) -> tuple[Array, Array]:
    """What jetnet was given, made as in the script."""
    rng = np.random.default_rng([7, n, d])
    mixing = np.eye(d) + 0.5 * rng.normal(size=(d, d)) / np.sqrt(d)
    real, made = (rng.normal(size=(n, d)) @ mixing.T + 1.0 for _ in range(2))
    real[:, 0], made[:, 0] = np.exp(0.3 * real[:, 0]), np.exp(0.3 * made[:, 0])
    if case == "shifted":
        made += 0.2
    elif case == "covariance":
        made[:, 1:] = (made[:, 1:] - 1.0) * np.linspace(0.8, 1.2, d - 1) + 1.0
    return real, made


def moments(a: Array, b: Array) -> tuple[Moments, Moments]:
    return Moments.of(a - a.mean(axis=0)), Moments.of(b - a.mean(axis=0))


@pytest.mark.parametrize("row", CASES, ids=lambda row: f"{row['case']}-{row['d']}")
def test_fpd_is_jetnets(row: dict) -> None:
    a, b = scale_features(list(features(row["case"], row["n"], row["d"])))
    found = fpd(*moments(a, b), seed=1)
    value, error = row["fpd"]
    # jetnet's iterative fit stops up to two and a half of its errors early near 0
    assert abs(found.value - value) < 3 * np.hypot(error, found.fit_error)
    exact = frechet(a.mean(axis=0), np.cov(a, rowvar=False), b.mean(axis=0), np.cov(b, rowvar=False))
    assert abs(found.value - exact) < 4 * found.fit_error + 0.01 * exact


@pytest.mark.parametrize(
    "row", [r for r in CASES if r["d"] == 10 and r["case"] == "covariance"], ids=lambda row: row["case"]
)
def test_kpd_is_jetnets(row: dict) -> None:
    value, error = _kpd(*scale_features(list(features(row["case"], row["n"], row["d"]))))
    assert abs(value - row["kpd"][0]) < 2 * np.hypot(error, row["kpd"][1])
    assert error / row["kpd"][1] == pytest.approx(1, abs=0.65)  # both from the scatter of few batches


@pytest.mark.slow
@pytest.mark.parametrize(
    "row",
    [r for r in CASES if r["d"] == 60 or r["case"] != "covariance"],
    ids=lambda row: f"{row['case']}-{row['d']}",
)
def test_kpd_is_jetnets_in_all_cases(row: dict) -> None:
    value, error = _kpd(*scale_features(list(features(row["case"], row["n"], row["d"]))))
    assert abs(value - row["kpd"][0]) < 2 * np.hypot(error, row["kpd"][1])


def _sums(a: Array, b: Array) -> tuple[KernelSums, KernelSums, KernelSums, int]:
    first, second = a.astype(np.float32), b.astype(np.float32)
    one, other = draw_batches(len(a), 1), draw_batches(len(b), 2)
    return (
        kernel_sums(first, first, one, one),
        kernel_sums(second, second, other, other),
        kernel_sums(first, second, one, other),
        int(one[0].sum()),
    )


def _kpd(a: Array, b: Array) -> tuple[float, float]:
    return kpd(*_sums(a, b))


def test_frechet_is_that_of_a_matrix_root() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(500, 7)), rng.normal(size=(500, 7)) @ rng.normal(size=(7, 7))
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = np.trace(scipy.linalg.sqrtm(cov_a @ cov_b)).real
    expected = np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(cov_a) + np.trace(cov_b) - 2 * root
    assert frechet(a.mean(0), cov_a, b.mean(0), cov_b) == pytest.approx(expected, rel=1e-9)


def test_frechet_of_gaussians_along_the_axes() -> None:
    s, t = np.array([1.0, 2.0, 0.0]), np.array([3.0, 2.0, 0.5])  # the first is singular
    got = frechet(np.zeros(3), np.diag(s**2), np.ones(3), np.diag(t**2))
    assert got == pytest.approx(3 + np.sum((s - t) ** 2))


def test_frechet_of_singular_equal_covariances_is_0() -> None:
    flat = np.random.default_rng(1).normal(size=(100, 3)) @ np.ones((3, 6))
    cov = np.cov(flat, rowvar=False)
    assert frechet(np.zeros(6), cov, np.zeros(6), cov) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("truth", [(0.3, 4.0), (0.0, 4.0), (0.3, -2.0), (-0.01, 50.0)])
def test_line_is_scipys_bounded_fit(truth: tuple[float, float]) -> None:
    x = np.linspace(1e-3, 1e-2, 10)
    y = truth[0] + truth[1] * x + np.random.default_rng(2).normal(0, 1e-3, 10)
    exact = {"ftol": 1e-15, "xtol": 1e-15, "gtol": 1e-15}
    fit, cov = curve_fit(lambda x, a, b: a + b * x, x, y, bounds=([0, 0], [np.inf, np.inf]), **exact)
    value, error = line_from_zero(x, y)
    assert value == pytest.approx(fit[0], rel=1e-3, abs=1e-5)
    assert error == pytest.approx(np.sqrt(cov[0, 0]), rel=0.01)


def test_fpd_of_a_few_showers_draws_single_rows() -> None:
    a, b = features("shifted", 60, 4)
    first, second = moments(a, b)
    assert len(first.counts) == 60
    exact = frechet(a.mean(0), np.cov(a, rowvar=False), b.mean(0), np.cov(b, rowvar=False))
    assert fpd(first, second, 0).value == pytest.approx(exact, rel=0.5)


def test_error_and_floor_of_fpd_are_what_repetition_gives() -> None:
    n, found, cuts = 2000, [], []
    for seed in range(24):
        rng = np.random.default_rng([5, seed])
        a, b = rng.normal(size=(2, n, 5))
        b[:, 0] += 0.5
        found.append(fpd(*moments(a, b), seed=seed))
        c = rng.normal(size=(n, 5))
        cuts.append((frechet(a.mean(0), np.cov(a.T), c.mean(0), np.cov(c.T)), *_cuts(a, c, seed)))
    scatter = np.std([f.value for f in found], ddof=1)
    assert np.mean([f.error for f in found]) == pytest.approx(scatter, rel=0.4)
    direct, mean, spread = np.transpose(cuts)
    assert mean.mean() == pytest.approx(direct.mean(), rel=0.25)
    assert spread.mean() == pytest.approx(direct.std(ddof=1), rel=0.5)


def _cuts(a: Array, b: Array, seed: int) -> tuple[float, float]:
    values = plain_fpd(*moments(a, b), cuts=40, seed=seed)
    return float(values.mean()), float(values.std(ddof=1))


def test_kernel_sums_are_brute_force() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(2, 700, 6)) * 0.3
    for one, other in ((a, a), (a, b)):
        first = one.astype(np.float32)
        second = first if other is one else other.astype(np.float32)
        drawn = draw_batches(700, 1), draw_batches(700, 2)
        sums = kernel_sums(first, second, drawn[0], drawn[0] if other is one else drawn[1])
        kernel = (one @ other.T / 6 + 1) ** 4
        right = drawn[0] if other is one else drawn[1]
        assert sums.tiles.sum() == pytest.approx(kernel.sum(), rel=1e-6)
        assert sums.draws == pytest.approx(np.einsum("ki,ij,kj->k", drawn[0], kernel, right), rel=1e-6)
        if other is one:
            assert sums.diagonal == pytest.approx(drawn[0] @ np.diag(kernel), rel=1e-6)


def test_kpd_is_the_brute_force_estimate() -> None:
    a, b = scale_features(list(features("covariance", 400, 5)))
    one, other = draw_batches(400, 1), draw_batches(400, 2)
    values = []
    for i, j in zip(one, other, strict=True):
        x, y = np.repeat(a, i.astype(int), axis=0), np.repeat(b, j.astype(int), axis=0)
        xx, yy, xy = ((p @ q.T / 5 + 1) ** 4 for p, q in ((x, x), (y, y), (x, y)))
        m = len(x)
        values.append((xx.sum() - np.trace(xx) + yy.sum() - np.trace(yy)) / (m * (m - 1)) - 2 * xy.mean())
    assert _kpd(a, b)[0] == pytest.approx(np.median(values), rel=1e-3, abs=1e-6)


def test_floor_of_kpd_is_what_batches_give() -> None:
    a, b = scale_features(list(features("same", 4000, 5)))
    aa, bb, ab, size = _sums(a, b)
    assert size == 2000
    chance = plain_kpd(aa, bb, ab, np.tile(tile_counts(4000), 2), cuts=100, seed=0)
    value, error = kpd(aa, bb, ab, size)
    assert abs(value - chance.mean()) < 3 * error
    shifted = kpd(*_sums(a, b + 0.05))[0]
    assert shifted > chance.max()


def test_features_that_never_vary_or_are_not_finite_are_left_out() -> None:
    a = np.array([[1.0, 5.0, 0.0, 2.0], [-2.0, 5.0, 0.0, 3.0]])
    b = np.array([[4.0, 5.0, 1.0, np.nan], [2.0, 5.0, 0.0, 3.0]])
    first, second = scale_features([a, b])
    assert first.tolist() == [[0.5, 0.0], [-1.0, 0.0]]
    assert second.tolist() == [[2.0, 1.0], [1.0, 0.0]]


def test_distances_of_samples_find_broken_showers(tmp_path: Path) -> None:
    good = (toy_showers(800, seed) for seed in (1, 2, 3))
    bad = (broken(toy_showers(800, 4), kind) for kind in ("shifted", "noisy", "empty"))
    study = frechet_distances(samples_of(tmp_path, *good, *bad), lambda share, note: None)
    off = [{number.name for number in numbers if number.off} for numbers in study.numbers]
    assert off == [set(), *({"fpd", "kpd"} for _ in range(3))]
    assert "scaled down" in study.method


def test_too_few_showers_have_no_distance(tmp_path: Path) -> None:
    samples = samples_of(tmp_path, *(toy_showers(5, seed) for seed in (1, 2, 3)))
    assert frechet_distances(samples, lambda share, note: None).numbers == ((),)

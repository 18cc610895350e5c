"""Metrics against scipy, scikit-learn and analytic values; resampling against doing it the slow way."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from caloforge.errors import ValidationError
from caloforge.validation.binning import binning, widened
from caloforge.validation.classifier import classify, gaussian_ranks
from caloforge.validation.linearity import energy_edges, linearity, narrowest
from caloforge.validation.metrics import Ranked, kolmogorov_smirnov, separation_power, wasserstein
from caloforge.validation.profiles import profiles_for
from caloforge.validation.resampling import bootstraps, splits
from caloforge.validation.split import plan
from validation_toys import toy_detector, toy_showers

counts = arrays(np.int64, 12, elements=st.integers(0, 50))
values = arrays(np.float64, st.integers(1, 40), elements=st.floats(-1e3, 1e3, width=32))


@given(counts, counts)
def test_separation_power_is_bounded_and_symmetric(a, b):
    if a.sum() and b.sum():
        power = float(separation_power(a, b))
        assert -1e-12 <= power <= 1 + 1e-12
        assert power == pytest.approx(float(separation_power(b, a)))
        assert float(separation_power(a, 3 * a)) == pytest.approx(0, abs=1e-12)


def test_separation_power_of_known_distributions():
    assert float(separation_power([5, 5, 0, 0], [0, 0, 3, 3])) == 1
    # two exponentials exp(-x) and 2 exp(-2x): the integral in closed form, by quadrature
    edges = np.linspace(0, 20, 20_001)
    p, q = (np.diff(-np.exp(-k * edges)) for k in (1, 2))
    from scipy.integrate import quad

    exact, _ = quad(
        lambda x: 0.5 * (math.exp(-x) - 2 * math.exp(-2 * x)) ** 2 / (math.exp(-x) + 2 * math.exp(-2 * x)),
        0,
        50,
    )
    assert float(separation_power(p, q)) == pytest.approx(exact, rel=1e-4)


def test_separation_power_of_chance_is_bins_over_twice_the_showers():
    rng = np.random.default_rng(0)
    n, bins = 2000, 40
    powers = [float(separation_power(*rng.multinomial(n, np.full(bins, 1 / bins), 2))) for _ in range(300)]
    assert np.mean(powers) == pytest.approx(bins / (2 * n), rel=0.05)


@given(values, values)
def test_wasserstein_is_scipys(a, b):
    assert wasserstein(a, b) == pytest.approx(stats.wasserstein_distance(a, b), rel=1e-9, abs=1e-9)


def test_wasserstein_leaves_out_what_is_not_defined():
    assert wasserstein([0, np.nan, 1], [2, 3, np.nan]) == pytest.approx(2)
    assert math.isnan(wasserstein([np.nan], [1.0]))


@given(values, values)
def test_kolmogorov_smirnov_is_scipys(a, b):
    distance, p = kolmogorov_smirnov(a, b)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scipy's p-value has trouble with tiny samples, its distance has not
        expected = stats.ks_2samp(a, b)
    assert distance == pytest.approx(expected.statistic, abs=1e-12)
    assert 0 <= p <= 1


def test_kolmogorov_smirnovs_p_value_is_the_asymptotic_one():
    rng = np.random.default_rng(1)
    for shift in (0.0, 0.05, 0.2):
        a, b = rng.normal(0, 1, 1000), rng.normal(shift, 1, 800)
        distance, p = kolmogorov_smirnov(a, b)
        lam = distance * math.sqrt(1000 * 800 / 1800)
        assert p == pytest.approx(stats.kstwobign.sf(lam), rel=1e-6)


@given(values, st.integers(0, 2**32 - 1))
def test_resampled_distances_equal_those_of_repeated_values(x, seed):
    rng = np.random.default_rng(seed)
    x[rng.random(len(x)) < 0.1] = np.nan
    edges = np.linspace(-500, 500, 11)
    first, second = rng.integers(0, 4, (2, 3, len(x)))
    separation, distance = Ranked.of(x, edges).distances(first, second)
    for i in range(3):
        a, b = np.repeat(x, first[i]), np.repeat(x, second[i])
        if len(a) and len(b):
            histograms = [with_outside(v, edges) for v in (a, b)]
            assert separation[i] == pytest.approx(float(separation_power(*histograms)), abs=1e-12)
        a, b = a[~np.isnan(a)], b[~np.isnan(b)]
        if len(a) and len(b):
            assert distance[i] == pytest.approx(stats.wasserstein_distance(a, b), rel=1e-9, abs=1e-9)
        else:
            assert math.isnan(distance[i])


def with_outside(x, edges):
    known = x[~np.isnan(x)]
    below, above = (known < edges[0]).sum(), (known >= edges[-1]).sum()
    inside = np.bincount(np.digitize(known, edges), minlength=len(edges) + 1)[1:-1]
    return np.array([below, *inside, above, np.isnan(x).sum()])


def test_splits_are_halves_and_bootstraps_keep_the_size():
    cuts, draws = splits(20, 0), bootstraps(20, 0)
    assert (cuts.first.sum(axis=1) == 20).all()
    assert (cuts.first + cuts.second == 1).all()
    assert len(np.unique(cuts.first, axis=0)) > 190
    assert (draws.first[:, :20].sum(axis=1) == 20).all()
    assert not draws.first[:, 20:].any()
    assert not draws.second[:, :20].any()


def test_plan_cuts_the_reference_in_halves_of_the_candidates_size():
    chosen = plan(1000, 300, None, seed=0)
    assert chosen.size == len(chosen.floor.index) == len(chosen.candidate.index) == 300
    assert chosen.halves
    assert not set(chosen.reference.index) & set(chosen.floor.index)
    counts = np.bincount(chosen.reference.block)
    assert counts.max() - counts.min() <= 1


def test_plan_takes_the_other_half_of_a_candidate_with_the_references_energies():
    chosen = plan(1000, 1000, None, seed=0)
    assert (chosen.candidate.index == chosen.floor.index).all()
    assert plan(1000, 1000, 800, seed=0).size == 800


def test_plan_says_when_there_is_too_little():
    with pytest.raises(ValidationError, match="too few showers"):
        plan(3, 5, None, seed=0)
    with pytest.raises(ValidationError, match="candidate 1"):
        plan(300, 1, 300, seed=0)


def test_bins_hold_the_sample_and_are_whole_for_counts():
    rng = np.random.default_rng(0)
    x = rng.normal(10, 2, 5000)
    bins = binning(x)
    assert not bins.log
    assert len(bins.edges) == 41
    assert ((x > bins.edges[0]) & (x < bins.edges[-1])).mean() > 0.99
    whole = binning(rng.integers(3, 200, 5000).astype(float), integer=True)
    assert np.allclose(whole.edges % 1, 0.5)
    assert len(whole.edges) <= 42
    assert binning(np.exp(rng.normal(0, 3, 5000))).log
    assert binning(np.abs(x)).edges[0] >= 0
    constant = binning(np.full(100, 7.0))
    assert constant.edges[0] < 7 < constant.edges[-1]
    assert len(binning(np.full(10, np.nan)).edges) == 2


def test_a_figure_shows_a_candidate_that_is_far_away():
    rng = np.random.default_rng(0)
    bins = binning(rng.normal(0, 1, 2000))
    far = rng.normal(30, 1, 2000)
    edges = widened(bins, far)
    assert edges[0] <= bins.edges[0]
    assert edges[-1] >= np.quantile(far, 0.98)
    assert len(edges) <= 82
    assert (widened(bins, rng.normal(0, 1, 2000)) == bins.edges).all()


@given(st.integers(2, 60), st.integers(0, 1000))
def test_narrowest_interval_is_found(n, seed):
    x = np.random.default_rng(seed).standard_cauchy(n)
    mean, sigma = narrowest(x)
    ranked, size = np.sort(x), max(math.ceil(0.9 * n), 2)
    best = min((ranked[i : i + size] for i in range(n - size + 1)), key=lambda part: part[-1] - part[0])
    assert float(mean) == pytest.approx(best.mean())
    assert float(sigma) == pytest.approx(best.std())


def test_linearity_recovers_response_and_resolution_within_errors():
    rng = np.random.default_rng(0)
    energy = rng.uniform(1e3, 1e5, 20_000)
    spread = 0.1 / np.sqrt(energy / 1e3)
    response = rng.normal(0.9, 0.9 * spread)
    edges = energy_edges(energy)
    found = linearity(energy, response, edges)
    assert found.showers.sum() == len(energy)
    assert (np.abs(found.response - 0.9) < 4 * found.response_error).all()
    # the narrowest 90 % of a Gaussian have 0.79 of its standard deviation
    expected = 0.1 / np.sqrt(found.energy / 1e3) * 0.790
    assert found.resolution[2:] == pytest.approx(expected[2:], rel=0.06)
    assert (np.abs(found.resolution - expected)[2:] < 4 * found.resolution_error[2:]).all()


def test_energies_of_a_list_have_a_bin_each():
    energy = np.repeat([1e3, 2e3, 4e3, 5e4], 30)
    found = linearity(energy, np.ones(120), energy_edges(energy))
    assert (found.showers == 30).all()
    assert found.energy == pytest.approx([1e3, 2e3, 4e3, 5e4])


def test_bins_with_too_few_showers_stay_empty():
    found = linearity(np.array([1.0, 9.0]), np.array([1.0, 1.0]), np.array([0.0, 5.0, 10.0]))
    assert np.isnan(found.response).all()


def test_profiles_add_up_to_the_layers_energies():
    showers = toy_showers(5, 0)
    cells = showers.cells.astype(np.float64)
    profiles = {p.name: p for p in profiles_for(toy_detector())}
    depth = profiles["profile_z"].project(cells)
    layers = np.stack([image.sum(axis=(1, 2)) for image in showers.layers()], axis=1)
    assert depth == pytest.approx(layers, rel=1e-6)
    for axis, sum_over in (("x", 2), ("y", 1)):
        across = profiles[f"profile_{axis}_0"].project(cells)
        assert across == pytest.approx(showers.layers()[0].sum(axis=sum_over), rel=1e-5)
    # layer 1 has square cells: whole rings only, so without the corners
    rings = profiles["profile_r_1"].project(cells)
    assert (rings.sum(axis=1) < layers[:, 1]).all()
    assert "profile_r_0" not in profiles


def test_gaussian_ranks_are_normal_and_ignore_tails():
    rng = np.random.default_rng(0)
    x = np.exp(rng.normal(0, 4, (5000, 1))).astype(np.float32)
    ranks = gaussian_ranks(x)
    assert float(ranks.std()) == pytest.approx(1, abs=0.01)
    assert (np.argsort(ranks[:, 0]) == np.argsort(x[:, 0])).all()


def test_classifiers_reach_the_auc_that_is_possible():
    rng = np.random.default_rng(0)
    shift = 1.0
    geant4, floor, candidate = (rng.normal(0, 1, (600, 3)).astype(np.float32) for _ in range(3))
    candidate[:, 1] += shift
    found = classify(geant4, floor, candidate, 0, lambda _: None)
    best = stats.norm.cdf(shift / math.sqrt(2))  # the AUC of the likelihood ratio: 0.760
    assert [c.name for c in found] == ["mlp", "trees"]
    for c in found:
        assert best - 0.06 < c.auc.value < best + 3 * c.auc.error
        assert abs(c.auc.floor - 0.5) < 4 * c.auc.floor_error
        assert c.off
        assert 0.005 < c.auc.error < 0.03
        assert c.showers == 600


def test_too_few_showers_train_no_classifier():
    few = np.zeros((20, 3), np.float32)
    assert classify(few, few, few, 0, lambda _: None) == []

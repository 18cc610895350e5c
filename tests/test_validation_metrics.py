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
from caloforge.observables import Observable
from caloforge.validation.inputs.resampling import Resampling, bootstraps, splits
from caloforge.validation.inputs.split import plan
from caloforge.validation.metrics.binning import binning, widened
from caloforge.validation.metrics.column import Column
from caloforge.validation.metrics.energy_bins import energy_edges, equal_shares
from caloforge.validation.metrics.items import observable_item, profile_item
from caloforge.validation.metrics.linearity import linearity, narrowest, relative_width
from caloforge.validation.metrics.one_dimensional import (
    chi2,
    kolmogorov_smirnov,
    moments,
    separation_power,
    wasserstein,
)
from caloforge.validation.metrics.profiles import profiles_for
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


@given(counts, counts)
def test_chi2_is_pearsons_test_of_homogeneity(a, b):
    filled = (a + b) > 0
    if a.sum() and b.sum() and filled.sum() > 1:
        expected = stats.chi2_contingency([a[filled], b[filled]], correction=False)
        assert float(chi2(a, b)) * expected.dof == pytest.approx(expected.statistic, abs=1e-9)
    else:
        assert math.isnan(float(chi2(a, b)))


def test_chi2_of_chance_is_one_also_for_unequal_samples():
    rng = np.random.default_rng(0)
    share = np.full(30, 1 / 30)
    found = [float(chi2(rng.multinomial(3000, share), rng.multinomial(900, share))) for _ in range(300)]
    assert np.mean(found) == pytest.approx(1, abs=4 * math.sqrt(2 / 29 / 300))


@given(values, values, st.integers(0, 2**32 - 1))
def test_resampled_distances_equal_those_of_repeated_values(x, y, seed):
    """The engine's sums of blocks against taking the showers of these blocks again and again."""
    rng = np.random.default_rng(seed)
    columns = [np.round(v, 1).astype(np.float32) for v in (x, x[::-1], y)]
    for c in columns:
        c[rng.random(len(c)) < 0.1] = np.nan
    blocks = [rng.integers(0, 4, len(c)) for c in columns]
    given = [Column("", c, b, 4) for c, b in zip(columns, blocks, strict=True)]
    item = observable_item(OBSERVABLE, given)
    way = Resampling(*rng.integers(0, 3, (2, 5, 8)).astype(float))
    found = item.compare(way, item.sums[0], item.sums[2])
    both, block = np.concatenate([columns[0], columns[2]]), np.concatenate([blocks[0], blocks[2] + 4])
    for i in range(5):
        a, b = (np.repeat(both, w[block].astype(int)) for w in (way.first[i], way.second[i]))
        if len(a) and len(b):
            histograms = [with_outside(v, item.bins.edges) for v in (a, b)]
            assert found["separation"][i] == pytest.approx(float(separation_power(*histograms)), abs=1e-6)
        a, b = a[~np.isnan(a)], b[~np.isnan(b)]
        if len(a) and len(b):
            assert found["ks"][i] == pytest.approx(kolmogorov_smirnov(a, b)[0], abs=1e-5)
            if "wasserstein" in found:
                area = stats.wasserstein_distance(a, b)
                assert found["wasserstein"][i] * item.sigma == pytest.approx(area, rel=1e-3, abs=1e-2)
        else:
            assert math.isnan(found["ks"][i])


OBSERVABLE = Observable("x", "x", "mm", "lateral", lambda shapes: shapes.energy, "x")


def test_fine_bins_resample_large_samples_nearly_exactly():
    rng = np.random.default_rng(0)
    a, b, c = (np.float32(scale * rng.standard_t(3, 20_000)) for scale in (1.0, 1.0, 1.1))
    block = rng.permutation(np.arange(20_000) % 100)
    item = observable_item(OBSERVABLE, [Column("", v, block, 100) for v in (a, b, c)])
    found = {k: v[0] for k, v in item.compare(splits(100, 0), item.sums[0], item.sums[2]).items()}
    assert item.exact[0]["ks"] == pytest.approx(stats.ks_2samp(a, c).statistic, abs=1e-12)
    area = stats.wasserstein_distance(a, c) / a.std(dtype=float)
    assert item.exact[0]["wasserstein"] == pytest.approx(area, rel=1e-6)
    assert found["ks"] == pytest.approx(item.exact[0]["ks"], rel=0.02)
    assert found["wasserstein"] == pytest.approx(area, rel=0.02)
    assert item.sums[0].shape[1] < 1300


def test_a_profiles_distances_are_those_of_the_mean_showers():
    rng = np.random.default_rng(0)
    detector = toy_detector()
    images = rng.gamma(2, 1, (3, 10, detector.n_cells))
    counts = np.full(10, 7)
    samples = [_Images(i, counts) for i in images]
    profile = profiles_for(detector)[0]
    item = profile_item(profile, samples)
    found = {k: float(v[0]) for k, v in item.compare(splits(10, 0), item.sums[0], item.sums[2]).items()}
    first, again, second = (profile.project(i.sum(axis=0)[None])[0] / 70 for i in images)
    geant4 = (first + again) / 2
    assert found["difference"] == pytest.approx(np.abs(first - second).sum() / geant4.sum())
    assert found["relative"] == pytest.approx(100 * np.mean(np.abs(first - second) / geant4))
    assert found["mse"] == pytest.approx(np.mean((first - second) ** 2) / geant4.max() ** 2)
    dark = [_Images(0 * i, counts) for i in images]
    assert profile_item(profile, dark) is None


class _Images:
    """A sample of which only the sums of cells are known."""

    def __init__(self, images, counts):
        self.images, self.counts = images, counts

    def __len__(self):
        return int(self.counts.sum())


def with_outside(x, edges):
    known = x[~np.isnan(x)]
    below, above = (known < edges[0]).sum(), (known >= edges[-1]).sum()
    inside = np.bincount(np.digitize(known, edges), minlength=len(edges) + 1)[1:-1]
    return np.array([below, *inside, above, np.isnan(x).sum()])


def test_splits_are_halves_and_bootstraps_keep_the_size():
    cuts, draws = splits(20, 0), bootstraps(20, 0)
    assert (cuts.first[0] == np.repeat([1, 0], 20)).all()
    assert (cuts.first.sum(axis=1) == 20).all()
    assert (cuts.first + cuts.second == 1).all()
    assert len(np.unique(cuts.first, axis=0)) > 190
    assert (draws.first[:, :20].sum(axis=1) == 20).all()
    assert not draws.first[:, 20:].any()
    assert not draws.second[:, :20].any()


def test_moments_have_the_errors_of_repeated_samples():
    rng = np.random.default_rng(0)
    found = np.array([moments(rng.exponential(2.0, 400)) for _ in range(2000)])
    assert found[:, 0].mean() == pytest.approx(2, rel=0.01)
    assert found[:, 2].mean() == pytest.approx(2, rel=0.02)
    assert found[:, 1].mean() == pytest.approx(found[:, 0].std(), rel=0.05)
    assert found[:, 3].mean() == pytest.approx(found[:, 2].std(), rel=0.1)
    assert np.isnan(moments(np.array([1.0, np.nan]))).all()
    assert moments(np.ones(5))[2:] == (0.0, 0.0)


def test_plan_cuts_the_reference_in_halves_of_the_candidates_size():
    chosen = plan(1000, [300], None, seed=0)
    assert chosen.size == len(chosen.floor.index) == len(chosen.candidates[0].index) == 300
    assert chosen.halves
    assert not set(chosen.reference.index) & set(chosen.floor.index)
    counts = np.bincount(chosen.reference.block)
    assert counts.max() - counts.min() <= 1


def test_plan_takes_the_other_half_of_a_candidate_with_the_references_energies():
    chosen = plan(1000, [1000, 500], None, seed=0)
    assert (chosen.candidates[0].index == chosen.floor.index).all()
    assert chosen.candidates[1].index.max() < 500
    assert plan(1000, [1000], 800, seed=0).size == 800


def test_plan_says_when_there_is_too_little():
    with pytest.raises(ValidationError, match="too few showers"):
        plan(3, [5], None, seed=0)
    with pytest.raises(ValidationError, match="candidate 1"):
        plan(300, [1], 300, seed=0)


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
    assert relative_width(ranked) == pytest.approx(best.std() / best.mean())


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


def test_bins_hold_equally_many():
    energy = np.random.default_rng(0).exponential(1e4, 1000).astype(np.float32)
    inner = equal_shares(energy, 8, 100)
    assert len(inner) == 7
    assert (np.bincount(np.digitize(energy, inner)) == 125).all()
    assert len(equal_shares(energy, 8, 300)) == 2
    assert len(equal_shares(energy, 8, 2000)) == 0
    few = np.repeat([1e3, 2e3, 4e3], 30)
    assert np.bincount(np.searchsorted(equal_shares(few, 8), few)).tolist() == [30, 30, 30]


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

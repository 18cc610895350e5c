"""Cells beside numpy, scipy and scikit-learn: how often each is hit, how hard, and with which others."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import kstest, norm
from sklearn.decomposition import FactorAnalysis
from torch import Tensor

from caloforge.detector import load_detector
from caloforge.models.fitted.distributions import CellDistributions, _at_shares, _grouped
from caloforge.models.fitted.factors import CommonFactors
from caloforge.models.fitted.layers import LayerIndex
from caloforge.models.fitted.statistics import _below
from caloforge.models.settings import FitSettings
from caloforge.training.symmetry import _ALL

_SHOWERS = 4000
ONE_PART = FitSettings(parts=1)


def sample(n: int = _SHOWERS, seed: int = 0, growth: float = 0.0) -> Tensor:
    """Cells of CaloGAN's detector that are hit at random, the more often the more energy there is."""
    rng = np.random.default_rng(seed)
    detector = load_detector("calogan")
    often = rng.uniform(-2.5, 1.5, detector.n_cells)
    energy = rng.uniform(0, 2, (n, 1))
    hit = rng.normal(size=(n, detector.n_cells)) < often + growth * (energy - 1)
    cells = np.exp(energy + rng.normal(0, 0.7, hit.shape)) * hit
    return torch.from_numpy(cells).float()


def alone(detector_cells: int) -> Tensor:
    """Each cell is the only one of its kind."""
    return torch.arange(detector_cells).unsqueeze(0)


def fitted(cells: Tensor, settings: FitSettings, images: Tensor | None = None) -> CellDistributions:
    distributions = CellDistributions(load_detector("calogan"), settings)
    distributions.fit(cells, alone(cells.shape[1]) if images is None else images)
    return distributions


def test_layers_are_summed_and_spread_as_the_detector_has_them() -> None:
    for name in ("calogan", "clic"):
        detector = load_detector(name)
        layers, cells = LayerIndex(detector), torch.randn(3, detector.n_cells)
        images = detector.split(cells.numpy())
        np.testing.assert_allclose(
            layers.sums(cells), np.stack([x.sum((1, 2)) for x in images], 1), atol=1e-3
        )
        np.testing.assert_array_equal(layers.maxima(cells), np.stack([x.max((1, 2)) for x in images], 1))
        sizes = [layer.n_cells for layer in detector.layers]
        values = torch.randn(3, len(sizes))
        np.testing.assert_array_equal(layers.spread(values), np.repeat(values.numpy(), sizes, axis=1))


def test_thresholds_are_those_of_a_normal_variable_that_is_hit_as_often() -> None:
    cells = sample()
    found = fitted(cells, ONE_PART)
    threshold = found.thresholds(found.between(found.layers.sums(cells)))
    expected = norm.isf((cells > 0).float().mean(0).numpy())
    np.testing.assert_allclose(threshold[0], expected, atol=1e-3)
    np.testing.assert_array_equal(threshold[0], threshold[-1])


def test_shares_have_the_quantiles_that_numpy_finds() -> None:
    cells = sample()
    found = fitted(cells, ONE_PART)
    energies = found.layers.sums(cells)
    often = (cells > 0).sum(0) > 1000  # enough for a distribution of its own
    assert int(often.sum()) > 200
    place = found.between(energies)
    threshold = found.thresholds(place)
    levels = np.linspace(0.02, 0.98, 25)
    hits = norm.sf(threshold[0].double().numpy())
    real = cells / found.layers.spread(energies)
    for level in levels:
        # The upper part of a cell's normal variable is its hits.
        normal = torch.from_numpy(norm.isf(hits * (1 - level))).float().expand(len(cells), -1)
        share = found.shares(normal, threshold, place)[0].numpy()
        for cell in np.flatnonzero(often)[::20]:
            mine = real[:, cell].numpy()
            below = (mine[mine > 0] < share[cell]).mean()
            assert below == pytest.approx(level, abs=0.012), cell
    assert not bool(found.shares(threshold, threshold, place).any())


@pytest.mark.parametrize("n", [1, 2, 3, 10, 333, 5000])
def test_quantiles_are_numpys_to_the_last_bit(n: int) -> None:
    rng = np.random.default_rng(n)
    at = np.sort(np.append(rng.random(31), [0, 1]))
    for values in (rng.normal(size=n), rng.normal(size=n).round(1)):
        np.testing.assert_array_equal(_at_shares(values, at), np.quantile(values, at))


def test_hits_change_with_the_energy_of_their_layer() -> None:
    cells = sample(12_000, growth=0.8)
    found = fitted(cells, FitSettings())
    energies = found.layers.sums(cells)
    torch.manual_seed(1)
    place = found.between(energies)
    threshold = found.thresholds(place)
    drawn = found.shares(torch.randn_like(cells), threshold, place)
    real = cells / found.layers.spread(energies)
    energy = energies[:, 0]
    edges = np.quantile(energy, [0, 0.25, 0.5, 0.75, 1])
    for low, high in pairwise(edges):
        part = (energy >= low) & (energy < high)
        own, true = ((x[part][:, :288] > 0).float().mean(0) for x in (drawn, real))
        # Both are counts of hits: their difference over its error.
        error = ((true * (1 - true)).clamp_min(1e-4) * 2 / int(part.sum())).sqrt()
        pull = ((own - true) / error).numpy()
        assert abs(pull.mean()) < 5 / math.sqrt(288)
        assert pull.std() < 1.25


def test_the_way_back_is_the_way_there() -> None:
    cells = sample(growth=0.5)
    found = fitted(cells, FitSettings(parts=4))
    energies = found.layers.sums(cells)
    normal, threshold = found.normal(cells, energies)
    hit = cells > 0
    assert torch.equal(normal[~hit], threshold[~hit])
    assert bool((normal >= threshold).all())
    share = found.shares(normal, threshold, found.between(energies))
    real = cells / found.layers.spread(energies)
    off = torch.log(share[hit] / real[hit]).abs()
    # Values beyond the outermost quantiles of a part become these: one in a few hundred hits.
    assert float((off > 0.02).float().mean()) < 0.01
    # Hits are the upper part of a normal variable.
    often = int((hit.sum(0) - 3000).abs().argmin())
    level = norm.sf(normal[hit[:, often], often]) / norm.sf(threshold[hit[:, often], often])
    assert kstest(level, "uniform").pvalue > 1e-3


def test_mirror_images_have_the_same_distributions() -> None:
    detector = load_detector("calogan")
    mirrors = [mirror for mirror in _ALL if not mirror.swap]
    images = torch.from_numpy(np.stack([mirror.cells(detector) for mirror in mirrors]))
    cells = sample()
    found = fitted(cells, ONE_PART, images)
    for image in images:
        assert torch.equal(found.threshold, found.threshold[:, image])
        assert torch.equal(found.row, found.row[:, image])
    # As often as all of its images together are hit.
    hits = (cells > 0).float().mean(0)
    expected = torch.stack([hits[image] for image in images]).mean(0)
    np.testing.assert_allclose(norm.sf(found.threshold[0]), expected, atol=1e-4)


def test_cells_with_few_hits_share_with_those_hit_as_often() -> None:
    rng = np.random.default_rng(3)
    hits = rng.integers(0, 500, 300).astype(float)
    group = _grouped(hits, np.full(300, 1000), 800)
    names, count = np.unique(group, return_inverse=True)
    assert np.array_equal(names, np.arange(len(names)))
    assert np.bincount(count, hits).min() >= 800
    # Groups are ranges of how often cells are hit.
    order = np.argsort(-hits, kind="stable")
    assert bool((np.diff(group[order]) >= 0).all())


def test_a_table_of_another_size_is_loaded() -> None:
    one, other = fitted(sample(), FitSettings(parts=4)), fitted(sample(500), FitSettings(parts=4))
    assert len(one.table) != len(other.table)
    other.load_state_dict(one.state_dict())
    assert torch.equal(one.table, other.table)


def latent(n: int, cells: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Normal variables of three factors, and their loadings."""
    rng = np.random.default_rng(seed)
    place = np.linspace(-1, 1, cells)
    loadings = np.stack([0.6 * np.sin(math.pi * place), 0.5 * np.cos(math.pi * place), 0.3 * place])
    own = np.sqrt(1 - (loadings**2).sum(0))
    return rng.normal(size=(n, 3)) @ loadings + own * rng.normal(size=(n, cells)), loadings


def test_factors_are_those_of_scikit_learn() -> None:
    values, _ = latent(3000, 60)
    values -= values.mean(0)
    found = CommonFactors(60, FitSettings(factors=3))
    torch.manual_seed(0)
    rest = torch.from_numpy(values).float()
    found.begin(rest)
    for _ in range(40):
        found.fit(rest)
    reference = FactorAnalysis(3, svd_method="lapack", tol=1e-8, max_iter=5000).fit(values)
    own = found.loadings.T @ found.loadings  # loadings are unique up to a turn
    np.testing.assert_allclose(own, reference.components_.T @ reference.components_, atol=0.01)
    np.testing.assert_allclose(found.own.square(), reference.noise_variance_, atol=0.01)


def test_factors_of_cells_that_are_mostly_empty_are_found() -> None:
    cells, n = 90, 6000
    values, loadings = latent(n, cells)
    threshold = torch.from_numpy(np.resize([-1.0, 0.0, 1.0, 1.5], cells)).float()
    normal = torch.from_numpy(values).float()
    hit = normal > threshold
    common = CommonFactors(cells, FitSettings(factors=4))
    torch.manual_seed(0)
    seen = torch.where(hit, normal, _below(0.0, torch.tensor(1.0), threshold.expand(n, -1)))
    for number in range(30):
        if not number:
            common.begin(seen)
        common.fit(seen)
        expected = common.drawn(seen) @ common.loadings
        seen = torch.where(hit, normal, _below(expected, common.own, threshold))
    found = (common.loadings.T @ common.loadings).numpy()
    truth = loadings.T @ loadings
    off = ~np.eye(cells, dtype=bool)
    assert np.corrcoef(found[off], truth[off])[0, 1] > 0.95
    slope = (found[off] * truth[off]).sum() / (truth[off] ** 2).sum()
    assert slope == pytest.approx(1, abs=0.1)
    with torch.no_grad():
        drawn = common(torch.randn(4000, 4), torch.randn(4000, cells))
    np.testing.assert_allclose(drawn.std(0), 1, atol=0.08)


def test_draws_below_a_threshold_are_a_truncated_normal() -> None:
    torch.manual_seed(0)
    mean, spread, threshold = 0.4, torch.tensor(0.7), torch.full((20_000,), 0.1)
    drawn = _below(mean, spread, threshold).numpy()
    assert drawn.max() <= 0.1 + 1e-4
    share = norm.cdf(drawn, mean, 0.7) / norm.cdf(0.1, mean, 0.7)
    assert kstest(share, "uniform").pvalue > 1e-3

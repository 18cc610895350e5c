"""Energies of showers and quantiles along the energy, where the truth is known, beside numpy and scipy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import norm, wasserstein_distance

from caloforge.models.fitted.energy_scale import EnergyScale
from caloforge.models.fitted.parts import EnergyParts, divided
from caloforge.models.fitted.quantiles import QuantilesAlong
from caloforge.models.fitted.response import fit_response
from caloforge.models.settings import FitSettings

FIT = FitSettings()


def test_quantiles_give_the_distribution_and_back() -> None:
    rng = np.random.default_rng(0)
    values = torch.from_numpy((1 - rng.exponential(0.01, (4000, 1))).astype(np.float32))  # a long tail
    parts, quantiles = EnergyParts(FIT), QuantilesAlong(1, FIT)
    quantiles.fit(values, parts.fit(torch.zeros(4000)))
    weights = parts(torch.zeros(4000))
    drawn = quantiles(torch.from_numpy(rng.normal(size=(4000, 1)).astype(np.float32)), weights)
    assert wasserstein_distance(values[:, 0], drawn[:, 0]) < 0.1 * float(values.std())
    back = quantiles.back(values, weights)
    ends = quantiles.value[0, 0, 0], quantiles.value[0, 0, -1]
    np.testing.assert_allclose(quantiles(back, weights), values.clamp(*ends), atol=1e-5)
    expected = norm.ppf(np.argsort(np.argsort(values[:, 0].numpy())) / 4000 + 0.5 / 4000)
    # Towards the ends a straight line between quantiles is a coarse tail.
    for within, away in ((2.2, 0.05), (2.5, 0.1)):
        middle = np.abs(expected) < within
        np.testing.assert_allclose(back[middle, 0], expected[middle], atol=away)


def test_what_never_varies_stays() -> None:
    parts, quantiles = EnergyParts(FIT), QuantilesAlong(1, FIT)
    quantiles.fit(torch.full((100, 1), 2.0), parts.fit(torch.rand(100)))
    weights = parts(torch.rand(50))
    torch.testing.assert_close(quantiles(torch.randn(50, 1), weights), torch.full((50, 1), 2.0))
    assert bool(torch.isfinite(quantiles.back(torch.full((50, 1), 2.0), weights)).all())


def test_the_response_spreads_as_it_does_at_each_energy() -> None:
    rng = np.random.default_rng(0)
    energy = np.exp(rng.uniform(np.log(1e3), np.log(1e5), 8000)).astype(np.float32)
    width = 0.1 * np.sqrt(1e3 / energy)  # a stochastic term alone
    visible = (energy * (0.9 + width * rng.normal(size=8000))).astype(np.float32)
    scale = EnergyScale(FIT)
    scale.fit(torch.from_numpy(visible), torch.from_numpy(energy))
    for at in (1.5e3, 1e4, 8e4):
        drawn = scale.visible(torch.randn(20_000), torch.full((20_000,), at)) / at
        assert float(drawn.mean()) == pytest.approx(0.9, rel=0.01)
        assert float(drawn.std()) == pytest.approx(0.1 * np.sqrt(1e3 / at), rel=0.12)
    # Beyond what was seen, as at its end.
    ends, beyond = (scale.visible(torch.linspace(-2, 2, 9), torch.full((9,), e)) / e for e in (1e5, 1e6))
    torch.testing.assert_close(beyond, ends, rtol=1e-3, atol=0)


def test_the_response_changes_its_distribution_with_the_energy() -> None:
    rng = np.random.default_rng(5)
    energy = np.exp(rng.uniform(np.log(1e3), np.log(2e4), 8000))

    def response(at: NDArray[np.float64]) -> NDArray[np.float64]:
        # Pions: some cross without a shower and leave the same energy, whatever they had.
        return np.where(rng.random(len(at)) < 0.3, 200 / at, 0.5 + 0.1 * rng.normal(size=len(at)))

    scale = EnergyScale(FIT)
    scale.fit(*(torch.from_numpy(x).float() for x in (energy * response(energy), energy)))
    for at in (1.5e3, 5e3, 1.5e4):
        here = np.full(4000, at)
        drawn = scale.visible(torch.randn(4000), torch.from_numpy(here).float()) / at
        assert wasserstein_distance(drawn, response(here)) < 0.03


@pytest.mark.parametrize("width", [0.2, 0.02, 1e-3, 1e-5])
def test_beams_of_nearly_one_energy_keep_their_response(width: float) -> None:
    rng = np.random.default_rng(3)
    energy = torch.from_numpy(5e4 * (1 + width * rng.uniform(-1, 1, 2000))).float()
    scale = EnergyScale(FIT)
    scale.fit(energy * torch.from_numpy(rng.normal(0.9, 0.03, 2000)).float(), energy)
    drawn = scale.visible(torch.randn(2000), energy) / energy
    assert float(drawn.mean()) == pytest.approx(0.9, abs=0.01)
    assert float(drawn.std()) == pytest.approx(0.03, rel=0.15)


def test_few_showers_do_not_swing() -> None:
    rng = np.random.default_rng(4)
    for n in (5, 8, 20, 50):
        for _ in range(20):
            energy = torch.from_numpy(rng.uniform(1e3, 1e5, n)).float()
            scale = EnergyScale(FIT)
            scale.fit(energy * torch.from_numpy(rng.beta(2, 4, n)).float(), energy)
            mean = scale.mean(torch.linspace(1e3, 1e5, 50)) / torch.linspace(1e3, 1e5, 50)
            assert 0 < float(mean.min()) <= float(mean.max()) < 1.2


def test_the_response_fit_is_numpy_polyfit() -> None:
    energy = np.linspace(1e4, 1e5, 50, dtype=np.float32)
    visible = energy * np.polyval([0.3, -0.2, 0.2], energy / 1e5).astype(np.float32)
    fit = fit_response(energy, visible, degree=2)
    np.testing.assert_allclose(fit.coefficients, [0.3, -0.2, 0.2], rtol=1e-4)
    scale = EnergyScale(FIT)
    scale.fit(torch.from_numpy(visible), torch.from_numpy(energy))
    np.testing.assert_allclose(scale.mean(torch.from_numpy(energy)), visible, rtol=1e-4)


def test_distributions_follow_the_energy() -> None:
    rng = np.random.default_rng(0)
    logarithm = rng.uniform(0, 3, 8000)
    values = np.exp(logarithm) * (rng.exponential(1, 8000) - 1)  # skewed
    parts, quantiles = EnergyParts(FIT), QuantilesAlong(2, FIT)
    both = torch.from_numpy(np.stack([values, -values], axis=1)).float()
    along = torch.from_numpy(logarithm).float()
    quantiles.fit(both, parts.fit(along))
    normal = quantiles.back(both, parts(along))
    np.testing.assert_allclose(normal.std(0), 1, atol=0.08)
    # Outermost quantiles of a part are less than values at the other end of it.
    back = quantiles(normal, parts(along))
    assert float(((back - both).abs() > 1e-3).float().mean()) < 0.01
    for energy in (0.3, 1.5, 2.7):
        weights = parts(torch.full((4000,), energy))
        drawn = quantiles(torch.from_numpy(rng.normal(size=(4000, 2))).float(), weights)
        expected = np.exp(energy) * (rng.exponential(1, 4000) - 1)
        assert wasserstein_distance(drawn[:, 0], expected) < 0.15 * np.exp(energy)
        assert wasserstein_distance(drawn[:, 1], -expected) < 0.15 * np.exp(energy)


def test_parts_hold_every_shower_once_and_enough_of_them() -> None:
    rng = np.random.default_rng(1)
    logarithm = torch.from_numpy(np.sort(rng.exponential(1, 7000))).float()
    parts = divided(logarithm, FIT)
    assert len(parts) == FIT.parts
    different = [part for part, after in zip(parts, [*parts[1:], None], strict=True) if part is not after]
    assert torch.equal(torch.cat(different), torch.arange(7000))
    assert min(len(part) for part in different) >= FIT.enough
    # Few showers are one part.
    assert all(torch.equal(part.sort().values, torch.arange(50)) for part in divided(logarithm[:50], FIT))


def test_parts_count_as_much_as_they_are_near() -> None:
    parts = EnergyParts(FIT)
    parts.fit(torch.linspace(0, 3, 16_000))
    at = torch.linspace(-1, 4, 300)
    weights = parts(at)
    torch.testing.assert_close(weights.sum(1), torch.ones(300))
    assert int((weights > 0).sum(1).max()) <= 2
    # What is linear in the logarithm stays, up to the middles of the outermost parts.
    places = parts.places.numpy()
    expected = np.interp(at, places, places)
    np.testing.assert_allclose(weights @ parts.places, expected, atol=1e-5)


def test_distributions_of_one_energy_do_not_change() -> None:
    torch.manual_seed(0)
    values = torch.randn(2000, 1)
    parts, quantiles = EnergyParts(FIT), QuantilesAlong(1, FIT)
    quantiles.fit(values, parts.fit(2 + 1e-3 * torch.rand(2000)))
    levels = torch.linspace(-2, 2, 9)[:, None]
    drawn = [quantiles(levels, parts(torch.full((9,), at))) for at in (-5.0, 2.0, 9.0)]
    for other in drawn[1:]:
        torch.testing.assert_close(drawn[0], other)
    expected = np.quantile(values, norm.cdf(np.linspace(-2, 2, 9)))
    np.testing.assert_allclose(drawn[0][:, 0], expected, atol=0.05)


@pytest.mark.parametrize(("beams", "showers"), [(2, 2000), (2, 2500), (3, 4000), (4, 4000)])
def test_beams_of_a_few_energies_keep_their_distributions(beams: int, showers: int) -> None:
    torch.manual_seed(0)
    energy = torch.randint(beams, (showers,)).float()
    values = (torch.randn(showers) * (1 + energy) + 10 * energy)[:, None]
    parts, quantiles = EnergyParts(FIT), QuantilesAlong(1, FIT)
    quantiles.fit(values, parts.fit(energy))
    assert float(quantiles.back(values, parts(energy)).std()) == pytest.approx(1, abs=0.1)
    for beam in range(beams):
        at = torch.full((showers,), float(beam))
        drawn = quantiles(torch.randn(showers, 1), parts(at))
        assert float(drawn.mean()) == pytest.approx(10 * beam, abs=0.2 * (1 + beam))
        assert float(drawn.std()) == pytest.approx(1 + beam, rel=0.12)

"""The tuned generator's parts against numpy and scipy: what it takes from showers, and what it matches."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import convolve
from scipy.stats import energy_distance, norm, wasserstein_distance

from caloforge.detector import Detector, load_detector
from caloforge.errors import DetectorError, RecipeError
from caloforge.models import build_critic, build_generator
from caloforge.models.blocks.incidence import Incidence
from caloforge.models.fitted.parts import EnergyParts
from caloforge.models.fitted.energy_scale import EnergyScale, ParticleScales
from caloforge.models.fitted.hit_spectrum import HitSpectrum
from caloforge.models.fitted.quantiles import QuantilesAlong
from caloforge.models.fitted.response import fit_response
from caloforge.models.fitted.shower_copula import ShowerCopula
from caloforge.models.settings import CaloganSettings, FactoredSettings
from caloforge.models.tuned.critic import ObservingCritic
from caloforge.models.tuned.features import (
    ShowerFeatures,
    _alone,
    _in_common,
    _pairs,
    layer_sums,
    typical_hits,
)
from caloforge.models.tuned.generator import FactoredGenerator, _along, _bent
from caloforge.observables import evaluate, observables_for
from caloforge.samples import positrons
from caloforge.showers import Showers, open_showers
from caloforge.training.losses import real_penalty
from caloforge.training.matching import _directions, _distance, _products, matching_loss

SMALL = FactoredSettings(latent=4, width=8)


@pytest.fixture(scope="module")
def geant4() -> Showers:
    with open_showers(positrons()) as file:
        return file.read(0, 1500)


@pytest.fixture(scope="module")
def real(geant4: Showers) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(geant4.cells), torch.from_numpy(geant4.incident.matrix(["energy"]))


@pytest.fixture(scope="module")
def untrained(real: tuple[torch.Tensor, torch.Tensor]) -> FactoredGenerator:
    torch.manual_seed(0)
    generator = build_generator(SMALL, load_detector("calogan"))
    generator.adapt(*real)
    assert isinstance(generator, FactoredGenerator)
    return generator.eval()


def made(generator: FactoredGenerator, incident: torch.Tensor, seed: int = 1) -> torch.Tensor:
    noise = generator.sample_noise(len(incident), torch.Generator().manual_seed(seed))
    with torch.no_grad():
        return generator(noise, incident)


# --- what is taken from real showers ---


def test_quantiles_give_the_distribution_and_back() -> None:
    rng = np.random.default_rng(0)
    values = torch.from_numpy((1 - rng.exponential(0.01, (4000, 1))).astype(np.float32))  # a long tail
    parts = EnergyParts()
    quantiles = QuantilesAlong(1, parts.rows)
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
    parts = EnergyParts()
    quantiles = QuantilesAlong(1, parts.rows)
    quantiles.fit(torch.full((100, 1), 2.0), parts.fit(torch.rand(100)))
    weights = parts(torch.rand(50))
    torch.testing.assert_close(quantiles(torch.randn(50, 1), weights), torch.full((50, 1), 2.0))
    assert bool(torch.isfinite(quantiles.back(torch.full((50, 1), 2.0), weights)).all())


def test_the_response_spreads_as_it_does_at_each_energy() -> None:
    rng = np.random.default_rng(0)
    energy = np.exp(rng.uniform(np.log(1e3), np.log(1e5), 8000)).astype(np.float32)
    width = 0.1 * np.sqrt(1e3 / energy)  # a stochastic term alone
    visible = (energy * (0.9 + width * rng.normal(size=8000))).astype(np.float32)
    scale = EnergyScale()
    scale.fit(torch.from_numpy(visible), torch.from_numpy(energy))
    for at in (1.5e3, 1e4, 8e4):
        drawn = scale.visible(torch.randn(20_000), torch.full((20_000,), at)) / at
        assert float(drawn.mean()) == pytest.approx(0.9, rel=0.01)
        assert float(drawn.std()) == pytest.approx(0.1 * np.sqrt(1e3 / at), rel=0.12)
    # Beyond what was seen, as at its end.
    ends, beyond = (scale.visible(torch.linspace(-2, 2, 9), torch.full((9,), e)) / e for e in (1e5, 1e6))
    torch.testing.assert_close(beyond, ends, rtol=1e-3, atol=0)


def test_a_direction_says_how_it_leans() -> None:
    incidence = Incidence(load_detector("clic"), ("energy", "theta", "phi"), ())
    found = incidence(torch.tensor([[2e4, 0.3, math.pi / 2], [2e4, 0.3, math.pi]]))
    assert found.shape == (2, incidence.width)
    leaning = torch.tensor([[0, math.sin(0.3)], [-math.sin(0.3), 0]])
    torch.testing.assert_close(found[:, -2:], leaning, atol=1e-6, rtol=0)


def test_each_particle_has_its_own_response() -> None:
    rng = np.random.default_rng(1)
    energy = rng.uniform(1e3, 2e4, 4000).astype(np.float32)
    pion = rng.random(4000) < 0.5
    response = np.where(pion, rng.beta(2, 4, 4000), rng.normal(0.95, 0.01, 4000)).astype(np.float32)
    incident, visible = torch.from_numpy(energy), torch.from_numpy(energy * response)
    which = torch.from_numpy(np.stack([~pion, pion], axis=1)).float()
    scales = ParticleScales(2)
    scales.fit(visible, incident, which)
    drawn = scales.visible(torch.randn(4000), incident, which).numpy() / energy
    for kind in (pion, ~pion):
        assert wasserstein_distance(drawn[kind], response[kind]) < 0.1 * response[kind].std()
    again = scales.visible(scales.normal(visible, incident, which), incident, which)
    # Outermost quantiles of a part are less than values at the other end of it.
    assert float(((again - visible).abs() > 20 + 0.02 * visible).float().mean()) < 0.01


def test_the_response_changes_its_distribution_with_the_energy() -> None:
    rng = np.random.default_rng(5)
    energy = np.exp(rng.uniform(np.log(1e3), np.log(2e4), 8000))

    def response(at: NDArray[np.float64]) -> NDArray[np.float64]:
        # Pions: some cross without a shower and leave the same energy, whatever they had.
        return np.where(rng.random(len(at)) < 0.3, 200 / at, 0.5 + 0.1 * rng.normal(size=len(at)))

    scale = EnergyScale()
    scale.fit(*(torch.from_numpy(x).float() for x in (energy * response(energy), energy)))
    for at in (1.5e3, 5e3, 1.5e4):
        here = np.full(4000, at)
        drawn = scale.visible(torch.randn(4000), torch.from_numpy(here).float()) / at
        assert wasserstein_distance(drawn, response(here)) < 0.03


@pytest.mark.parametrize("pions", [0, 1, 6, 40])
def test_a_particle_of_few_showers_gets_the_response_of_all(pions: int) -> None:
    rng = np.random.default_rng(2)
    energy = torch.from_numpy(rng.uniform(1e3, 1e5, 500)).float()
    which = torch.zeros(500, 2)
    which[:, 0], which[:pions] = 1, torch.tensor([0.0, 1.0])
    scales = ParticleScales(2)
    scales.fit(0.9 * energy, energy, which)
    pion, unknown = (torch.tensor(row).expand(500, 2) for row in ([0.0, 1.0], [0.0, 0.0]))
    for one in (pion, unknown):
        torch.testing.assert_close(
            scales.visible(torch.randn(500), energy, one), 0.9 * energy, rtol=1e-3, atol=0
        )


@pytest.mark.parametrize("width", [0.2, 0.02, 1e-3, 1e-5])
def test_beams_of_nearly_one_energy_keep_their_response(width: float) -> None:
    rng = np.random.default_rng(3)
    energy = torch.from_numpy(5e4 * (1 + width * rng.uniform(-1, 1, 2000))).float()
    scale = EnergyScale()
    scale.fit(energy * torch.from_numpy(rng.normal(0.9, 0.03, 2000)).float(), energy)
    drawn = scale.visible(torch.randn(2000), energy) / energy
    assert float(drawn.mean()) == pytest.approx(0.9, abs=0.01)
    assert float(drawn.std()) == pytest.approx(0.03, rel=0.15)


def test_few_showers_do_not_swing() -> None:
    rng = np.random.default_rng(4)
    for n in (5, 8, 20, 50):
        for _ in range(20):
            energy = torch.from_numpy(rng.uniform(1e3, 1e5, n)).float()
            scale = EnergyScale()
            scale.fit(energy * torch.from_numpy(rng.beta(2, 4, n)).float(), energy)
            mean = scale.mean(torch.linspace(1e3, 1e5, 50)) / torch.linspace(1e3, 1e5, 50)
            assert 0 < float(mean.min()) <= float(mean.max()) < 1.2


def test_the_response_fit_is_numpy_polyfit() -> None:
    energy = np.linspace(1e4, 1e5, 50, dtype=np.float32)
    visible = energy * np.polyval([0.3, -0.2, 0.2], energy / 1e5).astype(np.float32)
    fit = fit_response(energy, visible, degree=2)
    np.testing.assert_allclose(fit.coefficients, [0.3, -0.2, 0.2], rtol=1e-4)
    scale = EnergyScale()
    scale.fit(torch.from_numpy(visible), torch.from_numpy(energy))
    np.testing.assert_allclose(scale.mean(torch.from_numpy(energy)), visible, rtol=1e-4)


def test_layers_begin_with_the_energies_of_real_ones(real: tuple[torch.Tensor, torch.Tensor]) -> None:
    cells, incident = real
    detector = load_detector("calogan")
    layers = ShowerCopula(detector, 1)
    given = torch.log(incident / 2e4)
    layers.fit(cells, torch.zeros(len(cells), 0), incident[:, 0], given)
    with torch.no_grad():
        energies, _, _ = layers(torch.randn(len(cells), 4), incident[:, 0], given)
    truth = torch.stack([image.sum((1, 2)) for image in detector.split(cells)], dim=1)
    share, true_share = (x / x.sum(1, keepdim=True) for x in (energies, truth))
    for layer in range(3):
        distance = wasserstein_distance(share[:, layer], true_share[:, layer])
        assert distance < 0.15 * float(true_share[:, layer].std()), layer
    response, true_response = energies.sum(1) / incident[:, 0], cells.sum(1) / incident[:, 0]
    assert wasserstein_distance(response, true_response) < 0.15 * float(true_response.std())
    # What goes together in real showers goes together here.
    correlation, true_correlation = (np.corrcoef(x.T)[0, 2] for x in (share.numpy(), true_share.numpy()))
    assert correlation == pytest.approx(true_correlation, abs=0.15)


def test_cells_begin_as_in_real_showers(
    untrained: FactoredGenerator, real: tuple[torch.Tensor, torch.Tensor]
) -> None:
    cells, incident = real
    found = made(untrained, incident)
    occupied, true_occupied = ((x > 0).float().mean(0) for x in (found, cells))
    assert float((occupied - true_occupied).abs().mean()) < 0.03
    for low, high in ((1e3, 3e4), (3e4, 7e4), (7e4, 1e5)):
        part = (incident[:, 0] > low) & (incident[:, 0] < high)
        hits, true_hits = ((x[part] > 0).sum(1).float().mean() for x in (found, cells))
        assert float(hits) == pytest.approx(float(true_hits), rel=0.08)


def test_hits_begin_to_follow_the_energy_of_their_layer(
    untrained: FactoredGenerator, real: tuple[torch.Tensor, torch.Tensor]
) -> None:
    def correlations(cells: torch.Tensor) -> list[float]:
        layers = [image.flatten(1) for image in untrained.detector.split(cells)]
        return [np.corrcoef((x > 0).sum(1), torch.log1p(x.sum(1)))[0, 1] for x in layers]

    found, wanted = correlations(made(untrained, real[1])), correlations(real[0])
    np.testing.assert_allclose(found, wanted, atol=0.1)


def test_cells_hold_the_energies_of_their_layers(untrained: FactoredGenerator) -> None:
    incident = torch.linspace(2e3, 1e5, 20)[:, None]
    noise = untrained.sample_noise(20, torch.Generator().manual_seed(3))
    with torch.no_grad():
        cells = untrained(noise, incident)
        given = untrained.incidence(incident)
        energies, _, _ = untrained.copula(noise[:, : untrained.parts[0]], incident[:, 0], given)
    sums = torch.stack([image.sum((1, 2)) for image in untrained.detector.split(cells)], dim=1)
    torch.testing.assert_close(sums, energies, rtol=1e-3, atol=1.0)


def test_layers_of_a_single_hit_keep_their_energy(real: tuple[torch.Tensor, torch.Tensor]) -> None:
    detector = load_detector("calogan")
    torch.manual_seed(0)
    sizes = [layer.n_cells for layer in detector.layers]
    alone = [torch.nn.functional.one_hot(torch.randint(size, (len(real[0]),)), size) for size in sizes]
    cells = torch.cat(alone, dim=1) * torch.rand(len(real[0]), 1) * 100
    generator = build_generator(SMALL, detector)
    generator.adapt(cells, real[1])
    noise = generator.sample_noise(len(cells))
    with torch.no_grad():
        found = generator.eval()(noise, real[1])
        given = generator.incidence(real[1])  # type: ignore[operator]
        energies, _, _ = generator.copula(noise[:, : generator.parts[0]], real[1][:, 0], given)  # type: ignore[operator, index]
    torch.testing.assert_close(layer_sums(found, detector), energies, rtol=0.01, atol=0.1)
    assert bool((layer_sums(found, detector) > 0)[energies > 1e-3].all())


def test_cells_stay_within_what_they_ever_had(real: tuple[torch.Tensor, torch.Tensor]) -> None:
    cells, incident = real[0].clone(), real[1]
    cells[:, [100, 300]] = 0
    generator = build_generator(SMALL, load_detector("calogan"))
    generator.adapt(cells, incident)
    found = made(generator.eval(), incident)  # type: ignore[arg-type]
    assert not bool(found[:, [100, 300]].any())
    # Shares of the shower: the scaling to a layer's energy comes after the bound, so the bound is not sharp.
    shares, true_shares = (x / x.sum(1, keepdim=True) for x in (found, cells))
    assert float((shares > 1.5 * true_shares.amax(0)).float().mean()) < 1e-3


@pytest.mark.parametrize("kind", ["one energy", "a layer without hits", "all alike", "four", "keV"])
def test_odd_samples_give_showers(kind: str, real: tuple[torch.Tensor, torch.Tensor]) -> None:
    cells, incident = (part[:200].clone() for part in real)
    if kind == "one energy":
        incident[:] = 5e4
    elif kind == "a layer without hits":
        cells[:, :288] = 0
    elif kind == "all alike":
        cells[:], incident[:] = cells[0], incident[0]
    elif kind == "four":
        cells, incident = cells[:4], incident[:4]
    else:
        cells *= 1e-5
    detector = load_detector("calogan")
    generator, critic = build_generator(SMALL, detector), build_critic(SMALL, detector)
    for network in (generator.eval(), critic.eval()):
        network.adapt(cells, incident)
    found = made(generator, incident)  # type: ignore[arg-type]
    assert bool(torch.isfinite(found).all())
    assert float(found.min()) >= 0
    for image, true in zip(detector.split(found), detector.split(cells), strict=True):
        assert float(image.sum()) == pytest.approx(float(true.sum()), rel=0.3)
    with torch.no_grad():
        assert all(bool(torch.isfinite(reading).all()) for reading in critic(found, incident).values())


def test_the_spectrum_of_hits_is_that_of_real_showers() -> None:
    torch.manual_seed(5)
    detector = load_detector("calogan")
    spectrum = HitSpectrum(detector)
    variables = torch.relu(torch.randn(2000, detector.n_cells) - 0.3)
    torch.testing.assert_close(spectrum(variables), variables)
    torch.testing.assert_close(spectrum.back(variables), variables)
    # Hits with a peak, in other places in each layer; the last layer has none.
    hits = torch.randn_like(variables).mul(0.2).exp() * (torch.rand_like(variables) < 0.4)
    sizes = [layer.n_cells for layer in detector.layers]
    hits[:, : sizes[0]] *= 0.5
    hits[:, -sizes[2] :] = 0
    above = torch.from_numpy(norm.sf(0.3 + spectrum.knots.numpy()))[:, None].expand(-1, 3)
    spectrum.fit(above, hits)
    found = spectrum(variables)
    for mine, real in list(zip(torch.split(found, sizes, 1), torch.split(hits, sizes, 1), strict=True))[:2]:
        quantiles = [np.quantile(x[x > 0].numpy(), [0.1, 0.25, 0.5, 0.75]) for x in (mine, real)]
        np.testing.assert_allclose(quantiles[0], quantiles[1], rtol=0.02)
    torch.testing.assert_close(found[:, -sizes[2] :], variables[:, -sizes[2] :])
    assert bool((found[variables == 0] == 0).all())
    torch.testing.assert_close(spectrum.back(found), variables, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("dead", [0.0, 0.8])  # cells that are hit in fewer showers never are
def test_cells_begin_with_the_spectrum_of_real_ones(
    dead: float, real: tuple[torch.Tensor, torch.Tensor]
) -> None:
    cells, incident = (part[:300].clone() for part in real)
    cells[:, (cells > 0).float().mean(0) < dead] = 0
    generator = build_generator(SMALL, load_detector("calogan"))
    generator.adapt(cells, incident)
    found = made(generator.eval(), incident.repeat(4, 1))  # type: ignore[arg-type]
    edges = np.array([0.01, 0.3, 1, 3, 10, 100])
    for image, true in zip(generator.detector.split(found), generator.detector.split(cells), strict=True):
        counts, wanted = (np.histogram(x.numpy(), edges)[0] for x in (image, true))
        np.testing.assert_allclose(counts / 4, wanted, rtol=0.15, atol=30)


def test_scaling_leaves_soft_hits(untrained: FactoredGenerator) -> None:
    detector = untrained.detector
    cells = torch.rand(3, detector.n_cells) * 1e-3
    cells[:, [5, 300, 450]] = 40.0
    energies = torch.tensor([[60.0, 30, 40]]).repeat(3, 1)
    energies[1] = torch.tensor([1.0, 0.0, 2.0])  # more is drawn than must be left, or all
    cells[2, 450] = 1e-4  # nothing but soft hits
    found = untrained._scaled(cells, energies)
    torch.testing.assert_close(layer_sums(found, detector), energies, rtol=2e-3, atol=2e-3)
    soft = cells[0] < 1e-2
    torch.testing.assert_close(found[0][soft], cells[0][soft], rtol=2e-3, atol=0)
    assert float(found.min()) >= 0


def test_energies_bend_below_the_largest() -> None:
    energy, most = torch.logspace(-6, 5, 500), torch.tensor(5.0)
    bent = _bent(energy, most)
    torch.testing.assert_close(bent[energy <= 1], energy[energy <= 1], rtol=1e-3, atol=0)
    assert float(bent.max()) <= 5 + 1e-5
    assert float(bent.diff().min()) >= -1e-5  # roundings
    torch.testing.assert_close(_bent(1000 * energy, 1000 * most), 1000 * bent)
    torch.testing.assert_close(_bent(torch.tensor([1e7, 1e12]), torch.tensor(1e-3)), torch.full((2,), 1e-3))


@pytest.mark.parametrize("network", ["planes", "volume"])
def test_noise_of_neighbours_goes_together(network: str) -> None:
    detector = load_detector("clic")
    settings = FactoredSettings(network=network, latent=4, width=8)  # type: ignore[arg-type]
    trunk = build_generator(settings, detector).trunk  # type: ignore[union-attr]
    noise = torch.randn(200, detector.n_cells, generator=torch.Generator().manual_seed(2))
    seed = torch.zeros(200, trunk.neighbours.strength.in_features)
    with torch.no_grad():
        trunk.neighbours.strength.bias[3] = 0.7  # of one layer
        own = torch.arange(24)
        for one, other in ((own, own + 1), (own + 1, own)):
            trunk.neighbours.weight[one, other, 1, 1] = 0.05
        layers = trunk.mixed(noise, seed).reshape(200, 25, 25, 25)[:, :, 1:-1, 1:-1]  # not the border
    np.testing.assert_allclose(layers.std((0, 2, 3)), 1, atol=0.02)
    beside = [float((x[:, :, 1:] * x[:, :, :-1]).mean()) for x in layers[:, [9, 3]].unbind(1)]
    through = float((layers[:, 9] * layers[:, 10]).mean())
    kernels = []
    for strength in (1.0, math.exp(0.7)):
        kernel = np.zeros((3, 3, 3))
        kernel[1] = [[0.02, 0.08, 0.02], [0.08, 0, 0.08], [0.02, 0.08, 0.02]]
        kernel[[0, 2], 1, 1] = 0.05
        kernels.append(strength * kernel)
        kernels[-1][1, 1, 1] = 1
    # A kernel's product with itself, moved by one cell, over the sum of its squares.
    moved = [[(k.take(range(2), axis) * k.take(range(1, 3), axis)).sum() for k in kernels] for axis in (2, 0)]
    squares = [(kernel**2).sum() for kernel in kernels]
    assert beside == pytest.approx(np.divide(moved[0], squares), abs=0.02)
    assert through == pytest.approx(moved[1][0] / squares[0], abs=0.02)


def test_cells_are_described_at_every_energy_of_their_layer() -> None:
    rng = np.random.default_rng(8)
    energy = np.sort(rng.normal(0, 0.8, 8000))
    # On the axis, with a spread that falls; near it, hit always from some energy on; far from it.
    centre, rise = np.array([3.0, 1.2, -0.9]), np.array([0.9, 1.3, 0.4])
    spread, growth = np.array([0.3, 0.6, 0.8]), np.array([-0.45, -0.3, 0.0])
    sigma = spread * np.exp(growth * energy[:, None])
    values = np.maximum(centre + rise * energy[:, None] + sigma * rng.normal(size=(8000, 3)), 0)
    found = _along(torch.from_numpy(energy).float(), torch.from_numpy(values).float())
    mean, steep, width, grown = (part.double().numpy() for part in found)
    np.testing.assert_allclose(grown, growth, atol=0.12)
    over = energy[:, None]
    normal = mean + steep * over + np.exp(grown * over) * rng.normal(size=(8000, 3))
    drawn = np.log1p(np.exp(width)) * np.maximum(normal, 0)
    for part in np.split(np.arange(8000), 4):
        np.testing.assert_allclose((drawn[part] > 0).mean(0), (values[part] > 0).mean(0), atol=0.03)
        np.testing.assert_allclose(drawn[part].mean(0), values[part].mean(0), rtol=0.1, atol=0.02)
        np.testing.assert_allclose(drawn[part].std(0), values[part].std(0), rtol=0.25)


def test_particles_begin_each_with_its_own_cells(real: tuple[torch.Tensor, torch.Tensor]) -> None:
    # The second leaves half of its energy, in less than half of the cells.
    cells, incident = (part.repeat(2, 1) for part in real)
    n = len(real[0])
    kept = torch.rand(cells[n:].shape, generator=torch.Generator().manual_seed(7)) < 0.4
    cells[n:] *= kept
    cells[n:] *= 0.5 * real[0].sum(1, keepdim=True) / cells[n:].sum(1, keepdim=True)
    cells[n:, [100, 300]] = 0
    incident = torch.cat([incident, torch.tensor([-11.0, 211.0]).repeat_interleave(n).unsqueeze(1)], dim=1)
    settings = FactoredSettings(latent=4, width=16, particles=(-11, 211))
    generator = build_generator(settings, load_detector("calogan"))
    generator.adapt(cells, incident)
    found = made(generator.eval(), incident)  # type: ignore[arg-type]
    for part in (slice(0, n), slice(n, None)):
        hits, wanted = ((x[part] > 0).sum(1).float().mean() for x in (found, cells))
        assert float(hits) == pytest.approx(float(wanted), rel=0.2)
        response, true_response = (x[part].sum(1) / incident[part, 0] for x in (found, cells))
        assert float(response.mean()) == pytest.approx(float(true_response.mean()), rel=0.01)
    # What one of them never hits, the other may.
    assert bool(found[:n, [100, 300]].any())
    assert not bool(found[n:, [100, 300]].any())


def test_cells_that_are_rarely_hit_have_their_spread() -> None:
    rng = np.random.default_rng(9)
    # Two cells in a thousand showers, hit as the positive part of a normal variable of spread 0.8.
    values = np.maximum(0.8 * (rng.normal(size=(2000, 3000)) - 2.9), 0)
    energy = torch.from_numpy(rng.normal(0, 0.8, 2000)).float()
    centre, _, width, growth = _along(energy, torch.from_numpy(values).float())
    some = torch.from_numpy((values > 0).sum(0) > 2)
    assert float(torch.nn.functional.softplus(width)[some].median()) == pytest.approx(0.8, rel=0.25)
    assert abs(float(growth[some].median())) < 0.05
    assert float(torch.special.ndtr(centre).mean()) == pytest.approx((values > 0).mean(), rel=0.15)


def test_planes_of_hardly_any_cells_are_refused() -> None:
    layers = "{thickness: 10 mm, grid: {kind: cartesian, window: [60 mm, 60 mm], cells: [2, 2]}}"
    detector = Detector.from_yaml(
        f"name: two\nshape: planar\nsize: [100 mm, 100 mm]\nreadout: {{deposits: all, layers: [{layers}]}}"
    )
    with pytest.raises(DetectorError, match="at least 3 cells"):
        build_generator(FactoredSettings(network="planes"), detector)


def test_layers_that_miss_energy_get_more_hits(
    untrained: FactoredGenerator, real: tuple[torch.Tensor, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def spy(cells: torch.Tensor, energies: torch.Tensor) -> torch.Tensor:
        seen.append((cells, energies))
        return cells

    monkeypatch.setattr(untrained, "_scaled", spy)
    generator = copy.deepcopy(untrained)
    monkeypatch.setattr(generator, "_scaled", spy)
    with torch.no_grad():
        generator.follow.zero_()
        noise = untrained.sample_noise(len(real[1]))
        for one in (generator, untrained):
            one(noise, real[1])
    (before, energies), (after, same) = seen
    torch.testing.assert_close(energies, same)
    # More or less than a layer usually misses, of those with some energy.
    some = energies > 5  # typical hits
    lacks = [
        (torch.log(energies / layer_sums(cells, untrained.detector).clamp_min(1e-3)) - untrained.usual)[some]
        for cells in (before, after)
    ]
    assert float(lacks[1].abs().mean()) < 0.8 * float(lacks[0].abs().mean())
    more = layer_sums((after > 0).float() - (before > 0).float(), untrained.detector)[some]
    # What is missed is seen with a plain bound of the cells: the smooth one takes up to 16 % more of them.
    assert bool((more[lacks[0] > 0.17] >= 0).all())
    assert bool((more[lacks[0] < -0.17] <= 0).all())
    assert float(more[lacks[0] > 0.1].mean()) > 0.1


def test_planes_need_equal_layers() -> None:
    with pytest.raises(DetectorError, match="planes network"):
        build_generator(FactoredSettings(network="planes"), load_detector("calogan"))


# --- what the critic sees ---


def test_features_are_the_observables_of_a_physicist(geant4: Showers) -> None:
    cells, energy = torch.from_numpy(geant4.cells), torch.from_numpy(geant4.incident.energy)
    features = ShowerFeatures(geant4.detector)
    features.typical.fill_(1e-5)  # whatever has energy is a hit
    raw = features._raw(cells, features.hits(cells), energy)
    names = {observable.name: observable for observable in observables_for(geant4.detector)}
    wanted = [names[name] for name in ("layer_fraction_0", "layer_hits_1", "hits")]
    fraction, layer_hits, hits = evaluate(wanted, geant4).T
    np.testing.assert_allclose(raw[:, 0].exp(), fraction, atol=2e-5)
    # Last come hits and four levels in three layers, the same in all, hottest cell, response.
    first, whole = features.count - 2 - 5 - 15, features.count - 2 - 5
    np.testing.assert_allclose(raw[:, first + 1].expm1(), layer_hits, rtol=1e-2)
    np.testing.assert_allclose(raw[:, whole].expm1(), hits, rtol=1e-2)


def test_features_count_cells_above_levels(geant4: Showers) -> None:
    cells = torch.from_numpy(geant4.cells)
    features = ShowerFeatures(geant4.detector)
    typical = 0.5  # MeV
    features.typical.fill_(typical)
    raw = features._raw(cells, features.hits(cells), torch.from_numpy(geant4.incident.energy)).double()
    ratio = geant4.cells.astype(float) / typical
    for place, level in enumerate((0.1, 0.3, 1, 3), 1):
        passed = ratio**2 / (ratio**2 + level**2)
        found = raw[:, features.count - 2 - 5 + place].expm1()
        np.testing.assert_allclose(found, passed.sum(1), rtol=1e-4)
        # Nearly the number of cells above.
        assert float(found.sum()) == pytest.approx((ratio > level).sum(), rel=0.05)
        layer = raw[:, features.count - 2 - 5 - 15 + 3 * place + 1].expm1()
        np.testing.assert_allclose(layer, passed[:, 288:432].sum(1), rtol=1e-4, atol=1e-4)


def test_hits_alone_have_none_beside_them() -> None:
    hits = torch.from_numpy(np.random.default_rng(4).random((50, 2, 6, 5)) < 0.15).float()
    around = np.stack([[convolve(layer, np.ones((3, 3)), mode="constant") for layer in x] for x in hits])
    alone = ((around == 1) & (hits.numpy() > 0)).sum((2, 3))
    assert 0.1 < alone.sum() / float(hits.sum()) < 0.9
    np.testing.assert_allclose(_alone(hits), alone / (1 + hits.sum((2, 3)).numpy()), atol=1e-5)


def test_pairs_are_cells_side_by_side() -> None:
    rng = np.random.default_rng(5)
    hits = (rng.random((40, 2, 6, 5)) < 0.4).astype(np.float32)
    values = rng.normal(size=hits.shape).astype(np.float32)
    number, squares = np.zeros((40, 2)), np.zeros((40, 2))
    for shower, layer, x, y in np.argwhere(hits):
        for other in ((x + 1, y), (x, y + 1)):
            if other[0] < 6 and other[1] < 5 and hits[(shower, layer, *other)]:
                number[shower, layer] += 1
                squares[shower, layer] += (values[shower, layer, x, y] - values[(shower, layer, *other)]) ** 2
    share, rough = (found.numpy() for found in _pairs(torch.from_numpy(hits), torch.from_numpy(values)))
    np.testing.assert_allclose(share, number / (1 + hits.sum((2, 3))), rtol=1e-5)
    np.testing.assert_allclose(np.exp(rough), (squares + 0.1) / (number + 1), rtol=1e-4)


def test_layers_that_are_alike_have_all_in_common() -> None:
    rng = np.random.default_rng(6)
    first = torch.from_numpy(rng.exponential(size=(20, 1, 6, 5)) * (rng.random((20, 1, 6, 5)) < 0.5)).float()
    other = torch.where(first > 0, 0.0, 1.0)
    volume = torch.cat([first, 3 * first, other], dim=1)
    hits = (volume > 0).float()
    both, overlap = _in_common(volume, hits)
    number = hits[:, 0].sum((1, 2))
    torch.testing.assert_close(both, torch.stack([number / (1 + number), torch.zeros(20)], dim=1))
    torch.testing.assert_close(overlap, torch.tensor([1.0, 0.0]).expand(20, 2), atol=2e-3, rtol=0)


def test_features_of_the_whole_shower_are_those_of_its_cells(geant4: Showers) -> None:
    cells = torch.from_numpy(geant4.cells)
    features = ShowerFeatures(geant4.detector)
    weights, position = geant4.cells.astype(float) ** 2, geant4.detector.positions
    total = weights.sum(1, keepdims=True)
    centre = weights @ position / total
    spread = np.sqrt((weights[:, :, None] * (position - centre[:, None]) ** 2).sum(1) / total)
    found = features._shape(cells.square()).numpy()
    radius = np.hypot(position[:, 0], position[:, 1])
    unit = np.array([radius.max(), radius.max(), np.abs(position[:, 2]).max()])
    np.testing.assert_allclose(found[:, :3], centre / unit, atol=1e-3)
    np.testing.assert_allclose(found[:, 6], weights @ radius / total[:, 0] / unit[0], atol=1e-3)
    wide = spread / unit > 0.01
    np.testing.assert_allclose(np.exp(found[:, 3:6])[wide], (spread / unit)[wide], rtol=2e-2)


def test_a_typical_hit_is_the_median_of_its_layer(geant4: Showers) -> None:
    detector, cells = geant4.detector, geant4.cells.copy()
    first, second, _ = (layer.n_cells for layer in detector.layers)
    cells[:, first : first + second] = 0
    found = typical_hits(torch.from_numpy(cells), detector).numpy()
    for layer, part in ((0, cells[:, :first]), (1, cells), (2, cells[:, first + second :])):
        assert found[layer] == pytest.approx(np.median(part[part > 0]), rel=1e-2), layer
    assert typical_hits(torch.zeros(3, detector.n_cells), detector).tolist() == [1, 1, 1]


def test_features_have_the_scale_of_real_showers(real: tuple[torch.Tensor, torch.Tensor]) -> None:
    cells, incident = real
    features = ShowerFeatures(load_detector("calogan"))
    features.fit(cells, incident[:, 0])
    seen = features(cells, features.hits(cells), incident[:, 0])
    assert seen.shape == (len(cells), features.count)
    np.testing.assert_allclose(seen.mean(0), 0, atol=0.1)
    assert float(seen.std(0).max()) < 1.1
    # Nothing is left of the trend with the incident energy.
    logarithm = np.log(incident[:, 0].numpy())
    slopes = np.polyfit(logarithm, seen.numpy(), 1)[0] * logarithm.std()
    np.testing.assert_allclose(slopes, 0, atol=0.1)


def test_directions_are_of_length_one_and_lean_nowhere() -> None:
    torch.manual_seed(0)
    directions = _directions(500, torch.device("cpu"))
    torch.testing.assert_close(directions.norm(dim=0), torch.ones(directions.shape[1]))
    assert abs(float(directions.sign().mean())) < 0.03  # six deviations of 32,000 signs
    assert float((directions.T @ directions - torch.eye(directions.shape[1])).abs().max()) < 0.3


def test_matching_is_an_energy_distance() -> None:
    rng = np.random.default_rng(1)
    real, shifted = (torch.from_numpy(rng.normal(m, 1, (400, 3))).float() for m in (0.0, 0.5))
    given = torch.zeros(400, 1)
    # Of whole samples: the square of scipy's, twice over. Of batches: less what they differ by chance.
    expected = np.mean([energy_distance(shifted[:, i], real[:, i]) ** 2 for i in range(3)])
    torch.manual_seed(0)
    # One view, and nothing asked for that varies: the columns' distance, none of products, and that along
    # directions.
    found = 3 * float(matching_loss((shifted, given), (real, given)))
    along = found - expected
    assert 0.05 * expected < along < expected * 1.2
    assert float(matching_loss((real, given), (real, given))) == 0


def test_matching_is_least_where_showers_are_alike() -> None:
    torch.manual_seed(0)
    # A few in a hundred lie far away, and batches are small.
    made, real = (torch.randn(3000, 32) + 5 * (torch.rand(3000, 32) < 0.03) for _ in range(2))
    scales = (0.85, 0.93, 1.0, 1.07, 1.15)
    found = [
        float(
            torch.stack(
                [_distance(s * x[:, None], y[:, None]) for x, y in zip(made, real, strict=True)]
            ).mean()
        )
        for s in scales
    ]
    assert np.argmin(found) == 2
    assert found[2] == pytest.approx(0, abs=0.003)


def test_matching_is_not_misled_by_pairs_of_the_same_particle() -> None:
    # These are nearer to each other than showers of two particles: they would make the distance negative.
    torch.manual_seed(0)
    asked = 10 * torch.randn(64, 1)
    made, real = (asked + torch.randn(64, 2000) for _ in range(2))
    assert abs(float(_distance(made, real))) < 0.01


def test_matching_sees_what_goes_with_what_was_asked_for() -> None:
    given = torch.randn(4000, 1)
    real, other = given + 0.1 * torch.randn(4000, 1), given[torch.randperm(4000)]
    same, mixed = (float(matching_loss((x, given), (real, given))) for x in (real, other))
    assert mixed > same + 0.05


def test_matching_sees_trends_with_what_was_asked_for() -> None:
    # Each number for itself is distributed alike.
    given = torch.randn(4000, 1)
    noise = torch.randn(4000, 1)
    rising, falling = (0.6 * sign * given + 0.8 * noise for sign in (1, -1))
    products = _products(rising, given)
    torch.testing.assert_close(products, rising * (given - given.mean()) / given.std(correction=0))
    far = float(matching_loss((falling, given), (rising, given)))
    near = float(matching_loss((0.6 * given - 0.8 * noise, given), (rising, given)))
    assert far > near + 0.2


def test_the_penalty_is_the_slope_of_the_critic(real: tuple[torch.Tensor, torch.Tensor]) -> None:
    cells, incident = real[0][:16], real[1][:16]
    critic = build_critic(SMALL, load_detector("calogan"))
    assert isinstance(critic, ObservingCritic)
    critic.adapt(*real)
    penalty = real_penalty(critic, cells, incident)
    views = [view[:2].detach().requires_grad_() for view in critic.views(cells, incident)]
    by_hand = 0.0
    for shower in range(2):
        slopes = torch.autograd.grad(
            critic.read(*views)["logit"][shower], views, allow_unused=True, retain_graph=True
        )
        by_hand += sum(float(slope[shower].square().sum()) for slope in slopes if slope is not None)
    assert float(penalty.detach()) == pytest.approx(by_hand / 2, rel=1e-4)
    penalty.backward()  # type: ignore[no-untyped-call]
    assert any(p.grad is not None and bool(p.grad.any()) for p in critic.trunk.parameters())


def test_other_critics_do_not_observe() -> None:
    detector = load_detector("calogan")
    critic = build_critic(CaloganSettings(latent=4), detector)
    with pytest.raises(RecipeError, match="observables"):
        critic.views(torch.zeros(1, detector.n_cells), torch.ones(1, 1))


def test_a_detector_of_one_energy_and_one_layer() -> None:
    detector = Detector.from_yaml("""
name: small
shape: planar
size: [100 mm, 100 mm]
readout:
  deposits: all
  layers: [{name: a, thickness: 10 mm, grid: {kind: cartesian, window: [60 mm, 60 mm], cells: [3, 4]}}]
""")
    generator = build_generator(SMALL, detector)
    rng = np.random.default_rng(0)
    cells = torch.from_numpy(rng.exponential(100, (200, 12)).astype(np.float32))
    incident = torch.full((200, 1), 2e3)
    generator.adapt(cells, incident)
    found = made(generator.eval(), incident)  # type: ignore[arg-type]
    assert float(found.sum(1).mean()) == pytest.approx(float(cells.sum(1).mean()), rel=0.03)

"""The fit as a generator beside the showers that it was fitted to: each cell, layers, the whole."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp

from caloforge.detector import Detector, load_detector
from caloforge.models import build_generator
from caloforge.models.base import Generator
from caloforge.models.fitted.generator import FittedGenerator
from caloforge.models.settings import FitSettings, FittedSettings
from caloforge.observables import evaluate, observables_for
from caloforge.samples import positrons
from caloforge.showers import Showers, open_showers

Real = tuple[torch.Tensor, torch.Tensor]
QUICK = FittedSettings(fit=FitSettings(factors=8, rounds=3))
_DRAWN = 5000


@pytest.fixture(scope="module")
def geant4() -> Showers:
    with open_showers(positrons()) as file:
        return file.read(0, 1500)


@pytest.fixture(scope="module")
def real(geant4: Showers) -> Real:
    return torch.from_numpy(geant4.cells), torch.from_numpy(geant4.incident.matrix(["energy"]))


def fitted(
    cells: torch.Tensor, incident: torch.Tensor, settings: FittedSettings = QUICK, detector: str = "calogan"
) -> FittedGenerator:
    torch.manual_seed(0)
    generator = build_generator(settings, load_detector(detector))
    assert isinstance(generator, FittedGenerator)
    generator.adapt(cells, incident)
    return generator.eval()


def made(generator: Generator, incident: torch.Tensor, seed: int = 1) -> torch.Tensor:
    noise = generator.sample_noise(len(incident), torch.Generator().manual_seed(seed))
    with torch.no_grad():
        cells: torch.Tensor = generator(noise, incident)
    return cells


@pytest.fixture(scope="module")
def fit(real: Real) -> FittedGenerator:
    return fitted(*real, FittedSettings())


@pytest.fixture(scope="module")
def drawn(fit: FittedGenerator, real: Real) -> torch.Tensor:
    """Showers of the incident energies of the real ones, several of each."""
    return made(fit, real[1].repeat(-(-_DRAWN // len(real[1])), 1))


def layers_of(cells: torch.Tensor, detector: Detector) -> list[torch.Tensor]:
    return list(torch.split(cells, [layer.n_cells for layer in detector.layers], dim=1))


def sums(cells: torch.Tensor, detector: Detector) -> torch.Tensor:
    return torch.stack([part.sum(1) for part in layers_of(cells, detector)], dim=1)


def pulls(own: Sequence[np.ndarray], real: Sequence[np.ndarray]) -> np.ndarray:
    """Differences of means, of columns with their own hits, over their statistical errors."""
    found = []
    for one, other in zip(own, real, strict=True):
        error = math.hypot(one.std() / len(one) ** 0.5, other.std() / len(other) ** 0.5)
        found.append((one.mean() - other.mean()) / error)
    return np.array(found)


# --- each cell ---


def test_each_cell_is_hit_as_often(drawn: torch.Tensor, real: Real) -> None:
    own, true = ((x > 0).double().mean(0) for x in (drawn, real[0]))
    error = (true * (1 - true)).clamp_min(1e-3).mul(1 / len(real[0]) + 1 / len(drawn)).sqrt()
    pull = ((own - true) / error).numpy()
    assert abs(pull.mean()) < 0.5
    assert pull.std() < 1.3


def test_each_cell_has_its_mean_and_its_spread(drawn: torch.Tensor, real: Real, fit: FittedGenerator) -> None:
    shares = []
    for cells in (drawn, real[0]):
        share = torch.cat(
            [x / x.sum(1, keepdim=True).clamp_min(1e-9) for x in layers_of(cells, fit.detector)], dim=1
        ).numpy()
        shares.append([np.log(column[column > 0]) for column in share.T])
    enough = [i for i in range(len(shares[0])) if min(len(shares[0][i]), len(shares[1][i])) > 100]
    assert len(enough) > 200
    own, true = ([part[i] for i in enough] for part in shares)
    means = pulls(own, true)
    assert abs(np.median(means)) < 1
    assert np.std(means) < 2
    pairs = list(zip(own, true, strict=True))
    middle = [np.divide(*(np.ptp(np.quantile(x, [0.16, 0.84])) for x in pair)) for pair in pairs]
    assert np.median(middle) == pytest.approx(1, abs=0.03)
    # Between two parts their outermost quantiles, a few hits each, are averaged: tails are a little shorter.
    ratio = [a.std() / b.std() for a, b in pairs]
    assert 0.94 < np.median(ratio) < 1.02
    assert np.std(ratio) < 0.08
    # Energies, of which the layers' hardest cells are most.
    mean, expected = (x.mean(0) for x in (drawn, real[0]))
    bright = expected > 0.002 * expected.sum()
    np.testing.assert_allclose(mean[bright], expected[bright], rtol=0.15)


# --- the whole shower ---


def test_energies_are_those_of_real_showers(drawn: torch.Tensor, real: Real, fit: FittedGenerator) -> None:
    own, true = (sums(x, fit.detector) for x in (drawn, real[0]))
    for one, other in zip(
        (own / own.sum(1, keepdim=True)).T, (true / true.sum(1, keepdim=True)).T, strict=True
    ):
        assert ks_2samp(one, other).statistic < 0.05
    energy = real[1][:, 0]
    response = true.sum(1) / energy
    again = own.sum(1) / energy.repeat(-(-_DRAWN // len(energy)))
    assert float(again.mean()) == pytest.approx(float(response.mean()), abs=3e-4)
    assert ks_2samp(again, response).statistic < 0.05


def test_hits_follow_the_energy_of_their_layer(drawn: torch.Tensor, real: Real, fit: FittedGenerator) -> None:
    def correlations(cells: torch.Tensor) -> list[float]:
        layers = layers_of(cells, fit.detector)
        return [np.corrcoef((x > 0).sum(1), torch.log1p(x.sum(1)))[0, 1] for x in layers]

    np.testing.assert_allclose(correlations(drawn), correlations(real[0]), atol=0.03)


def test_observables_are_as_wide_as_those_of_real_showers(
    drawn: torch.Tensor, geant4: Showers, real: Real
) -> None:
    own = replace(geant4, cells=drawn[: len(real[0])].numpy())
    names = ["shower_centroid_x", "shower_centroid_y", "shower_width_x", "shower_width_y", "hits"]
    wanted = [one for one in observables_for(geant4.detector) if one.name in names]
    assert len(wanted) == len(names)
    hard = geant4.incident.energy > 2e4
    for one, true, found in zip(wanted, evaluate(wanted, geant4).T, evaluate(wanted, own).T, strict=True):
        here, there = (np.diff(np.quantile(x[hard], [0.16, 0.84]))[0] for x in (true, found))
        assert there / here == pytest.approx(1, abs=0.2), one.name


def test_cells_hold_the_energies_of_their_layers(fit: FittedGenerator) -> None:
    incident = torch.linspace(2e3, 1e5, 50)[:, None]
    noise = fit.sample_noise(50, torch.Generator().manual_seed(3))
    statistics = fit._first()
    with torch.no_grad():
        given = fit.incidence(incident)
        wanted, _ = statistics.copula(noise[:, : fit.parts[0]], incident[:, 0], given)
        found = sums(fit(noise, incident), fit.detector)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-3)


def test_cells_that_were_never_hit_stay_empty(real: Real) -> None:
    cells = real[0].clone()
    cells[:, [100, 300]] = 0
    found = made(fitted(cells, real[1]), real[1])
    assert not bool(found[:, [100, 300]].any())
    shares, true = (x / x.sum(1, keepdim=True) for x in (found, cells))
    # Scaling to the energy of a layer comes last, so this bound is not sharp.
    assert float((shares > 1.5 * true.amax(0)).float().mean()) < 1e-3


# --- odd samples ---


@pytest.mark.parametrize(
    "kind",
    [
        "one energy",
        "two energies",
        "a layer without hits",
        "all alike",
        "four",
        "fifty",
        "keV",
        "some are empty",
    ],
)
def test_odd_samples_give_showers(kind: str, real: Real) -> None:
    cells, incident = (part[:300].clone() for part in real)
    if kind == "one energy":
        incident[:] = 5e4
    elif kind == "two energies":
        incident[:150], incident[150:] = 1e4, 5e4
    elif kind == "a layer without hits":
        cells[:, :288] = 0
    elif kind == "all alike":
        cells[:], incident[:] = cells[0], incident[0]
    elif kind in ("four", "fifty"):
        n = 4 if kind == "four" else 50
        cells, incident = cells[:n], incident[:n]
    elif kind == "keV":
        cells *= 1e-5
    else:
        cells[::5] = 0
    generator = fitted(cells, incident)
    assert all(bool(torch.isfinite(x).all()) for x in generator.state_dict().values())
    many = incident.repeat(-(-1000 // len(incident)), 1)
    found = made(generator, many)
    assert bool(torch.isfinite(found).all())
    assert float(found.min()) >= 0
    for image, true in zip(*(layers_of(x, generator.detector) for x in (found, cells)), strict=True):
        assert float(image.sum(1).mean()) == pytest.approx(float(true.sum(1).mean()), rel=0.15, abs=1e-9)
    if kind == "all alike":
        hits = (cells[0] > 0).float()
        assert float(((found > 0).float() - hits).abs().mean()) < 0.01


def test_showers_without_any_energy_give_none(real: Real) -> None:
    generator = fitted(torch.zeros_like(real[0][:200]), real[1][:200])
    found = made(generator, real[1][:200])
    assert float(found.abs().max()) < 1e-1


def test_no_cell_is_seen_often(real: Real) -> None:
    rng = np.random.default_rng(0)
    cells = torch.zeros(1500, 504)
    cells[torch.arange(1500), torch.from_numpy(rng.integers(0, 504, 1500))] = 0.9 * real[1][:, 0]
    generator = fitted(cells, real[1])
    found = made(generator, real[1])
    np.testing.assert_allclose(found.sum(1) / real[1][:, 0], 0.9, rtol=1e-3)
    assert float((found > 0).sum(1).float().mean()) < 4


def test_layers_of_a_single_hit_keep_their_energy(real: Real) -> None:
    detector = load_detector("calogan")
    torch.manual_seed(0)
    sizes = [layer.n_cells for layer in detector.layers]
    alone = [torch.nn.functional.one_hot(torch.randint(size, (len(real[0]),)), size) for size in sizes]
    cells = torch.cat(alone, dim=1) * torch.rand(len(real[0]), 1) * 100
    generator = fitted(cells, real[1])
    noise = generator.sample_noise(len(cells))
    with torch.no_grad():
        found = generator(noise, real[1])
        given = generator.incidence(real[1])
        wanted, _ = generator._first().copula(noise[:, : generator.parts[0]], real[1][:, 0], given)
    torch.testing.assert_close(sums(found, detector), wanted, rtol=1e-3, atol=1e-4)


def test_a_detector_of_layers_of_one_cell() -> None:
    one = "grid: {kind: cartesian, window: [60 mm, 60 mm], cells: [1, 1]}"
    few = "grid: {kind: cartesian, window: [60 mm, 60 mm], cells: [3, 4]}"
    detector = Detector.from_yaml(f"""
name: small
shape: planar
size: [100 mm, 100 mm]
readout:
  deposits: all
  layers: [{{name: a, thickness: 10 mm, {one}}}, {{name: b, thickness: 10 mm, {few}}}]
""")
    rng = np.random.default_rng(0)
    cells = torch.from_numpy(rng.exponential(100, (500, 13)).astype(np.float32))
    incident = torch.full((500, 1), 2e3)
    torch.manual_seed(0)
    generator = build_generator(QUICK, detector).eval()
    generator.adapt(cells, incident)
    found = made(generator, incident.repeat(6, 1))
    np.testing.assert_allclose(found[:, :1].mean(), cells[:, :1].mean(), rtol=0.12)
    np.testing.assert_allclose(found.sum(1).mean(), cells.sum(1).mean(), rtol=0.03)


# --- more than one particle, mirrors, seeds ---


def test_each_particle_has_a_fit_of_its_own(real: Real) -> None:
    # The second leaves half of its energy, in less than half of the cells.
    cells, incident = (part.repeat(2, 1) for part in real)
    n = len(real[0])
    cells[n:] *= torch.rand(cells[n:].shape, generator=torch.Generator().manual_seed(7)) < 0.4
    cells[n:] *= 0.5 * real[0].sum(1, keepdim=True) / cells[n:].sum(1, keepdim=True)
    cells[n:, [100, 300]] = 0
    incident = torch.cat([incident, torch.tensor([-11.0, 211.0]).repeat_interleave(n).unsqueeze(1)], dim=1)
    settings = FittedSettings(fit=QUICK.fit, particles=(-11, 211))
    found = made(fitted(cells, incident, settings), incident)
    for part in (slice(0, n), slice(n, None)):
        hits, wanted = ((x[part] > 0).sum(1).float().mean() for x in (found, cells))
        assert float(hits) == pytest.approx(float(wanted), rel=0.03)
        response, true = (x[part].sum(1) / incident[part, 0] for x in (found, cells))
        assert float(response.mean()) == pytest.approx(float(true.mean()), rel=0.003)
    # What one of them never hits, the other may.
    assert bool(found[:n, [100, 300]].any())
    assert not bool(found[n:, [100, 300]].any())


@pytest.mark.parametrize("few", [0, 1, 40])
def test_a_particle_of_few_showers_has_the_fit_of_all(few: int, real: Real) -> None:
    incident = torch.cat([real[1][:400], torch.full((400, 1), -11.0)], dim=1)
    incident[:few, 1] = 211
    settings = FittedSettings(fit=QUICK.fit, particles=(-11, 211))
    generator = fitted(real[0][:400], incident, settings)
    pions = incident.clone()
    pions[:, 1] = 211
    found = made(generator, pions)
    assert float(found.sum(1).mean()) == pytest.approx(float(real[0][:400].sum(1).mean()), rel=0.02)


def test_the_same_noise_is_the_same_shower_in_any_batch(fit: FittedGenerator, real: Real) -> None:
    noise, incident = fit.sample_noise(20, torch.Generator().manual_seed(5)), real[1][:20]
    with torch.no_grad():
        whole = fit(noise, incident)
        alone = torch.cat([fit(noise[i : i + 1], incident[i : i + 1]) for i in range(20)])
    torch.testing.assert_close(alone, whole, rtol=1e-4, atol=1e-3)


def test_the_same_seed_is_the_same_fit(real: Real) -> None:
    one, other = (fitted(real[0][:500], real[1][:500]).state_dict() for _ in range(2))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_it_can_be_printed(fit: FittedGenerator, real: Real) -> None:
    lines = str(fit._first()).splitlines()
    assert len(lines) == 1 + 3 + 1
    energies = np.array([[float(x) for x in line.split()[1:4]] for line in lines[1:4]])
    assert energies[:, 1].tolist() == [288, 144, 72]
    # What the showers of middle energies have.
    true = sums(real[0], fit.detector)
    for layer, (energy, _, hits) in enumerate(energies):
        near = (torch.log(true[:, layer] / energy).abs() < 0.15).nonzero()[:, 0]
        counts = (layers_of(real[0], fit.detector)[layer][near] > 0).sum(1).float()
        assert hits == pytest.approx(float(counts.mean()), rel=0.1)
    assert f"{sum(x.numel() for x in fit.state_dict().values()):,} numbers" in lines[-1]

"""Noise behind showers and what moves it: round trips, exact densities, analytic flows on the circle."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch import Tensor, nn

from caloforge.deploy import Engine, export
from caloforge.deploy.torch_sampler import RunSampler
from caloforge.detector import Detector, load_detector
from caloforge.errors import QuantityError, RecipeError
from caloforge.models import build_generator
from caloforge.models.blocks.noise import draw_noise
from caloforge.models.fitted.generator import FittedGenerator
from caloforge.models.inference.flows import FoldedFlow
from caloforge.models.settings import FitSettings, FlowSettings, MatchingSettings
from caloforge.models.transport.coupling import coupling_flow
from caloforge.models.transport.generator import TransportGenerator
from caloforge.models.transport.matching import MatchingTransport
from caloforge.models.transport.whole import Whole, WholeFlow
from caloforge.samples import positrons
from caloforge.showers import open_showers
from caloforge.training import load_recipe
from tiny_toys import planar, tiny_showers, train

FIT = FitSettings(factors=8, rounds=3)
MATCHING = MatchingSettings(fit=FIT, width=16, blocks=1)
FLOW = FlowSettings(fit=FIT, transforms=2, width=16)
Real = tuple[Tensor, Tensor]


@pytest.fixture(scope="module")
def real() -> Real:
    with open_showers(positrons()) as file:
        showers = file.read(0, 1500)
    return torch.from_numpy(showers.cells), torch.from_numpy(showers.incident.matrix(["energy"]))


def built(settings: FlowSettings | MatchingSettings, real: Real) -> TransportGenerator:
    torch.manual_seed(0)
    generator = build_generator(settings, load_detector("calogan"))
    assert isinstance(generator, TransportGenerator)
    generator.adapt(*real)
    return generator


@pytest.fixture(scope="module")
def generator(real: Real) -> TransportGenerator:
    return built(MATCHING, real)


# --- noise behind showers ---


def test_noise_behind_real_showers_makes_them_again(generator: TransportGenerator, real: Real) -> None:
    (fit,), (cells, incident) = generator.each(), real
    given = generator.incidence(incident)
    normal, factors, noise = fit.behind(cells, incident[:, 0], given)
    drawn = fit.drawn(fit.layers.sums(cells), normal, given)
    again = fit.cells(drawn.mean + fit.factors(factors, noise), drawn)
    assert ((again > 0) == (cells > 0)).float().mean() > 0.9999
    # Below and above its outermost quantiles a hit has no way back, and its layer is scaled anew.
    assert float((again - cells).abs().sum() / cells.sum()) < 2e-3


def test_noise_behind_fitted_showers_is_normal(generator: TransportGenerator, real: Real) -> None:
    """What the fit made has the noise that it was made of, or would have as well: standard normal."""
    (fit,), incident = generator.each(), real[1].repeat(3, 1)
    given = generator.incidence(incident)
    rng = torch.Generator().manual_seed(2)
    seeds = [torch.randn(len(given), k, generator=rng) for k in (fit.copula.noise, 8, fit.layers.cells)]
    drawn = fit(seeds[0], incident[:, 0], given)
    cells = fit.cells(drawn.mean + fit.factors(*seeds[1:]), drawn)
    torch.manual_seed(3)
    behind = fit.behind(cells, incident[:, 0], given)
    pooled = torch.cat([behind.factors, behind.noise], dim=1).double()
    # Layers are scaled at last, and summaries are those of the cells: not to the last digit.
    assert pooled.mean(0).abs().max() < 0.15
    assert pooled.var(0).median() == pytest.approx(1, abs=0.02)
    # Hits tell most of these: a chain that remembers its beginning would leave them narrow.
    assert behind.factors.var(0).numpy() == pytest.approx(1, abs=0.12)
    drawn_of = torch.stack([behind.factors, seeds[1]])
    told = [torch.corrcoef(pair)[0, 1] for pair in drawn_of.unbind(2)]
    assert torch.stack(told).mean() > 0.6
    assert stats.kstest(behind.noise[:, 140].numpy(), "norm").pvalue > 1e-3


def test_normal_variables_behind_energies_are_those_of_the_fit(
    generator: TransportGenerator, real: Real
) -> None:
    (fit,), (cells, incident) = generator.each(), real
    given, layers = generator.incidence(incident), fit.layers.count
    expected = fit.copula.normal(cells, incident[:, 0], given)[:, 1 : 1 + layers]
    found = fit.copula.behind_energies(fit.layers.sums(cells), given)
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=0)


# --- the shower as a whole ---


def test_the_whole_comes_back_from_its_noise(generator: TransportGenerator, real: Real) -> None:
    """What the flow makes of the noise behind real showers has their energies and normal variables."""
    (fit,), (flow,), (cells, incident) = generator.each(), generator.flows(), real
    given, energies = generator.incidence(incident), fit.layers.sums(cells)
    normal = fit.copula.normal(cells, incident[:, 0], given)
    with torch.no_grad():
        standard = flow.standard(Whole(incident[:, 0], energies, normal), given, fit.copula)
        noise = flow.flow(given).transform(standard)
        again, behind = flow(noise, incident[:, 0], given, fit.copula)
    full = (energies > 0).all(1)
    assert full.float().mean() > 0.9
    torch.testing.assert_close(again[full], energies[full], rtol=1e-3, atol=0.05)
    torch.testing.assert_close(behind[full], normal[full], atol=5e-3, rtol=0)


def test_a_layer_without_energy_stays_so() -> None:
    """As often as in real showers, and no more: a third layer that is empty in 40 %."""
    rng = np.random.default_rng(0)
    detector = Detector.from_yaml(planar((2, 2, 10), (2, 2, 10), (2, 2, 10)))
    energy = torch.from_numpy(rng.uniform(1e3, 1e5, 3000).astype(np.float32))
    shares = rng.dirichlet([4, 20, 2], 3000) * np.stack(
        [np.ones(3000), np.ones(3000), rng.random(3000) > 0.4], 1
    )
    shares /= shares.sum(1, keepdims=True)
    total = energy.numpy() * rng.normal(0.95, 0.02, 3000)
    cells = np.repeat(shares / 4, 4, axis=1) * total[:, None]
    generator = build_generator(MATCHING, detector)
    assert isinstance(generator, TransportGenerator)
    shown = torch.from_numpy(cells.astype(np.float32)), energy.unsqueeze(1)
    generator.adapt(*shown)
    optimiser = torch.optim.Adam(generator.wholes.parameters(), 2e-3)
    torch.manual_seed(1)
    for step in range(400):
        rows = slice(200 * (step % 15), 200 * (step % 15) + 200)
        loss = generator.losses(shown[0][rows], shown[1][rows])["whole"]
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    (fit,), (flow,) = generator.each(), generator.flows()
    with torch.no_grad():
        energies, _ = flow(torch.randn(3000, flow.noise), energy, generator.incidence(shown[1]), fit.copula)
    assert float((energies[:, 2] == 0).float().mean()) == pytest.approx(0.4, abs=0.05)
    assert (energies[:, :2] > 0).all()
    made = (energies / energies.sum(1, keepdim=True)).numpy()
    assert max(stats.ks_2samp(made[:, i], shares[:, i]).statistic for i in range(3)) < 0.08
    response = energies.sum(1).numpy() / energy.numpy()
    assert stats.ks_2samp(response, total / energy.numpy()).statistic < 0.08


def test_densities_are_exact() -> None:
    """That of two variables integrates to one, and is the normal one over the Jacobian."""
    torch.manual_seed(4)
    flow = coupling_flow(2, 1, 3, [8])
    for parameter in flow.parameters():
        nn.init.normal_(parameter, std=0.4)
    seen = torch.tensor([0.3])
    edges = np.linspace(-8, 8, 641)
    x, y = np.meshgrid(edges, edges)
    points = torch.from_numpy(np.stack([x, y], 2).astype(np.float32)).reshape(-1, 2)
    with torch.no_grad():
        density = flow(seen).log_prob(points).exp().reshape(641, 641).numpy()
    whole = integrate.trapezoid(integrate.trapezoid(density, edges), edges)
    assert whole == pytest.approx(1, abs=0.01)
    transform = flow(seen).transform
    noise = torch.tensor([0.4, -1.1])
    made = transform.inv(noise)
    slopes = torch.autograd.functional.jacobian(transform.inv, noise)
    expected = stats.norm.logpdf(noise.numpy()).sum() - math.log(abs(float(torch.linalg.det(slopes))))
    assert float(flow(seen).log_prob(made).detach()) == pytest.approx(expected, abs=1e-4)


def test_flows_are_exported_as_they_are() -> None:
    """The same samples without looking anything up, in the splines, at their ends and beyond."""
    torch.manual_seed(4)
    flow = coupling_flow(5, 2, 3, [8])
    for parameter in flow.parameters():
        nn.init.normal_(parameter, std=0.8)
    flow = flow.double()  # wild as these are, float32 differs from itself
    noise, seen = 3 * torch.randn(4000, 5).double(), torch.randn(4000, 2).double()
    with torch.no_grad():
        expected = flow(seen).transform.inv(noise)
        torch.testing.assert_close(FoldedFlow(flow).double()(noise, seen), expected)


# --- the circle ---


class _OfWidth(nn.Module):
    """The velocity where noise behind real showers is normal with another spread: known exactly."""

    def __init__(self, spread: float) -> None:
        super().__init__()
        self.variance = spread**2

    def forward(self, place: Tensor, angle: Tensor, seen: Tensor) -> Tensor:
        cosine, sine = angle.cos(), angle.sin()
        return place * cosine * sine * (1 - self.variance) / (self.variance * cosine**2 + sine**2)


def _circle(spread: float, evaluations: int, start: str = "noise") -> MatchingTransport:
    settings = MatchingSettings(evaluations=evaluations, start=start, width=4)  # type: ignore[arg-type]
    transport = MatchingTransport(3, 2, settings)
    transport.velocity = _OfWidth(spread)  # type: ignore[assignment]
    return transport


@pytest.mark.parametrize("spread", [0.6, 0.95, 1.3])
def test_steps_are_of_second_order(spread: float) -> None:
    noise, seen = torch.randn(4, 3, generator=torch.Generator().manual_seed(1)), torch.zeros(4, 2)
    errors = []
    for evaluations in (4, 8, 16):
        with torch.no_grad():
            made = _circle(spread, evaluations)(noise, seen)
        errors.append(float((made / noise - spread).abs().max()))
    assert errors[2] < 0.02
    assert errors[1] > 2.5 * errors[2]  # four times for half of the step, in the limit


def test_a_right_fit_needs_no_step() -> None:
    noise, seen = torch.randn(4, 3), torch.zeros(4, 2)
    transport = MatchingTransport(3, 2, MatchingSettings(width=4, evaluations=4))
    assert torch.equal(transport(noise, seen), noise)  # an untrained network moves nothing
    with torch.no_grad():
        torch.testing.assert_close(_circle(1.0, 1)(noise, seen), noise)


def test_the_loss_is_least_at_the_true_velocity() -> None:
    torch.manual_seed(5)
    behind, seen = 0.7 * torch.randn(200_000, 3), torch.zeros(200_000, 2)
    losses = {}
    for spread in (0.6, 0.7, 0.8, 1.0):
        torch.manual_seed(6)
        losses[spread] = float(_circle(spread, 4).loss(behind, seen))
    assert min(losses, key=lambda spread: losses[spread]) == 0.7
    # What is left is the variance of the velocity where it is known: an integral over the circle.
    variance = lambda a: 0.49 / (0.49 * math.cos(a) ** 2 + math.sin(a) ** 2)  # noqa: E731
    expected = integrate.quad(variance, 0, math.pi / 2)[0] / (math.pi / 2)
    assert losses[0.7] == pytest.approx(expected, rel=0.01)


# --- both families ---


@pytest.mark.parametrize("settings", [MATCHING, FLOW], ids=["matching", "flow"])
def test_cells_begin_as_those_of_the_fit(
    settings: FlowSettings | MatchingSettings, real: Real, generator: TransportGenerator
) -> None:
    moved = generator if settings is MATCHING else built(settings, real)
    noise = moved.sample_noise(50, torch.Generator().manual_seed(1))
    with torch.no_grad():
        made = moved(noise, real[1][:50])
        (fit,), (flow,) = moved.each(), moved.flows()
        given = moved.incidence(real[1][:50])
        whole, factors, alone = torch.split(noise, moved.parts, dim=1)
        energies, normal = flow(whole, real[1][:50, 0], given, fit.copula)
        drawn = fit.drawn(energies, normal, given)
        expected = fit.cells(drawn.mean + fit.factors(factors, alone), drawn)
    torch.testing.assert_close(made, expected, rtol=1e-3, atol=0.5)


def test_what_cells_have_in_common_is_learned() -> None:
    """Four cells, of which those of one diagonal have the energy: neither width nor centre tells which."""
    rng = np.random.default_rng(0)
    n, diagonal = 2000, np.array([[1, 0, 0, 1], [0, 1, 1, 0]])
    energy = rng.uniform(1e4, 1e5, n).astype(np.float32)
    parts = (0.15 + diagonal[rng.integers(2, size=n)]) * rng.uniform(0.8, 1.2, (n, 4))
    cells = torch.from_numpy((parts / parts.sum(1, keepdims=True) * energy[:, None]).astype(np.float32))
    incident = torch.from_numpy(energy[:, None])
    torch.manual_seed(0)
    settings = MatchingSettings(fit=FIT, width=32, blocks=1, evaluations=8, start="noise")
    plain = build_generator(settings, Detector.from_yaml(planar((2, 2, 10))))
    assert isinstance(plain, TransportGenerator)
    plain.adapt(cells, incident)
    assert _diagonal(plain, incident) < 0
    optimiser = torch.optim.Adam(plain.parameters(), 5e-3)
    for _ in range(300):
        rows = torch.randint(n, (128,))
        loss = sum(plain.losses(cells[rows], incident[rows]).values())
        assert isinstance(loss, Tensor)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    assert _diagonal(plain, incident) > 0.4


def _diagonal(generator: TransportGenerator, incident: Tensor) -> float:
    """Correlation of the shares of two cells of a diagonal."""
    noise = generator.sample_noise(len(incident), torch.Generator().manual_seed(7))
    with torch.no_grad():
        shares = generator(noise, incident) / incident
    return float(np.corrcoef(shares[:, 0].numpy(), shares[:, 3].numpy())[0, 1])


def test_a_batch_may_lack_a_particle(real: Real) -> None:
    """Each particle has a fit and a flow of its own; a batch of one of them teaches the other's nothing."""
    cells, energy = real[0][:400], real[1][:400]
    kinds = torch.tensor([[-11.0], [22.0]]).repeat(200, 1)
    incident = torch.cat([energy, kinds], dim=1)
    torch.manual_seed(0)
    settings = MatchingSettings(fit=FIT, width=8, particles=(-11, 22))
    generator = build_generator(settings, load_detector("calogan"))
    assert isinstance(generator, TransportGenerator)
    generator.adapt(cells, incident)
    photons = kinds[:, 0] == 22
    loss = sum(generator.losses(cells[photons], incident[photons]).values())
    assert isinstance(loss, Tensor)
    assert torch.isfinite(loss)
    loss.backward()  # type: ignore[no-untyped-call]
    positron, photon = (
        max(float(p.grad.abs().max()) for p in flow.parameters() if p.grad is not None)
        for flow in generator.flows()
    )
    assert positron == 0 < photon


def test_showers_without_energy_say_nothing(generator: TransportGenerator, real: Real) -> None:
    cells, incident = real[0][:40].clone(), real[1][:40]
    cells[::4] = 0
    losses = generator.losses(cells, incident)
    assert all(bool(torch.isfinite(loss)) for loss in losses.values())
    none = generator.losses(torch.zeros_like(cells), incident)
    assert all(loss.requires_grad and float(loss.detach()) == 0 for loss in none.values())
    assert isinstance(generator, FittedGenerator)
    assert isinstance(next(generator.flows()), WholeFlow)


# --- evaluations ---


def test_a_bundle_may_ask_its_network_more_or_less_often(tmp_path: Path) -> None:
    showers = tiny_showers(120).save(tmp_path / "showers.h5")
    settings = ["model={kind: matching, width: 8, fit: {rounds: 1, factors: 2}}", "schedule.epochs=2"]
    recipe = load_recipe("calogan-matching", [*settings, "schedule.batch=16", "data.mirror=false"])
    run = train(recipe, showers, tmp_path / "run")
    bundle = export(run.path, tmp_path / "bundle", evaluations=3)
    model = load_recipe(bundle.path / "recipe.yaml").model
    assert isinstance(model, MatchingSettings)
    assert model.evaluations == 3
    assert bundle.manifest.provenance["recipe"]["model"]["evaluations"] == 3
    sampler = RunSampler(run.path, evaluations=3)
    noise = draw_noise(np.random.default_rng(1), 5, sampler.noise_shape)
    incident = np.full((5, 1), 2e4, np.float32)
    made = sampler.run(noise, incident)
    np.testing.assert_allclose(Engine(bundle.path).run(noise, incident), made, rtol=1e-3, atol=0.1)
    assert not np.array_equal(RunSampler(run.path).run(noise, incident), made)
    with pytest.raises(QuantityError, match="out of range"):
        export(run.path, tmp_path / "none", evaluations=0)
    fit = train(load_recipe("calogan-fit", ["data.mirror=false"]), showers, tmp_path / "fit")
    with pytest.raises(RecipeError, match="takes no steps"):
        export(fit.path, tmp_path / "none", evaluations=2)
    assert not (tmp_path / "none").exists()

"""The tuned generator: a correction to the fit, what the critic sees against numpy, and what it matches."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.ndimage import convolve

from caloforge.detector import Detector, load_detector
from caloforge.errors import DetectorError, RecipeError
from caloforge.models import build_critic, build_generator
from caloforge.models.blocks.energy_distance import directions, energy_distance, products
from caloforge.models.blocks.incidence import Incidence
from caloforge.models.settings import CaloganSettings, FittedSettings, TunedSettings
from caloforge.models.tuned.critic import ObservingCritic
from caloforge.models.tuned.features import (
    ShowerFeatures,
    _in_common,
    typical_hits,
)
from caloforge.models.tuned.generator import TunedGenerator
from caloforge.models.tuned.planes import Image
from caloforge.observables import evaluate, observables_for
from caloforge.samples import positrons
from caloforge.showers import Showers, open_showers
from caloforge.training.objectives.adversarial.losses import real_penalty
from caloforge.training.objectives.adversarial.matching import matching_loss

SMALL = TunedSettings(latent=4, width=8)


@pytest.fixture(scope="module")
def geant4() -> Showers:
    with open_showers(positrons()) as file:
        return file.read(0, 1500)


@pytest.fixture(scope="module")
def real(geant4: Showers) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(geant4.cells), torch.from_numpy(geant4.incident.matrix(["energy"]))


@pytest.mark.parametrize("refine", [False, True])
def test_without_its_correction_it_is_the_fit(refine: bool, real: tuple[torch.Tensor, torch.Tensor]) -> None:
    detector = load_detector("calogan")
    fit = build_generator(FittedSettings(), detector).eval()
    fit.adapt(*real)
    tuned = build_generator(TunedSettings(latent=4, width=8, refine=refine), detector).eval()
    lacking, unknown = tuned.load_state_dict(fit.state_dict(), strict=False)
    assert not unknown
    assert all("trunk" in name or "refine" in name for name in lacking)
    noise = tuned.sample_noise(200, torch.Generator().manual_seed(1))
    incident = real[1][:200]
    with torch.no_grad():
        alone = fit(noise[:, : fit.noise_shape[0]], incident)
        begun = tuned(noise, incident)
        tuned.trunk.out.weight.zero_()  # type: ignore[union-attr, operator]
        torch.testing.assert_close(tuned(noise, incident), alone)
    # It begins with hardly any.
    assert float(((begun > 0) != (alone > 0)).float().mean()) < 0.01


@pytest.mark.parametrize("network", ["dense", "planes", "volume"])
def test_a_correction_moves_no_mean(network: str) -> None:
    detector = load_detector("calogan" if network == "dense" else "clic")
    settings = TunedSettings(latent=4, width=8, network=network)
    generator = build_generator(settings, detector).eval()
    assert isinstance(generator, TunedGenerator)
    torch.nn.init.normal_(generator.trunk.out.weight)  # type: ignore[arg-type, union-attr]
    given = generator.incidence(torch.tensor([[2e4], [8e4]]))
    inputs = generator.noise_shape[0] - generator.detector.n_cells - generator.trunk.noise
    shower = torch.randn(2, inputs, generator=torch.Generator().manual_seed(1))
    noise = torch.randn(2, generator.trunk.noise, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        added = generator._correction(shower, noise, given)
        opposite = generator._correction(-shower, -noise, given)
    assert float(added.std()) > 0.01
    torch.testing.assert_close(opposite, -added)


@pytest.mark.parametrize("kind", ["one energy", "a layer without hits", "all alike", "four", "keV"])
def test_odd_samples_can_be_judged(kind: str, real: tuple[torch.Tensor, torch.Tensor]) -> None:
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
    generator, critic = build_generator(SMALL, detector).eval(), build_critic(SMALL, detector).eval()
    for network in (generator, critic):
        network.adapt(cells, incident)
    with torch.no_grad():
        found = generator(generator.sample_noise(len(incident)), incident)
        assert bool(torch.isfinite(found).all())
        assert all(bool(torch.isfinite(reading).all()) for reading in critic(found, incident).values())


def test_a_direction_says_how_it_leans() -> None:
    incidence = Incidence(load_detector("clic"), ("energy", "theta", "phi"), ())
    found = incidence(torch.tensor([[2e4, 0.3, math.pi / 2], [2e4, 0.3, math.pi]]))
    assert found.shape == (2, incidence.width)
    leaning = torch.tensor([[0, math.sin(0.3)], [-math.sin(0.3), 0]])
    torch.testing.assert_close(found[:, -2:], leaning, atol=1e-6, rtol=0)


@pytest.mark.parametrize("network", ["planes", "volume"])
def test_noise_of_neighbours_goes_together(network: str) -> None:
    detector = load_detector("clic")
    settings = TunedSettings(network=network, latent=4, width=8)  # type: ignore[arg-type]
    trunk = build_generator(settings, detector).trunk  # type: ignore[union-attr]
    noise = torch.randn(200, detector.n_cells, generator=torch.Generator().manual_seed(2))
    seed = torch.zeros(200, trunk.neighbours.strength.in_features)
    with torch.no_grad():
        trunk.neighbours.strength.bias[3] = 0.7  # of one layer
        layers = trunk.mixed(noise, seed).reshape(200, 25, 25, 25)[:, :, 1:-1, 1:-1]  # not the border
    np.testing.assert_allclose(layers.std((0, 2, 3)), 1, atol=0.02)
    beside = [float((x[:, :, 1:] * x[:, :, :-1]).mean()) for x in layers[:, [9, 3]].unbind(1)]
    kernel = np.array([[0.002, 0.02, 0.002], [0.02, 0, 0.02], [0.002, 0.02, 0.002]])
    kernels = [strength * kernel + np.diag([0, 1, 0]) for strength in (1.0, math.exp(0.7))]
    # A kernel's product with itself, moved by one cell, over the sum of its squares.
    moved = [(k[:, 1:] * k[:, :-1]).sum() for k in kernels]
    squares = [(k**2).sum() for k in kernels]
    assert beside == pytest.approx(np.divide(moved, squares), abs=0.02)
    assert float((layers[:, 9] * layers[:, 10]).mean()) == pytest.approx(0, abs=0.02)


def test_planes_of_hardly_any_cells_are_refused() -> None:
    layers = "{thickness: 10 mm, grid: {kind: cartesian, window: [60 mm, 60 mm], cells: [2, 2]}}"
    detector = Detector.from_yaml(
        f"name: two\nshape: planar\nsize: [100 mm, 100 mm]\nreadout: {{deposits: all, layers: [{layers}]}}"
    )
    with pytest.raises(DetectorError, match="at least 3 cells"):
        build_generator(TunedSettings(network="planes"), detector)


def test_planes_need_equal_layers() -> None:
    with pytest.raises(DetectorError, match="planes network"):
        build_generator(TunedSettings(network="planes"), load_detector("calogan"))


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
    np.testing.assert_allclose(Image((6, 5)).alone(hits), alone / (1 + hits.sum((2, 3)).numpy()), atol=1e-5)


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
    found = Image((6, 5)).pairs(torch.from_numpy(hits), torch.from_numpy(values))
    share, rough = (part.numpy() for part in found)
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
    found = directions(500, torch.device("cpu"))
    torch.testing.assert_close(found.norm(dim=0), torch.ones(found.shape[1]))
    assert abs(float(found.sign().mean())) < 0.03  # six deviations of 32,000 signs
    assert float((found.T @ found - torch.eye(found.shape[1])).abs().max()) < 0.3


def test_matching_is_an_energy_distance() -> None:
    rng = np.random.default_rng(1)
    real, shifted = (torch.from_numpy(rng.normal(m, 1, (400, 3))).float() for m in (0.0, 0.5))
    given = torch.zeros(400, 1)
    # Of whole samples: the square of scipy's, twice over. Of batches: less what they differ by chance.
    expected = np.mean([stats.energy_distance(shifted[:, i], real[:, i]) ** 2 for i in range(3)])
    torch.manual_seed(0)
    # One view, and nothing asked for that varies: the columns' distance, none of products, and that along
    # directions.
    found = 3 * float(matching_loss((shifted, given), (real, given)))
    along = found - expected
    assert 0.05 * expected < along < expected * 1.2
    assert float(matching_loss((real, given), (real, given))) == pytest.approx(0, abs=1e-5)


def test_matching_is_least_where_showers_are_alike() -> None:
    torch.manual_seed(0)
    # A few in a hundred lie far away, and batches are small.
    made, real = (torch.randn(3000, 32) + 5 * (torch.rand(3000, 32) < 0.03) for _ in range(2))
    scales = (0.85, 0.93, 1.0, 1.07, 1.15)
    found = [
        float(
            torch.stack(
                [energy_distance(s * x[:, None], y[:, None]) for x, y in zip(made, real, strict=True)]
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
    assert abs(float(energy_distance(made, real))) < 0.01


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
    torch.testing.assert_close(
        products(rising, given), rising * (given - given.mean()) / given.std(correction=0)
    )
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

"""Generators that a list of stages describes: right size and right energy, whatever the weights are."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from caloforge.detector import Detector
from caloforge.errors import DetectorError, RecipeError
from caloforge.models import build_critic, build_generator
from caloforge.models.grown.generator import GrownGenerator
from caloforge.models.grown.stages import CellBias, activated, begin, sizes
from caloforge.models.settings import Activation, GrownSettings, Look, Stage
from caloforge.training.recipe import Recipe, load_recipe
from tiny_toys import TINY, planar

ACTIVATIONS: tuple[Activation, ...] = ("relu", "leaky-relu", "elu", "tanh", "silu")
EQUAL = Detector.from_yaml(planar(*[(7, 5, 10)] * 4))
ONE = Detector.from_yaml(planar((7, 5, 10)))
SETTINGS = GrownSettings(
    latent=6,
    filters=3,
    stages=(
        Stage(filters=5, grow=2, skip=True),
        Stage(filters=4, kernel=5, noise=True, activation="tanh"),
        Stage(filters=2, grow=3, noise=True, skip=True, activation="silu"),
    ),
)


def _grown(settings: GrownSettings = SETTINGS, detector: Detector = EQUAL, n: int = 500) -> GrownGenerator:
    torch.manual_seed(3)
    generator = build_generator(settings, detector).eval()
    assert isinstance(generator, GrownGenerator)
    generator.adapt(*_showers(detector, n))
    return generator


def _showers(detector: Detector, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(1)
    energy = rng.uniform(1e3, 1e5, (n, 1)).astype(np.float32)
    cells = rng.exponential(size=(n, detector.n_cells)) * (rng.random((n, detector.n_cells)) < 0.5)
    cells *= (0.2 * rng.normal(1, 0.05, (n, 1)) * energy) / cells.sum(1, keepdims=True)
    return torch.from_numpy(cells.astype(np.float32)), torch.from_numpy(energy)


def test_each_size_is_the_next_one_divided_and_rounded_up() -> None:
    assert sizes((25, 12), [3, 1, 2]) == [(5, 2), (13, 6), (13, 6), (25, 12)]


@pytest.mark.parametrize("dimensions", [2, 3])
def test_convolutions_see_the_sizes_that_were_found(dimensions: int) -> None:
    generator = _grown(SETTINGS.model_copy(update={"dimensions": dimensions}))
    seen: list[tuple[int, ...]] = []
    for layer in (*generator.stages, generator.head):
        layer.register_forward_hook(lambda _layer, given, made: seen.append((*given[0].shape, *made.shape)))
    generator(generator.sample_noise(2), torch.full((2, 1), 1e4))
    axes = (7, 5) if dimensions == 2 else (4, 7, 5)
    small = tuple(math.ceil(size / 3) for size in axes)
    channels = [(3, 5, small), (6, 4, small), (5, 2, axes), (2, 4 if dimensions == 2 else 1, axes)]
    assert seen == [(2, before, *size, 2, after, *size) for before, after, size in channels]


def test_all_weights_are_those_of_plain_layers_that_are_called() -> None:
    generator = _grown()
    owners = {name for name, module in generator.named_modules() if module._parameters}
    plain = nn.Linear | nn.Conv2d | CellBias
    assert all(isinstance(generator.get_submodule(name), plain) for name in owners)
    called: set[str] = set()
    for name in owners:
        generator.get_submodule(name).register_forward_hook(lambda *_, name=name: called.add(name))
    generator(generator.sample_noise(2), torch.full((2, 1), 1e4))
    assert called == owners == {"seed", "head", "cells", *(f"stages.{i}" for i in range(3))}


def test_noise_of_a_stage_reaches_only_cells_near_it() -> None:
    generator = _grown(GrownSettings(latent=2, filters=2, stages=(Stage(filters=2, noise=True),), kernel=1))
    noise, incident = torch.zeros(1, *generator.noise_shape), torch.full((1, 1), 1e4)
    changed = noise.clone()
    changed[0, -35] = 1.0  # of the corner
    with torch.no_grad():
        generator.head.weight.normal_()
        made = [generator._grown(torch.zeros(1, 4), [n[:, 3:]]) for n in (noise, changed)]
    moved = (made[1] - made[0]).reshape(4, 7, 5).abs().amax(0) > 0
    near = torch.zeros(7, 5, dtype=torch.bool)
    near[:2, :2] = True
    assert bool((moved == near).all())
    assert len(incident) == 1


def test_cells_hold_the_measured_energy_whatever_the_weights_are() -> None:
    cells, incident = _showers(EQUAL, 2000)
    generator = _grown(n=2000)
    with torch.no_grad():
        generator.cells.bias.normal_(std=4.0)
        made = generator(generator.sample_noise(2000, torch.Generator().manual_seed(5)), incident)
    got, real = (one.sum(1) / incident[:, 0] for one in (made, cells))
    # Errors of mean and spread of 2,000 showers of 5 %: 0.1 % and 1.6 %.
    assert float(got.mean()) == pytest.approx(float(real.mean()), rel=5e-3)
    assert float(got.std()) == pytest.approx(float(real.std()), rel=0.08)


def test_no_cell_holds_less_than_the_softest_hits() -> None:
    cells, incident = _showers(EQUAL, 500)
    generator = _grown()
    with torch.no_grad():
        generator.cells.bias.normal_(std=6.0)
        made = generator(generator.sample_noise(500), incident)
    for one, real in zip(EQUAL.split(made), EQUAL.split(cells), strict=True):
        least = np.quantile(real[real > 0].numpy(), 0.01)
        assert float(one[one > 0].min()) >= least * (1 - 1e-6)
        assert 0.01 < float((one == 0).float().mean()) < 0.99


def test_a_cell_that_was_emptied_can_come_back() -> None:
    generator = _grown()
    with torch.no_grad():
        generator.cells.bias[0] = -30.0
    made = generator(generator.sample_noise(8), torch.full((8, 1), 1e4))
    assert float(made[:, 0].detach().abs().max()) == 0
    (made[:, 0] / made.detach().amax()).sum().backward()
    gradient = generator.cells.bias.grad
    assert gradient is not None
    assert float(gradient[0]) > 0


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_what_a_layer_makes_of_the_activation_before_it_is_of_the_order_of_one(
    activation: Activation,
) -> None:
    torch.manual_seed(0)
    layer = begin(nn.Linear(2000, 400), activation)
    with torch.no_grad():
        made = layer(activated(torch.randn(200, 2000), activation))
    assert float(made.square().mean()) == pytest.approx(1.0, abs=0.05)
    assert float(activated(torch.zeros(1), activation)) == 0


def test_untrained_logits_are_of_the_order_of_one() -> None:
    stages = tuple(Stage(filters=16, grow=grow, noise=True) for grow in (2, 2, 1, 1))
    detector = Detector.from_yaml(planar((24, 24, 10)))
    generator = _grown(GrownSettings(stages=stages), detector)
    incident = torch.rand(64, 1, generator=torch.Generator().manual_seed(2)) * 9e4 + 1e4
    logits: list[torch.Tensor] = []
    generator.cells.register_forward_hook(lambda _layer, _given, made: logits.append(made))
    with torch.no_grad():
        generator(generator.sample_noise(64, torch.Generator().manual_seed(1)), incident)
    assert 0.3 < float(logits[0].std()) < 3


def test_critic_strides_end_where_they_are_said_to() -> None:
    looks = (Look(filters=3, stride=2), Look(filters=2, kernel=5, stride=3, activation="elu"))
    for dimensions, size in ((2, 2 * 2 * 1), (3, 2 * 1 * 2 * 1)):
        settings = SETTINGS.model_copy(update={"critic": looks, "dimensions": dimensions})
        critic = build_critic(settings, EQUAL)
        cells, incident = _showers(EQUAL, 100)
        critic.adapt(cells, incident)
        trunk = critic.get_submodule("trunk")
        assert trunk(cells, cells, cells).shape == (100, size)
        assert critic(cells, incident)["logit"].shape == (100,)


def test_one_layer_is_no_volume() -> None:
    settings = GrownSettings(dimensions=3)
    for build in (build_generator, build_critic):
        with pytest.raises(DetectorError, match="dimensions=2"):
            build(settings, ONE)
    build_generator(GrownSettings(), ONE)


def test_unequal_layers_are_refused() -> None:
    with pytest.raises(DetectorError, match="one cartesian grid"):
        build_generator(GrownSettings(), Detector.from_yaml(TINY))


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        ("{filters: 8, kernel: 4}", "model.stages.0.kernel has an impossible value"),
        ("{filters: 8, kernal: 3}", "did you mean: *kernel"),
        ("{grow: 2}", "model.stages.0.filters is missing"),
    ],
)
def test_a_wrong_stage_is_named(stage: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        load_recipe("calogan", [f"model={{kind: grown, stages: [{stage}]}}", "objective={}"])


def test_stages_pass_through_a_written_recipe() -> None:
    recipe = Recipe(name="x", model=SETTINGS)
    import yaml

    assert Recipe.model_validate(yaml.safe_load(recipe.to_yaml())) == recipe


def test_a_measured_image_is_what_it_begins_with() -> None:
    """With weights that do nothing, shares are the measured means; a cell never hit has next to nothing."""
    settings = SETTINGS.model_copy(update={"image": "measured"})
    torch.manual_seed(3)
    generator = GrownGenerator(EQUAL, settings).eval()
    cells, incident = _showers(EQUAL, 2000)
    cells = cells * torch.linspace(0.1, 2, EQUAL.n_cells)
    cells[:, 3] = 0
    generator.adapt(cells, incident)
    nn.init.zeros_(generator.head.weight)
    generator.threshold.zero_()
    with torch.no_grad():
        made = generator(torch.randn(2000, *generator.noise_shape), incident)
    shares, wanted = (x / x.sum(1, keepdim=True) for x in (made, cells))
    wanted = wanted.mean(0)
    np.testing.assert_allclose(shares.mean(0)[wanted > 0], wanted[wanted > 0], rtol=1e-2)
    assert 0 < float(shares[0, 3]) < 0.2 * float(wanted[wanted > 0].min())
    assert "image" not in GrownGenerator(EQUAL, SETTINGS).state_dict()

"""The two-dimensional 3DGAN: published sizes, Keras' permutations and padding in numpy, its delayed ReLU."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from caloforge.detector import Detector, load_detector
from caloforge.errors import DetectorError
from caloforge.models import build_critic, build_generator
from caloforge.models.blocks.image import Conv, UpConv, keras_padding
from caloforge.models.fitted.response import ResponseFit
from caloforge.models.published.conv2d import Cube, Residual, turned
from caloforge.models.settings import Conv2dSettings
from caloforge.showers import Incident, Showers
from caloforge.training import Run, load_recipe
from caloforge.training.hardware import Hardware
from caloforge.training.objectives.adversarial.objective import AdversarialObjective
from caloforge.training.quicklook import QuickLook
from caloforge.training.recipe import ScheduleSettings
from caloforge.training.requests import Requests
from tiny_toys import planar, train

Array = NDArray[np.float64]
FORMS = ("branches", "residual", "planes")
SMALL = planar(*[(4, 5, 10)] * 3)


@pytest.fixture(scope="module")
def small() -> Detector:
    return Detector.from_yaml(SMALL)


def settings(form: str = "residual", **changes: object) -> Conv2dSettings:
    return Conv2dSettings.model_validate({"form": form, "latent": 8, **changes})


def ask(n: int) -> torch.Tensor:
    return torch.linspace(1e4, 5e5, n)[:, None]


def weights(module: torch.nn.Module) -> int:
    """As Keras counts them: with the statistics of the norms."""
    return sum(v.numel() for k, v in module.state_dict().items() if not k.endswith("num_batches_tracked"))


@pytest.mark.parametrize(
    ("form", "generator", "critic"),
    [("branches", 2_055_324, 714_114), ("residual", 2_397_022, 902_658), ("planes", 2_131_000, 714_114)],
)
def test_sizes_are_the_published_ones(form: str, generator: int, critic: int) -> None:
    published, clic = Conv2dSettings(form=form), load_detector("clic")  # type: ignore[arg-type]
    assert weights(build_generator(published, clic)) == generator
    assert weights(build_critic(published, clic)) == critic


def test_trainable_weights_are_the_published_ones() -> None:
    published = Conv2dSettings(form="branches")
    generator = build_generator(published, load_detector("clic"))
    assert sum(p.numel() for p in generator.parameters()) == 2_053_446


@pytest.mark.parametrize(("times", "keras"), [(0, (1, 2, 3)), (1, (3, 1, 2)), (2, (2, 3, 1))])
def test_turning_is_keras_permute_of_channels_last(times: int, keras: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5))  # (n, rows, columns, channels)
    expected = np.transpose(x, (0, *keras))
    got = turned(torch.from_numpy(x).permute(0, 3, 1, 2), times).permute(0, 2, 3, 1)
    assert np.array_equal(got.numpy(), expected)


@pytest.mark.parametrize("times", [0, 1, 2])
def test_turning_back_undoes_it(times: int) -> None:
    x = torch.randn(2, 3, 4, 5)
    assert torch.equal(turned(turned(x, times), -times), x)


def conv(x: Array, weight: Array, pads: tuple[tuple[int, int], tuple[int, int]], stride: int) -> Array:
    """Window by window, for one image `(channels, rows, columns)`."""
    padded = np.pad(x, ((0, 0), *pads))
    k = weight.shape[2]
    rows, columns = ((size - k) // stride + 1 for size in padded.shape[1:])
    out = np.zeros((len(weight), rows, columns))
    for r, c in product(range(rows), range(columns)):
        seen = padded[:, r * stride : r * stride + k, c * stride : c * stride + k]
        out[:, r, c] = np.tensordot(weight, seen, 3)
    return out


@pytest.mark.parametrize(
    ("kernel", "stride", "rows", "columns"), [(4, 1, 5, 6), (3, 1, 5, 4), (5, 2, 8, 7), (3, 2, 6, 6)]
)
def test_convolutions_pad_as_keras(kernel: int, stride: int, rows: int, columns: int) -> None:
    torch.manual_seed(0)
    layer = Conv((2, 3), kernel, stride=stride).double()
    x = torch.randn(1, 2, rows, columns, dtype=torch.float64)
    # TensorFlow's rule, spelled out: what is odd comes after the image.
    pads = []
    for size in (rows, columns):
        places = (size + stride - 1) // stride
        total = max((places - 1) * stride + kernel - size, 0)
        pads.append((total // 2, total - total // 2))
    expected = conv(x[0].numpy(), layer.weight.detach().numpy(), (pads[0], pads[1]), stride)
    assert np.allclose(layer(x)[0].detach().numpy(), expected)
    assert keras_padding(rows, kernel, stride) == pads[0]


@pytest.mark.parametrize("factor", [2, 3])
def test_transposed_convolutions_are_the_gradient_of_keras_convolutions(factor: int) -> None:
    """Which is how Keras defines them: spread each place over its window, then cut off what was padding."""
    torch.manual_seed(0)
    layer = UpConv((2, 3), 5, factor).double()
    x = torch.randn(1, 2, 4, 3, dtype=torch.float64)
    weight = layer.weight.detach().numpy()
    full = np.zeros((3, 3 * factor + 5, 2 * factor + 5))
    for r, c in product(range(4), range(3)):
        window = np.s_[:, r * factor : r * factor + 5, c * factor : c * factor + 5]
        full[window] += np.tensordot(x[0, :, r, c].numpy(), weight, 1)
    first = keras_padding(4 * factor, 5, factor)[0]
    expected = full[:, first : first + 4 * factor, first : first + 3 * factor]
    assert np.allclose(layer(x)[0].detach().numpy(), expected)


def test_residual_sums_are_taken_without_turning_back() -> None:
    torch.manual_seed(0)
    net = Residual(Cube(load_detector("clic")), 0.0).eval()
    seed = torch.randn(1, 5, 5, 5)
    with torch.no_grad():
        first = net.stacks[0](net.grow(seed))
        second = net.stacks[1](first.permute(0, 3, 1, 2))
        third = net.stacks[2]((first + second).permute(0, 2, 3, 1))
        assert torch.allclose(net(seed), net.join(first + second + third), atol=1e-5)


def test_published_grids_are_cubes_as_they_are() -> None:
    detector = load_detector("clic")
    cube = Cube(detector)
    assert (cube.seed, cube.side) == (5, 25)
    cells = torch.randn(2, detector.n_cells)
    layers = torch.stack(list(detector.split(cells)), dim=1)
    assert torch.equal(cube.fill(cells), layers)
    assert torch.equal(cube.cut(cube.fill(cells)), cells)


@pytest.mark.parametrize(
    ("layers", "cells", "side"), [(3, (4, 5), 19), (26, (5, 9), 31), (25, (25, 25), 25), (2, (51, 12), 55)]
)
def test_sizes_follow_from_the_grid(layers: int, cells: tuple[int, int], side: int) -> None:
    detector = Detector.from_yaml(planar(*[(*cells, 10)] * layers))
    cube = Cube(detector)
    assert cube.side == side
    showers = torch.rand(2, detector.n_cells)
    filled = cube.fill(showers)
    assert filled.shape == (2, side, side, side)
    assert torch.equal(cube.cut(filled), showers)
    assert filled.sum().isclose(showers.sum(), rtol=1e-4)


def test_other_detectors_are_refused_with_a_cure(small: Detector) -> None:
    for detector in (load_detector("calogan"), load_detector("calochallenge-2")):
        for build in (build_generator, build_critic):
            with pytest.raises(DetectorError, match="channels of one image") as caught:
                build(settings(), detector)
            assert "calogan" in str(caught.value.details["cure"])


@pytest.mark.parametrize("form", FORMS)
def test_gradients_reach_every_weight(form: str, small: Detector) -> None:
    torch.manual_seed(0)
    generator, critic = build_generator(settings(form), small), build_critic(settings(form), small)
    generator.begin_epoch(0)
    cells = generator(generator.sample_noise(3), ask(3))
    assert cells.shape == (3, small.n_cells)
    readings = critic(cells, ask(3))
    assert {name: reading.shape for name, reading in readings.items()} == {"logit": (3,), "auxiliary": (3,)}
    # Norms over the batch make logits add up to nothing: their squares alone would not move the bias.
    sum((readings[name] - 1).square().sum() for name in ("logit", "auxiliary")).backward()
    for name, parameter in (*generator.named_parameters(), *critic.named_parameters()):
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_the_energy_scales_the_noise(small: Detector) -> None:
    torch.manual_seed(0)
    generator = build_generator(settings(), small).eval()
    noise = generator.sample_noise(2)
    one = torch.full((2, 1), 1e5)
    with torch.no_grad():
        asked, scaled, unscaled = (
            generator(*given) for given in ((noise, ask(2)), (noise * ask(2) / 1e5, one), (noise, one))
        )
    assert torch.allclose(asked, scaled, rtol=1e-4, atol=1e-4 * float(asked.max()))
    assert not torch.allclose(asked, unscaled, rtol=1e-2)


def test_the_critic_sees_gev_and_every_axis(small: Detector) -> None:
    torch.manual_seed(0)
    critic = build_critic(settings(), small).eval()
    cells = torch.rand(1, small.n_cells) * 1e4
    plain = critic(cells, ask(1))["auxiliary"]
    for axis in (1, 2, 3):
        mirrored = cells.view(1, 3, 4, 5).flip(axis).flatten(1)
        assert not torch.allclose(critic(mirrored, ask(1))["auxiliary"], plain)
    seen: list[torch.Tensor] = []
    critic.get_submodule("paths.0").register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    critic(cells, ask(1))
    assert seen[0].sum().isclose(cells.sum() / 1e3, rtol=1e-4)


def test_energies_are_negative_only_in_the_first_epochs(small: Detector) -> None:
    torch.manual_seed(0)
    generator = build_generator(settings(linear_epochs=2), small)
    noise, incident = generator.sample_noise(4), ask(4)
    for training in (True, False):
        generator.train(training)
        assert generator(noise, incident).min() == 0, "no training has begun"
        for epoch, negative in ((0, True), (1, True), (2, False), (29, False), (1, True)):
            generator.begin_epoch(epoch)
            assert (generator(noise, incident).min() < 0) == negative
        generator.begin_epoch(2)


def test_a_look_at_the_physics_sees_what_a_run_would_keep(small: Detector) -> None:
    torch.manual_seed(0)
    generator = build_generator(settings(), small)
    rng = np.random.default_rng(0)
    geant4 = Showers(small, Incident.of(rng.uniform(1e4, 1e5, 20), pdg=11), rng.random((20, 60), np.float32))
    look = QuickLook(geant4, 1)
    rectified = look(generator)
    generator.begin_epoch(0)
    assert look(generator) == rectified


@pytest.fixture
def showers(tmp_path: Path, small: Detector) -> Path:
    rng = np.random.default_rng(0)
    cells = rng.exponential(20, (8, small.n_cells)) * (rng.random((8, small.n_cells)) < 0.3)
    incident = Incident.of(rng.uniform(1e4, 1e5, 8), pdg=11)
    return Showers(small, incident, cells.astype(np.float32)).save(tmp_path / "showers.h5")


def test_a_run_that_stops_early_or_goes_on_knows_its_epoch(showers: Path, tmp_path: Path) -> None:
    """Stopped in the linear epochs, resumed there and after them: as if it had never stopped."""
    detector = tmp_path / "small.yaml"
    detector.write_text(SMALL)
    fixed = [f"detector={detector}", "model.latent=8", "model.dropout=0.1", "schedule.batch=2"]
    fixed += ["schedule.precision=fp32", "schedule.keep=last", "model.form=branches", "model.linear_epochs=1"]
    kept = {}
    for epochs in ([1], [1, 2], [2]):
        out = tmp_path / "-".join(map(str, epochs))
        for n in epochs:
            run = train(load_recipe("conv2d", [*fixed, f"schedule.epochs={n}"]), showers, out, resume=True)
        generator = Run.open(run.path).generator()
        assert generator(torch.randn(5, 8), ask(5)).min() >= 0
        kept[out.name] = generator.state_dict()
    assert all(torch.equal(kept["1-2"][name], value) for name, value in kept["2"].items())
    assert any(not torch.equal(kept["1"][name], value) for name, value in kept["2"].items())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("form", FORMS)
def test_one_step_of_the_objective_changes_all_weights(form: str, precision: str, small: Detector) -> None:
    torch.manual_seed(0)
    generator, critic = build_generator(settings(form), small), build_critic(settings(form), small)
    before = {k: v.clone() for m in (generator, critic) for k, v in m.named_parameters()}
    objective = AdversarialObjective(
        generator,
        critic,
        load_recipe("conv2d").objective,
        Requests(torch.tensor([1e4]), torch.tensor([5e5])),
        ResponseFit((0.02,)),
        Hardware(torch.device("cpu"), precision),
    )
    objective.begin()
    objective.begin_epoch(0)
    n = 4 if precision == "fp32" else 2  # torch multiplies bfloat16 slowly here
    report = objective.step(torch.rand(n, small.n_cells) * 50, ask(n))
    assert {"critic_real_auxiliary", "generator_auxiliary", "generator_energy"} <= set(report)
    assert all(bool(torch.isfinite(value)) for value in report.values())
    for module in (generator, critic):
        for name, parameter in module.named_parameters():
            assert not torch.equal(parameter, before[name]), name


@pytest.mark.skipif(
    Hardware.choose(ScheduleSettings(device="cpu")).precision != "bf16",
    reason="needs a processor that multiplies bfloat16",
)
@pytest.mark.parametrize("form", FORMS)
def test_bfloat16_stays_close_to_float32(form: str, small: Detector) -> None:
    torch.manual_seed(0)
    generator = build_generator(settings(form), small).eval()
    noise = generator.sample_noise(4)
    with torch.no_grad():
        exact = generator(noise, ask(4))
        with torch.autocast("cpu", torch.bfloat16):
            rough = generator(noise, ask(4))
    assert rough.dtype == torch.float32
    # Untrained, through up to 25 layers: rounding adds up, but not to another shower.
    assert (rough - exact).norm() < 0.2 * exact.norm()


def test_the_recipe_is_the_published_one() -> None:
    recipe = load_recipe("conv2d")
    assert recipe.published
    assert recipe.model == Conv2dSettings()
    objective = recipe.objective
    assert (objective.generator_rate, objective.critic_rate) == (5e-4, 1e-4)
    assert (objective.optimiser, objective.beta1, objective.beta2) == ("adam", 0.9, 0.999)
    assert (objective.weight, objective.auxiliary_weight, objective.energy_weight) == (6, 0.2, 0.1)
    assert (objective.energy_error, objective.energy_target) == ("mape", "response")
    assert (objective.real_label, objective.flips, objective.generator_flips) == (0.9, 0.05, 0.05)
    assert (objective.generator_steps, objective.middle_epochs) == (1, 2)
    assert (recipe.schedule.batch, recipe.schedule.epochs) == (128, 30)
    # 0.012 in each of 20 files of an epoch, after the first 80 files; epochs chosen by 3DGAN's own metric.
    schedule = recipe.schedule
    assert (schedule.rates, schedule.decay / 20, schedule.decay_after * 20) == ("exponential", 0.012, 80)
    assert schedule.select == "merit"

"""3DGAN: the published sizes, other grids, and what every generator and critic must keep to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from caloforge.deploy.onnx_graph import write_graph
from caloforge.detector import Detector, load_detector
from caloforge.errors import DetectorError, RecipeError
from caloforge.models import build_critic, build_generator
from caloforge.models.base import Generator
from caloforge.models.blocks.volume import (
    Step,
    convolution,
    from_volume,
    grow,
    of_one_channel,
    smallest_start,
    to_volume,
)
from caloforge.models.fitted.response import ResponseFit
from caloforge.models.published.gan3d_angle import angle_to_y
from caloforge.models.published.measured import EDGES, count_cells, image_angle
from caloforge.models.settings import Gan3dAngleSettings, Gan3dSettings, ModelSettings
from caloforge.showers import Incident
from caloforge.showers.formats.beam import beam_theta
from caloforge.showers.formats.lcd import measured_theta
from caloforge.training import load_recipe
from caloforge.training.hardware import Hardware
from caloforge.training.objectives.adversarial.objective import AdversarialObjective
from caloforge.training.recipe import ScheduleSettings
from caloforge.training.requests import Requests

GRID = """
name: small
readout:
  deposits: active
  layers:
    - count: {layers}
      thickness: 5 mm
      grid: {{kind: cartesian, window: [40 mm, 35 mm], cells: [{x}, {y}]}}
"""


def _grid(x: int, y: int, layers: int) -> Detector:
    return Detector.from_yaml(GRID.format(x=x, y=y, layers=layers))


def _published(module: nn.Module) -> int:
    """Parameters as Keras counts them: the norms' statistics are among them, their counters are not."""
    return sum(value.numel() for key, value in module.state_dict().items() if "num_batches" not in key)


def _incident(generator: Generator, n: int) -> Tensor:
    columns = {"energy": torch.linspace(2e4, 9e4, n), "theta": torch.linspace(0, 0.4, n)}
    return torch.stack([columns.get(name, torch.full((n,), 1.5)) for name in generator.conditions], dim=1)


def test_published_sizes() -> None:
    clic = load_detector("clic")
    generator, critic = build_generator(Gan3dSettings(), clic), build_critic(Gan3dSettings(), clic)
    assert (_published(generator), _published(critic)) == (872_948, 73_450)
    sizes: dict[str, tuple[int, ...]] = {}
    for name, module in [*generator.named_children(), *critic.named_children()]:
        module.register_forward_hook(
            lambda _module, _args, out, name=name: sizes.update({name: tuple(out.shape[1:])})
        )
    incident = _incident(generator, 2)
    cells = generator(generator.sample_noise(2), incident)
    assert sizes == {
        "dense": (3136,),
        "conv1": (64, 7, 7, 8),
        "norm1": (64, 7, 7, 8),
        "conv2": (6, 13, 14, 9),
        "norm2": (6, 13, 14, 9),
        "conv3": (6, 26, 26, 26),
        "conv4": (1, 25, 25, 25),
    }
    sizes.clear()
    critic(cells, incident)
    assert sizes["conv2"] == sizes["conv3"] == (8, 25, 25, 25)
    assert sizes["conv4"] == sizes["norm4"] == (8, 23, 23, 23)
    assert critic.decide.in_features == critic.measure.in_features == 10_648


@pytest.mark.slow
def test_published_sizes_for_any_angle() -> None:
    clic = load_detector("clic-angle")
    generator = build_generator(Gan3dAngleSettings(), clic)
    critic = build_critic(Gan3dAngleSettings(), clic)
    assert (_published(generator), _published(critic)) == (1_365_047, 87_402)
    assert generator.noise_shape == (254,)
    sizes: list[tuple[int, ...]] = []
    for module in [*generator.modules(), *critic.modules()]:
        if isinstance(module, nn.Conv3d):
            module.register_forward_hook(lambda _module, _args, out: sizes.append(tuple(out.shape[1:])))
    incident = _incident(generator, 1)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        critic.eval()(generator.eval()(generator.sample_noise(1), incident), incident)
    assert sizes == [
        (8, 49, 49, 41),
        (6, 50, 50, 38),
        (6, 51, 51, 35),
        (6, 52, 52, 32),
        (6, 52, 52, 28),
        (6, 52, 52, 26),
        (1, 51, 51, 25),
        (8, 47, 46, 22),
        (8, 43, 41, 19),
        (8, 39, 36, 14),
    ]
    assert critic.decide.in_features == critic.measure.in_features == 19_152


SMALL: list[tuple[ModelSettings, Detector]] = [
    (Gan3dSettings(latent=12), _grid(8, 7, 6)),
    (Gan3dAngleSettings(latent=12), _grid(14, 17, 13)),
]


@pytest.fixture(scope="module", params=SMALL, ids=lambda case: case[0].kind)
def small(request: pytest.FixtureRequest) -> tuple[ModelSettings, Detector]:
    torch.manual_seed(0)
    case: tuple[ModelSettings, Detector] = request.param
    return case


def test_other_grids(small: tuple[ModelSettings, Detector]) -> None:
    generator, critic = build_generator(*small), build_critic(*small)
    cells = generator(generator.sample_noise(3), _incident(generator, 3))
    assert cells.shape == (3, small[1].n_cells)
    assert cells.dtype == torch.float32
    assert (cells >= 0).all()
    readings = critic(cells, _incident(generator, 3))
    assert readings["logit"].shape == readings["auxiliary"].shape == (3,)


def test_gradient_reaches_every_weight(small: tuple[ModelSettings, Detector]) -> None:
    generator, critic = build_generator(*small), build_critic(*small)
    incident = _incident(generator, 8)
    readings = critic(generator(generator.sample_noise(8), incident), incident)
    (readings["logit"].square().sum() + readings["auxiliary"].square().sum()).backward()
    for module in (generator, critic):
        for name, weight in module.named_parameters():
            assert weight.grad is not None, name
            assert torch.isfinite(weight.grad).all(), name
            assert weight.grad.abs().sum() > 0, name


def test_channels_stay_last_in_memory(small: tuple[ModelSettings, Detector]) -> None:
    for module in (build_generator(*small), build_critic(*small)):
        module.load_state_dict({k: v.contiguous() for k, v in module.state_dict().items()})
        for part in module.modules():
            if isinstance(part, nn.Conv3d):
                assert part.weight.is_contiguous(memory_format=torch.channels_last_3d)
                part.register_forward_pre_hook(_check_channels_last)
    generator = build_generator(*small)
    incident = _incident(generator, 2)
    # In the precision that this processor trains in: others may go other ways.
    with Hardware.choose(ScheduleSettings(device="cpu")).autocast():
        module(generator(generator.sample_noise(2), incident), incident)


def _check_channels_last(_module: nn.Module, args: tuple[Tensor, ...]) -> None:
    assert args[0].is_contiguous(memory_format=torch.channels_last_3d)


@pytest.mark.slow
def test_exported_graph_makes_the_same_showers(small: tuple[ModelSettings, Detector], tmp_path: Path) -> None:
    generator = build_generator(*small)
    with torch.no_grad():  # statistics of norms that are not those of an untrained network
        for name, values in generator.named_buffers():
            if values.is_floating_point():
                values.uniform_(0.5, 2.0) if name.endswith("var") else values.normal_(0, 0.1)
    write_graph(generator, tmp_path / "graph.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "graph.onnx")
    for n in (1, 5):
        noise, incident = generator.sample_noise(n), _incident(generator, n)
        with torch.no_grad():
            expected = generator(noise, incident).numpy()
        (got,) = session.run(None, {"noise": noise.numpy(), "incident": incident.numpy()})
        assert expected.max() > 0
        assert np.abs(got - expected).max() < 1e-5 * expected.max()


def test_published_recipe() -> None:
    recipe = load_recipe("gan3d")
    assert recipe.published
    assert recipe.model == Gan3dSettings(latent=200, scale=100, dropout=0.2)
    objective = recipe.objective
    assert (objective.optimiser, objective.beta2) == ("rmsprop", 0.9)
    assert objective.generator_rate == objective.critic_rate == 1e-3
    assert (objective.weight, objective.auxiliary_weight, objective.energy_weight) == (2, 0.1, 0.1)
    assert (objective.energy_error, objective.energy_target) == ("mape", "response")
    assert (objective.flips, objective.generator_flips, objective.generator_steps) == (0.05, 0, 2)
    assert (recipe.schedule.batch, recipe.schedule.epochs) == (128, 60)


def test_published_recipe_for_any_angle() -> None:
    recipe = load_recipe("gan3d-angle")
    assert recipe.published
    assert recipe.model == Gan3dAngleSettings(latent=256, scale=50, power=0.85, dropout=0.2)
    objective = recipe.objective
    assert (objective.optimiser, objective.beta2) == ("rmsprop", 0.9)
    assert objective.generator_rate == objective.critic_rate == 1e-3
    assert (objective.weight, objective.auxiliary_weight) == (3, 0.1)
    assert (objective.angle_weight, objective.energy_weight) == (25, 0.1)
    assert (objective.requested, objective.flips, objective.generator_steps) == ("batch", 0.05, 2)
    assert (recipe.schedule.batch, recipe.schedule.epochs) == (64, 120)


def test_angles_are_those_of_the_published_files() -> None:
    rng = np.random.default_rng(3)
    theta, phi = rng.uniform(0, 0.6, 50), rng.uniform(-np.pi, np.pi, 50)
    incident = torch.from_numpy(np.stack([theta, theta, phi], axis=1))
    expected = beam_theta(Incident.of(np.ones(50), 11, theta, phi))
    np.testing.assert_allclose(angle_to_y(incident).numpy(), expected, atol=1e-6)
    leaning = angle_to_y(torch.tensor([[1.0, 0.5, np.pi / 2], [1.0, 0.5, -np.pi / 2], [1.0, 0.5, 0.0]]))
    np.testing.assert_allclose(leaning.numpy(), [np.pi / 2 - 0.5, np.pi / 2 + 0.5, np.pi / 2], atol=1e-6)


def test_image_angle_agrees_with_numpy() -> None:
    rng = np.random.default_rng(1)
    images = rng.exponential(1, (6, 7, 9, 5)).astype(np.float32) * (rng.random((6, 7, 9, 5)) < 0.2)
    images[1, :, :, 2] = 0  # a layer without energy
    images[2] = 0
    images[3] = 0
    images[3, 4, 5, 1] = 2  # a single cell
    volume = torch.from_numpy(images).requires_grad_()
    angle = image_angle(volume)
    np.testing.assert_allclose(angle.detach().numpy(), measured_theta(images), rtol=1e-5)
    assert angle[2] == 100
    angle.sum().backward()  # type: ignore[no-untyped-call]
    assert volume.grad is not None
    assert torch.isfinite(volume.grad).all()
    assert volume.grad[0].abs().sum() > 0


def test_an_image_leans_as_its_particle() -> None:
    """A straight line of cells: in cells that are cubes, the measured angle is the true one."""
    image = torch.zeros(1, 5, 40, 10)
    for layer in range(10):
        image[0, 2, 15 + layer, layer] = 1.0
    assert image_angle(image).item() == pytest.approx(np.pi / 4, abs=1e-4)
    assert image_angle(image.flip(2)).item() == pytest.approx(3 * np.pi / 4, abs=1e-4)


def test_cells_are_counted() -> None:
    rng = np.random.default_rng(2)
    cells = np.where(rng.random((4, 300)) < 0.5, rng.lognormal(-2, 2, (4, 300)), 0).astype(np.float32)
    cells[1] = 0
    got = count_cells(torch.from_numpy(cells)).numpy()
    for counts, shower in zip(got, cells, strict=True):
        expected = np.histogram(shower[shower > 0], [0, *EDGES[::-1], np.inf])[0][::-1]
        assert counts.tolist() == np.maximum([*expected, (shower == 0).sum()], 1).tolist()
    assert got[1].tolist() == [1] * 7 + [300]


def test_counts_push_cells_over_edges() -> None:
    cells = torch.tensor([[0.9, 0.0, 0.05]], requires_grad=True)
    count_cells(cells)[:, 0].sum().backward()  # type: ignore[no-untyped-call]
    assert cells.grad is not None
    assert cells.grad[0, 0] > 10 * cells.grad[0, 2] >= 0
    assert cells.grad[0, 1] == 0


@pytest.mark.parametrize("counts", [0.0, 0.1])
def test_one_step_of_each_recipe(small: tuple[ModelSettings, Detector], counts: float) -> None:
    settings, detector = small
    angle = settings.kind == "gan3d-angle"
    overrides = [f"objective.counts_weight={counts}"] if counts and angle else []
    recipe = load_recipe(settings.kind, overrides)
    generator, critic = build_generator(settings, detector), build_critic(settings, detector)
    before = {k: v.clone() for m in (generator, critic) for k, v in m.state_dict().items()}
    incident = _incident(generator, 4)
    objective = AdversarialObjective(
        generator,
        critic,
        recipe.objective,
        Requests(incident.amin(0), incident.amax(0)),
        ResponseFit((0.02,)),
        Hardware(torch.device("cpu"), "fp32"),
    )
    objective.begin()
    cells = torch.rand(4, detector.n_cells) * (torch.rand(4, detector.n_cells) < 0.1)
    report = objective.step(cells, incident)
    terms = {"generator", "generator_energy", "generator_auxiliary", "critic_real", "critic_fake"}
    terms |= {"generator_angle"} if angle else set()
    terms |= {"generator_counts"} if overrides else set()
    assert terms <= set(report)
    assert ("generator_counts" in report) == bool(overrides)
    assert all(np.isfinite(float(value)) for value in report.values())
    after = {k: v for m in (generator, critic) for k, v in m.state_dict().items()}
    assert all(torch.isfinite(value).all() for value in after.values())
    assert all((after[key] != before[key]).any() for key in before)


def test_counts_need_the_particles_of_the_batch() -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe("gan3d", ["objective.counts_weight=0.1"])
    assert "counts_weight" in str(caught.value)
    load_recipe("gan3d", ["objective.counts_weight=0.1", "objective.requested=batch"])


def test_weights_of_readings_that_are_not_there() -> None:
    settings, detector = SMALL[0]
    generator, critic = build_generator(settings, detector), build_critic(settings, detector)
    incident = _incident(generator, 4)
    objective = AdversarialObjective(
        generator,
        critic,
        load_recipe("gan3d", ["objective.angle_weight=1"]).objective,
        Requests(incident.amin(0), incident.amax(0)),
        ResponseFit((0.02,)),
        Hardware(torch.device("cpu"), "fp32"),
    )
    objective.begin()
    with pytest.raises(RecipeError, match="angle_weight is not 0"):
        objective.step(torch.rand(4, detector.n_cells), incident)


def test_volumes_and_cells() -> None:
    detector = _grid(3, 4, 2)
    cells = torch.arange(48.0).reshape(2, 24)
    volume = to_volume(cells, (3, 4, 2))
    for layer, image in enumerate(detector.split(cells)):
        assert torch.equal(volume[:, 0, :, :, layer], image)
    padded = nn.functional.pad(volume, (0, 2, 0, 1, 0, 3))
    assert torch.equal(from_volume(padded, (3, 4, 2)), cells)


@pytest.mark.parametrize("pad", [(0, 0, 0), (2, 1, 2)])
def test_one_channel_is_convolved_alike(pad: tuple[int, int, int]) -> None:
    layer, x = convolution((1, 3), (5, 4, 6), pad).double(), torch.randn(2, 1, 7, 8, 9).double()
    expected, got = layer(x), of_one_channel(layer, x)
    torch.testing.assert_close(got, expected)
    slopes = [torch.autograd.grad(y.square().sum(), layer.weight)[0] for y in (expected, got)]
    torch.testing.assert_close(*slopes)


def test_start_is_the_smallest_that_reaches() -> None:
    steps = (Step((3, 3, 4), repeat=(2, 2, 3)), Step((2, 2, 2), pad=(0, 1, 0)))
    for size in (1, 2, 5, 9, 25):
        start = smallest_start((size, size, size), steps)
        for axis in range(3):
            assert grow(start[axis], steps, axis) >= size > grow(start[axis] - 1, steps, axis)


@pytest.mark.parametrize(("name", "problem"), [("calogan", "3 x 96"), ("calochallenge-2", "16 x 9")])
def test_other_detectors_are_refused(name: str, problem: str) -> None:
    for build in (build_generator, build_critic):
        with pytest.raises(DetectorError) as caught:
            build(Gan3dSettings(), load_detector(name))
        assert problem in str(caught.value.details["got"])
        assert caught.value.details["cure"]


def test_a_critic_needs_some_cells() -> None:
    with pytest.raises(DetectorError, match="at least 4 cells"):
        build_critic(Gan3dSettings(), _grid(3, 8, 8))
    with pytest.raises(DetectorError, match="so few cells"):
        build_critic(Gan3dAngleSettings(), _grid(14, 16, 13))

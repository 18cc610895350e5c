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
from caloforge.errors import DetectorError
from caloforge.models import build_critic, build_generator
from caloforge.models.base import Generator
from caloforge.models.settings import Gan3dSettings, ModelSettings
from caloforge.models.volume import Step, from_volume, grow, smallest_start, to_volume
from caloforge.training import load_recipe

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
    assert sizes["conv1"] == (32, 25, 25, 25)
    assert sizes["conv4"] == sizes["norm4"] == (8, 23, 23, 23)
    assert critic.decide.in_features == critic.measure.in_features == 10_648


SMALL: list[tuple[ModelSettings, Detector]] = [(Gan3dSettings(latent=12), _grid(8, 7, 6))]


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
    with torch.autocast("cpu", torch.bfloat16):
        module(generator(generator.sample_noise(2), incident), incident)


def _check_channels_last(_module: nn.Module, args: tuple[Tensor, ...]) -> None:
    assert args[0].is_contiguous(memory_format=torch.channels_last_3d)


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


def test_volumes_and_cells() -> None:
    detector = _grid(3, 4, 2)
    cells = torch.arange(48.0).reshape(2, 24)
    volume = to_volume(cells, (3, 4, 2))
    for layer, image in enumerate(detector.split(cells)):
        assert torch.equal(volume[:, 0, :, :, layer], image)
    padded = nn.functional.pad(volume, (0, 2, 0, 1, 0, 3))
    assert torch.equal(from_volume(padded, (3, 4, 2)), cells)


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

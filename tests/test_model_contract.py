"""Every generator and critic through the same promises, on small detectors of its kind."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from caloforge.deploy.onnx_graph import write_graph
from caloforge.detector import Detector
from caloforge.models import build_critic, build_generator
from caloforge.models.base import Critic, Generator
from caloforge.models.fitted.response import ResponseFit
from caloforge.models.settings import ModelSettings
from caloforge.training.hardware import Hardware
from caloforge.training.objectives.adversarial.objective import AdversarialObjective
from caloforge.training.objectives.settings import AdversarialSettings
from caloforge.training.recipe import Recipe
from caloforge.training.requests import Requests
from tiny_toys import planar

ONE = Detector.from_yaml(planar((8, 7, 10)))
EQUAL = Detector.from_yaml(planar(*[(8, 7, 10)] * 6))
# The smallest that 3DGAN's critic for any angle can look at.
DEEP = Detector.from_yaml(planar(*[(14, 17, 10)] * 13))
MIXED = Detector.from_yaml(planar((4, 8, 10), (4, 4, 20)))
CARTESIAN, RINGS = (
    "cartesian, window: [60 mm, 60 mm], cells: [1, 1]",
    "polar, alpha: 6, r_cells: 4, r_size: 5 mm",
)
POLAR = Detector.from_yaml(planar(*[(1, 1, 10)] * 3).replace(CARTESIAN, RINGS))
# More channels than before and fewer, finer cells and the same.
SKIPS = [
    {"filters": 8, "grow": 2, "skip": True, "activation": "silu"},
    {"filters": 6, "kernel": 5, "skip": True, "noise": True, "activation": "tanh"},
    {"filters": 5, "grow": 3, "noise": True, "activation": "elu"},
    {"filters": 4, "kernel": 1, "activation": "relu"},
]
MODELS: dict[str, tuple[dict[str, object], Detector]] = {
    "calogan": ({"kind": "calogan", "latent": 8}, MIXED),
    "calogan, particles and places": (
        {"kind": "calogan", "latent": 8, "particles": [-11, 22], "given": ["theta", "phi", "x"]},
        MIXED,
    ),
    "lagan": ({"kind": "lagan", "latent": 8, "particles": [-11, 22]}, ONE),
    "lagan, hybrid": ({"kind": "lagan", "latent": 8, "form": "hybrid", "particles": [-11, 22]}, ONE),
    "gan3d": ({"kind": "gan3d", "latent": 8}, EQUAL),
    "gan3d-angle": ({"kind": "gan3d-angle", "latent": 8}, DEEP),
    "conv2d": ({"kind": "conv2d", "latent": 8}, EQUAL),
    "conv2d, branches": ({"kind": "conv2d", "latent": 8, "form": "branches"}, EQUAL),
    "conv2d, planes": ({"kind": "conv2d", "latent": 8, "form": "planes"}, EQUAL),
    "tuned, dense": ({"kind": "tuned", "latent": 8, "width": 16, "refine": True}, MIXED),
    "tuned, particles and places": (
        {"kind": "tuned", "latent": 8, "width": 8, "particles": [-11, 22], "given": ["theta", "phi", "x"]},
        MIXED,
    ),
    "tuned, polar": ({"kind": "tuned", "latent": 8, "width": 16}, POLAR),
    "tuned, planes": ({"kind": "tuned", "latent": 8, "width": 8, "network": "planes"}, EQUAL),
    "tuned, volume": ({"kind": "tuned", "latent": 8, "width": 8, "network": "volume"}, EQUAL),
    "grown": ({"kind": "grown", "latent": 8, "filters": 4, "stages": SKIPS}, EQUAL),
    "grown, three dimensions": ({"kind": "grown", "latent": 8, "dimensions": 3}, EQUAL),
    "grown, particles and places": (
        {"kind": "grown", "latent": 8, "particles": [-11, 22], "given": ["theta", "phi", "x"]},
        ONE,
    ),
}
# Nothing judges these.
UNJUDGED: dict[str, tuple[dict[str, object], Detector]] = {
    "fitted": ({"kind": "fitted"}, MIXED),
    "fitted, one layer": ({"kind": "fitted"}, ONE),
    "fitted, equal layers": ({"kind": "fitted"}, EQUAL),
    "fitted, polar": ({"kind": "fitted"}, POLAR),
    "fitted, particles and places": (
        {"kind": "fitted", "particles": [-11, 22], "given": ["theta", "phi", "x"]},
        MIXED,
    ),
    "flow": ({"kind": "flow", "transforms": 2, "width": 8}, MIXED),
    "matching": ({"kind": "matching", "width": 16, "blocks": 1}, MIXED),
    "matching, one layer, from noise": ({"kind": "matching", "width": 8, "start": "noise"}, ONE),
    "matching, polar": ({"kind": "matching", "width": 8, "evaluations": 1}, POLAR),
    "matching, planes": ({"kind": "matching", "network": "planes", "width": 8, "blocks": 1}, EQUAL),
    "matching, particles and places": (
        {"kind": "matching", "width": 8, "particles": [-11, 22], "given": ["theta", "phi", "x"]},
        MIXED,
    ),
}
# An export takes seconds: other tests have CaloGAN's in two forms, that of a fit, and calogan-tuned's.
QUICK = ("conv2d", "grown")
EXPORTED = [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in MODELS | UNJUDGED]


def _settings(tree: dict[str, object]) -> ModelSettings:
    return Recipe.model_validate({"name": "x", "detector": "x", "model": tree}).model


@pytest.fixture(scope="module", params=MODELS)
def built(request: pytest.FixtureRequest) -> tuple[Generator, Critic]:
    tree, detector = MODELS[request.param]
    generator = _generator(request.param)
    critic = build_critic(_settings(tree), detector)
    incident = _incident(generator, 400)
    critic.adapt(_geant4(detector, incident), incident)
    return generator, critic


@pytest.fixture(params=MODELS | UNJUDGED)
def generator(request: pytest.FixtureRequest) -> Generator:
    return _generator(request.param)


@cache
def _generator(name: str) -> Generator:
    tree, detector = (MODELS | UNJUDGED)[name]
    torch.manual_seed(0)
    generator = build_generator(_settings(tree), detector)
    incident = _incident(generator, 400)
    generator.adapt(_geant4(detector, incident), incident)
    return generator


def _incident(generator: Generator, n: int, seed: int = 1) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    columns = {
        "energy": rng.uniform(1e3, 1e5, n),
        "theta": rng.uniform(0, 0.3, n),
        "phi": rng.uniform(-3, 3, n),
        "x": rng.normal(size=n),
        "pdg": rng.choice([-11, 22], n),
    }
    return torch.from_numpy(np.stack([columns[name] for name in generator.conditions], 1).astype(np.float32))


def _geant4(detector: Detector, incident: torch.Tensor) -> torch.Tensor:
    """Showers that are none, but have empty cells and hold about their energy."""
    rng = np.random.default_rng(2)
    shape = len(incident), detector.n_cells
    cells = rng.exponential(size=shape) * (rng.random(shape) < rng.uniform(0.05, 1, detector.n_cells))
    wanted = incident[:, 0].numpy() * rng.normal(0.97, 0.01, len(incident))
    return torch.from_numpy((cells * (wanted / cells.sum(1))[:, None]).astype(np.float32))


def test_showers_are_energies_of_all_cells(generator: Generator) -> None:
    generator.eval()
    noise, incident = generator.sample_noise(6, torch.Generator().manual_seed(1)), _incident(generator, 6)
    with torch.no_grad():
        cells = generator(noise, incident)
        alone = torch.cat([generator(noise[i : i + 1], incident[i : i + 1]) for i in range(6)])
    assert cells.shape == (6, generator.detector.n_cells)
    assert cells.dtype == torch.float32
    assert bool(torch.isfinite(cells).all())
    assert bool((cells >= 0).all())
    torch.testing.assert_close(alone, cells, rtol=1e-4, atol=1e-4 * float(cells.max()))
    assert float((cells[0] - cells[1]).abs().max()) > 0


@pytest.mark.parametrize("name", MODELS | UNJUDGED)
def test_weights_are_all_that_a_generator_is(name: str) -> None:
    (tree, detector), generator = (MODELS | UNJUDGED)[name], _generator(name)
    torch.manual_seed(7)
    again = build_generator(_settings(tree), detector).eval()
    again.load_state_dict(generator.state_dict())
    noise, incident = generator.sample_noise(3), _incident(generator, 3)
    with torch.no_grad():
        assert torch.equal(again(noise, incident), generator.eval()(noise, incident))


def test_gradients_reach_every_weight(built: tuple[Generator, Critic]) -> None:
    generator, critic = built
    generator.train()
    critic.train()
    incident = _incident(generator, 4)
    cells = generator(generator.sample_noise(4), incident)
    readings = critic(cells, incident)
    sum(reading.square().sum() for reading in readings.values()).backward()  # type: ignore[union-attr]
    for name, parameter in (*generator.named_parameters(), *critic.named_parameters()):
        assert parameter.grad is not None, name
        assert bool(torch.isfinite(parameter.grad).all()), name
    generator.zero_grad()
    critic.zero_grad()


def test_readings_have_one_row_per_shower(built: tuple[Generator, Critic]) -> None:
    generator, critic = built
    incident = _incident(generator, 5)
    readings = critic.eval()(_geant4(generator.detector, incident), incident)
    assert readings["logit"].shape == (5,)
    assert all(len(reading) == 5 for reading in readings.values())
    assert ("classes" in readings) == ("pdg" in generator.conditions)


@pytest.mark.parametrize("loss", ["cross-entropy", "wasserstein"])
def test_a_step_changes_both_networks(built: tuple[Generator, Critic], loss: str) -> None:
    generator, critic = deepcopy(built[0]), deepcopy(built[1])
    incident = _incident(generator, 4)
    particles = None
    if "pdg" in generator.conditions:
        codes = tuple(int(code) for code in incident[:, -1].unique())
        particles = codes, generator.conditions.index("pdg")
    requests = Requests(incident.amin(0), incident.amax(0), particles)
    settings = AdversarialSettings(loss=loss, requested="batch")  # type: ignore[arg-type]
    hardware = Hardware(torch.device("cpu"), "fp32")
    objective = AdversarialObjective(generator, critic, settings, requests, ResponseFit((1.0,)), hardware)
    objective.begin()
    before = {name: _weights(module) for name, module in objective.modules.items()}
    report = objective.step(_geant4(generator.detector, incident), incident)
    assert all(bool(torch.isfinite(value)) for value in report.values()), report
    for name, module in objective.modules.items():
        assert not torch.equal(before[name], _weights(module)), name


@pytest.mark.parametrize("generator", EXPORTED, indirect=True)
def test_exported_graph_makes_the_same_showers(generator: Generator, tmp_path: Path) -> None:
    generator = deepcopy(generator).eval()
    torch.manual_seed(1)
    for name, values in generator.named_buffers():
        if name.endswith("running_var"):  # as if it had been trained
            values.uniform_(0.5, 2.0)
    write_graph(generator, tmp_path / "graph.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "graph.onnx", providers=["CPUExecutionProvider"])
    for n in (1, 5):
        noise, incident = generator.sample_noise(n), _incident(generator, n)
        with torch.no_grad():
            expected = generator(noise, incident).numpy()
        assert expected.max() > 0
        (got,) = session.run(["cells"], {"noise": noise.numpy(), "incident": incident.numpy()})
        np.testing.assert_allclose(got, expected, rtol=1e-3, atol=2e-5 * expected.max())


def _weights(module: torch.nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in module.parameters()])

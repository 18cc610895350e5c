"""The Wasserstein loss: its penalty against analytic critics, for every model, and trainings with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from caloforge.detector import Detector
from caloforge.errors import RecipeError, TrainingError
from caloforge.models import build_critic, build_generator
from caloforge.models.base import GEV, Critic
from caloforge.models.blocks.grid import BatchNorm as GridNorm
from caloforge.models.blocks.grid import LocallyConnected, _Local, windows
from caloforge.models.blocks.layers import BatchNorm
from caloforge.models.blocks.wasserstein import ShowerNorm, judge_alone
from caloforge.models.fitted.response import ResponseFit
from caloforge.models.settings import (
    CaloganSettings,
    Conv2dSettings,
    Gan3dAngleSettings,
    Gan3dSettings,
    LaganSettings,
    ModelSettings,
)
from caloforge.showers import Incident, Showers
from caloforge.training import Recipe, load_recipe
from caloforge.training.hardware import Hardware
from caloforge.training.objectives.adversarial.losses import (
    generator_loss,
    gradient_penalty,
    wasserstein_loss,
)
from caloforge.training.objectives.adversarial.objective import AdversarialObjective
from caloforge.training.objectives.settings import AdversarialSettings
from caloforge.training.requests import Requests
from caloforge.training.watch import Watch
from tiny_toys import TINY, planar, train

WASSERSTEIN = AdversarialSettings(loss="wasserstein")


def cube(rows: int, columns: int, layers: int) -> Detector:
    return Detector.from_yaml(planar(*[(rows, columns, 5.0)] * layers, name="cube"))


# Small detectors that each model knows how to read; conditions as it has them.
MODELS: dict[str, tuple[ModelSettings, Detector]] = {
    "calogan": (CaloganSettings(latent=4), Detector.from_yaml(TINY)),
    "calogan-everything": (
        CaloganSettings(latent=4, particles=(-11, 211), given=("theta", "phi", "x", "y")),
        Detector.from_yaml(TINY),
    ),
    "lagan": (LaganSettings(latent=4), cube(9, 8, 1)),
    "gan3d": (Gan3dSettings(latent=4), cube(9, 8, 7)),
    "gan3d-angle": (Gan3dAngleSettings(), cube(14, 17, 13)),
    "conv2d": (Conv2dSettings(latent=4), cube(9, 8, 7)),
}


class Linear(Critic):
    """Reads `slope` times the energy of the first cell in GeV, and half of it for the second."""

    def __init__(self, slope: float) -> None:
        super().__init__(Detector.from_yaml(TINY))
        self.slope = torch.nn.Parameter(torch.tensor(slope))

    def forward(self, cells: Tensor, incident: Tensor) -> dict[str, Tensor]:
        return {"logit": self.slope * (cells[:, 0] + cells[:, 1] / 2) / GEV}


class Square(Linear):
    """Reads half the square of the first cell in GeV: its slope is the energy itself."""

    def forward(self, cells: Tensor, incident: Tensor) -> dict[str, Tensor]:
        return {"logit": self.slope * (cells[:, 0] / GEV).square() / 2}


def _showers(n: int, value: float, cells: int = 18) -> Tensor:
    return torch.full((n, cells), value)


# --- the penalty ---


def test_the_penalty_is_that_of_the_slope_in_the_critics_unit() -> None:
    critic, incident = Linear(3.0), torch.full((5, 1), 1e4)
    length = 3 * np.sqrt(1 + 0.25)
    penalty = gradient_penalty(critic, _showers(5, 2e3), _showers(5, 7e3), incident)
    assert float(penalty.detach()) == pytest.approx((length - 1) ** 2, rel=1e-5)
    penalty.backward()
    assert critic.slope.grad is not None
    assert float(critic.slope.grad) == pytest.approx(2 * (length - 1) * length / 3, rel=1e-4)
    critic.unit = 10.0  # a hundredth of a GeV: the same critic is a hundred times flatter
    penalty = gradient_penalty(critic, _showers(5, 2e3), _showers(5, 7e3), incident)
    assert float(penalty.detach()) == pytest.approx((length / 100 - 1) ** 2, rel=1e-5)


def test_the_penalty_looks_between_real_and_generated() -> None:
    torch.manual_seed(0)
    critic, n = Square(1.0), 20_000
    penalty = gradient_penalty(critic, _showers(n, 2e3), _showers(n, 5e3), torch.zeros(n, 1))
    # The slope is the energy, uniform from 2 to 5: the mean of (slope - 1)^2 is (4^3 - 1^3) / 9.
    assert float(penalty.detach()) == pytest.approx(7, rel=0.02)


def test_a_critic_that_says_nothing_still_learns() -> None:
    critic = Linear(0.0)
    gradient_penalty(critic, _showers(3, 1e3), _showers(3, 2e3), torch.zeros(3, 1)).backward()
    assert critic.slope.grad is not None
    assert bool(torch.isfinite(critic.slope.grad))


def test_losses_are_the_means_of_the_readings() -> None:
    critic, incident = Linear(2.0), torch.full((4, 1), 1e4)
    requests = Requests(torch.tensor([1e3]), torch.tensor([1e5]))
    settings = WASSERSTEIN.model_copy(update={"weight": 3.0, "gradient_penalty": 10.0, "energy_weight": 0.0})
    real, made = _showers(4, 2e3), _showers(4, 5e3)
    terms = wasserstein_loss(critic, real, made, incident, settings, requests)
    slope = 2 * np.sqrt(1.25)
    expected = {"critic_real": -3 * 6, "critic_fake": 3 * 15, "critic_penalty": 30 * (slope - 1) ** 2}
    assert {name: float(value.detach()) for name, value in terms.items()} == pytest.approx(expected)
    wanted = generator_loss(critic(made, incident), incident, made.sum(1), made.sum(1), settings, requests)
    assert float(wanted["logit"].detach()) == pytest.approx(-3 * 15)


# --- derivatives of derivatives ---


@pytest.mark.parametrize("stride", [(1, 1), (1, 2), (2, 1)])
def test_locally_connected_layers_have_second_derivatives(stride: tuple[int, int]) -> None:
    torch.manual_seed(1)
    layer = LocallyConnected((4, 3), (2, 1), (3, 2), stride).double()
    x = torch.randn(4, 3, 1, 2, dtype=torch.float64, requires_grad=True)

    def product(x: Tensor, weight: Tensor) -> Tensor:
        y: Tensor = _Local.apply(x, weight, (3, 2), stride)  # type: ignore[no-untyped-call]
        return y

    assert torch.autograd.gradcheck(product, (x, layer.weight))
    assert torch.autograd.gradgradcheck(product, (x, layer.weight))


def test_second_derivatives_are_those_of_the_formula() -> None:
    torch.manual_seed(2)
    layer = LocallyConnected((4, 6), (2, 3), (3, 2), bias=False).double()
    x = torch.randn(4, 6, 2, 2, dtype=torch.float64, requires_grad=True)

    def steepness(forward: Callable[[Tensor], Tensor]) -> Tensor:
        (slope,) = torch.autograd.grad(forward(x).pow(3).sum(), x, create_graph=True)
        (second,) = torch.autograd.grad(slope.square().sum(), layer.weight)
        return second

    def formula(x: Tensor) -> Tensor:
        return torch.bmm(windows(x, (3, 2)).flatten(0, 1), layer.weight)

    torch.testing.assert_close(steepness(layer), steepness(formula))


# --- judging alone ---


def test_the_norm_of_a_shower_agrees_with_numpy() -> None:
    torch.manual_seed(3)
    norm = ShowerNorm(3)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    x = torch.randn(4, 3, 5, 2) * 3 + 1
    values = x.double().numpy()
    mean, std = values.mean((1, 2, 3), keepdims=True), np.sqrt(values.var((1, 2, 3), keepdims=True) + 1e-3)
    weight, bias = (p.detach().double().numpy()[:, None, None] for p in (norm.weight, norm.bias))
    np.testing.assert_allclose(norm(x).detach().numpy(), (values - mean) / std * weight + bias, rtol=1e-4)
    # Images as (rows, columns, batch, channels) give the same in their own order.
    turned = ShowerNorm(3, batch=-2, axis=-1)
    turned.load_state_dict(norm.state_dict())
    torch.testing.assert_close(turned(x.permute(2, 3, 0, 1)), norm(x).permute(2, 3, 0, 1))


def _incident(n: int, columns: tuple[str, ...]) -> Tensor:
    rng = np.random.default_rng(4)
    drawn = Incident.of(
        rng.uniform(1e4, 9e4, n), pdg=rng.choice([-11, 211], n), theta=rng.uniform(1.1, 2.0, n), x=1.0, y=2.0
    )
    return torch.from_numpy(drawn.matrix(columns))


def _batch(name: str, n: int) -> tuple[Critic, Tensor, Tensor, Tensor]:
    """A critic that judges alone, and real and generated showers of the same particles."""
    torch.manual_seed(5)
    settings, detector = MODELS[name]
    generator, critic = build_generator(settings, detector), build_critic(settings, detector)
    judge_alone(critic)
    cells = torch.rand(2 * n, detector.n_cells) * critic.unit * (torch.rand(2 * n, detector.n_cells) < 0.3)
    return critic, cells[:n], cells[n:], _incident(n, generator.conditions)


@pytest.mark.parametrize("name", MODELS)
def test_every_critic_can_judge_a_shower_alone(name: str) -> None:
    critic, cells, _, incident = _batch(name, 3)
    critic.eval()  # no dropout
    with torch.no_grad():
        together = critic(cells, incident)["logit"]
        alone = [critic(cells[i : i + 1], incident[i : i + 1])["logit"] for i in range(3)]
    torch.testing.assert_close(torch.cat(alone), together, rtol=1e-3, atol=1e-4)
    assert not [m for m in critic.modules() if isinstance(m, BatchNorm | GridNorm)]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", MODELS)
def test_every_critic_learns_from_the_penalty(name: str, precision: str) -> None:
    critic, real, made, incident = _batch(name, 2)
    with Hardware(torch.device("cpu"), precision).autocast():
        penalty = gradient_penalty(critic, real, made, incident)
    penalty.backward()
    learning = {n for n, p in critic.named_parameters() if p.grad is not None and bool(p.grad.any())}
    assert all(bool(torch.isfinite(p.grad).all()) for p in critic.parameters() if p.grad is not None)
    # A bias behind which nothing bends does not change the slope; every other weight of the way there does.
    assert len([n for n in learning if n.endswith("weight")]) >= 4


def test_slopes_of_a_whole_critic_are_differences() -> None:
    critic, real, _, incident = _batch("calogan-everything", 2)
    critic.double()
    cells, along = real.double(), torch.randn(2, real.shape[1], dtype=torch.float64)
    cells = cells + 50  # away from where a cell is empty
    cells.requires_grad_()
    (slope,) = torch.autograd.grad(critic(cells, incident.double())["logit"].sum(), cells)
    step = 1e-3
    beside = [(cells + sign * step * along).detach() for sign in (1, -1)]
    up, down = (critic(moved, incident.double())["logit"].detach() for moved in beside)
    # The critic goes through single precision at its end.
    np.testing.assert_allclose((slope * along).sum(1), (up - down) / (2 * step), rtol=0.05, atol=2e-4)


# --- steps ---


def _objective(name: str, settings: AdversarialSettings) -> AdversarialObjective:
    torch.manual_seed(6)
    model, detector = MODELS[name]
    generator, critic = build_generator(model, detector), build_critic(model, detector)
    known = _incident(64, generator.conditions)
    particles = ((-11, 211), len(generator.conditions) - 1) if "pdg" in generator.conditions else None
    requests = Requests(known.amin(0), known.amax(0), particles)
    hardware = Hardware(torch.device("cpu"), "fp32")
    objective = AdversarialObjective(generator, critic, settings, requests, ResponseFit((1.0,)), hardware)
    objective.begin()
    return objective


@pytest.mark.parametrize("name", ["calogan", "calogan-everything", "lagan"])
def test_the_critic_takes_its_steps_on_fresh_batches(name: str) -> None:
    settings = WASSERSTEIN.model_copy(update={"critic_steps": 3, "generator_steps": 1})
    objective = _objective(name, settings)
    detector = MODELS[name][1]
    incident = _incident(12, objective.generator.conditions)
    cells = torch.rand(12, detector.n_cells) * incident[:, :1] / detector.n_cells * 2
    judged: list[Tensor] = []
    objective.critic.register_forward_hook(lambda _, inputs, __: judged.append(inputs[0].detach().clone()))
    report = objective.step(cells, incident)
    steps = {
        name: {int(state["step"]) for state in optimiser.state_dict()["state"].values()}
        for name, optimiser in objective.optimisers.items()
    }
    assert steps == {"critic": {3}, "generator": {1}}
    # Real, generated, mixed; three times; and what the generator is judged by.
    assert len(judged) == 10
    for number in range(3):
        assert torch.equal(judged[3 * number], cells[4 * number : 4 * number + 4])
    assert {"critic_real", "critic_fake", "critic_penalty", "generator", "energy"} <= report.keys()
    assert all(bool(torch.isfinite(value)) for value in report.values())


def test_the_critic_compares_showers_of_the_same_particles() -> None:
    objective = _objective("calogan", WASSERSTEIN)
    asked: list[Tensor] = []
    objective.critic.register_forward_hook(lambda _, inputs, __: asked.append(inputs[1]))
    incident = _incident(4, ("energy",))
    objective._told_apart(torch.rand(4, 18) * 1e3, incident)
    assert len(asked) == 3
    assert all(torch.equal(given, incident) for given in asked)


def test_the_distance_is_learned() -> None:
    """A critic that sees one cell finds how far two samples are apart in it."""
    torch.manual_seed(7)
    critic = Linear(0.1)
    optimiser = torch.optim.Adam(critic.parameters(), lr=0.02)
    requests = Requests(torch.tensor([1e3]), torch.tensor([1e5]))
    for _ in range(400):
        real, made = torch.zeros(64, 18), torch.zeros(64, 18)
        real[:, 0], made[:, 0] = 5e3 + 1e3 * torch.randn(64), 3e3 + 1e3 * torch.randn(64)
        terms = wasserstein_loss(critic, real, made, torch.zeros(64, 1), WASSERSTEIN, requests)
        optimiser.zero_grad()
        torch.stack(list(terms.values())).sum().backward()
        optimiser.step()
    # Samples 2 GeV apart, and 1/sqrt(1.25) of the slope lies along the first cell; the penalty is soft.
    distance = -float(terms["critic_real"].detach() + terms["critic_fake"].detach())
    assert distance == pytest.approx(2 / np.sqrt(1.25), rel=0.2)


# --- recipes and runs ---


@pytest.mark.parametrize(
    "wrong", ["flips=0.05", "generator_flips=0.1", "real_label=0.9", "gradient_penalty=0"]
)
def test_contradictions_are_refused(wrong: str) -> None:
    load_recipe("calogan", ["objective.loss=wasserstein"])
    key = f"objective.{wrong.split('=')[0]}"
    with pytest.raises(RecipeError, match=f"{key} has an impossible value") as caught:
        load_recipe("calogan", ["objective.loss=wasserstein", f"objective.{wrong}"])
    assert "Wasserstein" in str(caught.value.details["expected"])
    if "penalty" not in wrong:
        load_recipe("calogan", [f"objective.{wrong}"])


def test_no_critic_is_too_sure_for_the_wasserstein_loss() -> None:
    sure = {"critic_real": -5.0, "critic_fake": -5.0, "response": 1.0, "spread": 1.0}
    settings = AdversarialSettings(requested="batch")
    Watch(_objective("calogan", WASSERSTEIN).faults()).look(sure, 5000, 5000)
    with pytest.raises(TrainingError, match="the critic has won"):
        Watch(_objective("calogan", settings).faults()).look(
            sure | {"critic_real": 0.0, "critic_fake": 0.0}, 5000, 5000
        )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wasserstein")
    (folder / "tiny.yaml").write_text(TINY)
    rng = np.random.default_rng(8)
    energy = rng.uniform(1e3, 1e5, 120)
    cells = rng.exponential(size=(120, 18))
    cells *= (energy / cells.sum(1))[:, None]
    showers = Showers(Detector.from_yaml(TINY), Incident.of(energy, pdg=-11), cells.astype(np.float32))
    showers.save(folder / "showers.h5")
    return folder


def _recipe(folder: Path, *overrides: str) -> Recipe:
    settings = ("model.latent=4", "schedule.batch=10", "schedule.epochs=3", "schedule.precision=fp32")
    wanted = ("objective.loss=wasserstein", "objective.critic_steps=2", "objective.generator_steps=1")
    return load_recipe("calogan", [f"detector={folder / 'tiny.yaml'}", *settings, *wanted, *overrides])


def test_a_run_goes_on_as_if_never_stopped(folder: Path) -> None:
    whole = train(_recipe(folder), folder / "showers.h5", folder / "whole")

    def stop(done: int, _total: int, _note: str) -> None:
        if done >= 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(
            _recipe(folder, "schedule.checkpoint_seconds=0.001"),
            folder / "showers.h5",
            folder / "part",
            progress=stop,
        )
    again = train(_recipe(folder), folder / "showers.h5", folder / "part", resume=True)
    first, second = (load_file(run.checkpoint) for run in (whole, again))
    assert first.keys() == second.keys()
    assert not [name for name in first if not torch.equal(first[name], second[name])]
    # 84 showers: eight batches of ten, four steps an epoch.
    assert whole.summary()["steps"] == 12


def test_too_few_batches_for_the_critics_steps(folder: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        train(_recipe(folder, "objective.critic_steps=9"), folder / "showers.h5", folder / "few")
    assert caught.value.problem == "an epoch has fewer batches than a step takes"
    assert str(caught.value.details["expected"]).startswith("9,")
    assert not (folder / "few").exists()

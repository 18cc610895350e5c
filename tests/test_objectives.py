"""Every objective through the same promises; a new one without a critic is a file, its settings, one line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from safetensors.torch import load_file

import caloforge
from caloforge.deploy import Engine, export, generate
from caloforge.detector import Detector
from caloforge.errors import RunError
from caloforge.models import build_generator
from caloforge.showers import Incident, open_showers
from caloforge.training import Run, load_recipe
from caloforge.training.batches import TrainingData
from caloforge.training.hardware import Hardware
from caloforge.training.measuring import adapt
from caloforge.training.objectives import OBJECTIVES, objective_class
from caloforge.training.objectives.base import Objective, Task
from tiny_toys import TINY, tiny_showers, train

QUICK = "schedule.batch=16", "schedule.epochs=2", "schedule.precision=fp32"
TUNED = "{kind: tuned, width: 8, latent: 4, fit: {rounds: 1, factors: 2}}"
# A kind of objective, a recipe, and what is set. `toy` is one that only a copy of caloforge knows.
CASES = {
    "adversarial": ("calogan", "model.latent=4"),
    "adversarial, averaged": ("calogan", "model.latent=4", "objective.average=0.9", "schedule.accumulate=2"),
    "adversarial, wasserstein": ("calogan", "model.latent=4", "objective.loss=wasserstein"),
    "adversarial, tuned": ("calogan-tuned", f"model={TUNED}"),
    "fit": ("calogan-fit", "model.fit.rounds=1", "model.fit.factors=2"),
    "fit, tuned": ("calogan-tuned", f"model={TUNED}", "objective={kind: fit}"),
    "coevolution": (
        "calogan-tuned",
        f"model={TUNED}",
        "objective={kind: coevolution, algorithm: {population: 6}, critics: {population: 4}, opponents: 3}",
        "schedule.rates=constant",
    ),
    "direct": ("calogan-matching", "model={kind: matching, width: 8, fit: {rounds: 1, factors: 2}}"),
    "direct, flow": (
        "calogan-flow",
        "model={kind: flow, width: 8, transforms: 2, fit: {rounds: 1, factors: 2}}",
        "schedule.accumulate=2",
    ),
    "distance": ("calogan", "model.latent=4", "objective={kind: distance, average: 0.9}"),
    "evolution": ("calogan", "model.latent=4", "objective={kind: evolution, algorithm: {population: 4}}"),
    "evolution, of seeds": (
        "calogan-tuned",
        f"model={TUNED}",
        "objective={kind: evolution, algorithm: {kind: deep-ga, population: 6, parents: 3, elites: 2}}",
        "schedule.rates=constant",
    ),
    "toy": ("calogan", "model.latent=4", "objective={kind: toy, average: 0.9, generator_rate: 0.01}"),
}
HERE = [name for name in CASES if name.partition(",")[0] in OBJECTIVES]
LEARNING = [name for name in HERE if not name.startswith("fit")]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_showers(120).save(tmp_path_factory.mktemp("data") / "showers.h5")


def recipe(name: str, *more: str) -> caloforge.training.Recipe:
    preset, *settings = CASES[name]
    return load_recipe(preset, [*settings, "data.mirror=false", *QUICK, *more])


@pytest.fixture(scope="module")
def runs(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """The run of each case, trained once."""
    folder, done = tmp_path_factory.mktemp("runs"), dict[str, Run]()

    def run(name: str) -> Run:
        if name not in done:
            done[name] = train(recipe(name), data, folder / str(len(done)), picture=True)
        return done[name]

    return run


def tensors(run: Run) -> dict[str, torch.Tensor]:
    found = {f"kept.{name}": value for name, value in load_file(run.weights).items()}
    return found | (load_file(run.checkpoint) if run.checkpoint.is_file() else {})


def assert_same(one: Run, other: Run) -> None:
    first, second = tensors(one), tensors(other)
    assert first.keys() == second.keys()
    assert not [name for name in first if not torch.equal(first[name], second[name])]


def begun(name: str, data: Path) -> Objective:
    """An objective as a training builds it, and a batch to learn from."""
    chosen, detector = recipe(name), Detector.from_yaml(TINY)
    hardware = Hardware(torch.device("cpu"), "fp32")
    generator = build_generator(chosen.model, detector)
    batches = TrainingData([data], chosen, detector, generator.conditions, hardware.device)
    task = Task(chosen, detector, batches, hardware)
    objective = objective_class(chosen.objective.kind).of(generator, task)
    adapt(objective.networks.values(), batches, seed=1)
    objective.begin()
    return objective


# --- the contract ---


def test_every_objective_is_tried() -> None:
    assert {name.partition(",")[0] for name in HERE} == set(OBJECTIVES)


@pytest.mark.parametrize("name", LEARNING)
def test_every_weight_learns(name: str, data: Path) -> None:
    objective = begun(name, data)
    assert objective.optimisers.keys() == objective.rates.keys()
    assert set(objective.optimisers) <= set(objective.networks) <= set(objective.modules)
    with open_showers(data) as file:
        real = file.read(0, 16 * objective.batches_per_step)
    batch = torch.from_numpy(real.cells), torch.from_numpy(real.incident.matrix(["energy"]))
    objective.begin_epoch(0)
    losses = objective.step(*batch)
    assert all(bool(torch.isfinite(value)) and not value.requires_grad for value in losses.values())
    assert set(objective.shown) <= set(losses)
    assert objective.note({key: float(value) for key, value in losses.items()})
    for which, optimiser in objective.optimisers.items():
        for weight, parameter in objective.modules[which].named_parameters():
            assert parameter.grad is not None or parameter in optimiser.state, (which, weight)


def test_processes_draw_numbers_of_their_own(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And go on with the same ones: else the next batch would differ from one to the other."""
    with open_showers(data) as file:
        real = file.read(0, 16)
    batch = torch.from_numpy(real.cells), torch.from_numpy(real.incident.matrix(["energy"]))
    losses, states = [], []
    for number in (0, 1):
        objective = begun("direct", data)
        monkeypatch.setattr("caloforge.training.objectives.direct.rank", lambda number=number: number)
        torch.manual_seed(3)
        losses.append(float(objective.step(*batch)["cells"]))
        states.append(torch.get_rng_state())
    assert losses[0] != losses[1]
    assert torch.equal(*states)


@pytest.mark.parametrize("name", LEARNING)
def test_its_rates_can_be_scaled(name: str, data: Path) -> None:
    objective = begun(name, data)
    objective.scale_rates(0.5)
    for which, optimiser in objective.optimisers.items():
        assert [group["lr"] for group in optimiser.param_groups] == [0.5 * objective.rates[which]]


@pytest.mark.parametrize("name", LEARNING)
def test_stopped_and_resumed_is_the_same(
    name: str, data: Path, runs: Callable[[str], Run], tmp_path: Path
) -> None:
    class Stop(Exception):  # noqa: N818 - not an error
        pass

    def stop(done: int, _total: int, _note: str) -> None:
        if done >= 5:  # what it did since its last checkpoint is lost
            raise Stop

    frequent = recipe(name, "schedule.checkpoint_seconds=1e-9")
    with pytest.raises(Stop):
        train(frequent, data, tmp_path / "run", progress=stop)
    assert (tmp_path / "run" / "checkpoint").is_dir()
    assert_same(runs(name), train(frequent, data, tmp_path / "run", resume=True))


@pytest.mark.parametrize("name", HERE)
def test_resuming_what_is_finished_changes_nothing(
    name: str, data: Path, runs: Callable[[str], Run], tmp_path: Path
) -> None:
    whole = runs(name)
    shutil.copytree(whole.path, tmp_path / "run")
    again = train(recipe(name), data, tmp_path / "run", resume=True)
    assert_same(whole, again)
    assert len(again.metrics()) == len(whole.metrics())


@pytest.mark.parametrize("name", HERE)
def test_its_run_looks_at_the_physics_and_generates(
    name: str, runs: Callable[[str], Run], tmp_path: Path
) -> None:
    run = runs(name)
    assert run.summary()["look"]["score"] > 0
    generate(run.path, energy="10:50GeV", count=5, seed=1, out=tmp_path / "s.h5")
    with open_showers(tmp_path / "s.h5") as file:
        assert file.read(0, 5).cells.sum() > 0


# An export takes seconds, and tests of fitted runs have one of a fit.
EXPORTED = {"fit": [pytest.mark.slow], "toy": []}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=marks) for name, marks in EXPORTED.items() if name in HERE]
)
def test_its_bundle_knows_nothing_of_it(name: str, runs: Callable[[str], Run], tmp_path: Path) -> None:
    export(runs(name).path, tmp_path / "bundle")
    cells = Engine(tmp_path / "bundle").generate(Incident.of([2e4, 3e4], pdg=-11), seed=1).cells
    assert cells.shape == (2, 18)
    assert float(cells.min()) >= 0 < float(cells.max())


@pytest.mark.parametrize("name", LEARNING)
def test_its_curves_are_drawn(name: str, runs: Callable[[str], Run]) -> None:
    run = runs(name)
    shown = objective_class(run.recipe.objective.kind).shown
    picture = ElementTree.parse(run.path / "curves.svg")
    words = {e.text for e in picture.iter() if e.tag.endswith("text")}
    assert (set(shown.values()) if len(shown) > 1 else {"loss"}) <= words
    # One that makes no showers cannot tell their energies.
    assert ("not told by this objective" in words) == (run.recipe.objective.kind == "direct")


@pytest.mark.parametrize("name", LEARNING)
def test_it_begins_with_the_weights_of_another_run(
    name: str, data: Path, runs: Callable[[str], Run], tmp_path: Path
) -> None:
    first = runs(name)
    if "evolution" in name:
        step = "power" if name != "evolution" else "rate"
        still = recipe(name, f"objective.algorithm.{step}=1e-30", "schedule.epochs=1")
    else:
        still = recipe(name, "objective.generator_rate=1e-30", "objective.average=0", "schedule.epochs=1")
    warm = train(still, data, tmp_path / "warm", init=first.path)
    (told,) = warm.init
    assert "generator" in told["networks"]
    before, after = load_file(first.weights), load_file(warm.weights)
    for weight, _ in warm.generator().named_parameters():
        torch.testing.assert_close(after[f"generator.{weight}"], before[f"generator.{weight}"])


def test_a_critic_goes_on_with_the_wasserstein_loss(
    data: Path, runs: Callable[[str], Run], tmp_path: Path
) -> None:
    """Its norms and comparisons are others then, and the weights of a run with either loss fit them."""
    for first in ("adversarial", "adversarial, wasserstein"):
        run = train(recipe("adversarial, wasserstein"), data, tmp_path / first, init=runs(first).path)
        assert run.init[0]["networks"] == ["generator", "critic"]


@pytest.mark.parametrize("name", [name for name in HERE if name not in LEARNING])
def test_what_learns_nothing_begins_with_nothing(
    name: str, data: Path, runs: Callable[[str], Run], tmp_path: Path
) -> None:
    assert not runs(name).checkpoint.is_file()
    with pytest.raises(RunError, match="cannot begin with weights"):
        train(recipe(name), data, tmp_path / "run", init=runs(name).path)


# --- a new one ---

SETTINGS = '''

class ToySettings(GradientSettings):
    """The toy's."""

    kind: Literal["toy"] = "toy"
'''


def _edit(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1, (file, old)
    file.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """caloforge with one objective more: a file, its settings, a line; and a model that it suits."""
    root, source = tmp_path_factory.mktemp("copy"), Path(caloforge.__file__).parent
    shutil.copytree(source, root / "caloforge", ignore=shutil.ignore_patterns("pretrained", "__pycache__"))
    objectives = root / "caloforge" / "training" / "objectives"
    shutil.copy(Path(__file__).with_name("toy_objective.py"), objectives / "toy.py")
    union = "\n\nObjectiveSettings = Annotated[\n    "
    settings = objectives / "settings.py"
    _edit(
        settings,
        union,
        f"{SETTINGS}{union}ToySettings | ",
    )
    line = '    "fit": "fit.FitObjective",\n'
    _edit(objectives / "__init__.py", line, line + '    "toy": "toy.ToyObjective",\n')
    suited = '("adversarial", "distance", "evolution")'
    _edit(root / "caloforge" / "models" / "settings.py", suited, suited.replace(")", ', "toy")'))
    return root


def _python(copy: Path, *words: str) -> str:
    paths = os.pathsep.join([str(copy), str(Path(__file__).parent)])
    environment = os.environ | {"PYTHONPATH": paths}
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, env=environment, cwd=copy, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_new_objective_is_a_file_its_settings_and_a_line(copy: Path) -> None:
    """It keeps the promises above, which are made to it in a process that knows it."""
    words = ("-m", "pytest", __file__, "-q", "-k", "toy", "-p", "no:cacheprovider")
    assert "8 passed" in _python(copy, *words)

"""Training: what a step does, what a run holds, resuming, stopping, and what is refused."""

from __future__ import annotations

import json
import math
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from caloforge.detector import Detector, load_detector
from caloforge.errors import (
    MissingExtraError,
    OutputError,
    RecipeError,
    RunError,
    ShowersError,
    TrainingError,
)
from caloforge.models import build_critic, build_generator
from caloforge.models.fitted.response import ResponseFit
from caloforge.models.settings import CaloganSettings
from caloforge.samples import positrons
from caloforge.showers import Showers
from caloforge.training import Recipe, Run, load_recipe
from caloforge.training.hardware import Hardware
from caloforge.training.metrics import read_metrics
from caloforge.training.objectives.adversarial.objective import AdversarialObjective
from caloforge.training.objectives.adversarial.saturation import saturation
from caloforge.training.objectives.settings import AdversarialSettings
from caloforge.training.requests import Requests
from caloforge.training.seal import sealed_json
from caloforge.training.trained_detector import for_showers
from caloforge.training.watch import Watch
from tiny_toys import TINY, tiny_showers, train

SETTINGS = ("model.latent=4", "schedule.batch=16", "schedule.epochs=4", "schedule.precision=fp32")
FREQUENT = ("schedule.checkpoint_seconds=1e-9", "schedule.report_steps=1")


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("detector") / "tiny.yaml"
    file.write_text(TINY)
    return file


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_showers().save(tmp_path_factory.mktemp("data") / "showers.h5")


def recipe(detector: Path, *overrides: str) -> Recipe:
    return load_recipe("calogan", [f"detector={detector}", *SETTINGS, *overrides])


def tensors(run: Path) -> dict[str, torch.Tensor]:
    """All that a run learned, weights that are kept and checkpoint."""
    kept = load_file(run / "weights.safetensors")
    return {
        **load_file(run / "checkpoint" / "state.safetensors"),
        **{f"kept.{k}": v for k, v in kept.items()},
    }


def assert_same(one: Path, other: Path) -> None:
    first, second = tensors(one), tensors(other)
    assert first.keys() == second.keys()
    different = [name for name in first if not torch.equal(first[name], second[name])]
    assert not different


class _Stop(Exception):  # noqa: N818 - not an error
    pass


def stop_after(steps: int) -> object:
    def progress(done: int, total: int, note: str) -> None:
        assert done <= total
        assert "critic" in note or not done  # before the first step the showers are measured
        if done >= steps:
            raise _Stop

    return progress


# --- one step ---


@pytest.fixture
def objective() -> AdversarialObjective:
    torch.manual_seed(0)
    tiny, settings = Detector.from_yaml(TINY), CaloganSettings(latent=4)
    requests = Requests(torch.tensor([1e3]), torch.tensor([1e5]))
    hardware = Hardware(torch.device("cpu"), "fp32")
    generator, critic = build_generator(settings, tiny), build_critic(settings, tiny)
    objective = AdversarialObjective(
        generator, critic, AdversarialSettings(), requests, ResponseFit((1.0,)), hardware
    )
    objective.begin()
    return objective


def _batch(n: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    real = tiny_showers(n)
    return torch.from_numpy(real.cells), torch.from_numpy(real.incident.matrix(["energy"]))


def test_two_steps_each_for_critic_and_generator(objective: AdversarialObjective) -> None:
    objective.step(*_batch())
    steps = {
        name: {int(state["step"]) for state in optimiser.state_dict()["state"].values()}
        for name, optimiser in objective.optimisers.items()
    }
    assert steps == {"critic": {2}, "generator": {2}}


def test_each_step_changes_only_its_own(objective: AdversarialObjective) -> None:
    def weights(name: str) -> dict[str, torch.Tensor]:
        return {key: p.detach().clone() for key, p in objective.modules[name].named_parameters()}

    def changed(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
        return {name for name in before if not torch.equal(before[name], after[name])}

    before = weights("generator"), weights("critic")
    objective._critic_step(*_batch(), real=True)
    middle = weights("generator"), weights("critic")
    objective._generator_step(*_batch())
    after = weights("generator"), weights("critic")
    # Comparisons within a batch are differences, from which a bias drops out, and their tanh saturates.
    learning = {name for name in before[1] if "compare" not in name}
    assert changed(before[0], middle[0]) == set()
    assert changed(before[1], middle[1]) >= learning
    assert changed(middle[1], after[1]) == set()
    assert changed(middle[0], after[0]) == set(before[0])
    assert all(p.requires_grad for p in objective.critic.parameters())


def test_losses_are_what_they_say(objective: AdversarialObjective) -> None:
    cells, incident = _batch()
    with torch.no_grad():
        logit = objective.critic(cells, incident)["logit"]
    loss = objective._critic_step(cells, incident, real=True)["critic_real"]
    expected = -np.log(1 / (1 + np.exp(-logit.double().numpy()))).mean()
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_the_critic_sees_running_norms_as_published(objective: AdversarialObjective) -> None:
    modes: list[bool] = []
    objective.generator.register_forward_hook(lambda module, *_: modes.append(module.training))
    objective.step(*_batch())
    assert modes == [False, True, True]
    assert objective.generator.training


def test_energies_cover_the_range_of_the_data(objective: AdversarialObjective) -> None:
    drawn = objective._incident(torch.zeros(10_000, 1))
    assert drawn.shape == (10_000, 1)
    assert 1e3 <= float(drawn.min()) < 1.1e3
    assert 9.9e4 < float(drawn.max()) <= 1e5


# --- a run ---


@pytest.fixture(scope="module")
def finished(detector: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(recipe(detector), data, tmp_path_factory.mktemp("run") / "run")


def test_a_run_holds_everything(finished: Run, data: Path) -> None:
    run = Run.open(finished.path)
    assert run.recipe == finished.recipe
    assert run.detector.digest == Detector.from_yaml(TINY).digest
    incident = tiny_showers().incident[:70]
    assert run.incident_range["particles"] == [-11]
    assert run.incident_range["energy"] == [float(incident.energy.min()), float(incident.energy.max())]
    assert run.incident_range["theta"] == [0, 0]
    assert run.provenance["environment"]["versions"]["torch"]
    assert run.data["files"] == [str(data)]
    assert (run.data["showers"], run.data["selection"]) == (70, 15)
    assert not list(run.path.rglob("*.part"))
    assert not any(path.suffix in {".pt", ".pkl", ".pth"} for path in run.path.rglob("*"))


def test_a_run_gives_its_generator(finished: Run) -> None:
    generator = finished.generator()
    assert not generator.training
    noise = generator.sample_noise(3, torch.Generator().manual_seed(0))
    with torch.no_grad():
        cells = generator(noise, torch.full((3, 1), 5e4))
    assert cells.shape == (3, finished.detector.n_cells)
    kept = load_file(finished.weights)
    assert all(torch.equal(kept[f"generator.{k}"], v) for k, v in generator.state_dict().items())


def test_the_best_epoch_is_kept(finished: Run) -> None:
    looks = [entry for entry in finished.metrics() if entry["kind"] == "epoch"]
    assert [look["epoch"] for look in looks] == [1, 2, 3, 4]
    best = min(looks, key=lambda look: look["score"])
    kept = [look for look in looks if look["kept"]]
    assert kept[-1] == best
    assert best["geant4"]["response"]["mean"] == pytest.approx(1, rel=1e-4)
    assert math.isfinite(best["generated"]["response"]["mean"])


def test_the_diary_has_every_step(finished: Run) -> None:
    steps = [entry for entry in finished.metrics() if entry["kind"] == "step"]
    assert steps[-1]["steps"] == 4 * (70 // 16)
    for name in ("critic_real", "critic_fake", "generator", "energy", "response", "showers_per_second"):
        assert all(math.isfinite(entry[name]) for entry in steps)
    assert finished.summary()["steps"] == 16


def test_the_same_seed_gives_the_same_run(finished: Run, detector: Path, data: Path, tmp_path: Path) -> None:
    state = torch.get_rng_state()
    again = train(recipe(detector), data, tmp_path / "run")
    assert_same(finished.path, again.path)
    assert torch.equal(torch.get_rng_state(), state), "the caller's random numbers were touched"
    other = train(recipe(detector, "schedule.seed=2"), data, tmp_path / "other")
    assert not torch.equal(
        *(load_file(r.weights)["generator.streams.0.dense.weight"] for r in (again, other))
    )


def test_keeping_the_last_generator(detector: Path, data: Path, tmp_path: Path) -> None:
    run = train(recipe(detector, "schedule.keep=last"), data, tmp_path / "run")
    kept, state = load_file(run.weights), load_file(run.checkpoint)
    assert all(torch.equal(state[name], value) for name, value in kept.items())


def test_without_a_selection_part_the_last_is_kept(detector: Path, data: Path, tmp_path: Path) -> None:
    run = train(recipe(detector, "data.select=0"), data, tmp_path / "run")
    assert run.generator()
    assert all(entry["kind"] == "step" for entry in run.metrics())


def test_a_published_format_trains_as_it_is(detector: Path, data: Path, tmp_path: Path) -> None:
    from caloforge.showers import convert

    published = tmp_path / "showers.calogan.h5"
    convert(data, published, to="calogan")
    run = train(recipe(detector), published, tmp_path / "run")
    assert run.data["showers"] == 70


# --- stopping and going on ---


@pytest.mark.parametrize("steps", [1, 6, 15])
def test_interrupted_and_resumed_is_the_same(
    finished: Run, detector: Path, data: Path, tmp_path: Path, steps: int
) -> None:
    frequent = recipe(detector, *FREQUENT)
    with pytest.raises(_Stop):
        train(frequent, data, tmp_path / "run", progress=stop_after(steps))  # type: ignore[arg-type]
    run = train(frequent, data, tmp_path / "run", resume=True)
    assert_same(finished.path, run.path)
    done = [entry["steps"] for entry in run.metrics() if entry["kind"] == "step"]
    assert done == sorted(set(done)), "steps that were done again are in the diary twice"
    assert [entry["epoch"] for entry in run.metrics() if entry["kind"] == "epoch"] == [1, 2, 3, 4]


def test_resuming_a_finished_run_changes_nothing(finished: Run, detector: Path, data: Path) -> None:
    before = tensors(finished.path)
    train(recipe(detector), data, finished.path, resume=True)
    after = tensors(finished.path)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_more_epochs_go_on_where_it_ended(finished: Run, detector: Path, data: Path, tmp_path: Path) -> None:
    train(recipe(detector, "schedule.epochs=2"), data, tmp_path / "run")
    run = train(recipe(detector), data, tmp_path / "run", resume=True)
    assert_same(finished.path, run.path)


def test_the_running_average_is_kept_and_resumes(detector: Path, data: Path, tmp_path: Path) -> None:
    settings = ("objective.average=0.9", "schedule.keep=last", *FREQUENT)
    whole = train(recipe(detector, *settings), data, tmp_path / "whole")
    kept, state = load_file(whole.weights), load_file(whole.checkpoint)
    for name, value in kept.items():
        assert torch.equal(value, state[name.replace("generator", "average", 1)])
    assert not torch.equal(
        kept["generator.streams.0.dense.weight"], state["generator.streams.0.dense.weight"]
    )
    with pytest.raises(_Stop):
        train(recipe(detector, *settings), data, tmp_path / "run", progress=stop_after(6))  # type: ignore[arg-type]
    assert_same(whole.path, train(recipe(detector, *settings), data, tmp_path / "run", resume=True).path)


def test_the_average_is_an_exponential_one() -> None:
    torch.manual_seed(0)
    tiny, settings = Detector.from_yaml(TINY), CaloganSettings(latent=4)
    requests = Requests(torch.tensor([1e3]), torch.tensor([1e5]))
    hardware = Hardware(torch.device("cpu"), "fp32")
    models = build_generator(settings, tiny), build_critic(settings, tiny)
    adversarial = AdversarialSettings(average=0.4, generator_steps=1)
    objective = AdversarialObjective(*models, adversarial, requests, ResponseFit((1.0,)), hardware)
    objective.begin()
    name = "streams.0.dense.weight"
    expected = objective.generator.state_dict()[name].clone()
    memories = [2 / 11, 3 / 12, 4 / 13, *(min(0.4, (1 + step) / (10 + step)) for step in range(4, 9))]
    assert memories[-1] == 0.4
    for memory in memories:
        objective.step(*_batch())
        expected = memory * expected + (1 - memory) * objective.generator.state_dict()[name]
    torch.testing.assert_close(objective.result.state_dict()[name], expected)


def test_streamed_data_resume_too(detector: Path, data: Path, tmp_path: Path) -> None:
    frequent = recipe(detector, "schedule.memory_mb=0", *FREQUENT)
    whole = train(frequent, data, tmp_path / "whole")
    with pytest.raises(_Stop):
        train(frequent, data, tmp_path / "run", progress=stop_after(6))  # type: ignore[arg-type]
    run = train(frequent, data, tmp_path / "run", resume=True)
    assert_same(whole.path, run.path)


def test_the_time_ends_a_training_cleanly(detector: Path, data: Path, tmp_path: Path) -> None:
    run = train(recipe(detector, "schedule.epochs=100000"), data, tmp_path / "run", minutes=0.02)
    first = run.summary()
    assert 0 < first["steps"] < 400_000
    assert run.generator()
    train(recipe(detector, "schedule.epochs=100000"), data, tmp_path / "run", minutes=0.02, resume=True)
    assert run.summary()["steps"] > first["steps"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("times", [1, 2])
def test_signals_save_first(
    finished: Run, detector: Path, data: Path, tmp_path: Path, number: signal.Signals, times: int
) -> None:
    def interrupt(done: int, total: int, note: str) -> None:
        if done == 5:
            for _ in range(times):
                signal.raise_signal(number)

    arrived: list[int] = []
    before = {n: signal.signal(n, lambda n, _: arrived.append(n)) for n in (signal.SIGINT, signal.SIGTERM)}
    train(recipe(detector, "schedule.report_steps=1"), data, tmp_path / "run", progress=interrupt)
    for n, handler in before.items():
        signal.signal(n, handler)
    assert arrived == [number] * times, "the signal must reach the caller after saving"
    # It came between two looks for signals: the next step is still done, as several processes must agree.
    assert Run.open(tmp_path / "run").summary()["steps"] == 6
    run = train(recipe(detector), data, tmp_path / "run", resume=True)
    assert_same(finished.path, run.path)


def test_trains_outside_the_main_thread(detector: Path, data: Path, tmp_path: Path) -> None:
    thread = threading.Thread(target=train, args=(recipe(detector), data, tmp_path / "run"))
    thread.start()
    thread.join()
    assert Run.open(tmp_path / "run").summary()["steps"] == 16


# --- divergence ---


def test_a_diverged_training_stops_and_keeps_what_is_good(detector: Path, data: Path, tmp_path: Path) -> None:
    settings = ("objective.generator_rate=1e30", "schedule.epochs=400", "schedule.checkpoint_seconds=1e-9")
    with pytest.raises(TrainingError, match="diverged") as caught:
        train(recipe(detector, *settings), data, tmp_path / "run")
    assert "generator_rate" in str(caught.value.details["cure"]) or "rates" in str(
        caught.value.details["cure"]
    )
    saved = tmp_path / "run" / "checkpoint" / "state.safetensors"
    if saved.is_file():
        assert all(bool(torch.isfinite(v).all()) for v in load_file(saved).values() if v.is_floating_point())


GOOD = {
    "critic_real": 0.6,
    "critic_fake": 0.6,
    "generator": 0.7,
    "energy": 5.0,
    "response": 1.0,
    "spread": 0.1,
}


@pytest.mark.parametrize(
    ("change", "problem", "patience"),
    [
        ({"generator": float("nan")}, "diverged", 1),
        ({"critic_real": float("inf")}, "diverged", 1),
        ({"response": 0.0}, "empty", 100),
        ({"spread": 0.0}, "all alike", 100),
        ({"critic_real": 1e-6, "critic_fake": 1e-6}, "critic has won", 2000),
    ],
)
def test_the_watch_knows_when_it_is_pointless(change: dict[str, float], problem: str, patience: int) -> None:
    watch = Watch([saturation()])
    bad = GOOD | change
    for step in range(1, patience):
        watch.look(bad, 1, step)
    with pytest.raises(TrainingError, match=problem) as caught:
        watch.look(bad, 1, patience)
    assert caught.value.details["where"] == f"step {patience}"
    forgiving = Watch([saturation()])
    for step in range(0, 5000, 50):
        forgiving.look(bad if step % 100 and patience > 1 else GOOD, 50, step)


# --- what is refused ---


def test_showers_of_another_detector_than_a_recipe_insists_on(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("name: mine\ndetector: calogan\n")
    for insists in (load_recipe("calogan", [*SETTINGS, "detector=calogan"]), load_recipe(file)):
        with pytest.raises(ShowersError, match="different detectors") as caught:
            train(insists, data, tmp_path / "run")
        assert "tiny" in str(caught.value.details["got"])
        assert not (tmp_path / "run").exists()


def test_a_preset_is_trained_for_the_detector_of_the_showers(data: Path, tmp_path: Path) -> None:
    run = train(load_recipe("calogan", [*SETTINGS, "schedule.epochs=1"]), data, tmp_path / "run")
    assert run.detector == Detector.from_yaml(TINY)
    recipe = Run.open(run.path).recipe
    assert recipe.detector == "tiny"
    assert recipe.name == "calogan for tiny"
    assert not recipe.published
    assert "1705.02355" not in recipe.about
    # What the run says of itself can be trained again, and resumed.
    again = train(recipe, data, tmp_path / "again")
    assert again.recipe == recipe
    train(load_recipe("calogan", [*SETTINGS, "schedule.epochs=1"]), data, run.path, resume=True)


def test_a_preset_with_its_own_detector_stays_what_it_is() -> None:
    usual = load_recipe("calogan-tuned")
    chosen, detector = for_showers(usual, positrons())
    assert detector == load_detector("calogan")
    assert chosen == usual.model_copy(update={"detector": "calogan"})


def test_a_detector_that_was_changed_and_kept_its_name(tmp_path: Path) -> None:
    text = load_detector("calogan").to_yaml()
    changed = Detector.from_yaml(TINY.replace("name: tiny", "name: calogan"))
    assert changed.to_yaml() != text
    real = tiny_showers(5)
    file = Showers(changed, real.incident, real.cells).save(tmp_path / "s.h5")
    chosen, detector = for_showers(load_recipe("calogan"), file)
    assert detector == changed
    assert chosen.detector is None, "calogan would be another"
    assert "another calogan" in chosen.name
    assert for_showers(chosen, file) == (chosen, changed)


def test_several_particles(detector: Path, tmp_path: Path) -> None:
    mixed = Showers.concat([tiny_showers(60), tiny_showers(60, pdg=22)])
    file = Showers(mixed.detector, mixed.incident, mixed.cells).save(tmp_path / "mixed.h5")
    with pytest.raises(RecipeError, match="one kind of particle"):
        train(recipe(detector, "data.train=0.9", "data.select=0.1"), file, tmp_path / "run")


def test_a_sampling_calorimeter_without_its_fraction(detector: Path, tmp_path: Path) -> None:
    real = tiny_showers()
    file = Showers(real.detector, real.incident, real.cells * np.float32(0.03)).save(tmp_path / "thin.h5")
    with pytest.raises(RecipeError, match="do not add up") as caught:
        train(recipe(detector), file, tmp_path / "run")
    assert "sampling_fraction: 0.03" in str(caught.value.details["cure"])


def test_parts_that_overlap(detector: Path, data: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="overlap"):
        train(recipe(detector, "data.train=0.9", "data.select=0.2"), data, tmp_path / "run")


def test_a_folder_that_holds_a_run(finished: Run, detector: Path, data: Path) -> None:
    with pytest.raises(RunError, match="already") as caught:
        train(recipe(detector), data, finished.path)
    assert "--resume" in str(caught.value.details["cure"])


@pytest.mark.parametrize("change", [("schedule.seed=9",), ("objective.beta1=0.9",), ("model.latent=5",)])
def test_resuming_another_recipe(finished: Run, detector: Path, data: Path, change: Sequence[str]) -> None:
    with pytest.raises(RunError, match="another training") as caught:
        train(recipe(detector, *change), data, finished.path, resume=True)
    assert change[0].partition("=")[0] in str(caught.value.details["got"])


@pytest.mark.parametrize("what", ["other particles", "the same particles with other cells"])
def test_resuming_with_other_showers(finished: Run, detector: Path, tmp_path: Path, what: str) -> None:
    real = tiny_showers() if "cells" in what else tiny_showers(seed=5)
    cells = real.cells * np.float32(0.9) if "cells" in what else real.cells
    other = Showers(real.detector, real.incident, cells).save(tmp_path / "other.h5")
    with pytest.raises(RunError, match="another training") as caught:
        train(recipe(detector), other, finished.path, resume=True)
    assert "showers" in str(caught.value.details["got"])


@pytest.mark.parametrize("name", ["nothing", "."])
def test_folders_that_are_no_run(tmp_path: Path, name: str) -> None:
    with pytest.raises(RunError, match="not a run"):
        Run.open(tmp_path / name)


def test_damaged_files_of_a_run(detector: Path, data: Path, tmp_path: Path) -> None:
    run = train(recipe(detector, "schedule.epochs=1"), data, tmp_path / "run")
    for file in (run.weights, run.checkpoint):
        file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(RunError, match="was changed"):
        Run.open(run.path).generator()
    with pytest.raises(RunError, match="was changed"):
        train(recipe(detector, "schedule.epochs=2"), data, run.path, resume=True)
    for text in ("{", "{}", "[]"):
        (run.path / "data.json").write_text(text)
        with pytest.raises(RunError, match="no checksum"):
            _ = Run.open(run.path).incident_range
    (run.path / "data.json").write_text(sealed_json({}))
    with pytest.raises(RunError, match="damaged"):
        _ = Run.open(run.path).incident_range


def test_a_run_of_adopted_weights_is_not_resumed(detector: Path, data: Path, tmp_path: Path) -> None:
    run = train(recipe(detector, "schedule.epochs=1"), data, tmp_path / "run")
    facts = json.loads((run.path / "data.json").read_text())
    del facts["fingerprint"]
    (run.path / "data.json").write_text(sealed_json(facts))
    with pytest.raises(RunError, match="nothing to resume") as caught:
        train(recipe(detector, "schedule.epochs=1"), data, run.path, resume=True)
    assert "--init" in str(caught.value.details["cure"])


def test_showers_without_energy(detector: Path, tmp_path: Path) -> None:
    real = tiny_showers()
    file = Showers(real.detector, real.incident, np.zeros_like(real.cells)).save(tmp_path / "dark.h5")
    with pytest.raises(RecipeError, match="hold no energy"):
        train(recipe(detector, "objective.energy_weight=0"), file, tmp_path / "run")


def test_a_place_where_no_run_can_be(detector: Path, data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    # The last looks writable to an administrator, and is not.
    nowhere = [Path("/proc/run")] if sys.platform == "linux" else []
    for out in (tmp_path / "file", tmp_path / "file" / "run", *nowhere):
        with pytest.raises(OutputError, match="cannot be written"):
            train(recipe(detector), data, out)


def test_a_gpu_that_is_not_there(detector: Path, data: Path, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(TrainingError, match="no GPU"):
        train(recipe(detector, "schedule.device=cuda"), data, tmp_path / "run")


def test_a_diary_with_half_a_line_is_read(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    file.write_text('{"kind": "step", "steps": 1}\n{"kind": "st')
    assert read_metrics(file) == [{"kind": "step", "steps": 1}]


# --- command line and TensorBoard ---


def test_the_command_line_trains(detector: Path, data: Path, tmp_path: Path) -> None:
    from caloforge.cli.main import app

    arguments = ["train", "calogan", "--data", str(data), "--out", str(tmp_path / "run"), "--json"]
    for setting in (f"detector={detector}", *SETTINGS):
        arguments += ["--set", setting]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert answer["steps"] == 16
    assert answer["epochs"] == answer["epochs_planned"]
    assert answer["run"] == str(tmp_path / "run")


def test_the_command_line_says_which_detector_is_trained(data: Path, tmp_path: Path) -> None:
    from caloforge.cli.main import app

    arguments = ["train", "calogan", "--data", str(data), "--out", str(tmp_path / "run")]
    for setting in (*SETTINGS, "schedule.epochs=1"):
        arguments += ["--set", setting]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    words = " ".join(result.output.split())
    assert "Trained for the detector tiny, not for calogan, as the recipe was published" in words


def test_tensorboard_on_request(detector: Path, data: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    run = train(recipe(detector, "schedule.epochs=1"), data, tmp_path / "run", tensorboard=True)
    assert list((run.path / "tensorboard").glob("events*"))


def test_tensorboard_that_is_not_installed(
    detector: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingExtraError, match="tensorboard"):
        train(recipe(detector), data, tmp_path / "run", tensorboard=True)

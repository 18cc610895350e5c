"""Several processes learn what one would, agree on everything, and end together when one of them dies."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import test_training as this
from caloforge.detector import Detector
from caloforge.errors import ProcessLostError, RecipeError, TrainingError
from caloforge.models.blocks import grid, layers, processes
from caloforge.models.blocks.minibatch import MinibatchFeatures
from caloforge.showers import Incident, Showers
from caloforge.training import Recipe, Run, load_recipe
from caloforge.training.metrics import read_metrics
from caloforge.training.place import Place, find_place, first_host
from caloforge.training.processes import all_or_none, together
from tiny_toys import TINY, planar, tiny_showers, train

# Started once with everything imported: each further process is a copy of it, without waiting for torch.
START = multiprocessing.get_context("forkserver")
START.set_forkserver_preload(["test_processes"])
PATIENCE = 300.0  # seconds; machines under load are slow
SETTINGS = ("objective.average=0.9", "schedule.epochs=2", "schedule.checkpoint_seconds=1e-9")
ONE_STEP = ("schedule.epochs=1", "schedule.batch=64")


def _port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def _as_one_of(rank: int, world: int, port: int, work: Callable[..., None], arguments: Sequence[Any]) -> None:
    place = {"RANK": rank, "WORLD_SIZE": world, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in place.items()})
    torch.set_num_threads(1)
    work(*arguments)


def start(world: int, work: Callable[..., None], *arguments: Any) -> list[BaseProcess]:
    port = _port()
    started: list[BaseProcess] = []
    for rank in range(world):
        process = START.Process(target=_as_one_of, args=(rank, world, port, work, arguments))
        process.start()
        started.append(process)
    return started


def finish(started: Sequence[BaseProcess]) -> None:
    for process in started:
        process.join(PATIENCE)
    codes = [process.exitcode for process in started]
    for process in started:
        if process.is_alive():
            process.kill()
    assert codes == [0] * len(started)


def recipe(folder: Path, *overrides: str) -> Recipe:
    return this.recipe(folder / "tiny.yaml", *SETTINGS, *overrides)


# --- what two processes do ---


class Toy(nn.Module):
    """All that looks at the whole batch."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Linear(6, 8), layers.BatchNorm(8)
        self.drop, self.compare, self.last = layers.Dropout(0.4), MinibatchFeatures(8, 2, 3), nn.Linear(10, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.drop(self.norm(self.first(x)))
        return self.last(torch.cat([h, self.compare(h)], dim=1)).squeeze(1)


def toy_state() -> dict[str, Tensor]:
    """Gradients of a loss with a penalty on slopes, norm statistics, and other draws, of a batch of 8."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        toy = Toy()
        x = processes.own_part(torch.randn(8, 6)).requires_grad_()
        normed = toy.norm(toy.first(x))  # comparisons have no second derivative
        (slope,) = torch.autograd.grad(normed.pow(3).sum(), x, create_graph=True)
        loss = (toy(x).square() + slope.square().sum(1)).mean()
        loss.backward()
        processes.average_gradients(toy)
        image = processes.own_part(torch.ones(8, 2, 3, 4)).permute(
            1, 2, 0, 3
        )  # rows, columns, batch, channels
        kept = grid.Dropout(0.5)(image).permute(2, 0, 1, 3).contiguous()
        last = torch.ones(8 // processes.world(), 4, 3, 3).to(memory_format=torch.channels_last)
        rows = {
            "kept": kept,
            "kept_last": layers.Dropout(0.5)(last).contiguous(),
            "rand": processes.own_rand((len(x), 2)),
        }
    state = {f"grad.{name}": p.grad for name, p in toy.named_parameters() if p.grad is not None}
    state |= {name: value.clone() for name, value in toy.state_dict().items() if "running" in name}
    state |= {name: processes.gather(value) for name, value in rows.items()}
    return state | {"loss": processes.mean(loss.detach())}


def _fit(folder: Path, out: str) -> None:
    settings = [f"detector={folder / 'tiny.yaml'}", "schedule.batch=16", "model.fit.rounds=2"]
    train(load_recipe("calogan-fit", settings), folder / "s.h5", folder / out)


def _work(folder: Path) -> None:
    with together(find_place()):
        save_file(toy_state(), folder / f"toy{processes.rank()}.safetensors")
        (folder / f"largest{processes.rank()}.json").write_text(
            json.dumps(processes.largest(processes.rank(), 5, -processes.rank()))
        )
        try:
            with all_or_none():
                if processes.rank() == 1:
                    raise RecipeError("the second has a fault")
        except RecipeError as error:
            (folder / f"error{processes.rank()}").write_text(str(error))
    os.environ["MASTER_PORT"] = str(int(os.environ["MASTER_PORT"]) + 1)
    train(recipe(folder), folder / "s.h5", folder / "two")
    os.environ["MASTER_PORT"] = str(int(os.environ["MASTER_PORT"]) + 1)
    train(recipe(folder), folder / "s.h5", folder / "resumed", resume=True)
    os.environ["MASTER_PORT"] = str(int(os.environ["MASTER_PORT"]) + 1)
    train(recipe(folder, *ONE_STEP), folder / "s.h5", folder / "step-of-two")
    os.environ["MASTER_PORT"] = str(int(os.environ["MASTER_PORT"]) + 1)
    _fit(folder, "fit-of-two")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of one and of two processes, and one that was begun by one and ended by two."""
    folder = tmp_path_factory.mktemp("processes")
    (folder / "tiny.yaml").write_text(TINY)
    tiny_showers().save(folder / "s.h5")
    often = recipe(folder, "schedule.report_steps=1")
    with pytest.raises(this._Stop):
        train(often, folder / "s.h5", folder / "resumed", progress=this.stop_after(3))  # type: ignore[arg-type]
    started = start(2, _work, folder)
    train(recipe(folder), folder / "s.h5", folder / "one")
    train(recipe(folder, *ONE_STEP), folder / "s.h5", folder / "step-of-one")
    _fit(folder, "fit-of-one")
    finish(started)
    return folder


def assert_near(got: Tensor, expected: Tensor, name: str, atol: float) -> None:
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=atol, msg=lambda text: f"{name}: {text}")


def diary(run: Path, kind: str) -> list[dict[str, Any]]:
    return [entry for entry in Run.open(run).metrics() if entry["kind"] == kind]


def test_two_processes_take_the_step_of_one(folder: Path) -> None:
    first, second = this.tensors(folder / "step-of-one"), this.tensors(folder / "step-of-two")
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert_near(second[name], value, name, 3e-5)  # a step of Adam is 2e-4


def test_two_processes_fit_what_one_does(folder: Path) -> None:
    one, two = (load_file(folder / name / "weights.safetensors") for name in ("fit-of-one", "fit-of-two"))
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert len(diary(folder / "fit-of-two", "epoch")) == 1


@pytest.mark.parametrize("other", ["two", "resumed"])
def test_two_processes_learn_what_one_does(folder: Path, other: str) -> None:
    """The same showers, noise and steps; weights are the same to a fraction of a step."""
    one, two = ({entry["steps"]: entry for entry in diary(folder / name, "step")} for name in ("one", other))
    assert one.keys() == two.keys() == set(range(1, 9))
    for step, expected in one.items():
        for name in ("critic_real", "critic_fake", "generator", "energy", "response", "spread"):
            assert two[step][name] == pytest.approx(expected[name], rel=1e-4), (step, name)
    first, second = this.tensors(folder / "one"), this.tensors(folder / other)
    assert first.keys() == second.keys()
    for name, value in first.items():
        # Adam's moments are those of the last few gradients. A rounding may carry a feature over the kink
        # of its ReLU, and percents of a gradient with it: what that does to weights is a fraction of a step.
        jump = 0.05 * float(value.abs().amax()) if "exp_avg" in name else 0.0
        assert_near(second[name], value, name, max(3e-5, jump))
    assert [entry["epoch"] for entry in diary(folder / other, "epoch")] == [1, 2]


def test_the_first_writes_for_all(folder: Path) -> None:
    one, two = (diary(folder / name, "step") for name in ("one", "two"))
    assert two[-1]["steps"] == one[-1]["steps"] == 8
    assert math.isfinite(two[-1]["generator"])
    assert Run.open(folder / "two").provenance["environment"]["processes"] == 2
    looks = [
        [e["score"] for e in Run.open(folder / n).metrics() if e["kind"] == "epoch"] for n in ("one", "two")
    ]
    assert looks[1] == pytest.approx(looks[0], rel=1e-3)
    assert not list((folder / "two").rglob("*.part"))


def test_norms_comparisons_masks_and_penalties_are_those_of_the_whole_batch(folder: Path) -> None:
    whole = toy_state()
    for rank in range(2):
        shared = load_file(folder / f"toy{rank}.safetensors")
        assert shared.keys() == whole.keys()
        for name, value in whole.items():
            assert_near(shared[name], value, name, 2e-5)
    for name in ("kept", "kept_last"):
        assert set(whole[name].unique().tolist()) == {0.0, 2.0}
        assert 0.3 < float((whole[name] > 0).float().mean()) < 0.7


def test_they_agree(folder: Path) -> None:
    assert [json.loads((folder / f"largest{rank}.json").read_text()) for rank in range(2)] == [[1, 5, 0]] * 2
    assert [(folder / f"error{rank}").read_text() for rank in range(2)] == ["the second has a fault"] * 2


CUBE = planar(*[(9, 9, 5)] * 9, name="cube")


def _cubes(folder: Path, name: str, out: str) -> None:
    settings = (f"detector={folder / 'cube.yaml'}", "schedule.batch=8", "schedule.epochs=1")
    more = ("schedule.precision=fp32", "objective.energy_target=incident")
    train(load_recipe(name, [*settings, *more]), folder / "s.h5", folder / out)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gan3d", "conv2d"])
def test_models_with_dropout(tmp_path: Path, name: str) -> None:
    (tmp_path / "cube.yaml").write_text(CUBE)
    detector, rng = Detector.from_yaml(CUBE), np.random.default_rng(0)
    energy = rng.uniform(1e4, 1e5, 12)  # of which 8 train: one step
    cells = rng.exponential(size=(12, detector.n_cells))
    cells *= (energy / cells.sum(1))[:, None]
    Showers(detector, Incident.of(energy, pdg=11), cells.astype(np.float32)).save(tmp_path / "s.h5")
    started = start(2, _cubes, tmp_path, name, "two")
    _cubes(tmp_path, name, "one")
    finish(started)
    # RMSprop and Adam divide by gradients: where these are nearly zero, roundings become steps, of 0.003 each
    # in 3DGAN. With masks of their own in each process nearly all of its weights were that far away.
    first, second = (load_file(tmp_path / out / "checkpoint" / "state.safetensors") for out in ("one", "two"))
    learned = [key for key in first if key.startswith(("generator.", "critic.")) and "num_" not in key]
    assert len(learned) > 10
    for key in learned:
        away = float((second[key] - first[key]).abs().mean())
        assert away < 1e-4 + 1e-3 * float(first[key].abs().mean()), key


# --- when one dies ---


def _forever(folder: Path) -> None:
    endless = recipe(folder, "schedule.epochs=1000000", "schedule.look_every=1000")
    try:
        train(endless, folder / "s.h5", folder / "killed")
    except ProcessLostError as error:
        (folder / f"lost{processes.rank()}").write_text(str(error))


@pytest.mark.parametrize("victim", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_a_killed_process_ends_the_training(folder: Path, tmp_path: Path, victim: int) -> None:
    for name in ("tiny.yaml", "s.h5"):
        (tmp_path / name).symlink_to(folder / name)
    started = start(2, _forever, tmp_path)
    state = tmp_path / "killed" / "checkpoint" / "state.safetensors"
    end = time.monotonic() + PATIENCE
    while not state.is_file() and time.monotonic() < end:
        time.sleep(0.1)
    started[victim].kill()
    killed = time.monotonic()
    finish([started[1 - victim]])
    assert time.monotonic() - killed < 60  # it takes less than a second where there is a processor to be had
    (told,) = (file.read_text() for file in tmp_path.glob("lost*"))
    assert "a process of this training is gone" in told
    assert "--resume" in told
    with safe_open(state, "pt") as file:
        at = json.loads(file.metadata()["state"])
    assert at["steps"] > 0
    longer = recipe(tmp_path, f"schedule.epochs={at['epoch'] + 1}", "schedule.look_every=1000")
    run = train(longer, tmp_path / "s.h5", tmp_path / "killed", resume=True)
    assert run.summary()["steps"] == 4 * (at["epoch"] + 1)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_torchrun_is_stopped(folder: Path, tmp_path: Path, how: signal.Signals) -> None:
    """The whole command: stopped by a signal to the launcher, it has saved and goes on."""
    import subprocess
    import sys

    out, log = tmp_path / "run", tmp_path / "log"
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "--master-port",
        str(_port()),
    ]
    command += ["-m", "caloforge", "train", "calogan", "--data", str(folder / "s.h5"), "--out", str(out)]
    for setting in (f"detector={folder / 'tiny.yaml'}", *this.SETTINGS, "schedule.epochs=100000"):
        command += ["--set", setting]
    with log.open("w") as stream, subprocess.Popen(command, stdout=stream, stderr=stream) as launcher:
        end = time.monotonic() + PATIENCE
        while not read_metrics(out / "metrics.jsonl") and time.monotonic() < end:
            time.sleep(0.2)
        launcher.send_signal(how)
        launcher.wait(PATIENCE)
    assert ("the training is saved in" in log.read_text()) == (how == signal.SIGINT)
    diary = read_metrics(out / "metrics.jsonl")
    with safe_open(out / "checkpoint" / "state.safetensors", "pt") as file:
        assert json.loads(file.metadata()["state"])["steps"] == diary[-1]["steps"]


# --- what cannot be ---


@pytest.mark.parametrize(("batch", "parts"), [(16, 3), (16, 16)])
def test_batches_that_cannot_be_shared(folder: Path, tmp_path: Path, batch: int, parts: int) -> None:
    with pytest.raises(RecipeError, match="shared equally") as caught:
        train(
            recipe(folder, f"schedule.batch={batch}", f"schedule.accumulate={parts}"),
            folder / "s.h5",
            tmp_path / "run",
        )
    assert "schedule.batch=" in str(caught.value.details["cure"])


# --- what launchers say ---

SLURM = {
    "SLURM_PROCID": "5",
    "SLURM_NTASKS": "8",
    "SLURM_STEP_NUM_TASKS": "8",
    "SLURM_LOCALID": "1",
    "SLURM_JOB_ID": "4711",
    "SLURM_STEP_ID": "0",
    "SLURM_JOB_NODELIST": "gpu[07-08]",
}
OPEN_MPI = {
    "OMPI_COMM_WORLD_RANK": "1",
    "OMPI_COMM_WORLD_SIZE": "2",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
    "PMIX_NAMESPACE": "job@1",
}
HYDRA = {"PMI_RANK": "3", "PMI_SIZE": "4", "MPI_LOCALRANKID": "3", "MPI_LOCALNRANKS": "4"}
TORCHRUN = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "MASTER_ADDR": "a", "MASTER_PORT": "29500"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (TORCHRUN, (3, 4, 1, "a")),
        ({**SLURM, **TORCHRUN}, (3, 4, 1, "a")),  # torchrun on each machine, started by srun
        (SLURM, (5, 8, 1, "gpu07")),
        ({**SLURM, "MASTER_ADDR": "b", "MASTER_PORT": "1234"}, (5, 8, 1, "b")),
        (OPEN_MPI, (1, 2, 1, "127.0.0.1")),
        ({**OPEN_MPI, "OMPI_COMM_WORLD_SIZE": "4", "MASTER_ADDR": "b"}, (1, 4, 1, "b")),
        (HYDRA, (3, 4, 3, "127.0.0.1")),
    ],
)
def test_launchers(given: dict[str, str], expected: tuple[int, int, int, str]) -> None:
    place = find_place(given)
    assert place is not None
    assert (place.rank, place.world, place.local, place.address) == expected
    assert place.port == int(given.get("MASTER_PORT", place.port))
    assert 1024 <= place.port < 65536
    assert find_place(given) == place, "the port must not change from call to call"


@pytest.mark.parametrize(
    "given",
    [
        {},
        {**TORCHRUN, "WORLD_SIZE": "1", "RANK": "0"},
        {**SLURM, "SLURM_STEP_NUM_TASKS": "1"},
        {name: value for name, value in SLURM.items() if "STEP" not in name},  # a batch script without srun
    ],
)
def test_a_process_alone(given: dict[str, str]) -> None:
    assert find_place(given) is None


def test_two_jobs_meet_at_two_ports() -> None:
    ports = {find_place({**SLURM, "SLURM_JOB_ID": str(job)}) for job in range(20)}
    assert len({place.port for place in ports if isinstance(place, Place)}) == 20


def test_mpirun_on_several_machines_must_say_where() -> None:
    with pytest.raises(TrainingError, match="where to meet") as caught:
        find_place({**OPEN_MPI, "OMPI_COMM_WORLD_SIZE": "4"})
    assert "MASTER_ADDR" in str(caught.value.details["cure"])


def test_a_rank_that_cannot_be() -> None:
    with pytest.raises(TrainingError, match="contradicts"):
        find_place({**TORCHRUN, "RANK": "4"})


@pytest.mark.parametrize(
    ("hosts", "first"),
    [
        ("node1", "node1"),
        ("node1,node2", "node1"),
        ("gpu[007-010,12]", "gpu007"),
        ("gpu[3,5-6],cpu1", "gpu3"),
        ("r1n[01-02]-ib", "r1n01-ib"),
    ],
)
def test_the_first_of_slurms_hosts(hosts: str, first: str) -> None:
    assert first_host(hosts) == first

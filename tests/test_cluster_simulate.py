"""`simulate --cluster`: the same showers as on one core, whoever dies meanwhile."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Generator, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from typer.testing import CliRunner

import cluster_toys as toys
from caloforge.cli.main import app
from caloforge.cluster import Chunk, Fault, Outcome
from caloforge.cluster.processes import Processes
from caloforge.detector import load_detector
from caloforge.errors import ClusterError, Geant4Error, ShowersError, WorkerError
from caloforge.quantities import Interval, Spectrum
from caloforge.showers import ShowerFile, Showers
from caloforge.truth.gun import Gun
from caloforge.truth.physics import Physics
from caloforge.truth.pool import Batch, Energies, Made, Plan, batches, produce

LONG = ["calogan", "--particle", "e-", "--energy", "500MeV", "--count", "700", "--seed", "3"]
# Three batches of some seconds: time enough to be killed in the middle.
CALOFORGE = [sys.executable, "-m", "caloforge", "simulate"]


def contents(path: Path) -> list[bytes]:
    showers = Showers.load(path)
    columns = [column.tobytes() for column in showers.incident.values()]
    return [*columns, showers.cells.tobytes(), showers.overflow.tobytes()]


def made(path: Path) -> int:
    """How many whole showers an unfinished file holds."""
    try:
        with ShowerFile(path) as file:
            return len(file)
    except ShowersError:  # not there yet
        return 0


@pytest.fixture(scope="module")
def one_core(tmp_path_factory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("one")
    subprocess.run([*CALOFORGE, *LONG, "--out", "a.h5"], cwd=folder, check=True, capture_output=True)
    return contents(folder / "a.h5")


@pytest.fixture(params=["dask", "ray"])
def place(request, tmp_path) -> Iterator[Any]:
    pytest.importorskip("distributed" if request.param == "dask" else "ray")
    started = (toys.DaskToy if request.param == "dask" else toys.RayToy)(tmp_path)
    try:
        yield started
    finally:
        started.close()


@pytest.mark.geant4
@pytest.mark.slow
def test_two_processes_of_which_one_is_killed(tmp_path, one_core):
    process = started("processes:2", tmp_path)
    victim, *_ = geant4_of(psutil.Process(process.pid))
    victim.kill()
    assert process.wait(300) == 0
    assert contents(tmp_path / "a.h5") == one_core


@pytest.mark.geant4
@pytest.mark.slow
def test_a_worker_or_a_node_is_killed(place, tmp_path, one_core):
    process = started(place.address, tmp_path)
    victim = place.processes[-1]  # of Ray the node that is not the head
    assert geant4_of(victim)
    place.kill(victim)
    assert process.wait(300) == 0, (tmp_path / "err").read_text()
    assert contents(tmp_path / "a.h5") == one_core
    with ShowerFile(tmp_path / "a.h5") as file:
        assert file.provenance["processor"] == place.address


@pytest.mark.geant4
@pytest.mark.slow
def test_without_its_head_it_stops_and_keeps_what_was_made(place, tmp_path):
    process = started(place.address, tmp_path)
    place.kill(place.processes[0])
    assert process.wait(120) == 2
    assert "the connection to the" in (tmp_path / "err").read_text()
    assert 0 < made(tmp_path / "a.h5.part") < 700


@pytest.mark.geant4
@pytest.mark.slow
def test_ctrl_c_leaves_nothing_running_and_the_rest_is_made_later(place, tmp_path, one_core):
    process = started(place.address, tmp_path)
    busy = [geant4 for one in place.processes for geant4 in geant4_of(one)]
    assert busy
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(60) == 130
    assert "--resume" in (tmp_path / "err").read_text()
    gone, _ = psutil.wait_procs(busy, timeout=60)
    assert len(gone) == len(busy)
    assert 0 < made(tmp_path / "a.h5.part") < 700
    command = [*CALOFORGE, *LONG, "--out", "a.h5", "--resume", "--cluster", place.address]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert contents(tmp_path / "a.h5") == one_core


def started(address: str, folder: Path) -> subprocess.Popen[str]:
    """A production on a cluster that has showers already, and lacks some."""
    with (folder / "err").open("w") as err:
        process = subprocess.Popen(
            [*CALOFORGE, *LONG, "--out", "a.h5", "--cluster", address],
            cwd=folder,
            stderr=err,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
    toys.wait_for(lambda: made(folder / "a.h5.part") or process.poll() is not None, 120)
    assert process.poll() is None, (folder / "err").read_text()
    return process


def geant4_of(process: psutil.Process) -> list[psutil.Process]:
    """Processes of ours below a process."""
    return [one for one in process.children(recursive=True) if "caloforge.workers" in " ".join(one.cmdline())]


# --- what goes wrong ---------------------------------------------------------------------------------


class Dies:
    """A cluster on which batches come back in another order, and one never does."""

    slots, chunk_seconds = 2, 0.5

    def run(
        self, function: object, chunks: Iterable[Chunk | None], ahead: int = 1
    ) -> Generator[Outcome, None, None]:
        todo = [chunk for chunk, _ in zip(chunks, range(4), strict=False) if chunk]
        died = Fault("died", WorkerError("a worker process has died", got="SIGKILL"), 4)
        for number in (3, 2, 1, 0):
            made = Made((Energies(np.full((2, 1), number, np.float32), None),), np.zeros(2))
            yield Outcome(todo[number], fault=died) if number == 2 else Outcome(todo[number], made)


def particles(count: int) -> Iterator[Batch]:
    gun = Gun(-11, Spectrum.parse("1GeV"), *[Interval(0.0, 0.0)] * 4)
    return batches(gun, 1, 0, count, seconds=0.02)


def test_what_was_made_before_a_batch_that_dies_is_kept_and_the_batch_is_named():
    plan = Plan(load_detector("calogan").to_yaml(), Physics.parse("standard", 0.7), 1, versions={})
    made = produce(plan, particles(8), Dies())
    found = [next(made), next(made)]
    assert [(batch.first, made.readouts[0].cells.max()) for batch, made in found] == [(0, 0.0), (2, 1.0)]
    with pytest.raises(Geant4Error) as error:
        next(made)
    for words in ("showers 4 to 5", "4 processes died, the last by SIGKILL", "--resume"):
        assert words in str(error.value)


@pytest.mark.geant4
@pytest.mark.parametrize("wrong", ["versions", "data"])
def test_a_worker_that_would_make_other_showers_is_named(wrong, monkeypatch, tmp_path):
    plan = Plan(load_detector("calogan").to_yaml(), Physics.parse("standard", 0.7), 1)
    if wrong == "versions":
        plan = replace(plan, versions=plan.versions | {"geant4": "11.2.0"})
    else:
        monkeypatch.setenv("GEANT4_DATA_DIR", str(tmp_path / "nowhere"))
    with Processes(1) as cluster, pytest.raises(Geant4Error) as error:
        list(produce(plan, particles(2), cluster))
    said = str(error.value)
    assert socket.gethostname() in said
    assert "GEANT4_DATA_DIR" in said if wrong == "data" else "11.2.0" in said


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--cluster", "dask://127.0.0.1:1"], "dask scheduler"),
        (["--jobs", "2", "--cluster", "ray:auto"], "--jobs"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_made(more, said, tmp_path):
    pytest.importorskip("calzone")
    words = ["simulate", *LONG, "--out", str(tmp_path / "a.h5"), *more]
    error = CliRunner().invoke(app, words).exception
    assert isinstance(error, ClusterError)
    assert said in str(error)
    assert not list(tmp_path.iterdir())

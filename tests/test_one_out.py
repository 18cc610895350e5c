"""Two processes with one `--out`: the first is unharmed, the second is told; a killed one is done again."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from caloforge.detector import load_detector
from caloforge.showers import Showers
from tiny_toys import tiny_showers

VERBS: dict[str, str] = {
    "simulate": "calogan --particle e+ --energy 1:5GeV --count 60 --out OUT.h5 --resume",
    "convert": "large.h5 OUT.calogan.h5",
    "generate": "calogan-tuned --energy 1:100GeV --count 40000 --out OUT.h5",
    "train": "calogan --data some.h5 --out OUT --resume --minutes 0.2 --set schedule.checkpoint_seconds=0.1",
    "export": "calogan-tuned --out OUT",
    "validate": "some.h5 other.h5 --out OUT --metrics response,images",
    "adopt": "generator.hdf5 --recipe gan3d --set model.scale=1 --particle e- --energy 10:500GeV --out OUT",
    "detector plot": "calogan --out OUT.png",
    "inspect": "some.h5 --picture OUT.png",
}
"""What is called, in a folder with the files that it needs; `OUT` is what is made."""

_ATOMIC = {"detector plot", "inspect"}  # made in a moment: the last one to finish wins
_IN_PLACE = {"train", "validate"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, published: Path) -> Path:
    folder = tmp_path_factory.mktemp("one-out")
    calogan = load_detector("calogan")
    rng = np.random.default_rng(1)
    cells = rng.exponential(size=(6000, calogan.n_cells)) * (rng.random((6000, calogan.n_cells)) < 0.3)
    incident = tiny_showers(6000).incident
    cells *= (incident.energy / cells.sum(1))[:, None]
    large = Showers(calogan, incident, cells.astype(np.float32))
    large.save(folder / "large.h5")
    large[:600].save(folder / "some.h5")
    large[600:1200].save(folder / "other.h5")
    (weights,) = sorted((published / "3dgan-weights").glob("*generator*"))[:1]
    (folder / "generator.hdf5").symlink_to(weights)
    return folder


def _start(folder: Path, verb: str, out: str) -> subprocess.Popen[str]:
    words = f"{verb} {VERBS[verb]}".replace("OUT", out).split()
    return subprocess.Popen(
        [sys.executable, "-m", "caloforge", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )


def _made(folder: Path, out: str) -> list[str]:
    """Whatever has the name of the output in its own, without what is inside of folders."""
    return sorted(path.name for path in folder.iterdir() if out in path.name)


def _until_it_writes(process: subprocess.Popen[str], folder: Path, out: str) -> bool:
    """Stop the process once something of its output is there; says whether it was still at work."""
    while process.poll() is None:
        if _made(folder, out):
            os.killpg(process.pid, signal.SIGSTOP)
            return True
        time.sleep(0.002)
    return False


def _ends(process: subprocess.Popen[str]) -> str:
    said, _ = process.communicate(timeout=200)
    assert "Traceback" not in said, said
    return said


@pytest.mark.slow
@pytest.mark.parametrize(
    "verb", [pytest.param(v, marks=pytest.mark.geant4 if v == "simulate" else ()) for v in VERBS]
)
def test_the_second_is_told_and_the_first_is_unharmed(folder: Path, verb: str) -> None:
    out = f"{verb.split()[-1]}-two"
    first = _start(folder, verb, out)
    assert _until_it_writes(first, folder, out) or verb in _ATOMIC
    second = _start(folder, verb, out)
    said = _ends(second)
    if verb not in _ATOMIC:
        assert second.returncode == 2, said
        assert "another process is writing" in said, said
    if first.poll() is None:
        os.killpg(first.pid, signal.SIGCONT)
    said = _ends(first)
    assert first.returncode == 0, said
    assert len(_made(folder, out)) == 1, _made(folder, out)


@pytest.mark.slow
@pytest.mark.parametrize(
    "verb", [pytest.param(v, marks=pytest.mark.geant4 if v == "simulate" else ()) for v in VERBS]
)
def test_a_killed_one_is_done_again(folder: Path, verb: str) -> None:
    """Killed three times at any moment after it began to write, the same command does it all."""
    out = f"{verb.split()[-1]}-killed"
    chance = random.Random(verb)
    again = _start(folder, verb, out)
    for _ in range(3):
        if not _until_it_writes(again, folder, out):
            break
        os.killpg(again.pid, signal.SIGCONT)
        time.sleep(chance.uniform(0, 0.5))
        os.killpg(again.pid, signal.SIGKILL)
        _ends(again)
        if _is_done(folder, verb, out):
            return  # killed when all was made
        again = _start(folder, verb, out)
    said = _ends(again)
    assert again.returncode == 0, said
    assert len(_made(folder, out)) == 1, _made(folder, out)


def _is_done(folder: Path, verb: str, out: str) -> bool:
    """Whether what is renamed when it is complete has been; what is written in its place never looks so."""
    (name,) = (word.replace("OUT", out) for word in VERBS[verb].split() if "OUT" in word)
    return verb not in _IN_PLACE and _made(folder, out) == [name]

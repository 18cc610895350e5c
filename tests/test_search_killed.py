"""A search whose workers and masters are killed: what was finished is kept, the rest is done again."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import optuna
import psutil
import pytest
from optuna.trial import FrozenTrial, TrialState

from tiny_toys import TINY, tiny_showers

KILLS, TRIALS = 20, 30
SPACE = """search:
  objective.generator_rate: {float: [1.0e-5, 1.0e-3], log: true}
  model.width: {int: [4, 64]}
"""
RECIPE = """name: killed
detector: {detector}
model: {{kind: tuned, latent: 4, width: 8}}
schedule: {{epochs: 8, batch: 16, checkpoint_seconds: 0.5}}
"""


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    (tmp_path / "tiny.yaml").write_text(TINY)
    (tmp_path / "recipe.yaml").write_text(RECIPE.format(detector=tmp_path / "tiny.yaml"))
    (tmp_path / "space.yaml").write_text(SPACE)
    tiny_showers(400).save(tmp_path / "s.h5")
    words = ["tune", tmp_path / "recipe.yaml", tmp_path / "space.yaml", "--data", tmp_path / "s.h5"]
    words += [
        "--out",
        tmp_path / "study",
        "--objective",
        "score",
        "--trials",
        TRIALS,
        "--groups",
        2,
        "--resume",
    ]
    return [sys.executable, "-m", "caloforge", *map(str, words)]


def trials(folder: Path) -> list[FrozenTrial]:
    storage = f"sqlite:///{folder / 'study' / 'study.db'}"
    return optuna.load_study(study_name="study", storage=storage).get_trials()


def complete(folder: Path) -> dict[int, list[float]]:
    return {t.number: t.values for t in trials(folder) if t.state is TrialState.COMPLETE}


def start(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


@pytest.mark.slow
def test_twenty_kills(command: list[str], tmp_path: Path) -> None:
    chance, finished = random.Random(18), dict[int, list[float]]()
    masters = [start(command)]
    while not (tmp_path / "study" / "study.db").exists():
        time.sleep(0.2)
    for _ in range(KILLS):
        time.sleep(chance.uniform(2, 8))
        master = masters[-1]
        if master.poll() is not None:
            break  # it was through before it could be killed as often
        victim = psutil.Process(master.pid)
        workers = victim.children()
        if workers and chance.random() < 0.5:
            victim = chance.choice(workers)
        victim.kill()
        if victim.pid == master.pid:
            master.wait()
            masters.append(start(command))
        now = complete(tmp_path)
        assert finished.items() <= now.items()
        finished = now
    _, errors = masters[-1].communicate(timeout=1200)
    assert masters[-1].returncode == 0, errors.decode()
    assert len(masters) > 3
    left = trials(tmp_path)
    assert finished.items() <= complete(tmp_path).items()
    assert len(complete(tmp_path)) == TRIALS
    assert {t.state for t in left} <= {TrialState.COMPLETE, TrialState.FAIL}
    lost = [t for t in left if t.state is TrialState.FAIL]
    assert lost
    done = [t.params for t in left if t.state is TrialState.COMPLETE]
    assert all(t.params in done for t in lost if len(t.params) == 2)


@pytest.mark.slow
def test_two_masters_share_a_study(command: list[str], tmp_path: Path) -> None:
    first = start(command)
    while not (tmp_path / "study" / "study.db").exists():
        time.sleep(0.2)
    second = start(command)
    for master in (first, second):
        _, errors = master.communicate(timeout=1200)
        assert master.returncode == 0, errors.decode()
    found = trials(tmp_path)
    assert TRIALS <= len(found) <= TRIALS + 3  # both may begin the last one
    assert {t.state for t in found} == {TrialState.COMPLETE}
    workers = {job["group"] for t in found for job in t.user_attrs["jobs"]}
    assert len(workers) == 4
    assert len({tuple(t.params.items()) for t in found}) == len(found)

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
from sqlalchemy.exc import SQLAlchemyError

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
    """Those of the study; none before it has begun."""
    storage = f"sqlite:///{folder / 'study' / 'study.db'}"
    try:
        return optuna.load_study(study_name="study", storage=storage).get_trials()
    except (KeyError, SQLAlchemyError):
        return []


def complete(folder: Path) -> dict[int, list[float]]:
    return {t.number: t.values for t in trials(folder) if t.state is TrialState.COMPLETE}


def start(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as lines:
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=lines)


def wait_for_more(folder: Path, than: int, master: subprocess.Popen[bytes]) -> None:
    """Wait until trials have begun or ended, however loaded the machine is."""
    while master.poll() is None:
        found = trials(folder)
        if len(found) + sum(t.state.is_finished() for t in found) > than:
            return
        time.sleep(0.2)


@pytest.mark.slow
def test_twenty_kills(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    chance, finished, seen = random.Random(18), dict[int, list[float]](), 0
    log, masters = tmp_path / "log", [start(command, tmp_path / "log")]
    for _ in range(KILLS):
        wait_for_more(tmp_path, seen, masters[-1])
        time.sleep(chance.uniform(0, 3))
        assert masters[-1].poll() is None
        victim = psutil.Process(masters[-1].pid)
        workers = victim.children()
        if workers and chance.random() < 0.5:
            victim = chance.choice(workers)
        victim.kill()
        if victim.pid == masters[-1].pid:
            masters[-1].wait()
            masters.append(start(command, log))
        now = complete(tmp_path)
        assert finished.items() <= now.items()
        found = trials(tmp_path)
        finished, seen = now, len(found) + sum(t.state.is_finished() for t in found)
    assert masters[-1].wait(timeout=1200) == 0, log.read_text()
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
    (tmp_path / "study").mkdir()
    log = tmp_path / "log"
    masters = [start(command, log), start(command, log)]
    for master in masters:
        assert master.wait(timeout=1200) == 0, log.read_text()
    found = trials(tmp_path)
    assert TRIALS <= len(found) <= TRIALS + 3  # both may begin the last one
    assert {t.state for t in found} == {TrialState.COMPLETE}
    workers = {job["group"] for t in found for job in t.user_attrs["jobs"]}
    assert len(workers) == 4
    assert len({tuple(t.params.items()) for t in found}) == len(found)

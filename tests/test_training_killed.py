"""A training that is really killed, again and again, ends with the weights of one that was not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import test_training as this
from caloforge.training import Run, train
from caloforge.training.metrics import read_metrics
from tiny_toys import TINY, tiny_showers

CODE = """
import sys, torch
torch.set_num_threads(1)
import pytest
import test_training as this
from caloforge.training import train
from pathlib import Path
detector, data, out = map(Path, sys.argv[1:4])
train(this.recipe(detector, *this.FREQUENT), data, out, resume=True,
      progress=lambda done, total, note: print(done, flush=True))
"""


def _run_and_kill(arguments: list[str], steps: int) -> None:
    """Start a training and SIGKILL it when it reports a step; in the middle of which file is chance."""
    with subprocess.Popen(
        [sys.executable, "-c", CODE, *arguments], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= steps:
                process.kill()
                break
    assert process.returncode == -9


@pytest.mark.slow
def test_killed_trainings_end_with_the_same_weights(tmp_path: Path) -> None:
    detector, data = tmp_path / "tiny.yaml", tiny_showers().save(tmp_path / "showers.h5")
    detector.write_text(TINY)
    arguments = [str(detector), str(data), str(tmp_path / "killed")]
    for steps in (3, 11):
        _run_and_kill(arguments, steps)
        left = read_metrics(tmp_path / "killed" / "metrics.jsonl")
        assert left[-1]["steps"] >= steps - 1
    subprocess.run([sys.executable, "-c", CODE, *arguments], check=True, cwd=Path(__file__).parent)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    whole = train(this.recipe(detector), data, tmp_path / "whole")
    torch.set_num_threads(threads)
    this.assert_same(whole.path, tmp_path / "killed")
    assert Run.open(tmp_path / "killed").summary()["steps"] == 16

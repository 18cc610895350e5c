"""The command line beside its verbs: completion in the shell, and progress in log files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from caloforge.cli.terminal import minute_lines, progress_bar
from caloforge.detector import preset_names
from caloforge.training import recipe_names
from caloforge.training.pretrained import pretrained_names

_RUN = "import sys; sys.argv[0] = 'caloforge'; from caloforge.cli.main import main; main()"


def _complete(words: str, folder: Path) -> list[str]:
    """What bash is offered for the last of `words`."""
    asked = {"_CALOFORGE_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    result = subprocess.run(
        [sys.executable, "-c", _RUN],
        env=os.environ | asked,
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout.split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("caloforge sim", ["simulate"]),
        ("caloforge detector pl", ["plot"]),
        ("caloforge simulate ", preset_names()),
        ("caloforge detector show calochallenge-1", ["calochallenge-1-photons", "calochallenge-1-pions"]),
        ("caloforge train ", recipe_names()),
        ("caloforge generate ", pretrained_names()),
        ("caloforge export conv2d", ["conv2d-tuned"]),
    ],
)
def test_the_shell_completes_verbs_and_names_of_presets(words, expected, tmp_path):
    assert _complete(words, tmp_path) == expected


def test_the_shell_completes_files_of_ones_own(tmp_path):
    (tmp_path / "mine.yaml").touch()
    (tmp_path / "more").mkdir()
    (tmp_path / "more.h5").touch()
    assert _complete("caloforge simulate m", tmp_path) == ["mine.yaml", "more/"]
    assert _complete("caloforge generate m", tmp_path) == ["more/"]
    (tmp_path / "more" / "deep.yaml").touch()
    (tmp_path / "more" / ".hidden.yaml").touch()
    assert _complete("caloforge simulate ./more/", tmp_path) == ["./more/deep.yaml"]
    assert _complete("caloforge simulate nowhere/", tmp_path) == []


def _told(capsys: pytest.CaptureFixture[str], *reports: tuple[float, int]) -> list[str]:
    """What a log holds after reports at these seconds, of so many steps out of 10."""
    seconds = iter([0.0, *(when for when, _ in reports)])
    report = minute_lines("Simulating", clock=lambda: next(seconds))
    for _, done in reports:
        report(done, 10, "0.1 showers/s")
    return capsys.readouterr().err.splitlines()


def test_a_log_gets_a_line_a_minute_and_one_at_the_end(capsys):
    assert _told(capsys, (0, 0), (10, 1), (59, 2), (60, 3), (80, 4), (120, 5), (135, 10), (135, 10)) == [
        "Simulating: 3 of 10 after 1 min, about 2 min left; 0.1 showers/s",
        "Simulating: 5 of 10 after 2 min, about 2 min left; 0.1 showers/s",
        "Simulating: 10 of 10 after 2 min; 0.1 showers/s",
    ]


def test_what_an_interrupted_command_had_done_says_nothing_of_the_time_left(capsys):
    assert _told(capsys, (2, 6), (62, 7), (130, 7)) == [
        "Simulating: 7 of 10 after 1 min, about 3 min left; 0.1 showers/s",
        "Simulating: 7 of 10 after 2 min, about 6 min left; 0.1 showers/s",
    ]


def test_short_work_leaves_a_log_alone(capsys):
    with progress_bar("Simulating") as report:
        report(0, 10, "starting")
        report(10, 10, "done")
    assert capsys.readouterr() == ("", "")

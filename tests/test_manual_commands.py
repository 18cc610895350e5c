"""The commands of README and manuals are real: each parses, and README's screen runs in its order."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from caloforge.cli.main import app
from caloforge.deploy import Bundle

ROOT = Path(__file__).parents[1]
MANUALS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def _screens(text: str) -> list[str]:
    shown = [body for kind, body in _FENCE.findall(text) if kind in ("", "bash", "sh", "console")]
    return [body.replace("\\\n", " ") for body in shown]


def _calls(screen: str) -> list[list[str]]:
    """Arguments of each call of caloforge in a screen, without comments and calls with dots in them."""
    lines = [shlex.split(line, comments=True) for line in screen.splitlines() if "caloforge " in line]
    starts = [(line, line.index("caloforge")) for line in lines if "caloforge" in line]
    return [line[start + 1 :] for line, start in starts if "..." not in line]


def _inline(text: str) -> list[list[str]]:
    found = re.findall(r"`(?:\w+=\w+ )?caloforge ([^`]+)`", _FENCE.sub("", text))
    return [shlex.split(words.removesuffix("...")) for words in found]


@cache
def _command() -> Any:
    """All verbs; building them takes longer than reading a call."""
    return typer.main.get_command(app)


def parse(call: list[str], whole: bool) -> None:
    """Let the command line read a call without running it; `whole` ones must lack nothing."""
    command = _command()
    while hasattr(command, "commands") and call:
        if call[0].startswith("-"):
            # Not run: --install-completion would.
            assert call[0] in ("-h", "--help", *(name for p in command.params for name in p.opts))
            return
        assert call[0] in command.commands, f"no such verb: {call[0]}"
        command, call = command.commands[call[0]], call[1:]
    try:
        command.make_context("caloforge", list(call))
    except typer.Exit:
        pass  # --list and --help print, and end
    except Exception as error:
        # By its name: typer has brought its own copy of click since 0.26.
        if whole or type(error).__name__ not in ("MissingParameter", "BadOptionUsage"):
            raise


def _cases(calls: Any) -> list[Any]:
    found = [(path.name, call) for path in MANUALS for call in calls(path.read_text(encoding="utf-8"))]
    return [pytest.param(call, id=f"{name}: {shlex.join(call)[:60]}") for name, call in found]


SHOWN = _cases(lambda text: [call for screen in _screens(text) for call in _calls(screen)])
MENTIONED = _cases(_inline)


def test_there_are_commands_to_look_at() -> None:
    assert len(SHOWN) > 40
    assert len(MENTIONED) > 20


@pytest.mark.parametrize("call", SHOWN)
def test_a_command_that_is_shown_parses(call: list[str]) -> None:
    parse(call, whole=True)


@pytest.mark.parametrize("call", MENTIONED)
def test_a_command_that_is_mentioned_exists(call: list[str]) -> None:
    parse(call, whole=False)


def test_what_does_not_exist_would_be_found() -> None:
    for wrong in (["simulat", "calogan"], ["detector", "draw"], ["doctor", "--hard"]):
        with pytest.raises(Exception, match=r"no such verb|No such option"):
            parse(wrong, whole=False)


def _run(screen: str, smaller: dict[str, str], folder: Path) -> None:
    """Run a screen as written, but with fewer and softer showers."""
    for call in _calls(screen):
        words = [smaller.get(word, word) for word in call]
        command = [sys.executable, "-m", "caloforge", *words]
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        # Trained with so few showers, the answer to README's requirement may be no.
        allowed = (0, 1) if call[0] == "validate" else (0,)
        assert result.returncode in allowed, f"{shlex.join(words)}\n{result.stdout}\n{result.stderr}"


@pytest.mark.slow
@pytest.mark.geant4
def test_the_screen_of_the_readme_runs_in_its_order(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    screen = _screens(text[text.index("## One screen of use") :])[0]
    # As written, Geant4 alone takes two cores the best part of an hour.
    _run(screen, {"10000": "400", "5000": "200", "1:100GeV": "1:10GeV"}, tmp_path)
    made = {path.name for path in tmp_path.iterdir()}
    assert {
        "calogan.png",
        "positrons.h5",
        "unseen.h5",
        "positrons.png",
        "run",
        "bundle",
        "generated.h5",
    } <= made
    assert (tmp_path / "report" / "report.html").is_file()


@pytest.mark.slow
@pytest.mark.geant4
def test_a_detector_of_ones_own_goes_all_the_way(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "detectors.md").read_text(encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(next(body for kind, body in _FENCE.findall(text) if kind == "yaml"))
    screen = _screens(text[text.index("## 4. ") :])[0]
    _run(screen, {"5000": "400", "2000": "200", "1:20GeV": "1:5GeV"}, tmp_path)
    assert (tmp_path / "report" / "report.html").is_file()
    manifest = Bundle.open(tmp_path / "mine.bundle").manifest
    assert manifest.detector.name == "mine"
    assert manifest.name == "calogan-tuned for mine"
    assert "mine" in manifest.about
    assert manifest.provenance["training_steps"] > 0

"""Ordinary faults of a machine and of its user: one message, the right exit code, and no traceback."""

from __future__ import annotations

import errno
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from caloforge.cli import main as command
from caloforge.cli.faults import explain
from caloforge.detector import load_detector
from caloforge.documents import Kind, parse_yaml
from caloforge.errors import BundleError, CaloforgeError, QuantityError, RecipeError, RunError, nearest
from caloforge.quantities import Interval, Spectrum, check_whole
from caloforge.samples import positrons
from caloforge.training import Run
from caloforge.training.metrics import read_metrics

CALOFORGE = [sys.executable, "-m", "caloforge"]


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The whole command line in this process; returns its exit code."""
    monkeypatch.setattr(sys, "argv", ["caloforge", *arguments])
    # It stays ignored while Python ends, which it does not here.
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with pytest.raises(SystemExit) as ended:
        command.main()
    return int(ended.value.code or 0)


def shell(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    line = text.replace("caloforge ", " ".join(CALOFORGE) + " ")
    return subprocess.run(
        ["bash", "-c", "set -o pipefail; " + line],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


# --- what becomes of an exception ---


class SafetensorError(Exception):
    """Has the name of safetensors' own, which carries the system's number in its text."""


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "a.h5"), ["no space left", "a.h5", "free some"]),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), ["permission denied", "/x", "may use"]),
        (
            FileNotFoundError(errno.ENOENT, "No such file", "no/a"),
            ["no such file", "no/a", "make the folder"],
        ),
        (OSError(errno.ENAMETOOLONG, "File name too long", "xx"), ["name too long", "a shorter name"]),
        (OSError("Can't write (errno = 28, error message = 'No space')"), ["no space left", "free some"]),
        (RuntimeError("Can't decrement id ref count (errno = 28, x)"), ["no space left"]),
        (SafetensorError("I/O error: File too large (os error 27)"), ["file too large", "ulimit -f"]),
        (MemoryError("Unable to allocate 7 PiB"), ["not enough memory", "7 PiB", "ask for less"]),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), ["not enough memory"]),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), ["not enough memory"]),
        (UnicodeEncodeError("ascii", "é", 0, 1, "no"), ["cannot be read or written", "UTF-8"]),
    ],
)
def test_ordinary_errors_are_explained(error: Exception, words: list[str]) -> None:
    known = explain(error)
    assert known is not None
    assert known.exit_code == 2
    for word in words:
        assert word in str(known)


@pytest.mark.parametrize(
    "error", [KeyError("x"), RuntimeError("shape"), TypeError("x"), ValueError("errno = 28")]
)
def test_our_own_faults_are_not_explained_away(error: Exception) -> None:
    assert explain(error) is None


def test_torch_and_numpy_say_what_is_understood() -> None:
    """The texts above are theirs: they would change with a version."""
    import torch

    for ask in (lambda: np.empty(10**15), lambda: torch.empty(10**14)):
        with pytest.raises((MemoryError, RuntimeError)) as caught:
            ask()
        assert "not enough memory" in str(explain(caught.value))


def test_hdf5_and_safetensors_say_what_is_understood(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    for write in (
        lambda: h5py.File(tmp_path / "no" / "a.h5", "w"),
        lambda: save_file({"a": torch.zeros(3)}, tmp_path / "no" / "a"),
    ):
        with pytest.raises(Exception, match="No such file") as caught:
            write()
        assert "make the folder first" in str(explain(caught.value))


# --- the command line ---


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "/x"), 2, "error: the system refused"),
        (MemoryError(), 2, "error: there is not enough memory"),
        (KeyboardInterrupt(), 130, "caloforge: stopped"),
        (CaloforgeError("bad \x1b[2J name"), 2, "error: bad \\x1b[2J name"),
        (KeyError("ours"), 70, "please report it"),
    ],
)
def test_how_a_command_ends(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    words: str,
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("caloforge.detector.load_detector", fail)
    assert run(monkeypatch, "detector", "show", "calogan") == code
    printed = capsys.readouterr().err
    assert words in printed
    assert ("Traceback" in printed) == (code == 70)


@pytest.mark.parametrize("name", ["[red]a.h5", "[/].h5", "a[/bold].h5", "é ü.h5", "[link=x]y.h5", "a\\\\.h5"])
def test_brackets_in_a_name_are_brackets(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    assert run(monkeypatch, "convert", str(positrons()), name) == 0
    assert name in capsys.readouterr().out
    assert (tmp_path / name).is_file()


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="no /dev/full here")
@pytest.mark.parametrize("verb", ["detector list", "detector list --json", "--help", "--version"])
def test_an_answer_that_is_lost_is_no_success(tmp_path: Path, verb: str) -> None:
    done = shell(f"caloforge {verb} > /dev/full", tmp_path)
    assert (done.returncode, "could not be printed (No space left" in done.stderr) == (2, True)
    assert "Traceback" not in done.stderr
    assert "ignored" not in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="no such shell")
@pytest.mark.parametrize(
    ("line", "code", "printed"),
    [
        ("caloforge detector list | true", 141, ""),
        ("caloforge --help | true", 141, ""),
        ("caloforge detector list >&-", 2, "standard output is closed"),
        ("caloforge detector show nope 2>&-", 2, ""),
        ("caloforge detector list 2>&- | cat > /dev/null", 0, ""),
    ],
)
def test_pipes_and_closed_streams(tmp_path: Path, line: str, code: int, printed: str) -> None:
    done = shell(line, tmp_path)
    assert done.returncode == code
    assert printed in done.stderr
    assert printed or not done.stderr


# --- files of a run ---


def broken(folder: Path, name: str, text: str | bytes) -> Run:
    source = Run.open("calogan-tuned").path
    folder.mkdir()
    for file in source.iterdir():
        if file.is_file() and file.suffix != ".safetensors":
            (folder / file.name).write_bytes(file.read_bytes())
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return Run(folder)


FILES: dict[str, Callable[[Run], object]] = {
    "data.json": lambda r: r.data,
    "environment.json": lambda r: r.provenance,
    "init.json": lambda r: r.init,
    "metrics.jsonl": lambda r: r.summary(),
    "recipe.yaml": lambda r: r.recipe,
    "detector.yaml": lambda r: r.detector,
}
TEXTS = [
    "",
    "[1, 2]\n",
    "3\n",
    '{"a": NaN}\n',
    '{"a": 1, "a": 2}\n',
    "[" * 5000 + "\n",
    b"\xff\xfe\n",
    '{"a": "\\ud800"}\n',
]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_a_damaged_file_of_a_run_is_said(tmp_path: Path, name: str, text: str | bytes) -> None:
    found = broken(tmp_path / "run", name, text)
    if name == "metrics.jsonl" and not text:
        assert found.summary()["steps"] == 0
        return
    with pytest.raises(CaloforgeError) as caught:
        FILES[name](found)
    assert name in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        '{"kind": "step"}',
        '{"kind": "x", "steps": 1}',
        '{"kind": "step", "steps": "1"}',
        '{"kind": "epoch", "steps": 1, "kept": 3}',
        '{"kind": "epoch", "steps": 1, "epoch": 1, "kept": true}',
        '{"kind": "epoch", "steps": 1, "epoch": 1, "kept": true, "generated": {},'
        ' "geant4": {"hits": {"mean": 1, "spread": 1}}}',
        '{"kind": "epoch", "steps": 1, "epoch": 1, "kept": true, "geant4": {"hits": {"mean": 1}},'
        ' "generated": {"hits": {"mean": 1}}}',
        '{"kind": "step", "steps": 1, "showers_per_second": null}',
    ],
)
def test_a_wrong_line_of_a_diary_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "metrics.jsonl"
    file.write_text('{"kind": "step", "steps": 1}\n' + line + "\n")
    with pytest.raises(RunError, match="line 2"):
        read_metrics(file)


def test_a_document_of_too_many_values_is_refused_at_once() -> None:
    """A megabyte of YAML would take half a minute to be read, only to be refused then."""
    begin = time.process_time()
    with pytest.raises(RecipeError, match="too large"):
        parse_yaml("[" + "a," * 480_000 + "]", "x", Kind("recipe", RecipeError))
    assert time.process_time() - begin < 20


@pytest.mark.slow
def test_a_document_of_nearly_too_many_values_is_read() -> None:
    short = "[" + "a," * 99_000 + "]"
    assert len(parse_yaml(short, "x", Kind("recipe", RecipeError)).data) == 99_000


# --- numbers ---


@pytest.mark.parametrize(
    "text",
    [
        "nan",
        "inf",
        "nanGeV",
        "1e400GeV",
        "-0GeV",
        "1e-400GeV",
        "1e-50GeV",
        "1e40GeV",
        "",
        "1:",
        ",",
        "9" * 5000 + "GeV",
    ],
)
def test_energies_that_are_none(text: str) -> None:
    with pytest.raises(QuantityError):
        Spectrum.parse(text)


@pytest.mark.parametrize("text", ["nan", "1e400mm", "1e39mm", "1:2:3mm", "2:1mm", "", "1mm:"])
def test_lengths_that_are_none(text: str) -> None:
    with pytest.raises(QuantityError):
        Interval.parse(text, "length")


def test_whole_numbers_have_limits() -> None:
    check_whole(3, "--count", 1, 3)
    for wrong in (0, 4, 2**70):
        with pytest.raises(QuantityError, match="1 to 3"):
            check_whole(wrong, "--count", 1, 3)


def test_a_long_name_is_like_none() -> None:
    assert nearest("x" * 10**6, ["xx"]) is None


def test_a_message_is_not_as_long_as_the_file() -> None:
    assert len(str(BundleError("x" * 10**6, got="y" * 10**6))) < 10_000


# --- showers without a possible energy ---


@pytest.mark.parametrize(
    "option", [[], ["--json"], pytest.param(["--picture", "p.png"], marks=pytest.mark.slow)]
)
@pytest.mark.parametrize(
    ("cells", "energy"), [(0.0, 10.0), (np.nan, 10.0), (-1.0, 10.0), (1.0, np.nan), (1.0, 0.0), (1e35, 10.0)]
)
def test_inspect_says_odd_energies(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    cells: float,
    energy: float,
    option: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with h5py.File("odd.h5", "w") as file:
        for i, layer in enumerate(load_detector("calogan").layers):
            file[f"layer_{i}"] = np.full((5, *layer.shape), cells, np.float32)
        file["energy"] = np.full((5, 1), energy, np.float32)
    assert run(monkeypatch, "inspect", "odd.h5", *option) == 0
    possible = np.isfinite(cells) and cells >= 0 and energy > 0
    if not option:
        assert ("all energies possible" in capsys.readouterr().out) == possible


# --- every verb, in a process of its own ---

SAMPLE = "SAMPLE"
VERBS = {
    "simulate": "simulate calogan --particle e- --energy 50MeV --count 2 --out {out}",
    "convert": "convert SAMPLE {out}",
    "generate": "generate calogan-tuned --energy 10GeV --count 2 --out {out}",
    "train": "train calogan-fit --data SAMPLE --out {out}",
    "export": "export calogan-tuned --out {out}",
    "validate": "validate SAMPLE SAMPLE --out {out}",
    "adopt": "adopt SAMPLE --recipe gan3d --particle e- --energy 10:500GeV --out {out}",
    "demo": "demo --minutes 0.05 --out {out}",
    "plot": "detector plot calogan --out {out}",
    "inspect": "inspect SAMPLE --picture {out}",
}
PLACES = {
    "below a file": "file/x/a.png",
    "too long": "x" * 300,
    "a folder with something in it": "full",
    "a file that exists": "file",
}


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("verb", VERBS)
def test_no_verb_shows_a_traceback(tmp_path: Path, verb: str, place: str) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    line = "caloforge " + VERBS[verb].replace(SAMPLE, str(positrons())).format(out=PLACES[place])
    done = shell(line, tmp_path)
    assert "Traceback" not in done.stderr, done.stderr
    # These two add to a folder that is there, and leave what they find in it.
    added = place == "a folder with something in it" and verb in ("train", "validate")
    assert done.returncode == (0 if added else 2), done.stderr
    # What a user has stays as it was.
    assert (tmp_path / "full" / "mine").read_text() == "mine"
    assert (tmp_path / "file").read_text() == "mine"

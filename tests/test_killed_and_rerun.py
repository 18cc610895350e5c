"""What is killed in the middle is done by the same command again, and nothing is left of the first."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fcntl")

from caloforge.detector import load_detector
from caloforge.detector.drawing import draw
from caloforge.errors import OutputError
from caloforge.showers import Incident, Showers, convert
from caloforge.writing import locked_folder, new_file, new_folder, part_of, replace_text
from deploy_toys import make_bundle, make_run

DETECTOR = load_detector("calogan")


def showers(n: int = 20_000) -> Showers:
    rng = np.random.default_rng(0)
    cells = np.where(rng.random((n, 504)) < 0.05, rng.exponential(size=(n, 504)), 0).astype(np.float32)
    return Showers(DETECTOR, Incident.of(rng.uniform(1e3, 1e5, n), pdg=-11), cells)


def kill(do: Callable[[], object], after: float) -> bool:
    """SIGKILL a process that does something; says whether it was still at it."""
    process = get_context("fork").Process(target=do)
    process.start()
    process.join(after)
    alive = process.exitcode is None
    process.kill()
    process.join()
    return alive


def again_and_again(do: Callable[[], object], out: Path, times: int) -> int:
    """Kill it at moments from its first to its last, then let it finish; returns how often it was killed."""
    begin = time.monotonic()
    do()
    whole = time.monotonic() - begin
    beside = {path.name for path in out.parent.iterdir()}
    lottery, killed = random.Random(1), 0
    for _ in range(times):
        remove(out)
        killed += kill(do, lottery.uniform(0, whole))
    remove(out)
    do()
    assert {path.name for path in out.parent.iterdir()} == beside, "nothing is left of those that were killed"
    return killed


def remove(out: Path) -> None:
    import shutil

    if out.is_dir():
        shutil.rmtree(out)
    out.unlink(missing_ok=True)


@pytest.mark.parametrize("name", ["caloforge", "calogan", "calochallenge"])
def test_conversions(tmp_path: Path, name: str) -> None:
    source, out = showers(6000).save(tmp_path / "in.h5"), tmp_path / "out.h5"
    assert again_and_again(lambda: convert(source, out, to=name), out, 6)
    assert convert(out, tmp_path / "back.h5").showers == 6000


def test_generated_showers(tmp_path: Path) -> None:
    from caloforge.deploy import generate

    bundle, out = make_bundle(tmp_path / "bundle"), tmp_path / "out.h5"
    do = lambda: generate(bundle, energy="1:100GeV", count=20_000, out=out, threads=1)  # noqa: E731
    assert again_and_again(do, out, 8)
    assert len(Showers.load(out)) == 20_000


@pytest.mark.slow
def test_pictures(tmp_path: Path) -> None:
    out = tmp_path / "a.png"
    again_and_again(lambda: draw(DETECTOR, out), out, 4)
    assert out.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_bundles(tmp_path: Path) -> None:
    import subprocess
    import sys

    from caloforge.deploy import Bundle

    run, out = make_run(tmp_path / "run"), tmp_path / "bundle"
    command = [sys.executable, "-m", "caloforge", "export", str(run), "--out", str(out)]
    begin = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    whole, lottery = time.monotonic() - begin, random.Random(2)
    for _ in range(3):
        remove(out)
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            time.sleep(lottery.uniform(0.3, 1) * whole)
            process.kill()
        assert not out.exists() or Bundle.open(out), "whole or absent"
    remove(out)
    subprocess.run(command, check=True, capture_output=True)
    assert {path.name for path in tmp_path.iterdir()} == {"run", "bundle"}


# --- two at a time -----------------------------------------------------------------------------------


def files(out: Path) -> None:
    with new_file(out) as file:
        file.write(b"whole")
        refused(lambda: replace_text(out, "other"))
        refused(lambda: Showers.save(showers(5), out))


def folders(out: Path) -> None:
    with new_folder(out) as folder:
        (folder / "part").write_text("whole")
        refused(lambda: new_folder(out).__enter__())


def locked(out: Path) -> None:
    with locked_folder(out):
        (out / "part").write_text("whole")
        refused(lambda: locked_folder(out).__enter__())


def refused(other: Callable[[], object]) -> None:
    """Another process, and another part of the same one, get one message."""
    with pytest.raises(OutputError, match="another process is writing this"):
        other()
    process = get_context("fork").Process(target=_refused, args=(other,))
    process.start()
    process.join()
    assert process.exitcode == 0


def _refused(other: Callable[[], object]) -> None:
    with pytest.raises(OutputError, match="another process"):
        other()


@pytest.mark.parametrize("kind", [files, folders, locked])
def test_two_writers_get_one_message(tmp_path: Path, kind: Callable[[Path], None]) -> None:
    kind(tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    out = tmp_path / "out"
    assert (out if out.is_file() else out / "part").read_text() == "whole"


@pytest.mark.parametrize("kind", [new_file, new_folder])
def test_one_that_appears_meanwhile_is_not_overwritten(tmp_path: Path, kind: Callable) -> None:
    out = tmp_path / "out"
    with pytest.raises(OutputError, match="exists already"), kind(out):
        out.write_text("of somebody who looks at no lock")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert out.read_text().startswith("of somebody")
    with pytest.raises(OutputError, match="exists already"), kind(out):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("name", [".", "/", ".."])
def test_a_folder_is_no_name_of_a_file(name: str) -> None:
    for write in (lambda: new_file(Path(name)).__enter__(), lambda: Showers.save(showers(5), Path(name))):
        with pytest.raises(OutputError, match="the folder exists already"):
            write()
    with pytest.raises(OutputError, match="cannot be replaced"):
        replace_text(Path(name), "text")


def test_a_folder_that_another_has_just_renamed_is_made_again(tmp_path: Path, monkeypatch) -> None:
    """Between making and opening it, the one who had it before may have given it its name."""
    opened, part = os.open, part_of(tmp_path / "out")

    def late(path: str | Path, *how: int, **more: int) -> int:
        if Path(path) == part and not calls:
            calls.append(part.rmdir())
        return opened(path, *how, **more)

    calls: list[None] = []
    monkeypatch.setattr(os, "open", late)
    with new_folder(tmp_path / "out") as folder:
        (folder / "part").write_text("whole")
    assert calls
    assert (tmp_path / "out" / "part").read_text() == "whole"


def test_a_lock_dies_with_its_process_though_its_children_live(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def parent() -> None:
        with new_file(out):
            child = get_context("fork").Process(target=time.sleep, args=(20,))
            child.start()
            (tmp_path / "child").write_text(str(child.pid))
            time.sleep(20)

    process = get_context("fork").Process(target=parent)
    process.start()
    while not (tmp_path / "child").exists() or not (tmp_path / "child").read_text():
        time.sleep(0.01)
    process.kill()
    process.join()
    assert part_of(out).exists()
    with new_file(out) as file:
        file.write(b"whole")
    assert out.read_text() == "whole"
    os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)


def test_a_folder_without_anything_in_it_is_not_left(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), locked_folder(tmp_path / "a" / "b"):
        _ = 1 / 0
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "mine").mkdir()
    with locked_folder(tmp_path / "mine"):
        pass
    assert (tmp_path / "mine").is_dir()


def test_only_files_are_replaced(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be replaced"):
        replace_text(tmp_path, "text")
    with pytest.raises(OutputError, match="cannot be replaced"):
        replace_text(Path("/dev/null"), "text")
    with pytest.raises(OutputError, match="no such folder"):
        replace_text(tmp_path / "no" / "file", "text")

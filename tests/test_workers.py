"""Worker processes: what they answer, how they die, and that nothing of them stays."""

from __future__ import annotations

import importlib
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from caloforge import machine
from caloforge.errors import ShowersError, WorkerError
from caloforge.workers import Workers, once


class Counts:
    """Remembers how often it was called."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, step: int) -> tuple[int, int]:
        self.calls += step
        return os.getpid(), self.calls


class OddError(Exception):
    """Cannot be unpickled: its constructor wants more than it keeps."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what}, {why}")


def refuse() -> None:
    raise ShowersError("the file is damaged", where="a.h5", cure="copy it again")


def fail_oddly() -> None:
    raise OddError("it broke", "twice")


def chatter(words: str) -> str:
    print(words, flush=True)
    os.write(1, words.encode())
    return words


def threads() -> list[str | None]:
    return [os.environ.get(f"{library}_NUM_THREADS") for library in ("OMP", "OPENBLAS", "MKL")]


def mapping() -> object:
    return lambda: None


def meet(folder: Path, number: int, expected: int) -> int:
    """Come to a meeting and wait until all are there: how many came."""
    (folder / str(number)).touch()
    end = time.monotonic() + 60
    while (came := len(list(folder.iterdir()))) < expected and time.monotonic() < end:
        time.sleep(0.01)
    return came


def test_a_worker_remembers_and_answers_in_order():
    with Workers(1, Counts()) as worker:
        answers = [worker.submit(step).result() for step in (1, 2, 3)]
    assert [calls for _, calls in answers] == [1, 3, 6]
    assert len({pid for pid, _ in answers} - {os.getpid()}) == 1


def test_several_work_side_by_side(tmp_path):
    with Workers(3, meet) as workers:
        came = [workers.submit(tmp_path, number, 3) for number in range(3)]
        assert [future.result() for future in came] == [3, 3, 3]


def test_large_arrays_go_both_ways():
    many = np.arange(3_000_000, dtype=np.float64)
    assert np.array_equal(once(np.negative, many), -many)


def test_the_memory_of_a_worker_is_its_own():
    many = np.ones(60_000_000)  # 480 MB
    assert machine.peak_memory_mb() > 480
    assert once(machine.peak_memory_mb) < 300
    assert many[-1] == 1


def test_a_worker_has_one_thread():
    assert once(threads) == ["1", "1", "1"]


def test_what_is_raised_arrives():
    with pytest.raises(ShowersError, match="damaged") as caught:
        once(refuse)
    assert caught.value.details["cure"] == "copy it again"
    assert "in refuse" in str(caught.value.__cause__)
    with pytest.raises(RuntimeError, match="OddError: it broke, twice"):
        once(fail_oddly)
    with pytest.raises((AttributeError, pickle.PicklingError)):
        once(mapping)
    with pytest.raises(TypeError, match="pickle"):
        once(len, (n for n in range(2)))


def test_what_a_worker_prints_is_no_answer(capfd):
    assert once(chatter, "hello") == "hello"
    out, err = capfd.readouterr()
    assert (out, err) == ("", "hello\nhello")


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL])
def test_a_signal_is_named(number):
    with pytest.raises(WorkerError, match="died") as caught:
        once(signal.raise_signal, number)
    assert caught.value.details["got"] == number.name


def exit_or_not(code: int) -> int:
    return os._exit(code) if code else os.getpid()


def test_an_exit_is_named_and_another_process_does_what_waits():
    with Workers(1, exit_or_not) as worker:
        first = worker.submit(0).result()
        dies, waits = worker.submit(3), worker.submit(0)
        with pytest.raises(WorkerError) as caught:
            dies.result()
        assert caught.value.details["got"] == "exit code 3"
        assert waits.result() not in (first, os.getpid())


def test_the_death_of_an_idle_process_is_told_once():
    """It may have remembered something."""
    with Workers(1, exit_or_not) as worker:
        idle = worker.submit(0).result()
        os.kill(idle, signal.SIGKILL)
        with pytest.raises(WorkerError, match="died"):
            worker.submit(0).result()
        assert worker.submit(0).result() != idle


def test_what_cannot_be_imported_is_said_before_and_after():
    with pytest.raises(WorkerError, match="cannot import"):
        once(lambda: 1)
    with pytest.raises(WorkerError, match="cannot import") as caught:
        once(Lost())
    assert "No module named 'nowhere'" in caught.value.details["got"]


class Lost:
    """Pickled here, and unknown to whoever unpickles it."""

    def __reduce__(self):
        return importlib.import_module, ("nowhere",)


def test_a_worker_that_cannot_be_started_is_said(monkeypatch):
    monkeypatch.setattr(sys, "executable", None)  # as in a program that embeds Python
    with pytest.raises(TypeError):
        once(abs, -1)


def test_a_worker_that_takes_too_long_is_killed():
    start = time.perf_counter()
    with pytest.raises(WorkerError, match="took too long"):
        once(time.sleep, 600, seconds=0.5)
    assert time.perf_counter() - start < 300


def test_closing_ends_work_and_forgets_what_waits():
    before = psutil.Process().children()  # another test may have left the reader of HDF5 files
    workers = Workers(1, time.sleep)
    futures = [workers.submit(60) for _ in range(3)]
    while not futures[0].running():
        time.sleep(0.01)
    workers.close()
    workers.close()
    assert psutil.Process().children() == before
    assert futures[-1].cancelled()
    with pytest.raises(WorkerError):
        futures[0].result()


def test_what_was_cancelled_is_not_done():
    with Workers(1, Counts()) as worker:
        worker.submit(1)
        worker.submit(10).cancel()
        assert worker.submit(100).result()[1] in (101, 111)


def test_ctrl_c_is_for_the_parent():
    with Workers(1, Counts()) as worker:
        pid, _ = worker.submit(1).result()
        os.kill(pid, signal.SIGINT)
        assert worker.submit(1).result() == (pid, 2)


# --- nothing stays -----------------------------------------------------------------------------------

SCRIPT = """
import sys, time
from caloforge.workers import Workers
workers = Workers(2, time.sleep)
waiting = [workers.submit(0), workers.submit(0), workers.submit(60)]
print("ready" if waiting[0].result() is None else "", flush=True)
{then}
"""
THEN = {"wait": "waiting[2].result()", "error": "1 / 0", "end": "", "exit": "sys.exit(3)"}


def started(then: str, folder: Path) -> subprocess.Popen[str]:
    """A user's script without a guard, in a process group of its own as a shell makes them."""
    (folder / "script.py").write_text(SCRIPT.format(then=THEN[then]))
    (folder / "temporary").mkdir()
    process = subprocess.Popen(
        [sys.executable, "script.py"],
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder / "temporary")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def named_things() -> set[str]:
    return {path.name for path in Path("/dev/shm").glob("*")} if Path("/dev/shm").is_dir() else set()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere workers end after their task")
@pytest.mark.parametrize(
    ("then", "number", "code"),
    [
        ("end", None, 0),
        ("error", None, 1),
        ("exit", None, 3),
        ("wait", signal.SIGINT, -signal.SIGINT),
        ("wait", signal.SIGTERM, -signal.SIGTERM),
        ("wait", signal.SIGKILL, -signal.SIGKILL),
    ],
)
def test_nothing_stays_however_the_parent_ends(then, number, code, tmp_path):
    before = named_things()
    process = started(then, tmp_path)
    # Whoever has ended by itself before it was looked at has no children any more.
    children = psutil.Process(process.pid).children(recursive=True) if number else []
    assert len(children) == (2 if number else 0)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal sends Ctrl-C: to all
    elif number:
        process.send_signal(number)
    _, err = process.communicate(timeout=120)
    assert process.returncode == code
    assert err.count("Traceback") == (then == "error" or number == signal.SIGINT), err
    _, alive = psutil.wait_procs(children, timeout=60)
    assert not alive
    assert not list((tmp_path / "temporary").iterdir())
    assert named_things() <= before


@pytest.mark.slow
def test_a_worker_starts_at_once_beside_torch(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import subprocess, sys, time, torch\n"
        "from caloforge.workers import once\n"
        "torch.ones(300, 300) @ torch.ones(300, 300)\n"
        "def took(job):\n"
        "    start = time.perf_counter()\n"
        "    job()\n"
        "    return time.perf_counter() - start\n"
        "bare = [sys.executable, '-I', '-c', 'import subprocess, pickle, concurrent.futures']\n"
        "for job in (lambda: subprocess.run(bare), lambda: once(divmod, 7, 2)):\n"
        "    print(min(took(job) for _ in range(5)))\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    bare, worker = map(float, done.stdout.split())
    assert worker < 2 * bare + 0.05
    assert not done.stderr


def test_modules_in_the_folder_of_the_user_are_not_taken(tmp_path, monkeypatch):
    (tmp_path / "pickle.py").write_text("raise RuntimeError('not this one')")
    monkeypatch.chdir(tmp_path)
    assert once(tempfile.gettempdir) == tempfile.gettempdir()

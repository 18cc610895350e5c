"""What the tests of clusters have done, and real clusters to do it on."""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from caloforge.errors import ShowersError

# --- what is done: functions that remember, raise, and die --------------------------------------------


class OddError(Exception):
    """Cannot be unpickled: its constructor wants more than it keeps."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what}, {why}")


class Remembers:
    """Counts its own calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, _: int) -> tuple[int, int]:
        self.calls += 1
        return os.getpid(), self.calls


class Lost:
    """Pickled here, and unknown to whoever unpickles it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return importlib.import_module, ("nowhere",)


def square(number: int) -> int:
    return number * number


def fail(how: str) -> str:
    if how == "odd":
        raise OddError("it broke", "twice")
    if how == "ours":
        raise ShowersError("the file is damaged", where="a.h5", cure="copy it again")
    return how


def threads() -> list[str | None]:
    return [os.environ.get(f"{library}_NUM_THREADS") for library in ("OMP", "OPENBLAS", "MKL")]


def done_before(mark: Path) -> int:
    """Note that a chunk is begun, and return how often it was begun before."""
    with mark.open("a") as file:
        file.write(".")
    return len(mark.read_text()) - 1


def die(number: int, times: int, folder: Path) -> int:
    """Die as often as asked, then answer."""
    if done_before(folder / str(number)) < times:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def linger(number: int, folder: Path) -> int:
    """Say which processes work on a chunk, and take long over number 3 when it is done for the first time."""
    again = done_before(folder / str(number))
    if number == 3 and not again:
        (folder / "part").write_text(f"{os.getpid()} {os.getppid()}")
        (folder / "part").rename(folder / "who")
        time.sleep(120)
    return number


def sleep(seconds: float, folder: Path) -> None:
    if seconds:
        (folder / str(os.getpid())).touch()
    time.sleep(seconds)


def first_is_last(number: int, others: int, folder: Path) -> str:
    """Number 0 waits for some others."""
    while number == 0 and len(list(folder.iterdir())) < others:
        time.sleep(0.01)
    (folder / str(number)).touch()
    return str(number)


# --- where: real clusters of processes ---------------------------------------------------------------


def wait_for(what: Any, seconds: float = 60.0) -> Any:
    """Wait until something is true, and return it."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)
    return found


class Started:
    """Processes that are ended together, whatever they do, and all that they started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[psutil.Process] = []
        self._popen: list[subprocess.Popen[bytes]] = []  # kept, so that nobody warns that they still run

    def start(self, *command: str, **more: str) -> psutil.Process:
        paths = [str(Path(__file__).parent), *sys.path]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONWARNINGS": "ignore", **more}
        with (self.folder / "log").open("a") as log:
            process = subprocess.Popen(
                command, cwd=self.folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        self.processes.append(psutil.Process(process.pid))
        self._popen.append(process)
        return self.processes[-1]

    def close(self) -> None:
        for process in self.processes:
            self.kill(process)
        for process in self._popen:
            process.wait()

    @staticmethod
    def kill(process: psutil.Process) -> None:
        """Kill a process and all that it started, as when its machine is switched off."""
        if not process.is_running():
            return
        process.suspend()  # so that it starts no other
        for one in [*process.children(recursive=True), process]:
            try:
                one.kill()
            except psutil.NoSuchProcess:
                continue


class DaskToy(Started):
    """A Dask scheduler, and workers of one thread."""

    def __init__(self, folder: Path, workers: int = 2) -> None:
        super().__init__(folder)
        self.file = folder / "scheduler.json"
        self.start(*_dask("scheduler"), "--port", "0", "--no-dashboard", "--scheduler-file", str(self.file))
        self.address = str(wait_for(lambda: self.file.exists() and self.file))
        for _ in range(workers):
            self.add()

    def add(self, threads: int = 1, **more: str) -> psutil.Process:
        options = ["--no-nanny", "--no-dashboard", "--nthreads", str(threads)]
        options += ["--local-directory", str(self.folder / "scratch")]
        return self.start(*_dask("worker"), "--scheduler-file", str(self.file), *options, **more)


def _dask(what: str) -> list[str]:
    return [sys.executable, "-m", "dask", what]


class RayToy(Started):
    """A Ray cluster whose head and second node have one core each."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.port = free_port()
        self.address = f"ray:127.0.0.1:{self.port}"
        # Its sockets have names that must be short.
        self._session = Path("/tmp") / f"caloforge-ray-{self.port}"
        head = [
            "--head",
            "--port",
            str(self.port),
            "--include-dashboard=false",
            "--temp-dir",
            str(self._session),
        ]
        self.start(*_ray(), *head, **_RAY)
        wait_for(lambda: self._nodes() == 1)
        self.start(*_ray(), "--address", f"127.0.0.1:{self.port}", **_RAY)
        wait_for(lambda: self._nodes() == 2)

    def close(self) -> None:
        super().close()
        shutil.rmtree(self._session, ignore_errors=True)

    def _nodes(self) -> int:
        return (self.folder / "log").read_text().count("Ray runtime started")


_RAY = {"RAY_USAGE_STATS_ENABLED": "0"}


def _ray() -> list[str]:
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--num-cpus", "1"]
    return [*command, "--object-store-memory", "100000000"]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])

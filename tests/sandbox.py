"""Runs functions in processes of their own, their time and memory measured: for what may end a process.

Started as a script it loads once what is slow to load and forks for each call: that costs milliseconds.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import TracebackType

from caloforge.errors import CaloforgeError

_FAULT = 70  # our own: exit code of a call that raised
_POLL = 0.005


@dataclass(frozen=True)
class Outcome:
    """What became of a call.

    Attributes:
        code: Its exit code; negative for the signal that ended it, None where it took too long.
        seconds: How long it took.
        peak_mb: The most memory that it or a process of its own had.
        output: What it printed.
    """

    code: int | None
    seconds: float
    peak_mb: float
    output: str


class Sandbox:
    """A process that makes a child for each call.

    Args:
        folder: Where the calls' output goes.
        seconds: A call that takes longer is killed.
    """

    def __init__(self, folder: Path, seconds: float = 30.0) -> None:
        self._output, self._seconds = folder / "output.txt", seconds
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(self._output)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        )

    def call(self, name: str, *arguments: object, seconds: float | None = None) -> Outcome:
        """Call a function by `module:function` with arguments that JSON has."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([seconds or self._seconds, name, *map(str, arguments)]) + "\n")
        self._process.stdin.flush()
        code, took, peak_mb = json.loads(self._process.stdout.readline())
        return Outcome(code, took, peak_mb, self._output.read_text(errors="replace"))

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()


def _serve(output: Path) -> None:
    for line in sys.stdin:
        limit, name, *arguments = json.loads(line)
        with output.open("wb") as file:
            child = os.fork()
            if child == 0:
                _child(file.fileno(), name, arguments)
        sys.stdout.write(json.dumps(_watch(child, limit)) + "\n")
        sys.stdout.flush()


def _child(file: int, name: str, arguments: list[str]) -> None:
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(file, 1)
    os.dup2(file, 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    module, function = name.split(":")
    try:
        getattr(import_module(module), function)(*arguments)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except CaloforgeError as error:
        sys.stderr.write(f"caloforge: error: {error}\n")
        code = error.exit_code
    except BaseException:
        import traceback

        traceback.print_exc()
        code = _FAULT
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _watch(child: int, limit: float) -> tuple[int | None, float, float]:
    begin, late = time.monotonic(), False
    while True:
        pid, status, used = os.wait4(child, os.WNOHANG)
        seconds = time.monotonic() - begin
        if pid:
            code = None if late else os.waitstatus_to_exitcode(status)
            return code, seconds, used.ru_maxrss / 1e3
        if seconds > limit and not late:
            late = True
            os.killpg(child, signal.SIGKILL)
        time.sleep(_POLL)


if __name__ == "__main__":
    for slow in (
        "caloforge.cli.main",
        "caloforge.deploy.generate",
        "caloforge.training.train",
        "torch",
        "h5py",
    ):
        import_module(slow)
    _serve(Path(sys.argv[1]))

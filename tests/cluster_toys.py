"""What the tests of clusters have done: functions that remember, raise, and die."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path


class OddError(Exception):
    """Cannot be unpickled: its constructor wants more than it keeps."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what}, {why}")


class Remembers:
    """Counts its own calls; every copy has a name, so that a new copy is seen."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, number: int) -> tuple[int, int, int]:
        self.calls += 1
        return number, os.getpid(), self.calls


def square(number: int) -> int:
    return number * number


def slow_square(number: int, seconds: float) -> int:
    time.sleep(seconds)
    return number * number


def fail(number: int, how: str) -> int:
    if how == "odd":
        raise OddError("it broke", "twice")
    if how == "plain":
        raise ValueError(f"number {number}")
    return number


def die(number: int, folder: Path, times: int) -> int:
    """Die as often as asked, and leave a mark each time, then answer."""
    mark = folder / str(number)
    with mark.open("a") as file:
        file.write(".")
    if len(mark.read_text()) <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def threads(_: int) -> dict[str, str | None]:
    return {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}

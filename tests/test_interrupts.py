"""Ctrl-C at a bad moment: one message at most, and nothing left behind."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from caloforge.hdf5.output import hdf5_into
from caloforge.interrupts import interrupts_wait

INTERRUPTED = 3


class _Interrupting(io.FileIO):
    """A file during whose every write Ctrl-C is pressed."""

    def write(self, data: object) -> int:
        signal.raise_signal(signal.SIGINT)
        return super().write(data)  # type: ignore[arg-type]


def _written(path: Path, checks: bool, do: Callable[[], object]) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with io.BufferedRandom(_Interrupting(path, "w+b")) as out, hdf5_into(out) as file:  # type: ignore[type-var]
            for name in "ab":
                file.create_dataset(name, data=np.arange(100_000.0))
                file.flush()
                if checks:
                    file.check()
            do()
    except KeyboardInterrupt:
        os._exit(INTERRUPTED)


@pytest.mark.parametrize("checks", [True, False])
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_hdf5_never_meets_an_interrupt(tmp_path: Path, checks: bool) -> None:
    reached = tmp_path / "reached"
    process = get_context("fork").Process(target=_written, args=(tmp_path / "a.h5", checks, reached.touch))
    process.start()
    process.join(60)
    assert process.exitcode == INTERRUPTED
    assert reached.exists() is not checks  # the next check lets it in, or else the end


@pytest.fixture
def told() -> Iterator[list[int]]:
    """Numbers of the signals that a handler of somebody else got."""
    found: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: found.append(number))
    yield found
    signal.signal(signal.SIGINT, before)


def test_who_handled_interrupts_gets_them_later_and_once(told: list[int]) -> None:
    with interrupts_wait() as outer:
        with interrupts_wait():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        assert told == []
        outer.let_in()
        assert told == [signal.SIGINT]
    assert told == [signal.SIGINT]
    signal.raise_signal(signal.SIGINT)
    assert len(told) == 2


def test_ignored_interrupts_stay_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupts_wait() as waiting:
            signal.raise_signal(signal.SIGINT)
            waiting.let_in()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_interrupt_while_the_command_is_loaded_is_one_line() -> None:
    """The command line takes longer to load than a quick finger needs."""
    code = """
import builtins, signal, sys
load = builtins.__import__
def interrupted(name, *rest):
    if name == "typer":
        signal.raise_signal(signal.SIGINT)
    return load(name, *rest)
builtins.__import__ = interrupted
from caloforge.__main__ import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "caloforge: stopped\n")

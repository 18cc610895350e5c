"""Calls timed: wall time of each, CPU time and electrical energy of all."""

from __future__ import annotations

__all__ = ["Timed", "time_calls"]

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caloforge.deploy.bench.energy import EnergyMeter

_WARM_UP, _WARM_UP_CALLS = 0.15, 3  # the first is a share of the time that counts
_MOST_SECONDS, _FEWEST_CALLS = 20.0, 10


@dataclass(frozen=True)
class Timed:
    """What calls took.

    Attributes:
        wall: Seconds of each call.
        cpu: Seconds of all calls, all threads together.
        joules: Of the whole machine meanwhile, or None where it does not tell.
    """

    wall: NDArray[np.float64]
    cpu: float
    joules: float | None


def time_calls(call: Callable[[], Any], seconds: float) -> Timed:
    """Call something for so many seconds, after calls that do not count."""
    _repeat(call, _WARM_UP * seconds, _WARM_UP_CALLS)
    collecting = gc.isenabled()
    gc.disable()
    try:
        meter, cpu = EnergyMeter(), time.process_time()
        wall = _repeat(call, seconds, _FEWEST_CALLS)
        return Timed(wall, time.process_time() - cpu, meter.joules())
    finally:
        if collecting:
            gc.enable()


def _repeat(call: Callable[[], Any], at_least: float, calls: int) -> NDArray[np.float64]:
    taken: list[float] = []
    while sum(taken) < at_least or (len(taken) < calls and sum(taken) < _MOST_SECONDS):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return np.array(taken)

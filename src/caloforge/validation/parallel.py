"""Independent work on two cores, side by side in threads."""

from __future__ import annotations

__all__ = ["side_by_side", "two_cores"]

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TypeVar

from caloforge.validation.study import Tell

Result = TypeVar("Result")


def side_by_side(jobs: Sequence[Callable[[Tell], Result]], tell: Tell) -> list[Result]:
    """Do jobs in two threads, or one after the other where there is one core.

    Threads, because the work is inside numpy, torch and scikit-learn, which let others run meanwhile; a job
    must not use more than one thread itself.

    Args:
        jobs: Each is given what to tell its progress.
        tell: Told of all progress together.

    Returns:
        Results in the order of the jobs.
    """
    done, lock = [0.0] * len(jobs), Lock()

    def share(number: int) -> Tell:
        def of_job(fraction: float, note: str) -> None:
            with lock:
                done[number] = max(done[number], fraction)
                tell(sum(done) / len(jobs), note)

        return of_job

    if len(jobs) < 2 or not two_cores():
        return [job(share(number)) for number, job in enumerate(jobs)]
    with ThreadPoolExecutor(2) as pool:
        started = [pool.submit(job, share(number)) for number, job in enumerate(jobs)]
        return [future.result() for future in started]


def two_cores() -> bool:
    """Say whether there are two cores for us; OMP_NUM_THREADS=1 asks for one, as a worker of a farm does."""
    if os.environ.get("OMP_NUM_THREADS") == "1":
        return False
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return usable > 1

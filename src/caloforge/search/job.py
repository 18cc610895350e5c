"""One training of a search, where it is done: on a worker, which keeps what costs time to start."""

from __future__ import annotations

__all__ = ["Job", "Report", "Trainer"]

import os
import socket
import time
from concurrent.futures import wait
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from caloforge.errors import ProcessLostError, RecipeError, RunError, TrainingError
from caloforge.search.figures import measure, selection_of
from caloforge.training import Run, train
from caloforge.training.recipe import Recipe
from caloforge.workers import Workers

_VARIABLES = "RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"


@dataclass(frozen=True)
class Job:
    """A training that is to be done, or gone on with.

    Args:
        recipe: What is trained.
        data: Shower files, as the worker finds them.
        folder: Of the run; a training that was begun there goes on.
        measured: Folder of what was measured, which trainings of a search share.
        figures: What is measured afterwards, on the showers that select.
        until: Epoch after which it stops for now.
    """

    recipe: Recipe
    data: tuple[str, ...]
    folder: str
    measured: str
    figures: tuple[str, ...]
    until: int | None = None


@dataclass(frozen=True)
class Report:
    """What became of a job.

    Args:
        figures: By name; none if it failed.
        group: Who did it: host and process.
        begin: When, in seconds since 1970.
        end: The same.
        startup: Seconds before and after the steps of the training: data, networks, saving.
        epochs: How far the training is.
        failed: Why nothing can be said of this recipe.
    """

    figures: dict[str, float] = field(default_factory=dict)
    group: str = ""
    begin: float = 0.0
    end: float = 0.0
    startup: float = 0.0
    epochs: int = 0
    failed: str | None = None


class Trainer:
    """Does jobs, each with one process or with several that share its batches.

    Args:
        processes: Of a training, all on the worker's machine.
    """

    def __init__(self, processes: int = 1) -> None:
        self.processes = processes

    def __call__(self, job: Job) -> Report:
        """Train and measure; a recipe that cannot be trained is reported, not raised."""
        begin = time.time()
        group = f"{socket.gethostname()}:{os.getpid()}"
        before = _seconds(Path(job.folder))
        try:
            run = self._train(job)
            trained = time.time()
            figures = measure(run, job.figures, selection_of(run, [Path(path) for path in job.data]), seed=1)
        except ProcessLostError:
            raise  # not the recipe's fault
        except (TrainingError, RecipeError) as error:
            return Report(group=group, begin=begin, end=time.time(), failed=str(error))
        except RuntimeError as error:
            if "memory" not in str(error):
                raise
            return Report(group=group, begin=begin, end=time.time(), failed=str(error).splitlines()[0])
        summary = run.summary()
        startup = trained - begin - (summary["seconds"] - before)
        return Report(figures, group, begin, time.time(), startup, summary["epochs"])

    def _train(self, job: Job) -> Run:
        if self.processes == 1:
            return _begin_or_go_on(job)
        address = f"127.0.0.1:{_free_port()}"
        others = [
            self._others.submit(job, rank, self.processes, address) for rank in range(1, self.processes)
        ]
        try:
            return share(job, 0, self.processes, address)
        finally:
            wait(others)

    @cached_property
    def _others(self) -> Workers[Any]:
        return Workers(self.processes - 1, share)

    def __getstate__(self) -> dict[str, Any]:
        return {"processes": self.processes}


def share(job: Job, rank: int, world: int, address: str) -> Run:
    """Be one of several processes of a training."""
    host, port = address.split(":")
    os.environ.update(zip(_VARIABLES, (str(rank), str(world), str(rank), host, port), strict=True))
    try:
        return _begin_or_go_on(job)
    finally:
        for name in _VARIABLES:
            del os.environ[name]


def _begin_or_go_on(job: Job) -> Run:
    """Train; what a killed process left there is gone on with."""
    return train(
        job.recipe,
        job.data,
        job.folder,
        resume=True,
        until=job.until,
        measured=job.measured,
        picture=False,
    )


def _seconds(folder: Path) -> float:
    """Seconds that a training has taken before."""
    try:
        return float(Run.open(folder).summary()["seconds"])
    except RunError:
        return 0.0


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port

"""Groups of workers that never wait: how idle they are, as real processes and on a simulated clock.

    python benchmarks/groups.py                         # 8 groups, trials of 1 to 30 s, for a few minutes
    python benchmarks/groups.py --groups 8,64,1000      # on a clock that is simulated

The simulated groups finish when their clock says so. What asking and telling cost is measured, and the clock
goes on by it: so is seen from how many groups on the optimiser or the data base keeps them waiting.
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
import os
import random
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from caloforge.cluster import Chunk, Outcome, open_cluster
from caloforge.search.job import Job, Report
from caloforge.search.ledger import Ledger
from caloforge.search.master import Master
from caloforge.search.plan import Plan
from caloforge.search.report import study_record
from caloforge.search.samplers import make_sampler
from caloforge.search.space import load_space
from caloforge.training import load_recipe

SHORTEST, LONGEST = 1.0, 30.0  # seconds


def seconds(job: Job) -> float:
    """How long a trial takes: it follows from its values, so that it is the same again."""
    return random.Random(repr(job.recipe.objective)).uniform(SHORTEST, LONGEST)


def merit(job: Job) -> float:
    """Something to make small."""
    return abs(math.log10(job.recipe.objective.generator_rate / 1e-4)) + abs(job.recipe.objective.beta1 - 0.3)


def sleeps(job: Job) -> Report:
    """A trial that a real process does."""
    begin = time.time()
    time.sleep(seconds(job))
    return Report({"score": merit(job)}, f"here:{os.getpid()}", begin, time.time(), 0.0, 1)


class Simulated:
    """A cluster on a simulated clock, which the master's own work moves on as well.

    Args:
        slots: Groups.

    Attributes:
        now: The clock, s.
        master: Seconds of it that the master took.
    """

    chunk_seconds = None

    def __init__(self, slots: int) -> None:
        self.slots, self.now, self.master = slots, 0.0, 0.0

    def run(self, _: Callable[..., Any], chunks: Iterable[Chunk | None], ahead: int = 1) -> Iterator[Outcome]:
        todo, free = iter(chunks), list(range(self.slots))
        waiting: deque[tuple[float, Chunk]] = deque()  # since when
        running: list[tuple[float, int, float, Chunk]] = []  # until when, where, since when
        while True:
            while len(running) + len(waiting) < self.slots + ahead:
                if (chunk := self._paid(next, todo, None)) is None:
                    break
                if free:
                    self._start(running, free.pop(), self.now, chunk)
                else:
                    waiting.append((self.now, chunk))
            if not running:
                return
            end, group, begin, chunk = heapq.heappop(running)
            if waiting:  # whatever the master does meanwhile
                since, following = waiting.popleft()
                self._start(running, group, max(end, since), following)
            else:
                free.append(group)
            self.now = max(self.now, end)
            done = Report({"score": merit(chunk.arguments[0])}, f"group:{group}", begin, end, 0.0, 1)
            begun = time.perf_counter()
            yield Outcome(chunk, done)
            self._spent(begun)

    def _paid(self, call: Callable[..., Any], *arguments: Any) -> Any:
        begun = time.perf_counter()
        result = call(*arguments)
        self._spent(begun)
        return result

    def _spent(self, begun: float) -> None:
        took = time.perf_counter() - begun
        self.now += took
        self.master += took

    def _start(self, running: list[Any], group: int, begin: float, chunk: Chunk) -> None:
        heapq.heappush(running, (begin + seconds(chunk.arguments[0]), group, begin, chunk))

    def close(self) -> None:
        """Nothing is open."""

    def __enter__(self) -> Simulated:
        return self

    def __exit__(self, *_: object) -> None: ...


def study(folder: Path, sampler: str) -> tuple[Ledger, Plan]:
    """An empty study of a real space."""
    recipe = load_recipe("calogan-tuned")
    plan = Plan(recipe, load_space(None, recipe), ("score",), (), ("nowhere.h5",), sampler)
    asks = make_sampler(sampler, 1, 1, plan.space)
    ledger = Ledger(f"sqlite:///{folder / 'study.db'}", "study", 1, asks, plan.pruner())
    ledger.remember(plan.settings())
    return ledger, plan


def searched(cluster: Any, sampler: str, trials: int) -> dict[str, Any]:
    """A search; how idle its groups were, from their first trial to their last."""
    with tempfile.TemporaryDirectory() as folder, cluster:
        ledger, plan = study(Path(folder), sampler)
        Master(ledger, plan, Path(folder), trials).run(cluster, sleeps)
        found = study_record(ledger.study)["groups"]
        return {
            "groups": len(found["groups"]),
            "sampler": sampler,
            "trials": trials,
            "idle_share": found["idle_share"],
            **({"master_ms_per_trial": 1e3 * cluster.master / trials} if hasattr(cluster, "master") else {}),
        }


if __name__ == "__main__":
    from groups import sleeps  # type: ignore[no-redef] # workers must be able to import it

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--groups", default="")
    parser.add_argument("--sampler", default="tpe")
    parser.add_argument("--trials", type=int, default=100)
    asked = parser.parse_args()
    if not asked.groups:
        print(json.dumps(searched(open_cluster(None, 8), asked.sampler, asked.trials)))
    for number in map(int, filter(None, asked.groups.split(","))):
        print(json.dumps(searched(Simulated(number), asked.sampler, asked.trials)), flush=True)

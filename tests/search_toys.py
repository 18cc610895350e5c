"""A cluster without processes, and trainings without networks, for tests of what is in between."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna

from caloforge.cluster import Chunk, Outcome
from caloforge.search.job import Job, Report
from caloforge.search.ledger import Ledger
from caloforge.search.plan import Plan
from caloforge.search.space import parse_space
from caloforge.training import load_recipe

SPACE = (
    "search: {objective.generator_rate: {float: [1.0e-5, 1.0e-3], log: true}, model.latent: {int: [8, 64]}}"
)


class Inline:
    """Works on as many chunks at a time as it has slots, and finishes the oldest first."""

    def __init__(self, slots: int = 1) -> None:
        self.slots = slots

    def run(
        self, function: Callable[..., Any], chunks: Iterable[Chunk | None], ahead: int = 1
    ) -> Iterator[Outcome]:
        todo, taken = iter(chunks), deque[Chunk]()
        while True:
            while len(taken) < self.slots + ahead and (chunk := next(todo, None)) is not None:
                taken.append(chunk)
            if not taken:
                return
            chunk = taken.popleft()
            result = function(*chunk.arguments)
            yield result if isinstance(result, Outcome) else Outcome(chunk, result)

    def close(self) -> None: ...

    def __enter__(self) -> Inline:
        return self

    def __exit__(self, *_: object) -> None: ...


def distance(job: Job) -> float:
    """How far a recipe is from the best one: 0 where the rate is 1e-4."""
    return abs(math.log10(job.recipe.objective.generator_rate / 1e-4))


@dataclass
class Pretended:
    """Does jobs without training; remembers them."""

    merit: Callable[[Job], float] = distance
    seen: list[Job] = field(default_factory=list)

    def __call__(self, job: Job) -> Any:
        self.seen.append(job)
        begin = 1000.0 + len(self.seen)
        figures = {name: self.merit(job) if name == "merit" else 0.5 for name in job.figures}
        return Report(figures, "here:1", begin, begin + 1, 0.1, job.until or job.recipe.schedule.epochs)


def plan(space: str = SPACE, recipe: str = "calogan", settings: Iterable[str] = (), **how: Any) -> Plan:
    """A plan; its showers are never opened."""
    base = load_recipe(recipe, list(settings))
    asked = {"objectives": ("merit",), "constraints": (), "data": ("/nowhere.h5",), "sampler": "random"} | how
    return Plan(base, parse_space(space, "space.yaml", base), **asked)


def ledger(folder: Path, of: Plan, sampler: optuna.samplers.BaseSampler | None = None) -> Ledger:
    """The study of a plan in a folder."""
    folder.mkdir(exist_ok=True)
    # The second master has another seed: with the same one it would ask the same.
    asks = sampler or optuna.samplers.RandomSampler(seed=1 + (folder / "study.db").exists())
    url = f"sqlite:///{folder / 'study.db'}"
    found = Ledger(url, "study", len(of.objectives), asks, of.pruner())
    if found.remembered() is None:
        found.remember(of.settings())
    return found

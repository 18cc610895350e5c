"""One way to a generator, gone by a worker: its trainings one after another, and what came of them."""

from __future__ import annotations

__all__ = ["Member", "Order", "Trained", "do"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from threadpoolctl import threadpool_limits

from caloforge.deploy.sampling import make_showers
from caloforge.deploy.torch_sampler import RunSampler
from caloforge.errors import EvolutionError, RunError, ShowersError, TrainingError
from caloforge.search.account.fidelity import fidelity
from caloforge.search.account.showers import halves
from caloforge.training import Run, train
from caloforge.training.recipe import Recipe

_SEED = 1
_POINTS = 200  # of a curve; more would not be seen


@dataclass(frozen=True)
class Order:
    """What a worker is told.

    Attributes:
        arm: Its key.
        seed: Of the trainings.
        recipes: Of its legs.
        core_seconds: Of each.
        until: Epoch after which the last stops, if showers and not time end it.
        data: Shower files that train.
        test: Shower files that judge; none: what neither trains nor selects.
        folder: Of the account.
    """

    arm: str
    seed: int
    recipes: tuple[Recipe, ...]
    core_seconds: tuple[float, ...]
    until: int | None
    data: tuple[str, ...]
    test: tuple[str, ...]
    folder: str


class Trained(BaseModel):
    """What a training of an arm cost, and what came of it.

    Attributes:
        run: Its folder, below that of the account.
        kind: Of its objective.
        core_seconds: Of processors.
        seconds: Of the clock.
        steps: Of the training; generations of an evolution.
        batch: Real showers of each.
        epochs: Times through the showers.
        individuals: Of a generation; 0 for gradients.
        bytes: Of an individual, on its way to whoever judges it.
        faulty: Individuals, a generation, that made no showers.
        figures: Of showers that no training saw.
        curve: Core-seconds, steps, and the score on showers that select.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    run: str
    kind: str
    core_seconds: float
    seconds: float
    steps: int
    batch: int
    epochs: float
    individuals: float
    bytes: float
    faulty: float
    figures: dict[str, float]
    curve: tuple[tuple[float, int, float], ...]

    @property
    def showers(self) -> int:
        """Real showers that it has seen."""
        return self.steps * self.batch

    @property
    def evaluations(self) -> float:
        """Individuals that were judged."""
        return self.steps * self.individuals


class Member(BaseModel):
    """An arm with one seed.

    Attributes:
        arm: Its key.
        seed: Of its trainings.
        legs: What its trainings came to.
        failed: Why there is no more to say.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    arm: str
    seed: int
    legs: tuple[Trained, ...] = ()
    failed: str | None = None

    @property
    def figures(self) -> dict[str, float]:
        """Those of the last training, empty if there is none."""
        return {} if self.failed or not self.legs else self.legs[-1].figures

    @property
    def core_seconds(self) -> float:
        """Of all trainings."""
        return sum(leg.core_seconds for leg in self.legs)

    @property
    def showers(self) -> int:
        """Real showers that all trainings have seen."""
        return sum(leg.showers for leg in self.legs)


def do(order: Order) -> Member:
    """Train, evolve and judge; what a killed worker left is gone on with.

    A training that diverges, and genes that cannot evolve, are part of the account: reported, not raised.
    """
    legs: list[Trained] = []
    folder, begin = Path(order.folder), list[Path]()
    # One core each: what is compared is its seconds.
    with threadpool_limits(1):
        torch.set_num_threads(1)
        for number, (recipe, most) in enumerate(zip(order.recipes, order.core_seconds, strict=True)):
            place = Path("runs") / _name(order, number)
            try:
                run = train(
                    _seeded(recipe, order.seed),
                    order.data,
                    folder / place,
                    resume=True,
                    init=begin,
                    core_seconds=None if order.until else most,
                    until=order.until,
                )
                legs.append(_trained(run, place, order))
            except (TrainingError, ShowersError, EvolutionError) as error:
                return Member(arm=order.arm, seed=order.seed, legs=tuple(legs), failed=str(error))
            begin = [run.path]
    return Member(arm=order.arm, seed=order.seed, legs=tuple(legs))


def _name(order: Order, number: int) -> str:
    """Return the name of a run: directions of more runs are another training."""
    name = f"{order.arm}-{order.seed}-{number + 1}"
    coding = getattr(order.recipes[number].objective, "coding", None)
    runs = getattr(coding, "runs", ())
    return f"{name}-of-{len(runs)}" if runs else name


def _seeded(recipe: Recipe, seed: int) -> Recipe:
    schedule = recipe.schedule.model_copy(update={"seed": seed})
    return recipe.model_copy(update={"schedule": schedule})


def _trained(run: Run, place: Path, order: Order) -> Trained:
    geant4, _ = halves(order.test, order.data, run.recipe, run.detector)
    made = make_showers(RunSampler(run.path), geant4.incident, np.random.default_rng(_SEED))
    diary = run.metrics()
    steps = [entry for entry in diary if entry["kind"] == "step"]
    if not steps:
        raise RunError("this training has made no step", where=run.path, cure="give it more --minutes")
    last, batch = steps[-1], run.recipe.schedule.batch
    return Trained(
        run=place.as_posix(),
        kind=run.recipe.objective.kind,
        core_seconds=last["core_seconds"],
        seconds=last["seconds"],
        steps=last["steps"],
        batch=batch,
        epochs=last["steps"] * batch / run.data["showers"],
        individuals=float(last.get("individuals", 0)),
        bytes=_mean(steps, "bytes"),
        faulty=_mean(steps, "faulty"),
        figures=fidelity(geant4, made),
        curve=_curve(diary),
    )


def _mean(entries: Sequence[Mapping[str, Any]], name: str) -> float:
    return float(np.mean([entry.get(name, 0.0) for entry in entries]))


def _curve(diary: Sequence[Mapping[str, Any]]) -> tuple[tuple[float, int, float], ...]:
    """Return the score in the course of a training, at equal distances."""
    looks = [e for e in diary if e["kind"] == "epoch" and e.get("score") is not None]
    if len(looks) > _POINTS:
        places = np.linspace(0, len(looks) - 1, _POINTS).round().astype(int)
        looks = [looks[i] for i in np.unique(places)]
    return tuple((e["core_seconds"], e["steps"], e["score"]) for e in looks)

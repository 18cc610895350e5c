"""The verb: which generator to take for a detector and a latency, and why."""

from __future__ import annotations

__all__ = ["Recommendation", "recommend"]

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from caloforge.detector import Detector, load_detector
from caloforge.errors import DetectorError, SearchError
from caloforge.models import build_generator
from caloforge.models.settings import ModelSettings
from caloforge.quantities import time
from caloforge.search.zoo.choice import Choice, choose
from caloforge.search.zoo.metrics import METRICS, QUALITY, known_metric
from caloforge.search.zoo.record import Member, Zoo, measured_zoos, read_zoo
from caloforge.search.zoo.traits import distance, traits_of
from caloforge.search.zoo.words import why
from caloforge.training.recipe import recipe_names

_NS = 1e6  # of a ms


@dataclass(frozen=True)
class Recommendation:
    """Which generator, and why.

    Attributes:
        detector: Name of the detector that was asked for.
        zoo: What the choice was made from.
        guess: Whether the zoo is of another detector.
        choice: The members.
        sentences: Why.
        commands: What to type next.
    """

    detector: str
    zoo: Zoo
    guess: bool
    choice: Choice
    sentences: tuple[str, ...]
    commands: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The answer as plain values, for JSON."""
        taken = self.choice.taken
        return {
            "detector": self.detector,
            "measured": self.zoo.detector.name,
            "guess": self.guess,
            "take": None if taken is None else taken.model_dump(mode="json"),
            "as_good": [one.name for one in self.choice.as_good],
            "better": [one.name for one in self.choice.better],
            "quicker": None if self.choice.quicker is None else self.choice.quicker.name,
            "quickest": self.choice.quickest.name,
            "why": list(self.sentences),
            "next": list(self.commands),
        }


@dataclass(frozen=True)
class _Asked:
    """What a user typed, for the commands that go on from there."""

    detector: str
    latency: str


def recommend(
    detector: Detector | str | Path,
    latency: str,
    *,
    batch: int = 1,
    metric: str = QUALITY,
    zoo: str | Path | None = None,
) -> Recommendation:
    """Say which generator to take for a detector: the best whose showers take no longer than the latency.

    Members whose figures are the same within their errors count as equally good, and the quickest of them is
    taken. A detector that was not measured gets the answer of the most similar one that was, as a guess.

    Args:
        detector: A preset or a file.
        latency: What a shower may take on one core, as "1ms".
        batch: Showers of a call; in a larger batch a shower takes less.
        metric: What says how good: `auc_cells`, `auc_normalised`, `auc_high`, `auc_trees` or `fpd`.
        zoo: A zoo of one's own, made by `zoo`; left out: those that come with caloforge.

    Raises:
        DetectorError: No such detector.
        QuantityError: The latency is no time.
        SearchError: No such figure or batch, or no zoo can answer.

    Example:
        >>> recommend("calogan", "1ms").zoo.detector.name
        'calogan'
    """
    known_metric(metric)
    limit = _milliseconds(latency)
    asked = detector if isinstance(detector, Detector) else load_detector(detector)
    found = _nearest(asked, measured_zoos() if zoo is None else [read_zoo(zoo)])
    guess = found.detector.digest != asked.digest
    _check_batch(found, batch)
    suited, unfit = _suited(found, asked) if guess else (found.members, {})
    members = _with_figure(suited, metric, found)
    choice = choose(members, metric, found.floor.get(metric), batch, limit)
    told = why(found, choice, metric, batch, limit)
    if guess:
        told = [*_warning(asked, found, unfit), *told]
    source = asked.name if isinstance(detector, Detector) else str(detector)
    commands = _next(choice.taken, _Asked(source, latency), guess)
    return Recommendation(asked.name, found, guess, choice, tuple(told), commands)


def _milliseconds(latency: str) -> float:
    limit = time(latency, "--latency") / _NS
    if not limit > 0:
        raise SearchError("no shower is made in no time", where="--latency", got=latency, expected="as 1ms")
    return limit


def _nearest(detector: Detector, zoos: Sequence[Zoo]) -> Zoo:
    """Return the zoo of the detector, or else of the most similar one."""
    known, wanted = [one for one in zoos if one.members], traits_of(detector)
    if not known:
        raise SearchError("no generator was measured yet", cure="measure some with `caloforge zoo`")
    here = [one for one in known if one.detector.digest == wanted.digest]
    return here[0] if here else min(known, key=lambda one: distance(one.detector, wanted))


def _check_batch(zoo: Zoo, batch: int) -> None:
    if batch not in zoo.batches:
        raise SearchError(
            "no time was measured at that batch",
            where="--batch",
            got=batch,
            expected=" or ".join(map(str, zoo.batches)),
        )


def _suited(zoo: Zoo, detector: Detector) -> tuple[tuple[Member, ...], dict[str, str]]:
    """Return the members whose models can make showers of another detector, and why others cannot."""
    unfit: dict[str, str] = {}
    for one in zoo.members:
        try:
            build_generator(TypeAdapter[ModelSettings](ModelSettings).validate_python(one.model), detector)
        except DetectorError as error:
            unfit[one.name] = error.problem
        except ValidationError:
            unfit[one.name] = "nobody knows what its model is"
    return tuple(one for one in zoo.members if one.name not in unfit), unfit


def _with_figure(members: Sequence[Member], metric: str, zoo: Zoo) -> list[Member]:
    found = [one for one in members if metric in one.figures]
    if not found:
        known = [name for name in METRICS if any(name in one.figures for one in members)]
        raise SearchError(
            "no generator that could be taken has that figure" if members else "no model takes this detector",
            where="--metric" if members else zoo.detector.name,
            got=metric if members else None,
            expected=", ".join(known) or None,
        )
    return found


def _warning(detector: Detector, zoo: Zoo, unfit: dict[str, str]) -> list[str]:
    """Say that this is a guess, how far it reaches, and what cannot be taken."""
    traits = traits_of(detector)
    told = [
        f"A guess: no generator of {detector.name} was measured. What follows is of the most similar "
        f"detector that was, {zoo.detector}; yours is {traits}."
    ]
    ratio = traits.cells / zoo.detector.cells
    if not 1 / 2 <= ratio <= 2:
        wrong = "short" if ratio > 1 else "long"
        told.append(
            f"Times are of {zoo.detector.cells:,} cells, so for {traits.cells:,} they are too {wrong}."
        )
    told += [f"{name} cannot be taken: {reason}." for name, reason in unfit.items()]
    return told


def _next(taken: Member | None, asked: _Asked, guess: bool) -> tuple[str, ...]:
    """Return commands from here to the bundle, or to a measurement of what was guessed."""
    if taken is None:
        return ()
    make = "caloforge export run --out bundle", "caloforge bench bundle"
    if taken.ships and not guess:
        return f"caloforge export {taken.name} --out bundle", make[1]
    recipe = taken.recipe if taken.recipe in recipe_names() else "RECIPE.yaml"
    train = f"caloforge train {recipe} --data SHOWERS.h5 --out run"
    if not guess:
        return train, *make
    shoot = f"caloforge simulate {asked.detector} --particle e- --energy 1:100GeV --count 10000"
    return (
        f"{shoot} --seed 1 --out SHOWERS.h5",
        f"{shoot} --seed 2 --out UNSEEN.h5",
        train,
        "caloforge zoo run --reference UNSEEN.h5 --floor SHOWERS.h5 --out zoo",
        f"caloforge recommend {asked.detector} --latency {asked.latency} --zoo zoo",
    )

"""Founders and children: genomes with weights that nothing has judged yet."""

from __future__ import annotations

__all__ = ["Unborn", "bred", "founders"]

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from caloforge.errors import RecipeError
from caloforge.models.grown.generator import GrownGenerator
from caloforge.models.grown.inherit import Parent, Weights, weight_count
from caloforge.models.grown.morph import Limits, crossover, deepen, mutate, random_settings, widen
from caloforge.models.grown.preserve import can_widen
from caloforge.search.topology.nsga2 import Standing, tournament

if TYPE_CHECKING:
    from caloforge.detector import Detector
    from caloforge.evolution.topology import TopologySettings
    from caloforge.models.settings import GrownSettings
    from caloforge.search.topology.individual import Way

_BREEDING = 51  # tells these random numbers apart from others of the seed


class Unborn(NamedTuple):
    """What is to be raised.

    Attributes:
        number: Names it.
        way: How it was made.
        parents: Their numbers.
        genome: Its settings, and the weights that it begins with.
    """

    number: int
    way: Way
    parents: tuple[int, ...]
    genome: Parent


def founders(base: Parent, detector: Detector, settings: TopologySettings, seed: int) -> Iterator[Unborn]:
    """Make the first generation: the recipe's own stages, and others drawn at random.

    Args:
        base: The recipe's own generator, which has measured real showers.
        detector: Whose showers.
        settings: The `topology` part of a recipe.
        seed: Decides all that is random, with each one's number.

    Raises:
        RecipeError: The recipe's own stages are beyond its limits.
    """
    limits = _limits(settings)
    if not limits.allow(base.settings, detector):
        raise RecipeError(
            "the recipe's own generator is larger than its topology may become",
            where="topology.limits",
            got=f"{len(base.settings.stages)} stages, {weight_count(base.settings, detector):,} weights",
            expected=f"at most {limits.stages}, {limits.weights:,}, and {limits.filters} filters",
            cure="allow more, or begin with less in model.stages",
        )
    for number in range(settings.population):
        rng = _random(seed, number)
        drawn = random_settings(base.settings, detector, limits, rng) if number else base.settings
        yield Unborn(number, "founder", (), Parent(drawn, _fresh(drawn, detector, base.weights, rng)))


def bred(
    first: int,
    population: Sequence[int],
    genomes: Mapping[int, Parent],
    standing: Standing,
    detector: Detector,
    settings: TopologySettings,
    seed: int,
) -> Iterator[Unborn]:
    """Make the children of a population, as many as it has members.

    Args:
        first: Number of the first child.
        population: Numbers of those that live.
        genomes: What these are.
        standing: How they compare, in the same order.
        detector: Whose showers.
        settings: The `topology` part of a recipe.
        seed: Decides all that is random, with each one's number.
    """
    shares = settings.ways.model_dump()
    chance = np.array(list(shares.values())) / sum(shares.values())
    for number in range(first, first + settings.population):
        rng = _random(seed, number)
        wanted = list(shares)[int(rng.choice(len(shares), p=chance))]
        parents = [population[tournament(standing, rng)] for _ in range(2 if wanted == "crossover" else 1)]
        way, genome = _child([genomes[one] for one in parents], wanted, detector, _limits(settings), rng)
        yield Unborn(number, way, tuple(parents) if way == "crossover" else (parents[0],), genome)


def _child(
    parents: Sequence[Parent], wanted: str, detector: Detector, limits: Limits, rng: np.random.Generator
) -> tuple[Way, Parent]:
    """Make a child in the wanted way; where that would be beyond the limits, by another change."""
    if wanted == "weights":
        return "weights", parents[0]
    if wanted == "crossover":
        joined = crossover(parents[0], parents[1], detector, rng)
        if limits.allow(joined.settings, detector):
            return "crossover", joined
    if wanted == "preserve" and (larger := _larger(parents[0], detector, limits, rng)):
        return "preserve", larger
    changed = mutate(parents[0], detector, limits, rng)
    return ("weights" if changed.settings == parents[0].settings else "change"), changed


def _larger(parent: Parent, detector: Detector, limits: Limits, rng: np.random.Generator) -> Parent | None:
    """Widen or deepen; None where neither stays within the limits."""
    stage = int(rng.integers(len(parent.settings.stages)))
    old = parent.settings.stages[stage].filters
    filters = min(limits.filters, old + int(rng.integers(1, old + 1)))
    ways = [lambda: widen(*parent, stage, filters, rng)] if can_widen(parent.settings, stage, filters) else []
    ways.append(lambda: deepen(*parent, stage, rng))
    for place in rng.permutation(len(ways)).tolist():
        child = Parent(*ways[place]())
        if limits.allow(child.settings, detector):
            return child
    return None


def _fresh(
    settings: GrownSettings, detector: Detector, measured: Weights, rng: np.random.Generator
) -> Weights:
    """Draw weights; what was measured of real showers is that of the base."""
    with torch.random.fork_rng([]):
        torch.manual_seed(int(rng.integers(2**63)))
        generator = GrownGenerator(detector, settings)
    drawn = {name for name, _ in generator.named_parameters()}
    state = generator.state_dict()
    return {name: value if name in drawn else measured[name].clone() for name, value in state.items()}


def _limits(settings: TopologySettings) -> Limits:
    return Limits(**settings.limits.model_dump())


def _random(seed: int, number: int) -> np.random.Generator:
    return np.random.default_rng((seed, _BREEDING, number))

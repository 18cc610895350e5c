"""Grown generators made larger that make the same showers, so that they can go on from there."""

from __future__ import annotations

__all__ = ["can_widen", "deepen", "one_of", "widen", "with_stage"]

from collections.abc import Sequence
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

from caloforge.errors import RecipeError
from caloforge.models.grown.inherit import Weights
from caloforge.models.settings import Activation, GrownSettings, Stage

_KERNELS = 1, 3, 5
_LEARNING = [name for name in get_args(Activation) if name != "relu"]
_SHARE = 0.25, 0.75  # of what a filter's copy takes over from it


def widen(
    settings: GrownSettings, weights: Weights, stage: int, filters: int, rng: np.random.Generator
) -> tuple[GrownSettings, Weights]:
    """Give a stage more filters; the showers stay the same (net2net, arXiv:1511.05641).

    A new filter is a copy of another and takes over a share of its weights in the next layer, drawn at
    random, so that the two learn different things. Where a stage's skip would make the copy another, it is a
    new filter, and the next layer does not see it at first. Where the next stage's skip would add it to what
    was zero, the filter itself is zero, and the next layer sees it with new weights.

    Args:
        settings: Of the generator.
        weights: Its weights, which are left as they are.
        stage: Number of the stage.
        filters: It will have.
        rng: Draws copies and shares.

    Raises:
        RecipeError: Not more filters than before, or skips on both sides would add them to the showers.
    """
    old = settings.stages[stage].filters
    if not can_widen(settings, stage, filters):
        raise RecipeError(
            "this stage cannot be widened without other showers",
            where=f"stage {stage}",
            got=f"{filters} filters instead of {old}",
            expected="more filters, and not a skip of it and a skip of the next stage for the same ones",
        )
    added, passed = _own_skip(settings, stage), _next_skip(settings, stage)
    new = {name: value.clone() for name, value in weights.items()}
    own = f"stages.{stage}."
    after, first = _next_layer(settings, stage)
    of = [*range(old), *rng.integers(0, old, filters - old).tolist()]
    # Copied channels of the next layer, behind its noise.
    channels = [*range(first), *(first + i for i in of)]
    new[own + "weight"], new[own + "bias"] = weights[own + "weight"][of], weights[own + "bias"][of]
    new[after] = weights[after][:, channels]
    weight, bias, seen = new[own + "weight"], new[own + "bias"], new[after]
    for filter_ in range(old, filters):
        there, copied = first + filter_, first + of[filter_]
        if filter_ < passed:
            weight[filter_] = bias[filter_] = 0.0
            seen[:, there] = _drawn(seen[:, copied], rng)
        elif of[filter_] < added:
            weight[filter_] = _drawn(weight[filter_], rng)
            seen[:, there] = 0.0
        else:
            share = rng.uniform(*_SHARE)
            seen[:, there] = share * seen[:, copied]
            seen[:, copied] *= 1 - share
    return with_stage(settings, stage, filters=filters), new


def can_widen(settings: GrownSettings, stage: int, filters: int) -> bool:
    """Whether `widen` can give a stage so many filters."""
    old = settings.stages[stage].filters
    return filters > old and old >= min(_own_skip(settings, stage), _next_skip(settings, stage))


def deepen(
    settings: GrownSettings, weights: Weights, after: int, rng: np.random.Generator
) -> tuple[GrownSettings, Weights]:
    """Put a stage behind another; the showers stay the same.

    Its weights are zero and it has a skip, so it passes on what it sees, whatever its activation is: exact
    for all, where an identity (arXiv:1511.05641) is so for ReLU alone. That one is never drawn, as zeros in
    front of a ReLU have no slope to learn along.

    Args:
        settings: Of the generator.
        weights: Its weights, which are left as they are.
        after: Number of the stage before the new one.
        rng: Draws its kernel and activation.
    """
    number, before = after + 1, settings.stages[after]
    stage = Stage(
        filters=before.filters,
        kernel=one_of(_KERNELS, rng),
        activation=one_of(_LEARNING, rng),
        skip=True,
    )
    window = (stage.kernel,) * settings.dimensions
    given = weights[f"stages.{after}.weight"]
    new = {_moved(name, number): value for name, value in weights.items()}
    new[f"stages.{number}.weight"] = given.new_zeros(stage.filters, stage.filters, *window)
    new[f"stages.{number}.bias"] = given.new_zeros(stage.filters)
    stages = (*settings.stages[:number], stage, *settings.stages[number:])
    return settings.model_copy(update={"stages": stages}), {n: v.clone() for n, v in new.items()}


def with_stage(settings: GrownSettings, stage: int, **changes: Any) -> GrownSettings:
    """Return the settings with another such stage."""
    stages = list(settings.stages)
    stages[stage] = stages[stage].model_copy(update=changes)
    return settings.model_copy(update={"stages": tuple(stages)})


def one_of(values: Sequence[Any], rng: np.random.Generator) -> Any:
    """Draw one of several values, all alike."""
    return values[int(rng.integers(len(values)))]


def _drawn(like: Tensor, rng: np.random.Generator) -> Tensor:
    """Draw numbers about as large."""
    numbers = torch.from_numpy(rng.standard_normal(like.shape)).to(like)
    return numbers * like.square().mean().sqrt()


def _own_skip(settings: GrownSettings, stage: int) -> int:
    """How many filters of a stage have something added to them by its skip."""
    before = settings.stages[stage - 1].filters if stage else settings.filters
    return before if settings.stages[stage].skip else 0


def _next_skip(settings: GrownSettings, stage: int) -> int:
    """How many filters of a stage the next one's skip would add."""
    after = settings.stages[stage + 1 : stage + 2]
    return after[0].filters if after and after[0].skip else 0


def _next_layer(settings: GrownSettings, stage: int) -> tuple[str, int]:
    """Return the weight that sees a stage, and its first channel that does so."""
    if stage + 1 == len(settings.stages):
        return "head.weight", 0
    return f"stages.{stage + 1}.weight", int(settings.stages[stage + 1].noise)


def _moved(name: str, first: int) -> str:
    """Return the name of a weight when a stage was put at `first`."""
    room, *rest = name.split(".")
    if room != "stages" or int(rest[0]) < first:
        return name
    return ".".join([room, str(int(rest[0]) + 1), *rest[1:]])

"""Weights of a grown generator that is made of others: copied where they fit, drawn anew where not."""

from __future__ import annotations

__all__ = ["Origin", "Parent", "Weights", "inherit", "weight_count"]

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from caloforge.models.blocks.conditions import incident_columns
from caloforge.models.blocks.incidence import Incidence
from caloforge.models.grown.generator import GrownGenerator
from caloforge.models.grown.stages import axes_of, sizes
from caloforge.models.settings import GrownSettings

if TYPE_CHECKING:
    from caloforge.detector import Detector

Weights = dict[str, Tensor]
"""A generator's `state_dict`."""


class Parent(NamedTuple):
    """What a generator is."""

    settings: GrownSettings
    weights: Weights


class Origin(NamedTuple):
    """Where a stage comes from."""

    parent: Parent
    stage: int


def inherit(
    detector: Detector,
    settings: GrownSettings,
    seed: Parent,
    stages: Sequence[Origin | None],
    head: Parent,
    rng: np.random.Generator,
) -> Weights:
    """Return weights for new settings.

    Channels are copied in their order; windows lie with their middles on each other, and what a larger one
    sees beyond the smaller one counts nothing at first, as new noise does; the coarse image is repeated or
    thinned out to its new size. What was measured comes from `seed`.

    Args:
        detector: Whose showers.
        settings: The new ones.
        seed: Gives the dense layer.
        stages: What gives each stage; None: nothing.
        head: Gives the last convolution and the numbers of the cells.
        rng: Draws what is new.
    """
    with torch.random.fork_rng([]):
        torch.manual_seed(int(rng.integers(2**63)))
        weights = dict(GrownGenerator(detector, settings).state_dict())
    own = weights.keys() - {"seed.weight", "seed.bias", "head.weight"}
    for name in own & seed.weights.keys():
        if not name.startswith(("stages.", "cells.")):
            weights[name] = seed.weights[name].clone()
    _seed(detector, settings, weights, seed)
    for number, origin in enumerate(stages):
        if origin is not None:
            _stage(settings, number, weights, origin)
    _overlay(weights["head.weight"], head.weights["head.weight"])
    weights["cells.bias"] = head.weights["cells.bias"].clone()
    return weights


def weight_count(settings: GrownSettings, detector: Detector) -> int:
    """Return the weights of a generator, without making it."""
    channels, grid = axes_of(detector, settings.dimensions)
    seen = Incidence(detector, incident_columns(settings.given, settings.particles), settings.particles).width
    coarsest = sizes(grid, [stage.grow for stage in settings.stages])[0]
    count = (settings.latent + seen + 1) * settings.filters * prod(coarsest) + detector.n_cells
    width = settings.filters
    for stage in settings.stages:
        count += ((width + stage.noise) * stage.kernel**settings.dimensions + 1) * stage.filters
        width = stage.filters
    return count + width * settings.kernel**settings.dimensions * channels


def _seed(detector: Detector, settings: GrownSettings, weights: Weights, parent: Parent) -> None:
    new, old = (_coarsest(detector, one) for one in (settings, parent.settings))
    channels = min(settings.filters, parent.settings.filters)
    for name in ("seed.weight", "seed.bias"):
        target, source = weights[name], parent.weights[name]
        if len(new) != len(old) or target.shape[1:] != source.shape[1:]:
            return
        # Inputs as rows, for them to be resized as images are.
        images = source.reshape(parent.settings.filters, *old, -1).movedim(-1, 0)
        made = F.interpolate(images, new)[:, :channels].movedim(0, -1)
        target.reshape(settings.filters, *new, -1)[:channels] = made


def _coarsest(detector: Detector, settings: GrownSettings) -> tuple[int, ...]:
    _, grid = axes_of(detector, settings.dimensions)
    return sizes(grid, [stage.grow for stage in settings.stages])[0]


def _stage(settings: GrownSettings, number: int, weights: Weights, origin: Origin) -> None:
    (old, given), place = origin.parent, origin.stage
    target, source = weights[f"stages.{number}.weight"], given[f"stages.{place}.weight"]
    if target.dim() != source.dim():
        return
    noise, before = settings.stages[number].noise, old.stages[place].noise
    _overlay(target[:, noise:], source[:, before:])
    if noise:
        _overlay(target[:, :1], source[:, :1] if before else torch.zeros_like(source[:, :1]))
    filters = min(len(target), len(source))
    weights[f"stages.{number}.bias"][:filters] = given[f"stages.{place}.bias"][:filters]


def _overlay(target: Tensor, source: Tensor) -> None:
    """Put kernels `(outputs, inputs, *window)` over others, in place, where there are as many axes."""
    if target.dim() != source.dim():
        return
    shared = tuple(slice(min(sides)) for sides in zip(target.shape[:2], source.shape[:2], strict=True))
    new, old = target.shape[2], source.shape[2]
    size = min(new, old)
    windows = [(slice((side - size) // 2, (side + size) // 2),) * (target.dim() - 2) for side in (new, old)]
    target[shared] = 0.0
    target[shared + windows[0]] = source[shared + windows[1]]

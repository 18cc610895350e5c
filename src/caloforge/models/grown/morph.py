"""Grown generators drawn, changed and crossed: every result fits the detector."""

from __future__ import annotations

__all__ = ["Limits", "crossover", "deepen", "mutate", "random_settings", "widen"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from caloforge.errors import RecipeError
from caloforge.models.grown.inherit import Origin, Parent, inherit, weight_count
from caloforge.models.grown.preserve import can_widen, deepen, one_of, widen, with_stage
from caloforge.models.settings import Activation, GrownSettings, Kernel, Stage

if TYPE_CHECKING:
    from caloforge.detector import Detector

_ACTIVATIONS: tuple[Activation, ...] = get_args(Activation)
_KERNELS: tuple[int, ...] = get_args(Kernel)
_GROWS = 1, 2, 3


@dataclass(frozen=True)
class Limits:
    """How large a generator may become.

    Attributes:
        stages: Most of them.
        filters: Most in a stage, and of the coarse image.
        weights: Most of the whole generator.
    """

    stages: int = 6
    filters: int = 64
    weights: int = 1_000_000

    def allow(self, settings: GrownSettings, detector: Detector) -> bool:
        """Whether settings are within."""
        most = max(settings.filters, *(stage.filters for stage in settings.stages))
        few = len(settings.stages) <= self.stages and most <= self.filters
        return few and weight_count(settings, detector) <= self.weights


def crossover(a: Parent, b: Parent, detector: Detector, rng: np.random.Generator) -> Parent:
    """Join the first stages of one generator with the later ones of another, and their weights.

    The dense layer, the noise and the critic are those of `a`, the last convolution and the numbers of the
    cells those of `b`. The child has no more stages than the longer parent.
    """
    lengths = len(a.settings.stages), len(b.settings.stages)
    cut = int(rng.integers(1, lengths[0] + 1))
    on = int(rng.integers(max(0, cut + lengths[1] - max(lengths)), lengths[1] + 1))
    stages = (*a.settings.stages[:cut], *b.settings.stages[on:])
    settings = a.settings.model_copy(update={"stages": stages, "kernel": b.settings.kernel})
    origins = [*(Origin(a, i) for i in range(cut)), *(Origin(b, i) for i in range(on, lengths[1]))]
    return Parent(settings, inherit(detector, settings, a, origins, b, rng))


def random_settings(
    base: GrownSettings, detector: Detector, limits: Limits, rng: np.random.Generator
) -> GrownSettings:
    """Draw filters and stages; all else is that of `base`.

    Raises:
        DetectorError: No generator of this kind can be made for the detector.
        RecipeError: None has as few weights.
    """
    stages = tuple(_stage(limits, rng) for _ in range(rng.integers(1, limits.stages + 1)))
    drawn = base.model_copy(update={"filters": _filters(limits, rng), "stages": stages})
    while not limits.allow(drawn, detector):
        smaller = _smaller(drawn)
        if smaller == drawn:
            raise RecipeError(
                "no generator has as few weights",
                got=f"at most {limits.weights:,}",
                expected=f"{weight_count(drawn, detector):,} or more with these stages",
                cure="allow more weights, or take fewer numbers of noise (model.latent)",
            )
        drawn = smaller
    return drawn


def mutate(parent: Parent, detector: Detector, limits: Limits, rng: np.random.Generator) -> Parent:
    """Change one thing: a stage more or less, filters, a kernel, an activation, a skip, noise, a size.

    Some changes leave the showers as they are: those of `widen` and `deepen`, larger kernels, new noise. What
    would not be within the limits is not taken; if nothing is left, nothing changes.
    """
    for number in rng.permutation(len(_MUTATIONS)):
        child = _MUTATIONS[int(number)](parent, detector, limits, rng)
        if child is not None and child.settings != parent.settings and limits.allow(child.settings, detector):
            return child
    return parent


_Mutation = Callable[[Parent, "Detector", Limits, np.random.Generator], "Parent | None"]


def _widened(parent: Parent, _: Detector, limits: Limits, rng: np.random.Generator) -> Parent | None:
    stage = _place(parent, rng)
    old = parent.settings.stages[stage].filters
    filters = min(limits.filters, old + int(rng.integers(1, old + 1)))
    if not can_widen(parent.settings, stage, filters):
        return None
    return Parent(*widen(parent.settings, parent.weights, stage, filters, rng))


def _deepened(parent: Parent, _: Detector, limits: Limits, rng: np.random.Generator) -> Parent | None:
    if len(parent.settings.stages) >= limits.stages:
        return None
    return Parent(*deepen(parent.settings, parent.weights, _place(parent, rng), rng))


def _added(parent: Parent, detector: Detector, limits: Limits, rng: np.random.Generator) -> Parent | None:
    if len(parent.settings.stages) >= limits.stages:
        return None
    place = int(rng.integers(len(parent.settings.stages) + 1))
    stages, origins = list(parent.settings.stages), _all(parent)
    stages.insert(place, _stage(limits, rng))
    return _child(parent, detector, rng, [*origins[:place], None, *origins[place:]], stages=tuple(stages))


def _removed(parent: Parent, detector: Detector, _: Limits, rng: np.random.Generator) -> Parent | None:
    if len(parent.settings.stages) == 1:
        return None
    stages, origins, place = list(parent.settings.stages), _all(parent), _place(parent, rng)
    del stages[place], origins[place]
    return _child(parent, detector, rng, origins, stages=tuple(stages))


def _resized(parent: Parent, detector: Detector, limits: Limits, rng: np.random.Generator) -> Parent:
    return _child(parent, detector, rng, _all(parent), filters=_filters(limits, rng))


def _windowed(parent: Parent, detector: Detector, _: Limits, rng: np.random.Generator) -> Parent:
    return _child(parent, detector, rng, _all(parent), kernel=one_of(_KERNELS, rng))


def _redrawn(key: str) -> _Mutation:
    """Return the mutation that takes one key of a stage from a stage that is drawn."""

    def mutation(parent: Parent, detector: Detector, limits: Limits, rng: np.random.Generator) -> Parent:
        value = getattr(_stage(limits, rng), key)
        changed = with_stage(parent.settings, _place(parent, rng), **{key: value})
        return _child(parent, detector, rng, _all(parent), stages=changed.stages)

    return mutation


_MUTATIONS: tuple[_Mutation, ...] = (
    *(_widened, _deepened, _added, _removed, _resized, _windowed),
    *(_redrawn(key) for key in Stage.model_fields),
)


def _child(
    parent: Parent,
    detector: Detector,
    rng: np.random.Generator,
    origins: Sequence[Origin | None],
    **changes: Any,
) -> Parent:
    settings = parent.settings.model_copy(update=changes)
    return Parent(settings, inherit(detector, settings, parent, origins, parent, rng))


def _all(parent: Parent) -> list[Origin | None]:
    return [Origin(parent, number) for number in range(len(parent.settings.stages))]


def _place(parent: Parent, rng: np.random.Generator) -> int:
    return int(rng.integers(len(parent.settings.stages)))


def _stage(limits: Limits, rng: np.random.Generator) -> Stage:
    return Stage(
        filters=_filters(limits, rng),
        kernel=one_of(_KERNELS, rng),
        grow=one_of(_GROWS, rng),
        activation=one_of(_ACTIVATIONS, rng),
        skip=bool(rng.integers(2)),
        noise=bool(rng.integers(2)),
    )


def _filters(limits: Limits, rng: np.random.Generator) -> int:
    """As many between 1 and 2 as between 32 and 64."""
    return min(limits.filters, int(2 ** rng.uniform(0, np.log2(limits.filters + 1))))


def _smaller(settings: GrownSettings) -> GrownSettings:
    """Halve all filters; where there are no two left, shrink the kernels and the coarse image."""
    widths = [settings.filters, *(stage.filters for stage in settings.stages)]
    if max(widths) > 1:
        stages = [stage.model_copy(update={"filters": -(-stage.filters // 2)}) for stage in settings.stages]
        return settings.model_copy(update={"filters": -(-widths[0] // 2), "stages": tuple(stages)})
    stages = [stage.model_copy(update={"kernel": 1, "grow": 3}) for stage in settings.stages]
    return settings.model_copy(update={"kernel": 1, "stages": tuple(stages)})

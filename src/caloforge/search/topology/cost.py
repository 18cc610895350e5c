"""What a shower of a grown generator costs, from its settings alone: the same on every machine."""

from __future__ import annotations

__all__ = ["Work", "milliseconds", "work"]

from math import prod
from typing import TYPE_CHECKING, NamedTuple

from caloforge.models.blocks.conditions import incident_columns
from caloforge.models.blocks.incidence import Incidence
from caloforge.models.grown.stages import axes_of, sizes

if TYPE_CHECKING:
    from caloforge.detector import Detector
    from caloforge.models.settings import GrownSettings

_STAGE, _PRODUCT = 5.6e-5, 1.1e-10  # seconds


class Work(NamedTuple):
    """What one shower takes.

    Attributes:
        stages: How many.
        multiplications: In the dense layer and the convolutions.
        numbers: That these put out.
    """

    stages: int
    multiplications: int
    numbers: int


def work(settings: GrownSettings, detector: Detector) -> Work:
    """Count what a generator does for a shower.

    Args:
        settings: Of the generator.
        detector: Whose showers.
    """
    channels, grid = axes_of(detector, settings.dimensions)
    seen = Incidence(detector, incident_columns(settings.given, settings.particles), settings.particles).width
    first, *after = sizes(grid, [stage.grow for stage in settings.stages])
    width, made = settings.filters, settings.filters * prod(first)
    products = (settings.latent + seen) * made
    for stage, size in zip(settings.stages, after, strict=True):
        numbers = stage.filters * prod(size)
        products += numbers * (width + stage.noise) * stage.kernel**settings.dimensions
        made, width = made + numbers, stage.filters
    cells = channels * prod(grid)
    products += cells * width * settings.kernel**settings.dimensions
    return Work(len(settings.stages), products, made + cells)


def milliseconds(settings: GrownSettings, detector: Detector) -> float:
    """Return about the ms of a shower, one at a time on one core, as the engine would take.

    A generator with half of this takes about half of the time on any machine; `caloforge.search.figures` has
    the time itself.

    Args:
        settings: Of the generator.
        detector: Whose showers.
    """
    found = work(settings, detector)
    return 1e3 * (_STAGE * found.stages + _PRODUCT * found.multiplications)

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

_LANES = 16  # filters that a processor computes together; fewer cost as much
_CALL, _STAGE, _PRODUCT, _NUMBER = 1.3e-1, 5.6e-3, 3.4e-8, 3.3e-6  # ms


class Work(NamedTuple):
    """What one shower takes.

    Attributes:
        stages: How many.
        products: Multiplications in the dense layer and the convolutions.
        numbers: That these put out.
    """

    stages: int
    products: int
    numbers: int


def work(settings: GrownSettings, detector: Detector, lanes: int = 1) -> Work:
    """Count what a generator does for a shower.

    Args:
        settings: Of the generator.
        detector: Whose showers.
        lanes: The filters of a convolution are counted in such groups, full or not.
    """
    channels, grid = axes_of(detector, settings.dimensions)
    seen = Incidence(detector, incident_columns(settings.given, settings.particles), settings.particles).width
    first, *after = sizes(grid, [stage.grow for stage in settings.stages])
    width, numbers = settings.filters, settings.filters * prod(first)
    products = (settings.latent + seen) * numbers
    window = settings.kernel**settings.dimensions
    for stage, size in zip(settings.stages, after, strict=True):
        inputs = (width + stage.noise) * stage.kernel**settings.dimensions
        products += prod(size) * inputs * _whole(stage.filters, lanes)
        numbers, width = numbers + stage.filters * prod(size), stage.filters
    products += prod(grid) * width * window * _whole(channels, lanes)
    return Work(len(settings.stages), products, numbers + channels * prod(grid))


def milliseconds(settings: GrownSettings, detector: Detector) -> float:
    """Return about the ms of a shower, one at a time on one core, as the engine would take.

    A sum of a part for each call, each stage, each multiplication and each number put out, fitted to 18
    generators of 12 x 12 and 25 x 25 cells that were exported and timed on one machine, with 0.15 to 1.3 ms:
    the logarithms differ by 13 %, and their order has a rank correlation of 0.96. Without counting filters in
    groups of 16, which onnxruntime's convolutions work on at once, these are 30 % and 0.87. Other machines
    have other factors; who is quicker than whom hardly changes. The time itself is the figure `ms` of
    `caloforge.search.figures`.

    Args:
        settings: Of the generator.
        detector: Whose showers.
    """
    stages, products, numbers = work(settings, detector, _LANES)
    return _CALL + _STAGE * stages + _PRODUCT * products + _NUMBER * numbers


def _whole(count: int, lanes: int) -> int:
    return -(-count // lanes) * lanes

"""A small picture of a generator: its grids, filters, windows, noise and skips."""

from __future__ import annotations

__all__ = ["sketch"]

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from caloforge.models.grown.stages import axes_of, sizes
from caloforge.search.report.figures.drawing import Drawing
from caloforge.validation.figures.panel import fitting
from caloforge.validation.figures.plate import Plate
from caloforge.validation.report.text import number

if TYPE_CHECKING:
    from caloforge.detector import Detector
    from caloforge.search.topology.individual import Individual

_WIDTH, _HEIGHT, _MIDDLE = 432.0, 150.0, 78.0
_TALL, _SHEET = 58.0, 2.2  # the finest grid; from one sheet to the next, in points


def sketch(one: Individual, detector: Detector) -> Drawing:
    """Draw the stages of a generator from the coarsest grid to the cells.

    Args:
        one: The generator.
        detector: Whose cells.
    """
    model = one.model
    channels, grid = axes_of(detector, model.dimensions)
    grids = sizes(grid, [stage.grow for stage in model.stages])
    filters = [model.filters, *(stage.filters for stage in model.stages)]
    plate = Plate(_WIDTH, _HEIGHT)
    room = (_WIDTH - 20) / (len(grids) + 1)
    at = [10 + room * (i + 0.5) for i in range(len(grids) + 1)]
    tall = [_TALL * max(size) / max(grid) for size in grids]
    scale = min(1.0, 0.62 * room / _TALL)
    for i, (size, count) in enumerate(zip(grids, filters, strict=True)):
        colour = "geant4" if not i else "candidate-1"
        _stack(plate, at[i], scale * max(tall[i], 7.0), count, colour)
        _words(plate, at[i], room, ["×".join(map(str, size)), f"{count} filter" + "s" * (count > 1)])
    _stack(plate, at[-1], scale * _TALL, channels, "candidate-2")
    _words(plate, at[-1], room, ["×".join(map(str, grid)), "cells"])
    kernels = [*(stage.kernel for stage in model.stages), model.kernel]
    for (left, right), kernel in zip(pairwise(at), kernels, strict=True):
        middle = (left + right) / 2
        _arrow(plate, middle, room)
        plate.text(middle, _MIDDLE + 5, str(kernel), 8.5, "middle")
    for i, stage in enumerate(model.stages):
        if stage.skip:
            _arc(plate, at[i], at[i + 1], scale * _TALL / 2 + 12)
        marks = ["noise"] * stage.noise + [stage.activation]
        _words(plate, at[i + 1], room, [" + ".join(marks)], line=2)
    fitness = "no showers" if one.fitness is None else f"fitness {number(one.fitness)}"
    return Drawing(
        f"member-{one.number}",
        f"Individual {one.number}: {fitness}, about {number(one.ms)} ms, {one.weights:,} weights",
        "",
        (plate,),
    )


def _stack(plate: Plate, x: float, side: float, count: int, colour: str) -> None:
    """Sheets one behind the other: one for each time that their number doubles."""
    sheets = 1 + int(np.log2(count))
    for i in reversed(range(sheets)):
        shift = _SHEET * (i - (sheets - 1) / 2)
        half, skew = side / 2, side * 0.18
        corners = np.array([
            [x + shift - skew, _MIDDLE - half - skew],
            [x + shift + skew, _MIDDLE - half + skew],
            [x + shift + skew, _MIDDLE + half + skew],
            [x + shift - skew, _MIDDLE + half - skew],
        ])  # fmt: skip
        plate.fill([corners], colour, 0.28)
        plate.stroke([np.vstack([corners, corners[:1]])], colour, 0.7)


def _arrow(plate: Plate, x: float, room: float) -> None:
    reach = min(9.0, 0.13 * room)
    shaft = np.array([[x - reach, _MIDDLE], [x + reach, _MIDDLE]])
    head = np.array([[x + reach - 3, _MIDDLE + 2.5], [x + reach, _MIDDLE], [x + reach - 3, _MIDDLE - 2.5]])
    plate.stroke([shaft, head], "ink", 0.9)


def _arc(plate: Plate, left: float, right: float, high: float) -> None:
    """A skip goes past the convolution."""
    turn = np.linspace(np.pi, 0, 25)
    middle, reach = (left + right) / 2, (right - left) / 2
    points = np.column_stack([middle + reach * np.cos(turn), _MIDDLE + high + 9 * np.sin(turn)])
    plate.stroke([points], "candidate-4", 1.1)


def _words(plate: Plate, x: float, room: float, lines: list[str], line: int = 0) -> None:
    for i, text in enumerate(lines, start=line):
        plate.text(x, 25.0 - 10.5 * i, text, fitting(text, room - 3, 8.5), "middle")

"""How near generators came in the course of their trainings."""

from __future__ import annotations

__all__ = ["COLOURS", "courses"]

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from caloforge.search.report.figures.drawing import BOX, HEIGHT, WIDTH, Drawing
from caloforge.search.report.figures.scales import value_axis
from caloforge.validation.figures.legend import Entry, legend, legend_height
from caloforge.validation.figures.panel import Panel
from caloforge.validation.figures.plate import Box, Plate

if TYPE_CHECKING:
    from caloforge.search.account.member import Member
    from caloforge.search.account.results import Row

Array = NDArray[np.float64]
COLOURS = tuple(f"candidate-{i}" for i in range(6))
_X = {"core_seconds": "core-seconds", "showers": "real showers seen"}


def courses(rows: Mapping[str, Row], group: str) -> list[Drawing]:
    """Draw the score on showers that select, against what was spent; a line for each seed.

    Args:
        rows: Arms that share a budget, at most six.
        group: Names the drawings.
    """
    return [_course(rows, what, group) for what in _X]


def _course(rows: Mapping[str, Row], what: str, group: str) -> Drawing:
    lines = [
        (Entry(row.arm.title, colour), member.seed, *_line(member, what))
        for row, colour in zip(rows.values(), COLOURS, strict=False)
        for member in row.members
    ]
    lines = [line for line in lines if line[2].size]
    entries = list(dict.fromkeys(line[0] for line in lines))
    x, y = (np.concatenate([line[i] for line in lines] or [np.ones(1)]) for i in (2, 3))
    across, up = value_axis(x, decades=0.5), value_axis(y, decades=0.7)
    high = legend_height(entries, WIDTH)
    plate = Plate(WIDTH, HEIGHT + high)
    panel = Panel(plate, BOX, across.ends, up.ends, across.log, up.log)
    for entry, seed, at, score in lines:
        panel.line(at, score, entry.colour, 1.2)
        titles = [f"{entry.name}, seed {seed}: {value:.4g}" for value in score]
        panel.marks(at, up.held(score), "circle", 1.5, entry.colour, titles)
    panel.frame(_X[what], "score")
    legend(plate, Box(0, HEIGHT, WIDTH, HEIGHT + high), entries)
    return Drawing(
        f"course-{group}-{what}",
        f"Score against {_X[what]}",
        "Mean distance of all observables from Geant4's, on showers that select. A line for each seed.",
        (plate,),
    )


def _line(member: Member, what: str) -> tuple[Array, Array]:
    """Return what was spent, legs before included, and the score."""
    spent, x, y = 0.0, list[float](), list[float]()
    for leg in member.legs:
        for core_seconds, steps, score in leg.curve:
            x.append(spent + (core_seconds if what == "core_seconds" else steps * leg.batch))
            y.append(score)
        spent += leg.core_seconds if what == "core_seconds" else leg.showers
    return np.array(x), np.array(y)

"""The figures of all arms, a point for each seed, beside the floor."""

from __future__ import annotations

__all__ = ["dots"]

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from caloforge.search.report.figures.drawing import WIDTH, Drawing
from caloforge.search.report.figures.scales import value_axis
from caloforge.validation.figures.panel import Panel
from caloforge.validation.figures.plate import Box, Plate

if TYPE_CHECKING:
    from caloforge.search.account.results import Row

_ROW, _LEFT, _BELOW = 19.0, 205.0, 42.0


def dots(rows: Mapping[str, Row], name: str, label: str, floor: float, group: str) -> Drawing:
    """Draw a figure of all arms.

    Args:
        rows: Arms.
        name: Of the figure.
        label: What it is called.
        floor: What other showers of Geant4 come to.
        group: Names the drawing.
    """
    found = {key: [one for one in row.good if name in one.figures] for key, row in rows.items()}
    values = np.array([floor, *(one.figures[name] for many in found.values() for one in many)])
    axis = value_axis(values[values > 0] if (values > 0).any() else values, decades=0.7)
    high = _ROW * len(rows) + _BELOW + 8
    plate = Plate(WIDTH, high)
    box, ends = Box(_LEFT, _BELOW, WIDTH - 8, high - 8), (-0.5, len(rows) - 0.5)
    panel = Panel(plate, box, axis.ends, ends, x_log=axis.log)
    panel.line(np.array([floor, floor]), np.array(ends), "geant4", 1.2, dashed=True)
    for place, (key, many) in enumerate(found.items()):
        x = np.array([one.figures[name] for one in many])
        titles = [f"{rows[key].arm.title}, seed {one.seed}: {one.figures[name]:.4g}" for one in many]
        y = np.full(len(x), len(rows) - 1.0 - place)
        panel.marks(axis.held(x), y, "circle", 3.0, "candidate-1", titles)
    panel.frame(label, rows=[row.arm.title for row in reversed(list(rows.values()))])
    title = label[0].upper() + label[1:]
    return Drawing(
        f"dots-{group}-{name}", title, "A point for each seed; the dashed line is the floor.", (plate,)
    )

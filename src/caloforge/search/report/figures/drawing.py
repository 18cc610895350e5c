"""What figures of a search share: what they hand over, and clouds of trials."""

from __future__ import annotations

__all__ = ["BOX", "HEIGHT", "KINDS", "WIDTH", "Drawing", "cloud"]

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caloforge.search.report.view import View
from caloforge.validation.figures.legend import Entry
from caloforge.validation.figures.panel import Panel
from caloforge.validation.figures.plate import Box, Plate

Array = NDArray[np.float64]
WIDTH, HEIGHT = 432.0, 281.0
BOX = Box(52.0, 40.0, 424.0, 270.0)
KINDS = {
    "finished": Entry("finished", "geant4", "circle", lined=False),
    "best": Entry("best", "candidate-2", "diamond", lined=False),
    "beyond": Entry("beyond a constraint", "candidate-4", "plus", lined=False),
}
"""How finished trials are drawn."""


@dataclass(frozen=True)
class Drawing:
    """A figure of the page.

    Attributes:
        key: Its identifier.
        title: For people.
        caption: How to read it, and what is left out.
        plates: What is drawn.
        wide: Whether it takes a whole row.
    """

    key: str
    title: str
    caption: str
    plates: tuple[Plate, ...]
    wide: bool = False


def cloud(panel: Panel, view: View, places: Sequence[int], x: Array, y: Array, titles: Sequence[str]) -> None:
    """Draw finished trials by kind, those above the panel as triangles at its upper edge.

    Args:
        panel: Where.
        view: The study.
        places: Which trials.
        x: Their positions, shape `(places,)`.
        y: The same.
        titles: What the mouse is told of each.
    """
    at = np.asarray(places, np.int64)
    above, top = y > panel.y_ends[1], _edge(panel)
    kinds = np.where(view.best[at], "best", np.where(view.kept[at], "finished", "beyond"))
    for kind in ("beyond", "finished", "best"):
        for inside in (True, False):
            here = np.flatnonzero((kinds == kind) & (above != inside))
            shape = KINDS[kind].marker if inside else "up"
            told = [titles[i] for i in here.tolist()]
            panel.marks(x[here], np.minimum(y[here], top), shape, _radius(kind), KINDS[kind].colour, told)


def _radius(kind: str) -> float:
    return {"finished": 1.9, "best": 2.9, "beyond": 1.9}[kind]


def _edge(panel: Panel) -> float:
    low, high = panel.y_ends
    return float(high * (low / high) ** 0.02) if panel.y_log else high - 0.02 * (high - low)

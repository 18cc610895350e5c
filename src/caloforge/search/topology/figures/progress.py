"""How a population came on: its fitness, and what it dominates."""

from __future__ import annotations

__all__ = ["progress"]

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from caloforge.search.report.figures.drawing import BOX, HEIGHT, WIDTH, Drawing
from caloforge.search.report.figures.scales import value_axis
from caloforge.validation.figures.legend import Entry, legend
from caloforge.validation.figures.panel import Panel
from caloforge.validation.figures.plate import Box, Plate


def progress(diary: Sequence[Mapping[str, Any]]) -> list[Drawing]:
    """Draw best and median fitness, and the hypervolume, of each generation.

    Args:
        diary: Entries of the generations.
    """
    return [
        _lines(
            diary,
            {"best": Entry("best", "candidate-2"), "median": Entry("median", "geant4")},
            "fitness",
            "Fitness of those who live",
            "On showers that select, the same for all. The median counts quick and small generators, too.",
        ),
        _lines(
            diary,
            {"hypervolume": Entry("hypervolume", "candidate-2")},
            "hypervolume",
            "What the population dominates",
            "Area of fitness, in shares of the worst founder's, times decades of ms below the slowest "
            "founder's: it grows as the front advances anywhere.",
        ),
    ]


def _lines(
    diary: Sequence[Mapping[str, Any]], shown: Mapping[str, Entry], label: str, title: str, caption: str
) -> Drawing:
    x = np.array([entry["generation"] for entry in diary], np.float64)
    y = {name: np.array([entry[name] for entry in diary], np.float64) for name in shown}
    axis = value_axis(np.concatenate(list(y.values())), decades=1.0)
    plate = Plate(WIDTH, HEIGHT)
    box = Box(BOX.left, BOX.bottom, BOX.right, BOX.top - 20.0)
    span = max(float(x.max()), 4.0)
    panel = Panel(plate, box, (-0.02 * span, 1.02 * span), axis.ends, y_log=axis.log)
    for name, entry in shown.items():
        panel.line(x, y[name], entry.colour, 1.5)
        titles = [f"generation {i:.0f}: {name} {value:.4g}" for i, value in zip(x, y[name], strict=True)]
        panel.marks(x, y[name], "circle", 2.0, entry.colour, titles)
    panel.frame("generation", label)
    legend(plate, Box(0, HEIGHT - 20, WIDTH, HEIGHT), list(shown.values()))
    return Drawing(f"progress-{label}", title, caption, (plate,))

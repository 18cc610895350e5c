"""The Pareto front as it was measured, and all individuals as they were judged."""

from __future__ import annotations

__all__ = ["everyone", "front"]

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from caloforge.search.report.figures.drawing import BOX, HEIGHT, WIDTH, Drawing
from caloforge.search.report.figures.scales import value_axis
from caloforge.search.topology.figures.marks import WAYS, radius, told
from caloforge.validation.figures.legend import Entry, legend, legend_height
from caloforge.validation.figures.panel import Panel
from caloforge.validation.figures.plate import Box, Plate
from caloforge.validation.report.text import number

if TYPE_CHECKING:
    from caloforge.search.topology.individual import Individual
    from caloforge.search.topology.store import State

_MEASURED = "ms per shower, one at a time on one core"
_ON_FRONT = Entry("Pareto front", "ink", "diamond", lined=False)


def front(state: State, members: Sequence[Individual]) -> Drawing | None:
    """Draw the members of the front at the ms that the engine takes; None if none was measured."""
    known = [one for one in members if "ms" in state.figures.get(one.number, {})]
    if not known:
        return None
    ms = np.array([state.figures[one.number]["ms"] for one in known])
    fitness = np.array([one.fitness for one in known], np.float64)
    across, up = value_axis(ms, decades=0.7), value_axis(fitness)
    plate = Plate(WIDTH, HEIGHT)
    panel = Panel(plate, BOX, across.ends, up.ends, across.log, up.log)
    for i, one in enumerate(known):
        text = f"{told(one)}; measured: {number(ms[i])} ms"
        panel.marks(ms[i : i + 1], fitness[i : i + 1], "circle", radius(one, known), "candidate-2", [text])
    panel.frame(_MEASURED, "fitness")
    for i, one in enumerate(known):
        x, y = float(panel.across(ms[i : i + 1])[0]), float(panel.up(fitness[i : i + 1])[0])
        plate.text(x, y + radius(one, known) + 2.5, str(one.number), 9.0, "middle")
    return Drawing(
        "front",
        "Fitness and time of the front",
        "Numbers name the members; areas grow with their weights. The time is that of the exported bundle, "
        "measured at the end; who lives on was decided by the time that the sizes of the layers let expect.",
        (plate,),
    )


def everyone(state: State, members: Sequence[Individual]) -> Drawing:
    """Draw all that ever lived, by the time that their layers let expect."""
    good = [one for one in state.individuals if one.fitness is not None]
    ms, fitness = (np.array([getattr(one, key) for one in good], np.float64) for key in ("ms", "fitness"))
    across, up = value_axis(ms, decades=0.7), value_axis(fitness, decades=0.7)
    used = [entry for way, entry in WAYS.items() if any(one.way == way for one in good)]
    entries = [*used, _ON_FRONT]
    high = legend_height(entries, WIDTH)
    plate = Plate(WIDTH, HEIGHT + high)
    panel = Panel(plate, BOX, across.ends, up.ends, across.log, up.log)
    on_front = {one.number for one in members}
    for way, entry in WAYS.items():
        here = np.array([i for i, one in enumerate(good) if one.way == way], np.int64)
        titles = [told(good[i]) for i in here.tolist()]
        panel.marks(ms[here], up.held(fitness[here]), "circle", 2.0, entry.colour, titles)
    here = np.array([i for i, one in enumerate(good) if one.number in on_front], np.int64)
    titles = [told(good[i]) for i in here.tolist()]
    panel.marks(ms[here], fitness[here], "diamond", 3.4, _ON_FRONT.colour, titles)
    panel.frame("about this many ms per shower", "fitness")
    legend(plate, Box(0, HEIGHT, WIDTH, HEIGHT + high), entries)
    return Drawing(
        "everyone",
        "All that ever lived",
        "By what each was judged by, and coloured by how it was made. What is far above the rest is drawn at "
        "the edge.",
        (plate,),
    )

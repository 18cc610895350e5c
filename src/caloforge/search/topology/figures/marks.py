"""How individuals are drawn: colours of the ways they were made, sizes by their weights."""

from __future__ import annotations

__all__ = ["WAYS", "radius", "told"]

from collections.abc import Sequence
from typing import TYPE_CHECKING

from caloforge.validation.figures.legend import Entry
from caloforge.validation.report.text import number

if TYPE_CHECKING:
    from caloforge.search.topology.individual import Individual

WAYS = {
    "founder": Entry("founder", "geant4", "circle", lined=False),
    "weights": Entry("weights alone", "candidate-0", "circle", lined=False),
    "preserve": Entry("same showers, larger", "candidate-1", "circle", lined=False),
    "change": Entry("another change", "candidate-2", "circle", lined=False),
    "crossover": Entry("two parents", "candidate-3", "circle", lined=False),
}
"""By the names of `Way`."""
_SMALL, _LARGE = 2.5, 8.0


def radius(one: Individual, others: Sequence[Individual]) -> float:
    """Return the radius of a marker in points: its area grows with the weights."""
    most = max(other.weights for other in others)
    return float(_SMALL + (_LARGE - _SMALL) * (one.weights / most) ** 0.5)


def told(one: Individual) -> str:
    """Return what the mouse is told."""
    fitness = "no showers" if one.fitness is None else f"fitness {number(one.fitness)}"
    born = f"generation {one.generation}, {WAYS[one.way].name}"
    return f"{one.number}: {fitness}, about {number(one.ms)} ms, {one.weights:,} weights; {born}"

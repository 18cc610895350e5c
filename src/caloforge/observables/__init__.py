"""Numbers per shower, each a pure function of its cells: energies, depths, widths, hits, brightest cells."""

from __future__ import annotations

__all__ = [
    "Observable",
    "Shapes",
    "calochallenge_features",
    "calochallenge_names",
    "evaluate",
    "high_level_features",
    "high_level_names",
    "observables_for",
]

from caloforge.observables.calochallenge import calochallenge_features, calochallenge_names
from caloforge.observables.highlevel import high_level_features, high_level_names
from caloforge.observables.observable import Observable, evaluate
from caloforge.observables.registry import observables_for
from caloforge.observables.shapes import Shapes

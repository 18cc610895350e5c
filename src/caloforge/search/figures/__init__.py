"""What a search makes small: figures of a trained run, and what must hold of them."""

from __future__ import annotations

__all__ = ["FIGURES", "Constraint", "Figure", "known_figure", "measure", "selection_of"]

from caloforge.search.figures.constraint import Constraint
from caloforge.search.figures.measure import measure, selection_of
from caloforge.search.figures.table import FIGURES, Figure, known_figure

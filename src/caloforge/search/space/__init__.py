"""Which settings of a recipe are searched, and between which bounds."""

from __future__ import annotations

__all__ = ["Parameter", "Space", "load_space", "parse_space", "space_names"]

from caloforge.search.space.loading import load_space, parse_space, space_names
from caloforge.search.space.parameter import Parameter
from caloforge.search.space.space import Space

"""How many lines a drawing has: enough to look full, few enough to be drawn."""

from __future__ import annotations

__all__ = ["some"]

from collections.abc import Sequence
from typing import Any

_MOST = 20_000  # no printer tells more from each other


def some(values: Sequence[float] | Any, areas: int) -> Any:
    """Where to draw lines: at all values, or at evenly chosen ones where there would be too many.

    Args:
        values: Where cells begin and end, in one of the areas.
        areas: How many such areas share the drawing.
    """
    return values[:: 1 + len(values) * areas // _MOST]

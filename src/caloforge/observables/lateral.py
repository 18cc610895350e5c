"""How wide: centre and width of the shower across each layer."""

from __future__ import annotations

__all__ = ["centroid", "width"]

import numpy as np
from numpy.typing import NDArray

from caloforge.observables.shapes import Shapes

Array = NDArray[np.float64]


def centroid(shapes: Shapes, axis: str, layer: int) -> Array:
    """Return the energy-weighted mean of `axis` (`x`, `y`, `r`) in one layer, `(n,)`, mm; NaN if empty."""
    return shapes.centroid(axis)[:, layer]


def width(shapes: Shapes, axis: str, layer: int) -> Array:
    """Return the energy-weighted standard deviation of `axis` in one layer, `(n,)`, mm; NaN if empty."""
    return shapes.width(axis)[:, layer]

"""How much energy: in the shower, in each layer, and per incident energy."""

from __future__ import annotations

__all__ = ["layer_energy", "layer_fraction", "layer_response", "response", "total_energy"]

import numpy as np
from numpy.typing import NDArray

from caloforge.observables.moments import ratio
from caloforge.observables.shapes import Shapes

Array = NDArray[np.float64]


def total_energy(shapes: Shapes) -> Array:
    """Return the energy in all cells, `(n,)`, MeV."""
    return shapes.energy


def response(shapes: Shapes) -> Array:
    """Return the energy in all cells over the incident energy, `(n,)`; 3DGAN's sampling fraction."""
    return shapes.energy / shapes.incident_energy


def layer_energy(shapes: Shapes, layer: int) -> Array:
    """Return the energy in one layer, `(n,)`, MeV."""
    return shapes.layer_energy[:, layer]


def layer_fraction(shapes: Shapes, layer: int) -> Array:
    """Return the energy in one layer over that in all layers, `(n,)`; NaN for an empty shower."""
    return ratio(shapes.layer_energy[:, layer], shapes.energy)


def layer_response(shapes: Shapes, layer: int) -> Array:
    """Return the energy in one layer over the incident energy, `(n,)`."""
    return shapes.layer_energy[:, layer] / shapes.incident_energy

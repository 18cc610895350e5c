"""How deep: the shower's centre, width, start, maximum and end along the depth."""

from __future__ import annotations

__all__ = [
    "START_FRACTION",
    "deepest_layer",
    "depth",
    "depth_skewness",
    "depth_width",
    "lateral_depth",
    "shower_depth",
    "shower_depth_width",
    "shower_maximum",
    "shower_start",
    "third_fraction",
]

import numpy as np
from numpy.typing import NDArray

from caloforge.observables.moments import ratio
from caloforge.observables.shapes import Shapes

Array = NDArray[np.float64]

START_FRACTION = 0.01
"""A shower starts in the first layer that holds more than this share of its energy."""


def lateral_depth(shapes: Shapes) -> Array:
    r"""Return $l_d=\sum_l l\,E_l$ of CaloGAN, with layers counted from 0, `(n,)`, MeV (arXiv 1712.10321)."""
    return shapes.layer_energy @ np.arange(shapes.detector.n_layers, dtype=np.float64)


def shower_depth(shapes: Shapes) -> Array:
    r"""Return $s_d=\sum_l l\,E_l/\sum_l E_l$, `(n,)`, in layers from 0; NaN for an empty shower."""
    return shapes.layer_number.mean


def shower_depth_width(shapes: Shapes) -> Array:
    """Return the energy-weighted standard deviation of the layer number, `(n,)`, in layers."""
    return shapes.layer_number.width


def depth(shapes: Shapes) -> Array:
    """Return the energy-weighted mean depth of the layers' middles, `(n,)`, mm."""
    return shapes.depth.mean


def depth_width(shapes: Shapes) -> Array:
    """Return the energy-weighted standard deviation of the depth, `(n,)`, mm."""
    return shapes.depth.width


def depth_skewness(shapes: Shapes) -> Array:
    """Return the energy-weighted skewness of the depth, `(n,)`; NaN for a shower in one layer."""
    return shapes.depth.skewness


def shower_start(shapes: Shapes) -> Array:
    """Return the first layer with more than 1 % of the shower's energy, `(n,)`; NaN for an empty shower."""
    above = shapes.layer_energy > START_FRACTION * shapes.energy[:, None]
    return np.where(above.any(axis=1), above.argmax(axis=1), np.nan)


def shower_maximum(shapes: Shapes) -> Array:
    """Return the number of the layer that holds most energy, `(n,)`; NaN for an empty shower."""
    return np.where(shapes.energy > 0, shapes.layer_energy.argmax(axis=1), np.nan)


def deepest_layer(shapes: Shapes) -> Array:
    """Return the number of the deepest layer with energy, `(n,)`; NaN for an empty shower."""
    last = shapes.detector.n_layers - 1 - (shapes.layer_energy[:, ::-1] > 0).argmax(axis=1)
    return np.where(shapes.energy > 0, last, np.nan)


def third_fraction(shapes: Shapes, part: int) -> Array:
    """Return the share of the energy in the front (0), middle (1) or back (2) third of the layers, `(n,)`."""
    borders = np.round(np.arange(4) * shapes.detector.n_layers / 3).astype(int)
    energy = shapes.layer_energy[:, borders[part] : borders[part + 1]].sum(axis=1)
    return ratio(energy, shapes.energy)

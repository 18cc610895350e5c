"""How deep: the shower's centre, width and maximum along the depth."""

from __future__ import annotations

__all__ = ["depth", "depth_width", "lateral_depth", "shower_depth", "shower_depth_width", "shower_maximum"]

import numpy as np
from numpy.typing import NDArray

from caloforge.observables.shapes import Shapes, spread

Array = NDArray[np.float64]


def lateral_depth(shapes: Shapes) -> Array:
    r"""Return $l_d=\sum_l l\,E_l$ of CaloGAN, with layers counted from 0, `(n,)`, MeV (arXiv 1712.10321)."""
    return shapes.layer_energy @ _index(shapes)


def shower_depth(shapes: Shapes) -> Array:
    r"""Return $s_d=\sum_l l\,E_l/\sum_l E_l$, `(n,)`, in layers from 0; NaN for an empty shower."""
    return _mean(shapes, _index(shapes))


def shower_depth_width(shapes: Shapes) -> Array:
    """Return the energy-weighted standard deviation of the layer number, `(n,)`, in layers."""
    return spread(_mean(shapes, _index(shapes) ** 2), shower_depth(shapes))


def depth(shapes: Shapes) -> Array:
    """Return the energy-weighted mean depth of the layers' middles, `(n,)`, mm."""
    return _mean(shapes, _middle(shapes))


def depth_width(shapes: Shapes) -> Array:
    """Return the energy-weighted standard deviation of the depth, `(n,)`, mm."""
    return spread(_mean(shapes, _middle(shapes) ** 2), depth(shapes))


def shower_maximum(shapes: Shapes) -> Array:
    """Return the number of the layer that holds most energy, `(n,)`; NaN for an empty shower."""
    return np.where(shapes.energy > 0, shapes.layer_energy.argmax(axis=1), np.nan)


def _mean(shapes: Shapes, position: Array) -> Array:
    energy = np.where(shapes.energy > 0, shapes.energy, np.nan)
    return np.asarray(shapes.layer_energy @ position / energy)


def _index(shapes: Shapes) -> Array:
    return np.arange(len(shapes.detector.layers), dtype=np.float64)


def _middle(shapes: Shapes) -> Array:
    return np.array([(layer.start + layer.end) / 2 for layer in shapes.detector.layers])

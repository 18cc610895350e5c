"""The high-level features of the CaloChallenge's official evaluation, for any detector."""

from __future__ import annotations

__all__ = ["calochallenge_features", "calochallenge_names"]

import numpy as np
from numpy.typing import NDArray

from caloforge.detector import Detector, PolarGrid
from caloforge.observables.geometry import AXES, has_axis
from caloforge.observables.shapes import Shapes
from caloforge.showers import Showers

_TINY = 1e-8
"""Added before the logarithm of an energy in MeV, as published."""

_SCALE = 1e-2
"""Lengths in mm enter as hundredths, as published."""


def calochallenge_features(showers: Showers | Shapes) -> NDArray[np.float32]:
    r"""Return the features of the mode `cls-high`, of which FPD and KPD are made too (arXiv 2410.21611).

    In this order: $\log_{10} E_{inc}$; $\log_{10}(E_l+10^{-8})$ of each layer; centroids along x and y, then
    widths along x and y, of the layers cut along these axes (the challenge calls them eta and phi; a ring
    that is not cut has none); $\log_{10}(E_{tot}+10^{-8})$; sparsity of each layer; centroid, then width,
    along r of each layer of rings. Energies in MeV, lengths in units of 100 mm. What an empty layer does not
    define is 0, as published. Rectangular cells, which the challenge does not know, have x and y but no r.

    Args:
        showers: `n` showers; cells below the detector's threshold count as empty.

    Returns:
        Features of shape `(n, len(calochallenge_names(detector)))`.
    """
    shapes = showers if isinstance(showers, Shapes) else Shapes(showers)
    x, y, r = (_layers_along(shapes.detector, axis) for axis in AXES)
    cells = np.array([layer.n_cells for layer in shapes.detector.layers])
    blocks = (
        np.log10(shapes.incident_energy),
        np.log10(shapes.layer_energy + _TINY),
        _SCALE * shapes.lateral("x").mean[:, x],
        _SCALE * shapes.lateral("y").mean[:, y],
        _SCALE * shapes.lateral("x").width[:, x],
        _SCALE * shapes.lateral("y").width[:, y],
        np.log10(shapes.energy + _TINY),
        1 - shapes.hits / cells,
        _SCALE * shapes.lateral("r").mean[:, r],
        _SCALE * shapes.lateral("r").width[:, r],
    )
    found: NDArray[np.float32] = np.nan_to_num(np.column_stack(blocks), nan=0.0).astype(np.float32)
    return found


def calochallenge_names(detector: Detector) -> list[str]:
    """Return the names of the columns of `calochallenge_features`."""
    every = range(detector.n_layers)
    x, y, r = (_layers_along(detector, axis) for axis in AXES)
    return [
        "log_incident_energy",
        *(f"log_layer_energy_{i}" for i in every),
        *(f"centroid_x_{i}" for i in x),
        *(f"centroid_y_{i}" for i in y),
        *(f"width_x_{i}" for i in x),
        *(f"width_y_{i}" for i in y),
        "log_total_energy",
        *(f"sparsity_{i}" for i in every),
        *(f"centroid_r_{i}" for i in r),
        *(f"width_r_{i}" for i in r),
    ]


def _layers_along(detector: Detector, axis: str) -> list[int]:
    # a single ring has a radius too, if always the same: the official code keeps it
    if axis == "r":
        return [layer.index for layer in detector.layers if isinstance(layer.grid, PolarGrid)]
    return [layer.index for layer in detector.layers if has_axis(layer, axis)]

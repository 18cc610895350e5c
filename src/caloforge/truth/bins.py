"""The bins of each kind of grid."""

from __future__ import annotations

__all__ = ["Bins", "bins_of"]

import numpy as np

from caloforge.detector import CartesianGrid, Grid, PolarGrid
from caloforge.truth.borders import CartesianBins, PolarBins
from caloforge.truth.polygons import NearestBins

Bins = CartesianBins | PolarBins | NearestBins


def bins_of(grid: Grid, unit: float) -> Bins:
    """Return the bins of a readout grid for points that are measured in `unit` (mm)."""
    if isinstance(grid, CartesianGrid):
        return CartesianBins(grid.cells, (grid.cell[0] / unit, grid.cell[1] / unit))
    if isinstance(grid, PolarGrid):
        return PolarBins(np.asarray(grid.r_edges) / unit, grid.alpha)
    return NearestBins(grid, unit)

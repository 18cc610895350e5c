"""Which unit a file means, where nothing but its energies can tell."""

from __future__ import annotations

__all__ = ["FEW", "response", "same_unit"]

import numpy as np
from numpy.typing import NDArray

FEW = 200
"""Showers that are looked at."""
_MOST = 2.0  # no calorimeter shows more than twice the energy of its particles


def response(total: NDArray[np.floating], energy: NDArray[np.floating]) -> float | None:
    """Return the median of the energy in the cells over that of the particle, of the numbers as they are.

    Args:
        total: Sum over the cells of each shower, shape `(n,)`.
        energy: Of the particle, shape `(n,)` or `(n, 1)`.

    Returns:
        None if no shower has both.
    """
    with np.errstate(all="ignore"):
        ratios = total.astype(np.float64) / energy.ravel().astype(np.float64)
    ratios = ratios[np.isfinite(ratios)]
    return float(np.median(ratios)) if len(ratios) else None


def same_unit(ratio: float | None) -> bool:
    """Whether cells and particle are in one unit; otherwise cells are in MeV and the particle in GeV."""
    return ratio is None or ratio < _MOST

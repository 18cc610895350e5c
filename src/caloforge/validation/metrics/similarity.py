"""Structural similarity (SSIM) of showers, layer by layer."""

from __future__ import annotations

__all__ = ["layer_similarity", "log_image", "ssim_map"]

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from caloforge.detector import Detector, PolarGrid

Array = NDArray[np.float64]
Mode = Literal["reflect", "wrap"]

_SIGMA, _TRUNCATE = 1.5, 3.5
"""Gaussian weights of 11 cells, as in the original paper."""
_K1, _K2 = 0.01, 0.03


def ssim_map(a: Array, b: Array, data_range: float, modes: Sequence[Mode] = ("reflect", "reflect")) -> Array:
    """Return the structural similarity around each pixel (Wang et al., 10.1109/TIP.2003.819861).

    Gaussian weights with a standard deviation of 1.5 pixels cut at 5 pixels, population covariance.

    Args:
        a: Images, shape `(n, h, w)`.
        b: Images, same shape.
        data_range: Range of values, which sets the two constants.
        modes: How each axis goes on beyond its ends, as in `scipy.ndimage`.

    Returns:
        Shape `(n, h, w)`.
    """

    def smooth(image: Array) -> Array:
        return np.asarray(
            gaussian_filter(
                image, (0, _SIGMA, _SIGMA), mode=("reflect", *modes), truncate=_TRUNCATE, output=image.dtype
            )
        )

    mean_a, mean_b = smooth(a), smooth(b)
    squares, product = mean_a**2 + mean_b**2, mean_a * mean_b
    spread = smooth(a * a + b * b) - squares
    covariance = smooth(a * b) - product
    c1, c2 = (_K1 * data_range) ** 2, (_K2 * data_range) ** 2
    return np.asarray((2 * product + c1) * (2 * covariance + c2) / ((squares + c1) * (spread + c2)))


def log_image(cells: Array, top: Array, decades: float) -> Array:
    """Return how many decades energies lie above a floor, 0 for what is below.

    Args:
        cells: Energies, shape `(n, n_cells)`, any unit.
        top: Energy that is `decades` above the floor, shape `(n_cells,)`, same unit.
        decades: The dynamic range.
    """
    logs = np.full(cells.shape, -np.inf)
    np.log10(cells / np.where(top > 0, top, 1.0), out=logs, where=(cells > 0) & (top > 0))
    return np.asarray(np.maximum(logs + decades, 0.0))


def layer_similarity(detector: Detector, a: Array, b: Array, data_range: float, weights: Array) -> Array:
    """Return the SSIM of showers, the mean over the cells of a layer, and of layers by their weights.

    Args:
        detector: What the cells belong to.
        a: Images, shape `(n, n_cells)`.
        b: Images, same shape.
        data_range: Range of their values.
        weights: Weight of each layer, shape `(n_layers,)`.

    Returns:
        Shape `(n,)`.
    """
    out = np.zeros(len(a))
    for layer, weight in zip(detector.layers, weights / weights.sum(), strict=True):
        # sectors close to a circle
        first_axis: Mode = "wrap" if isinstance(layer.grid, PolarGrid) else "reflect"
        first, second = (x[:, layer.cells].reshape(-1, *layer.shape) for x in (a, b))
        out += weight * ssim_map(first, second, data_range, (first_axis, "reflect")).mean(axis=(1, 2))
    return out

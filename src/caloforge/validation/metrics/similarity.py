"""Structural similarity (SSIM) of showers, layer by layer."""

from __future__ import annotations

__all__ = ["layer_similarity", "log_image", "ssim_map"]

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.sparse import csr_array
from scipy.spatial import cKDTree

from caloforge.detector import Detector, Grid, NearestGrid, PolarGrid

Array = NDArray[np.float64]
Mode = Literal["reflect", "wrap"]
Smoother = Callable[[Array], Array]

_SIGMA, _TRUNCATE = 1.5, 3.5
"""Gaussian weights of 11 cells, as in the original paper."""
_K1, _K2 = 0.01, 0.03


def smoothed(images: Array, modes: Sequence[Mode] = ("reflect", "reflect")) -> Array:
    """Average around each pixel of images `(n, h, w)`; `modes` say how each axis goes on beyond its ends."""
    sigma, every = (0, _SIGMA, _SIGMA), ("reflect", *modes)
    return np.asarray(gaussian_filter(images, sigma, mode=every, truncate=_TRUNCATE, output=images.dtype))


def ssim_map(a: Array, b: Array, data_range: float, smooth: Smoother = smoothed) -> Array:
    """Return the structural similarity around each pixel (Wang et al., 10.1109/TIP.2003.819861).

    Gaussian weights with a standard deviation of 1.5 pixels cut at 5 pixels, population covariance.

    Args:
        a: Images, shape `(n, h, w)`, or what else `smooth` takes.
        b: Images, same shape.
        data_range: Range of values, which sets the two constants.
        smooth: Averages around each pixel.

    Returns:
        Shape of the images.
    """
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
        first, second = (x[:, layer.cells].reshape(-1, *layer.shape) for x in (a, b))
        out += weight * ssim_map(first, second, data_range, _smoother(layer.grid)).mean(axis=(1, 2))
    return out


def _smoother(grid: Grid) -> Smoother:
    if isinstance(grid, NearestGrid):
        near = _near(grid)
        return lambda images: np.asarray((images[:, :, 0] @ near)[:, :, None])
    if isinstance(grid, PolarGrid):  # sectors close to a circle
        return partial(smoothed, modes=("wrap", "reflect"))
    return smoothed


@lru_cache(maxsize=8)
def _near(grid: NearestGrid) -> csr_array:
    """Return how much polygons (rows) count in the average around others, by the distance in pitches."""
    places = cKDTree(grid.centres() / grid.pitch)
    pairs = places.query_pairs(_SIGMA * _TRUNCATE, output_type="ndarray")
    own = np.arange(grid.n_cells)
    one, other = (np.concatenate(ends) for ends in ((*pairs.T, own), (*pairs.T[::-1], own)))
    square = ((places.data[one] - places.data[other]) ** 2).sum(axis=1)
    weight = np.exp(-square / (2 * _SIGMA**2))
    return csr_array((weight / np.bincount(other, weight)[other], (one, other)))

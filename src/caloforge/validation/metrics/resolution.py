"""The resolution as a sum in quadrature of a stochastic, a noise and a constant term."""

from __future__ import annotations

__all__ = ["Fit", "fit_resolution"]

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import curve_fit

Array = NDArray[np.float64]
_FEWEST_POINTS, _LEAST_RANGE, _FITS = 5, 3.0, 3


@dataclass(frozen=True)
class Fit:
    r"""Resolution $\sigma/\mu=a/\sqrt E\oplus b/E\oplus c$ with E in GeV; each with its standard error.

    Attributes:
        stochastic: a, in units of the square root of a GeV.
        noise: b, GeV.
        constant: c.
        chi2: $\chi^2$ over the degrees of freedom.
    """

    stochastic: tuple[float, float]
    noise: tuple[float, float]
    constant: tuple[float, float]
    chi2: float


def fit_resolution(energy: Array, resolution: Array, error: Array) -> Fit | None:
    """Fit the resolution; the squares of the three terms are free and not negative.

    Args:
        energy: Incident energies, GeV; NaN are left out.
        resolution: Spread over mean at these energies.
        error: Standard errors.

    Returns:
        None where fewer than five energies are known, or they span less than a factor of three.
    """
    known = np.isfinite(energy) & np.isfinite(resolution) & (error > 0)
    energy, resolution, error = energy[known], resolution[known], error[known]
    if len(energy) < _FEWEST_POINTS or energy.max() < _LEAST_RANGE * energy.min():
        return None
    # the squares are linear in what is sought: no term's derivative vanishes where it is 0
    square, relative = resolution**2, 2 * error / resolution
    terms = np.full(3, square.mean() / 3) * [energy.mean(), energy.mean() ** 2, 1.0]
    curve = square
    # the first fit prefers what is narrow by chance, for its error is small, too; the next take the curve's
    for _ in range(_FITS):
        of_square = curve * relative
        terms, covariance = curve_fit(_square, energy, square, terms, of_square, True, bounds=(0, np.inf))
        curve = np.maximum(_square(energy, *terms), 1e-12 * square.max())
    errors = np.sqrt(np.diag(covariance))
    chi2 = float(np.sum(((square - _square(energy, *terms)) / of_square) ** 2) / (len(energy) - 3))
    roots = [_root(float(t), float(e)) for t, e in zip(terms, errors, strict=True)]
    return Fit(roots[0], roots[1], roots[2], chi2)


def _square(energy: Array, stochastic: float, noise: float, constant: float) -> Array:
    return np.asarray(stochastic / energy + noise / energy**2 + constant)


def _root(square: float, error: float) -> tuple[float, float]:
    # near 0 the square's error says how large the root can be
    root = float(np.sqrt(square))
    return root, float(min(error / (2 * root), np.sqrt(error))) if root > 0 else float(np.sqrt(error))

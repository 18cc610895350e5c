"""The figure of merit by which epochs of 3DGAN were chosen (arXiv:1912.06794)."""

from __future__ import annotations

__all__ = ["energy_bins", "figure_of_merit", "images", "moments", "profiles"]

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from caloforge.errors import RecipeError

if TYPE_CHECKING:
    from caloforge.showers import Showers

Array = NDArray[np.floating[Any]]

_GEV = 1e3  # MeV
_PUBLISHED = (100.0, 200.0, 300.0, 400.0)  # GeV
_HALF_WIDTH = 5.0  # GeV
_AT_LEAST = 10  # showers in a bin
_MOMENTS = 2


def images(showers: Showers) -> Array:
    """Return cells as `(n, x, y, layers)`, MeV.

    Raises:
        RecipeError: The layers have different grids, so that there is no image to speak of.
    """
    shapes = {layer.shape for layer in showers.detector.layers}
    if len(shapes) > 1:
        raise RecipeError(
            "the figure of merit needs layers that all have the same grid",
            where="schedule.select",
            got=f"{len(shapes)} different grids in detector {showers.detector.name}",
            cure="--set schedule.select=score",
        )
    return np.stack(showers.detector.split(showers.cells), axis=-1)


def profiles(image: Array) -> list[Array]:
    """Return the energy along each axis, three arrays `(n, cells of the axis)`, MeV."""
    return [image.sum(axis=tuple(a for a in (1, 2, 3) if a != axis), dtype=np.float64) for axis in (1, 2, 3)]


def moments(profile: Array) -> Array:
    """Return mean and variance of the position of the energy, in cells: `(n, 2)`; NaN for empty showers."""
    with np.errstate(invalid="ignore", divide="ignore"):
        share = profile / profile.sum(axis=1, keepdims=True)
    at = np.arange(profile.shape[1])
    mean = share @ at
    variance = (share * (at - mean[:, None]) ** 2).sum(axis=1)
    return np.stack([mean, variance], axis=1)


def energy_bins(energy: Array) -> list[NDArray[np.bool_]]:
    """Return which showers are compared with each other: all together, and those of four energies.

    The published energies are 100, 200, 300 and 400 GeV, each with 5 GeV to either side. Where the showers do
    not hold ten of each, the energies are at the same fifths of the range and a tenth of it wide.

    Args:
        energy: Incident energies, MeV.
    """
    published = [np.abs(energy / _GEV - centre) <= _HALF_WIDTH for centre in _PUBLISHED]
    low, high = float(energy.min()), float(energy.max())
    if min(int(chosen.sum()) for chosen in published) < _AT_LEAST:
        centres = [low + (high - low) * k / 5 for k in (1, 2, 3, 4)]
        published = [np.abs(energy - centre) <= (high - low) / 20 for centre in centres]
    return [np.ones(len(energy), dtype=bool), *(chosen for chosen in published if chosen.any())]


def figure_of_merit(truth: Array, made: Array, bins: Sequence[NDArray[np.bool_]]) -> float:
    """Return how far mean moments and mean profiles are from Geant4's; smaller is better.

    The sum of two terms, each a mean over the bins and the three axes: of the relative errors of mean and
    variance of the position, and of those of the mean energy in each plane of cells. Planes in which Geant4
    has no energy do not count; empty showers have no position.

    Args:
        truth: Geant4's showers, `(n, x, y, layers)`.
        made: Generated showers of the same incident particles.
        bins: Which showers belong together.
    """
    pairs = list(zip(profiles(truth), profiles(made), strict=True))
    return float(
        np.mean([_moment_error(real[b], fake[b]) for b in bins for real, fake in pairs])
        + np.mean([_relative(real[b].mean(0), fake[b].mean(0)) for b in bins for real, fake in pairs])
    )


def _moment_error(truth: Array, made: Array) -> float:
    return _relative(_mean_moments(truth), _mean_moments(made))


def _mean_moments(profile: Array) -> Array:
    """Means over all showers with any energy; zero if there is none, which is wholly wrong."""
    found = moments(profile)
    found = found[np.isfinite(found).all(axis=1)]
    return np.asarray(found.mean(axis=0)) if len(found) else np.zeros(_MOMENTS)


def _relative(truth: Array, made: Array) -> float:
    """Mean of the relative errors, where there is something to compare with."""
    defined = truth != 0
    if not defined.any():
        return 0.0
    return float(np.mean(np.abs(truth[defined] - made[defined]) / np.abs(truth[defined])))

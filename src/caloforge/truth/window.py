"""The window of a readout that follows the shower: centred on its energy barycentre."""

from __future__ import annotations

__all__ = ["Hits", "centred"]

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from caloforge.truth.borders import Bins, CartesianBins, Real, Whole


@dataclass(frozen=True)
class Hits:
    """Deposits that lie in one cell each.

    Attributes:
        shower: Row of the shower, shape `(n,)`.
        layer: Index of the layer, shape `(n,)`.
        energy: MeV, shape `(n,)`.
        place: Numbers of the cell in x and y, or its sector and ring.
        bins: What numbers the cells.
    """

    shower: Whole
    layer: Whole
    energy: Real
    place: tuple[Whole, Whole]
    bins: Bins


def centred(hits: Sequence[Hits], impact: Real, bins: CartesianBins) -> list[Hits]:
    """Renumber cells so that the window lies around the cell of the energy barycentre.

    The barycentre is that of all layers together in a window twice as wide, which is centred on the cell
    of the impact point; it is rounded to a cell.

    Args:
        hits: Deposits of some showers, in cells of one grid.
        impact: Impact points in the unit of `bins`, shape `(n_showers, 2)`.
        bins: The grid.
    """
    near = bins.place(impact)
    moves = [place - n // 2 for place, n in zip(near, bins.cells, strict=True)]
    inside = [_in_wide_window(hit, moves, bins) for hit in hits]
    total = np.zeros(len(impact))
    for hit, energy in zip(hits, inside, strict=True):
        total += _per_shower(hit, energy, len(impact))
    for axis, n in enumerate(bins.cells):
        moment = np.zeros(len(impact))
        for hit, energy in zip(hits, inside, strict=True):
            offset = hit.place[axis] - moves[axis][hit.shower] - (n - 1) / 2
            moment += _per_shower(hit, energy * offset, len(impact))
        mean = np.divide(moment, total, out=np.zeros_like(moment), where=total > 0)
        moves[axis] = moves[axis] + np.rint(mean).astype(np.int64)
    return [replace(hit, place=_moved(hit, moves)) for hit in hits]


def _moved(hit: Hits, moves: Sequence[Whole]) -> tuple[Whole, Whole]:
    return hit.place[0] - moves[0][hit.shower], hit.place[1] - moves[1][hit.shower]


def _in_wide_window(hit: Hits, moves: Sequence[Whole], bins: CartesianBins) -> Real:
    """Energies, 0 outside the wide window: 25 cells become 51, 24 become 48."""
    inside = np.ones(len(hit.energy), bool)
    for place, n in zip(_moved(hit, moves), bins.cells, strict=True):
        margin = (n + 1) // 2
        inside &= (place >= -margin) & (place < n + margin)
    return np.where(inside, hit.energy, 0.0)


def _per_shower(hit: Hits, weights: Real, n: int) -> NDArray[np.float64]:
    return np.zeros(n) + np.bincount(hit.shower, weights, minlength=n)

"""The window of a readout that follows the shower: centred on its energy barycentre."""

from __future__ import annotations

__all__ = ["Hits", "centred"]

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from caloforge.truth.bins import Bins
from caloforge.truth.borders import CartesianBins, Real, Whole


@dataclass(frozen=True)
class Hits:
    """Deposits that lie in one cell each.

    Attributes:
        shower: Row of the shower, shape `(n,)`.
        layer: Index of the layer, shape `(n,)`.
        energy: MeV, shape `(n,)`.
        place: Two numbers of the cell, as its bins have them: in x and y, or its sector and ring.
        bins: What numbers the cells.
        rank: Energies are summed in the order of ranks, so that sums do not depend on how the work is cut.
        time: In its middle, ns, shape `(n,)`, or None.
    """

    shower: Whole
    layer: Whole
    energy: Real
    place: tuple[Whole, Whole]
    bins: Bins
    rank: int
    time: Real | None = None


def centred(hits: Sequence[Hits], impact: Real, bins: CartesianBins, fractions: Real) -> list[Hits]:
    """Renumber cells so that the window lies around the cell of the energy barycentre.

    The barycentre is that of calibrated energies, which are what a file holds: of all layers together in a
    window twice as wide, which is centred on the cell of the impact point; it is rounded to a cell.

    Args:
        hits: Deposits of some showers, in cells of one grid.
        impact: Impact points in the unit of `bins`, shape `(n_showers, 2)`.
        bins: The grid.
        fractions: What the deposits of each layer are divided by, shape `(n_layers,)`.
    """
    near = bins.place(impact)
    moves = [place - n // 2 for place, n in zip(near, bins.cells, strict=True)]
    shower = np.concatenate([hit.shower for hit in hits])
    energy = np.concatenate([_in_wide_window(hit, moves, bins) / fractions[hit.layer] for hit in hits])
    total = np.bincount(shower, energy, minlength=len(impact))
    for axis, n in enumerate(bins.cells):
        offset = np.concatenate([hit.place[axis] for hit in hits]) - moves[axis][shower] - (n - 1) / 2
        moment = np.bincount(shower, energy * offset, minlength=len(impact))
        mean = np.divide(moment, total, out=np.zeros(len(impact)), where=total > 0)
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

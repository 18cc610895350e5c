"""3DGAN's figure of merit for any detector: the same in the choice of epochs and in the report.

Mean moments and mean profiles along three axes, in units of cells (arXiv 1912.06794; metric of its code).
"""

from __future__ import annotations

__all__ = ["Axis", "Profiles", "axes_of", "energy_ranges", "figure_of_merit", "members", "merit", "profiles"]

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from caloforge.detector import CartesianGrid, Detector, PolarGrid
from caloforge.showers import Showers

Array = NDArray[np.float64]

_PUBLISHED = np.array([1e5, 2e5, 3e5, 4e5])  # MeV
_HALF_WIDTH = 5e3
_FIFTHS = np.array([0.2, 0.4, 0.6, 0.8])
_NAMES = {"cartesian": ("x", "y"), "polar": ("phi", "r")}
_AT_LEAST = 10
"""Showers that each of the published energies must have."""


@dataclass(frozen=True)
class Axis:
    """One axis and what share of each cell belongs to each of its bins.

    Attributes:
        name: `x`, `y`, `z`, or `phi`, `r`.
        share: Shape `(n_cells, bins)`, rows add up to 1.
    """

    name: str
    share: Array

    @property
    def powers(self) -> Array:
        """Mean index and mean squared index of each cell, shape `(n_cells, 2)`."""
        index = np.arange(self.share.shape[1], dtype=np.float64)
        return self.share @ np.column_stack([index, index**2])


@dataclass(frozen=True)
class Profiles:
    """Sums over the showers of each block, separately in each bin of energy.

    Attributes:
        showers: All showers, shape `(blocks, bins)`.
        filled: Showers with energy, which have moments, same shape.
        moments: Sums of their moments, shape `(blocks, bins, axes, 2)`.
        energy: Sums of their profiles, one array of shape `(blocks, bins, bins of the axis)` per axis.
    """

    showers: Array
    filled: Array
    moments: Array
    energy: tuple[Array, ...]


def figure_of_merit(geant4: Showers, made: Showers) -> float:
    """Return how far mean moments and mean profiles are from Geant4's; smaller is better.

    Args:
        geant4: Showers of a detector that resolves an axis.
        made: Generated showers of the same detector, of like incident energies.

    Returns:
        The sum of the two parts of `merit`.
    """
    axes, ranges = axes_of(geant4.detector), energy_ranges(geant4.incident.energy)
    one, other = (
        profiles(
            csr_array(showers.cells),
            members(showers.incident.energy, ranges),
            np.zeros(len(showers), np.int64),
            1,
            axes,
        )
        for showers in (geant4, made)
    )
    moments, shapes = merit(one, other)
    return float(moments[0] + shapes[0])


def energy_ranges(energy: NDArray[np.floating]) -> Array:
    """Return the ranges of incident energy in which showers are compared, besides all together.

    The published ones are 100, 200, 300 and 400 GeV, each with 5 GeV to either side. Where Geant4's showers
    do not hold ten of each, they are around the four inner fifths of the range and a tenth of it wide.

    Args:
        energy: Incident energies of Geant4's showers, MeV.

    Returns:
        Lower and upper ends, shape `(4, 2)`, MeV.
    """
    published = _PUBLISHED[:, None] + [-_HALF_WIDTH, _HALF_WIDTH]
    if members(energy, published).sum(axis=0).min() >= _AT_LEAST:
        return published
    low, high = float(energy.min()), float(energy.max())
    return np.asarray((low + (high - low) * _FIFTHS)[:, None] + np.array([-1, 1]) * (high - low) / 20)


def members(energy: NDArray[np.floating], ranges: Array) -> NDArray[np.bool_]:
    """Say which showers are compared together: all in the first column, then those of each range.

    Args:
        energy: Incident energies, shape `(n,)`, MeV.
        ranges: From `energy_ranges`.

    Returns:
        Shape `(n, 1 + ranges)`.
    """
    at = np.asarray(energy, np.float64)[:, None]
    return np.hstack([np.ones_like(at, bool), (ranges[:, 0] <= at) & (at <= ranges[:, 1])])


def axes_of(detector: Detector) -> tuple[Axis, ...]:
    """Return the axes that the detector resolves.

    The bins of x and y (phi and r) are the cells of the finest layer; coarser cells of other layers are
    shared evenly among the bins that they cover, what is outside belongs to the outermost.

    Args:
        detector: Any detector; layers of polygons, or of several kinds of grids, have only z.
    """
    kinds = {layer.grid.kind for layer in detector.layers}
    names = _NAMES.get(kinds.pop(), ()) if len(kinds) == 1 else ()
    axes = [_across(detector, i, name) for i, name in enumerate(names)]
    axes.append(Axis("z", np.eye(detector.n_layers)[detector.layer_of_cell]))
    return tuple(axis for axis in axes if axis.share.shape[1] > 1)


def _across(detector: Detector, i: int, name: str) -> Axis:
    edges = [_edges(detector, layer, i) for layer in range(detector.n_layers)]
    finest = max(edges, key=len)
    shares = []
    for layer, own in zip(detector.layers, edges, strict=True):
        overlap = _overlap(own, finest)
        every = np.broadcast_to(
            overlap[:, None] if i == 0 else overlap[None], (*layer.shape, overlap.shape[1])
        )
        shares.append(every.reshape(layer.n_cells, -1))
    return Axis(name, np.concatenate(shares))


def _edges(detector: Detector, layer: int, i: int) -> Array:
    grid = detector.layers[layer].grid
    if isinstance(grid, PolarGrid):
        return grid.alpha_edges if i == 0 else np.asarray(grid.r_edges, np.float64)
    assert isinstance(grid, CartesianGrid)
    return grid.x_edges if i == 0 else grid.y_edges


def _overlap(own: Array, bins: Array) -> Array:
    """Return what share of each of the intervals `own` is in each of `bins`, shape `(own - 1, bins - 1)`."""
    open_ended = bins.copy()
    open_ended[0], open_ended[-1] = min(bins[0], own[0]), max(bins[-1], own[-1])
    low = np.maximum(own[:-1, None], open_ended[None, :-1])
    high = np.minimum(own[1:, None], open_ended[None, 1:])
    return np.asarray(np.maximum(high - low, 0) / np.diff(own)[:, None])


def profiles(
    cells: csr_array,
    member: NDArray[np.bool_],
    block: NDArray[np.int64],
    blocks: int,
    axes: tuple[Axis, ...],
) -> Profiles:
    """Add up moments and profiles of showers.

    Args:
        cells: Energies, shape `(n, n_cells)`, MeV.
        member: Which showers are in which bins of energy, shape `(n, bins)`.
        block: Block of each shower, shape `(n,)`.
        blocks: Number of blocks.
        axes: What to project on.
    """
    # in double precision: a variance is the small difference of two large numbers
    total = cells @ np.ones(cells.shape[1])
    filled = total > 0
    inverse = np.divide(1.0, total, out=np.zeros_like(total), where=filled)
    moments = []
    for axis in axes:
        first, second = (cells @ axis.powers).T * inverse
        moments.append(np.column_stack([first, np.maximum(second - first**2, 0)]))
    bins = member.shape[1]
    # one row for each block and bin, one column for each shower that is in it
    row, column = (block[:, None] * bins + np.arange(bins)), np.arange(len(block))[:, None]
    gather = csr_array(
        (np.ones(member.sum()), (row[member], np.broadcast_to(column, member.shape)[member])),
        shape=(blocks * bins, len(block)),
    )
    sums = (gather @ cells).toarray()
    return Profiles(
        (gather @ np.ones(len(block))).reshape(blocks, bins),
        (gather @ filled.astype(np.float64)).reshape(blocks, bins),
        (gather @ np.stack(moments, axis=1).reshape(len(block), -1)).reshape(blocks, bins, len(axes), 2),
        tuple((sums @ axis.share).reshape(blocks, bins, -1) for axis in axes),
    )


def merit(reference: Profiles, candidate: Profiles) -> tuple[Array, Array]:
    """Return the moments' and the profiles' part of the figure of merit.

    Args:
        reference: Geant4; each row of its arrays is a sample, as it is or resampled. One row stands for all.
        candidate: The same of the candidate.

    Returns:
        Two arrays of shape `(rows,)`: the mean over energy bins, axes and both moments of |relative error of
        the mean moment|; and the mean over energy bins, axes and bins of the axis of |relative error of the
        mean profile|. Where Geant4 has nothing there is nothing to be relative to: it does not count.
    """
    used = (reference.filled > 0) & (candidate.showers > 0)
    weight = used / np.maximum(used.sum(axis=1, keepdims=True), 1)
    # without any energy the moments are 0, which is wrong by 100 %
    a, b = (p.moments / np.maximum(p.filled, 1)[:, :, None, None] for p in (reference, candidate))
    per_bin = _relative(a, b).mean(axis=(2, 3))
    shapes = []
    for one, other in zip(reference.energy, candidate.energy, strict=True):
        mean, made = (
            x / np.maximum(p.showers, 1)[:, :, None] for x, p in ((one, reference), (other, candidate))
        )
        known = (mean > 0).sum(axis=2)
        shapes.append(_relative(mean, made).sum(axis=2) / np.maximum(known, 1))
    return (per_bin * weight).sum(axis=1), (np.mean(shapes, axis=0) * weight).sum(axis=1)


def _relative(reference: Array, candidate: Array) -> Array:
    """Return |relative errors|, 0 where Geant4 has nothing to be relative to."""
    scale, off = np.abs(reference), np.abs(reference - candidate)
    return np.divide(off, scale, out=np.zeros_like(off), where=np.broadcast_to(scale > 0, off.shape))

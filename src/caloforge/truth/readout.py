"""From deposits to cells: every line shared exactly among the cells that it crosses."""

from __future__ import annotations

__all__ = ["Readout"]

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from caloforge.showers import Showers
from caloforge.truth.borders import Bins, CartesianBins, bins_of, crossings, cut
from caloforge.truth.frames import readout_points

if TYPE_CHECKING:
    from caloforge.detector import Detector
    from caloforge.showers import Incident
    from caloforge.truth.steps import Steps

Real = NDArray[np.float64]
Whole = NDArray[np.int64]

_NOWHERE = -1
_SEVERAL = -2
_TOLERANCE = 1e-6  # mm; borders of slabs and layers that are meant to be one


@dataclass(frozen=True)
class _Lines:
    """Deposits in the readout's frame. A line that was cut has no energy left: its pieces have it."""

    shower: Whole
    layer: Whole
    energy: Real
    start: Real
    end: Real

    def __getitem__(self, rows: slice | Whole) -> _Lines:
        start, end = self.start[rows], self.end[rows]
        return _Lines(self.shower[rows], self.layer[rows], self.energy[rows], start, end)


@dataclass(frozen=True)
class _Hits:
    """Deposits that lie in one cell each; `place` is its number in x and y, or sector and ring."""

    shower: Whole
    layer: Whole
    energy: Real
    place: tuple[Whole, Whole]
    bins: Bins


class Readout:
    """Sums deposits in the cells of a detector.

    Args:
        detector: Whose readout it is.

    Example:
        >>> showers = Readout(detector).showers(steps, incident)
    """

    def __init__(self, detector: Detector) -> None:
        self.detector = detector
        borders = [depth for layer in detector.layers for depth in (layer.start, layer.end)]
        self._edges = np.unique(np.round(borders, 9))
        self._layer_between = self._layers_between_edges()
        self._layer_of_slab = np.array([self._layer_around(s.start, s.end) for s in detector.slabs], np.int64)
        grids = list(dict.fromkeys(layer.grid for layer in detector.layers))
        self._bins = [bins_of(grid) for grid in grids]
        self._grid_of_layer = np.array([grids.index(layer.grid) for layer in detector.layers])
        self._first_cell = np.array([layer.cells.start for layer in detector.layers])

    def showers(self, steps: Steps, incident: Incident) -> Showers:
        """Return the showers that `steps` belong to.

        Energy beside a layer's grid is in its overflow; energy outside all layers' depths is not read out.
        Both are divided by the sampling fraction; the threshold applies to cells only.

        Args:
            steps: Deposits; `steps.shower` counts rows of `incident`.
            incident: The particles.
        """
        hits = [hit for lines in self._by_layer(steps, incident) for hit in self._by_cell(lines)]
        if self.detector.readout.centre == "barycentre":
            hits = self._centred(hits, incident)
        n, n_cells = len(incident), self.detector.n_cells
        energies = self._summed(hits, n) / (self.detector.readout.sampling_fraction or 1.0)
        cells, beside = energies[:, :n_cells], energies[:, n_cells:]
        cells[cells < (self.detector.readout.threshold or 0.0)] = 0.0
        return Showers(self.detector, incident, cells.astype(np.float32), beside.astype(np.float32))

    def _summed(self, hits: list[_Hits], n: int) -> Real:
        """Energy in each cell, then beside each layer, shape `(n, n_cells + n_layers)`."""
        width = self.detector.n_cells + self.detector.n_layers
        bins = []
        for hit in hits:
            cell, beside = hit.bins.cell(hit.place), self.detector.n_cells + hit.layer
            bins.append(hit.shower * width + np.where(cell >= 0, cell + self._first_cell[hit.layer], beside))
        energy = np.concatenate([hit.energy for hit in hits])
        sums: Real = np.bincount(np.concatenate(bins), energy, minlength=n * width).astype(
            np.float64, copy=False
        )
        return sums.reshape(n, width)

    def _layers_between_edges(self) -> Whole:
        """Number of the layer before the first edge, between the edges and behind the last; or nowhere."""
        found = np.full(len(self._edges) + 1, _NOWHERE)
        for layer in self.detector.layers:
            found[np.searchsorted(self._edges, (layer.start + layer.end) / 2)] = layer.index
        return found

    def _layer_around(self, start: float, end: float) -> int:
        """The layer that holds a slab wholly, or that there is none, or several."""
        first, last = np.searchsorted(self._edges, [start + _TOLERANCE, end - _TOLERANCE])
        return int(self._layer_between[first]) if first == last else _SEVERAL

    def _by_layer(self, steps: Steps, incident: Incident) -> Iterator[_Lines]:
        """Lines that lie in one layer each: first the whole ones, then pieces of the others."""
        start, end = readout_points(self.detector, incident, steps)
        if self.detector.readout.frame == "detector":
            layer = self._layer_of_slab[steps.slab]
            loose = np.flatnonzero(layer == _SEVERAL)
        else:
            layer = np.empty(len(steps), np.int64)
            loose = np.arange(len(steps))
        lines = _Lines(steps.shower, layer, steps.energy.copy(), start, end)
        low, high = self._depth_bin(start[loose]), self._depth_bin(end[loose])
        layer[loose] = self._layer_between[low]
        pieces = self._cut_by_layers(lines, loose[low != high])
        yield lines
        if pieces is not None:
            yield pieces

    def _depth_bin(self, points: Real) -> Whole:
        return np.searchsorted(self._edges, points[:, 2], side="right").astype(np.int64)

    def _cut_by_layers(self, lines: _Lines, rows: Whole) -> _Lines | None:
        if not len(rows):
            return None
        some = lines[rows]
        low, high = self._depth_bin(some.start), self._depth_bin(some.end)
        cuts = crossings(some.start[:, 2], some.end[:, 2], low, high, self._edges)
        pieces = cut(some.start, some.end, cuts)
        layer = self._layer_between[self._depth_bin(pieces.middle)]
        lines.energy[rows] = 0.0
        energy = some.energy[pieces.line] * pieces.share
        return _Lines(some.shower[pieces.line], layer, energy, pieces.start, pieces.end)

    def _by_cell(self, lines: _Lines) -> Iterator[_Hits]:
        """Hits of lines that lie in one layer each."""
        if (lines.layer < 0).any():
            lines = lines[np.flatnonzero(lines.layer >= 0)]
        for rows, bins in self._runs(lines):
            some = lines[rows]
            place, leaves = bins.crossed(some.start, some.end)
            yield _Hits(some.shower, some.layer, some.energy, place, bins)
            if len(leaves):
                yield self._cut_by_cells(some, leaves, bins)

    def _runs(self, lines: _Lines) -> Iterator[tuple[slice | Whole, Bins]]:
        """Lines with the same grid, as slices where they lie together: selecting costs more than summing."""
        grid = self._grid_of_layer[lines.layer]
        changes = np.flatnonzero(np.diff(grid)) + 1
        if len(changes) <= 4 * len(self._bins):
            stops = [0, *changes.tolist(), len(grid)]
            for first, last in pairwise(stops):
                if first < last:
                    yield slice(first, last), self._bins[grid[first]]
        else:
            for number, bins in enumerate(self._bins):
                yield np.flatnonzero(grid == number), bins

    def _cut_by_cells(self, lines: _Lines, rows: Whole, bins: Bins) -> _Hits:
        some = lines[rows]
        pieces = cut(some.start, some.end, bins.cuts(some.start, some.end))
        lines.energy[rows] = 0.0
        line, energy = pieces.line, some.energy[pieces.line] * pieces.share
        return _Hits(some.shower[line], some.layer[line], energy, bins.place(pieces.middle), bins)

    def _centred(self, hits: list[_Hits], incident: Incident) -> list[_Hits]:
        """Move the window to the cell of the energy barycentre of a window twice as wide.

        The wide window is centred on the cell of the impact point.
        """
        bins = self._bins[0]
        if not hits or not isinstance(bins, CartesianBins):
            return hits  # the detector's checks allow a barycentre with one cartesian grid only
        impact = bins.place(np.column_stack([incident.x, incident.y]).astype(np.float64))
        moves = [near - n // 2 for near, n in zip(impact, bins.grid.cells, strict=True)]
        moves = self._barycentre(hits, moves, bins)
        return [
            replace(hit, place=(hit.place[0] - moves[0][hit.shower], hit.place[1] - moves[1][hit.shower]))
            for hit in hits
        ]

    def _barycentre(self, hits: list[_Hits], moves: list[Whole], bins: CartesianBins) -> list[Whole]:
        shower = np.concatenate([hit.shower for hit in hits])
        energy = np.concatenate([hit.energy for hit in hits])
        places = [
            np.concatenate([hit.place[axis] for hit in hits]) - moves[axis][shower] for axis in range(2)
        ]
        for place, n in zip(places, bins.grid.cells, strict=True):
            margin = (n + 1) // 2
            energy = np.where((place >= -margin) & (place < n + margin), energy, 0.0)
        total = np.bincount(shower, energy, minlength=len(moves[0]))
        for axis, n in enumerate(bins.grid.cells):
            moment = np.bincount(shower, energy * (places[axis] - (n - 1) / 2), minlength=len(total))
            mean = np.divide(moment, total, out=np.zeros_like(total), where=total > 0)
            moves[axis] = moves[axis] + np.rint(mean).astype(np.int64)
        return moves

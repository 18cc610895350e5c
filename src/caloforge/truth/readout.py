"""From deposits to cells: every line shared exactly among the cells that it crosses."""

from __future__ import annotations

__all__ = ["Readout"]

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from caloforge.showers import Showers
from caloforge.showers.times import mean_times
from caloforge.truth.bins import Bins, bins_of
from caloforge.truth.borders import CartesianBins, Pieces, Real, Whole, crossings, cut
from caloforge.truth.frames import readout_points
from caloforge.truth.geometry import CM
from caloforge.truth.window import Hits, centred

if TYPE_CHECKING:
    from caloforge.detector import Detector
    from caloforge.showers import Incident
    from caloforge.truth.steps import Steps

_NOWHERE = -1
_SEVERAL = -2
_TIME = 3  # which coordinate of a point it is
_PART = 1 << 14  # deposits at a time: their columns fit the second-level cache, which makes it twice as fast
_TOLERANCE = 1e-6  # mm; borders of slabs and layers that are meant to be one


@dataclass(frozen=True)
class _Lines:
    """Deposits in the readout's frame, cm. A line that was cut has no energy left: its pieces have it.

    Where cells have times, points have a fourth coordinate: the time in ns, which is cut like the others.
    """

    shower: Whole
    layer: Whole
    energy: Real
    start: Real
    end: Real

    def __getitem__(self, rows: slice | Whole) -> _Lines:
        start, end = self.start[rows], self.end[rows]
        return _Lines(self.shower[rows], self.layer[rows], self.energy[rows], start, end)


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
        # In cm, as Geant4's deposits come: there are a million times more of them than borders.
        self._edges = np.unique(np.round(borders, 9)) / CM
        self._layer_between = self._layers_between_edges()
        of_slab = [self._layer_around(slab.start, slab.end) for slab in detector.slabs]
        # Of every piece of material, as they are recorded: the plates of a row are equally deep.
        self._layer_of_slab = np.repeat(of_slab, [len(slab.plates) for slab in detector.slabs])
        grids = list(dict.fromkeys(layer.grid for layer in detector.layers))
        self._bins = [bins_of(grid, CM) for grid in grids]
        self._grid_of_layer = np.array([grids.index(layer.grid) for layer in detector.layers])
        self._first_cell = np.array([layer.cells.start for layer in detector.layers])
        fractions, cells = detector.sampling_fractions, [layer.n_cells for layer in detector.layers]
        self._fractions = np.concatenate([np.repeat(fractions, cells), fractions])

    def showers(self, steps: Sequence[Steps], incident: Incident) -> Showers:
        """Return the showers that `steps` belong to.

        Energy beside a layer's grid is in its overflow; energy outside all layers' depths is not read out.
        Both are divided by the sampling fraction of their layer; the threshold applies to cells only. The
        time of a cell is the mean of its deposits', weighted with their energy.

        Args:
            steps: Deposits; their `shower` counts rows of `incident`.
            incident: The particles.
        """
        hits = sorted(self._hits(steps, incident), key=lambda hit: hit.rank)
        if hits and self.detector.readout.centre == "barycentre" and isinstance(self._bins[0], CartesianBins):
            impact = np.column_stack([incident.x, incident.y]).astype(np.float64) / CM
            hits = centred(hits, impact, self._bins[0], self.detector.sampling_fractions)
        n_cells = self.detector.n_cells
        sums, *moments = self._summed(hits, len(incident))
        energies = sums / self._fractions
        cells, beside = energies[:, :n_cells], energies[:, n_cells:]
        cells[cells < (self.detector.readout.threshold or 0.0)] = 0.0
        time = mean_times(moments[0][:, :n_cells], sums[:, :n_cells] * (cells > 0)) if moments else None
        made = cells.astype(np.float32), beside.astype(np.float32)
        return Showers(self.detector, incident, *made, time=time)

    def _hits(self, steps: Sequence[Steps], incident: Incident) -> Iterator[Hits]:
        for rank, kind in enumerate(steps):
            for part in kind.parts(_PART):
                for cuts, lines in enumerate(self._by_layer(part, incident)):
                    yield from self._by_cell(lines, 4 * rank + 2 * cuts)

    def _summed(self, hits: list[Hits], n: int) -> Real:
        """Energy in each cell, then beside each layer, shape `(1, n, n_cells + n_layers)`.

        Where cells have times, the shape is `(2, ...)`: energy times time follows.
        """
        width, timed = self.detector.n_cells + self.detector.n_layers, self.detector.readout.time is not None
        sums = np.zeros((1 + timed, n * width))
        if hits:
            bins = np.concatenate([self._bin(hit) for hit in hits])
            if n > 1:
                bins += np.concatenate([hit.shower for hit in hits]) * width
            energy = np.concatenate([hit.energy for hit in hits])
            sums[0] += np.bincount(bins, energy, minlength=n * width)
            if timed:
                energy *= np.concatenate([hit.time for hit in hits if hit.time is not None])
                sums[1] += np.bincount(bins, energy, minlength=n * width)
        return sums.reshape(-1, n, width)

    def _bin(self, hit: Hits) -> Whole:
        index, outside = hit.bins.flat(hit.place)
        index += self._first_cell[hit.layer]
        index[outside] = self.detector.n_cells + hit.layer[outside]
        return index

    def _layers_between_edges(self) -> Whole:
        """Number of the layer before the first edge, between the edges and behind the last; or nowhere."""
        found = np.full(len(self._edges) + 1, _NOWHERE)
        for layer in self.detector.layers:
            found[np.searchsorted(self._edges, (layer.start + layer.end) / 2 / CM)] = layer.index
        return found

    def _layer_around(self, start: float, end: float) -> int:
        """The layer that holds a slab wholly, or that there is none, or several."""
        first, last = np.searchsorted(self._edges, [(start + _TOLERANCE) / CM, (end - _TOLERANCE) / CM])
        return int(self._layer_between[first]) if first == last else _SEVERAL

    def _by_layer(self, steps: Steps, incident: Incident) -> Iterator[_Lines]:
        """Lines that lie in one layer each: first the whole ones, then pieces of the others."""
        start, end = readout_points(self.detector, incident, steps)
        if steps.time is not None:
            start, end = (np.column_stack([p, t]) for p, t in zip((start, end), steps.time.T, strict=True))
        if self.detector.readout.frame == "detector":
            layer = np.repeat(self._layer_of_slab, steps.per_slab)
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

    def _by_cell(self, lines: _Lines, rank: int) -> Iterator[Hits]:
        """Hits of lines that lie in one layer each: whole ones, then pieces of the others."""
        if lines.layer.min(initial=0) < 0:
            lines = lines[np.flatnonzero(lines.layer >= 0)]
        for rows, bins in self._runs(lines):
            some = lines[rows]
            place, leaves = bins.crossed(some.start, some.end)
            yield Hits(some.shower, some.layer, some.energy, place, bins, rank, _time(some))
            if len(leaves):
                yield self._cut_by_cells(some, leaves, bins, rank + 1)

    def _runs(self, lines: _Lines) -> Iterator[tuple[slice | Whole, Bins]]:
        """Lines with the same grid, as slices where they lie together: selecting costs more than summing."""
        if len(self._bins) == 1:
            yield slice(None), self._bins[0]
            return
        changes = np.flatnonzero(lines.layer[1:] != lines.layer[:-1]) + 1
        if len(changes) <= 2 * self.detector.n_layers:
            for first, last in pairwise([0, *changes.tolist(), len(lines.layer)]):
                if first < last:
                    yield slice(first, last), self._bins[self._grid_of_layer[lines.layer[first]]]
            return
        grid = self._grid_of_layer[lines.layer]
        for number, bins in enumerate(self._bins):
            yield np.flatnonzero(grid == number), bins

    def _cut_by_cells(self, lines: _Lines, rows: Whole, bins: Bins, rank: int) -> Hits:
        some = lines[rows]
        pieces = cut(some.start, some.end, bins.cuts(some.start, some.end))
        lines.energy[rows] = 0.0
        line, energy = pieces.line, some.energy[pieces.line] * pieces.share
        place = bins.place(pieces.middle)
        return Hits(some.shower[line], some.layer[line], energy, place, bins, rank, _time(pieces))


def _time(lines: _Lines | Pieces) -> Real | None:
    """When lines are in their middle."""
    return (lines.start[:, _TIME] + lines.end[:, _TIME]) / 2 if lines.start.shape[1] > _TIME else None

"""Puts showers where their particles hit: moved by whole cells, in the same readout or a larger one."""

from __future__ import annotations

__all__ = ["Placed", "Placing", "standing_still"]

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from caloforge.detector import CartesianGrid, Detector, Fan, Layer, NearestGrid, PolarGrid, Row
from caloforge.errors import DetectorError
from caloforge.simulation.fitting import check_fit
from caloforge.simulation.lattice import NEAR, Lattice

_PIECE = 64  # showers


@dataclass(frozen=True)
class Placed:
    """Showers in their places.

    Attributes:
        cells: Energy in every cell of the target in MeV, shape `(n, n_cells)`, float32.
        outside: Energy that was moved out of each layer's window in MeV, shape `(n, n_layers)`, float32.
    """

    cells: NDArray[np.float32]
    outside: NDArray[np.float32]


class Placing:
    """How showers of one readout are put into the same or a larger one.

    A shower stays what it is: its cells keep their energies, and each layer is moved by a whole number of
    its cells. Where layers have cells of different size, a shift that is no multiple of all of them is
    rounded in each layer by itself, by up to half a cell: layers then lie a little beside each other, and
    `rounding` says by how much. A shift that is a multiple of every cell is exact.

    Cartesian layers are shifted (on a barrel, x is the way around it). Polar layers are turned around their
    middle by whole sectors; they cannot be shifted.

    Args:
        source: Readout that the showers were made for. A window that follows the barycentre of the energy
            is taken to lie around the particle, which holds for particles at right angles to the face.
        target: Readout to put them into, with layers and cells of the same sizes; by default that of
            `source`, standing still.

    Raises:
        DetectorError: Cells that move with the particle, or layers that do not fit.

    Example:
        >>> from caloforge.detector import load_detector
        >>> placing = Placing(load_detector("calogan"))
        >>> steps = placing.shifted([[60.0, 0.0]])
        >>> steps[0, :, 0].tolist(), placing.rounding([[60.0, 0.0]])[0, :, 0].tolist()
        ([0, 2, 2], [-60.0, 20.0, 20.0])
    """

    def __init__(self, source: Detector, target: Detector | None = None) -> None:
        self.source, self.target = source, target or standing_still(source)
        _check_still(source, self.target)
        self.polar = _all_polar(source)
        check_fit(source, self.target)
        self._from = np.array([layer.shape for layer in source.layers])
        self._to = np.array([layer.shape for layer in self.target.layers])
        self._first = np.array([layer.cells.start for layer in self.target.layers])
        self._place = np.concatenate([_places(layer) for layer in source.layers], axis=1)

    @property
    def pitch(self) -> NDArray[np.float64]:
        """Cell of each layer, shape `(n_layers, 2)`: x and y in mm, or sector in rad and 0."""
        return np.array([_pitch(layer) for layer in self.source.layers])

    def shifted(self, shift: ArrayLike) -> NDArray[np.int64]:
        """Return by how many cells each layer moves.

        Args:
            shift: Way of each shower in x and y in mm, shape `(n, 2)`.

        Returns:
            Whole numbers, shape `(n, n_layers, 2)`; half a cell is rounded up.

        Raises:
            DetectorError: Polar layers.
        """
        if self.polar:
            raise DetectorError(
                "showers in rings cannot be shifted, only turned",
                where=self.source.name,
                expected="cartesian grids, or particles where those of the training were",
            )
        return _nearest(np.asarray(shift, np.float64)[:, None] / self.pitch + self._margin)

    def rounding(self, shift: ArrayLike) -> NDArray[np.float64]:
        """Return how far beside its place each layer comes to lie, shape `(n, n_layers, 2)`, mm."""
        wanted = np.asarray(shift, np.float64)[:, None]
        return (self.shifted(shift) - self._margin) * self.pitch - wanted

    @cached_property
    def lattice(self) -> tuple[Lattice | None, Lattice | None]:
        """Shifts in x and y that are exact in all layers; None where there is none, as on rings.

        Plates that follow each other across must come to lie on equal plates, too.
        """
        if self.polar:
            return None, None
        x, y = (
            Lattice.of(
                np.append(self.pitch[:, axis], period), np.append(self._margin[:, axis], beside / period)
            )
            for axis, (period, beside) in enumerate(map(self._plates, "xy"))
        )
        return x, y

    def _plates(self, axis: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Period of each kind of row along an axis, and how much earlier it begins in the target, mm."""
        rows = [slab for slab in self.source.slabs if isinstance(slab, Row) and slab.across == axis]
        fans = [slab for slab in self.source.slabs if isinstance(slab, Fan) and axis == "x"]
        around = {2 * np.pi * (self.source.inner_radius or 0.0) / fan.around for fan in fans}
        periods = np.array(sorted({row.period for row in rows} | around))
        more = self.target.extents[axis] - self.source.extents[axis] if rows else 0.0
        return periods, np.full(len(periods), more / 2)

    def within(self, shift: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Say which shifts, shape `(n, 2)`, leave the window of the shower within the material."""
        # A shower that was simulated in the middle knows nothing of an edge.
        window = np.max([layer.grid.reach for layer in self.source.layers], axis=0)
        room = np.maximum(np.asarray(self.target.size) / 2 - window, 0.0)
        return np.asarray((np.abs(shift) <= room + NEAR).all(axis=1))

    def turned(self, angle: ArrayLike) -> NDArray[np.int64]:
        """Return by how many sectors each layer turns, shape `(n, n_layers, 2)`; the second is 0.

        Args:
            angle: Of each shower in rad, shape `(n,)`.

        Raises:
            DetectorError: Cartesian layers.
        """
        if not self.polar:
            raise DetectorError("showers in rectangles cannot be turned", where=self.source.name)
        sectors = _nearest(np.asarray(angle, np.float64)[:, None] / self.pitch[:, 0])
        return np.stack([sectors, np.zeros_like(sectors)], axis=2)

    def place(self, cells: NDArray[np.float32], steps: NDArray[np.int64]) -> Placed:
        """Put each shower in its place.

        Args:
            cells: Showers of `source` in MeV, shape `(n, n_cells)`.
            steps: From `shifted` or `turned`.
        """
        sums = np.zeros((len(cells), self.target.n_cells + self.target.n_layers))
        self.add(sums, cells, steps, np.arange(len(cells)))
        placed = sums.astype(np.float32)
        return Placed(placed[:, : self.target.n_cells], placed[:, self.target.n_cells :])

    def add(
        self,
        sums: NDArray[np.floating],
        cells: NDArray[np.float32],
        steps: NDArray[np.int64],
        rows: NDArray[np.int64],
    ) -> None:
        """Put showers in their places and add each to a row, as those of one event.

        Args:
            sums: MeV, changed in place: the target's cells and, if they are wanted, what left each layer,
                shape `(n, n_cells)` or `(n, n_cells + n_layers)`.
            cells: Showers of `source` in MeV, shape `(showers, n_cells)`.
            steps: From `shifted` or `turned`.
            rows: Row of each shower, not decreasing.
        """
        moved = self._moved(steps)
        if moved.all():
            self._add_moved(sums, cells, steps, rows)
        elif moved.any():
            self._add_moved(sums, cells[moved], steps[moved], rows[moved])
            _add_rows(sums[:, : self.target.n_cells], cells[~moved], rows[~moved])
        else:
            _add_rows(sums[:, : self.target.n_cells], cells, rows)

    def _add_moved(
        self,
        sums: NDArray[np.floating],
        cells: NDArray[np.float32],
        steps: NDArray[np.int64],
        rows: NDArray[np.int64],
    ) -> None:
        """Add cell by cell, only those that are filled."""
        # Some at a time: arrays that stay in the cache, and in memory that the system need not clear anew,
        # make it three times as fast.
        parts = [slice(start, start + _PIECE) for start in range(0, len(cells), _PIECE)]
        pieces = [self._hits(cells[part], steps[part], rows[part]) for part in parts]
        if not pieces:
            return
        flat, energy = (np.concatenate(column) for column in zip(*pieces, strict=True))
        width = self.target.n_cells + self.target.n_layers
        added = np.bincount(flat, energy, minlength=len(sums) * width).reshape(-1, width)
        sums += added[:, : sums.shape[1]]

    def _moved(self, steps: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which showers change the numbers of their cells; whole rows of the others are added at once."""
        if not np.array_equal(self._from, self._to):
            return np.ones(len(steps), np.bool_)
        return np.asarray(steps.any(axis=(1, 2)))

    def _hits(
        self, cells: NDArray[np.float32], steps: NDArray[np.int64], rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Which sum each filled cell belongs to, and its energy."""
        filled = cells != 0
        hits = np.flatnonzero(filled)
        shower = np.repeat(np.arange(len(cells)), np.count_nonzero(filled, axis=1))
        cell = hits - shower * self.source.n_cells
        layer = np.take(self.source.layer_of_cell, cell)
        # What all cells of a shower in a layer have in common is computed once and taken for each.
        part = shower * self.source.n_layers + layer
        start, outside = self._starts(rows)
        i = np.take(self._place[0], cell) + np.take(steps[..., 0], part)
        j = np.take(self._place[1], cell) + np.take(steps[..., 1], part)
        across, along = (np.take(sizes, layer) for sizes in self._to.T)
        if self.polar:
            i %= across
        # A negative number is a large one without its sign.
        beside = (i.view(np.uint64) >= across.view(np.uint64)) | (j.view(np.uint64) >= along.view(np.uint64))
        flat = np.where(beside, np.take(outside, part), np.take(start, part) + i * along + j)
        return flat, cells.ravel()[hits]

    def _starts(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Index of the sums of a layer's first cell and of what leaves it, by shower and layer."""
        row = rows[:, None] * (self.target.n_cells + self.target.n_layers)
        return row + self._first, row + self.target.n_cells + np.arange(self.target.n_layers)

    @property
    def _margin(self) -> NDArray[np.float64]:
        """Cells of the target beside a source in its middle; half ones where one is odd, the other even."""
        return np.asarray((self._to - self._from) / 2, np.float64)


def standing_still(detector: Detector) -> Detector:
    """Return a detector whose window stays where it is: around the axis, and not around each shower."""
    moving, still = "\n  centre: barycentre\n", "\n  centre: axis\n"
    text = detector.to_yaml()
    return Detector.from_yaml(text.replace(moving, still, 1)) if moving in text else detector


def _add_rows(sums: NDArray[np.floating], cells: NDArray[np.float32], rows: NDArray[np.int64]) -> None:
    """Add showers whose cells keep their numbers."""
    first = np.flatnonzero(np.diff(rows, prepend=-1))
    if len(first) == len(rows):
        sums[rows] += cells
    else:
        sums[rows[first]] += np.add.reduceat(cells, first, axis=0, dtype=sums.dtype)


def _nearest(values: NDArray[np.float64]) -> NDArray[np.int64]:
    # Not to the even one: neighbouring particles would lie two cells apart, or none. The shares of a cell
    # are rounded first, so that 0.5 is not sometimes 0.49999.
    whole: NDArray[np.int64] = np.floor(np.round(values, 9) + 0.5).astype(np.int64)
    return whole


def _places(layer: Layer) -> NDArray[np.int64]:
    return np.indices(layer.shape, np.int64).reshape(2, -1)


def _pitch(layer: Layer) -> tuple[float, float]:
    grid = layer.grid
    if isinstance(grid, PolarGrid):
        return 2 * np.pi / grid.alpha, 0.0
    assert isinstance(grid, CartesianGrid)  # polygons were refused
    return grid.cell


def _all_polar(detector: Detector) -> bool:
    """Whether all layers are cut into rings.

    Raises:
        DetectorError: Polygons, or rings and rectangles together, which cannot be moved.
    """
    polygons = [layer for layer in detector.layers if isinstance(layer.grid, NearestGrid)]
    if polygons:
        raise DetectorError(
            "showers in polygons are not moved: they have no rows and columns to move by",
            where=f"{detector.name}, layer {polygons[0].name}",
            got=f"a {polygons[0].grid.kind} grid",
            expected="cartesian or polar grids",
            cure="train on showers in such cells; `simulate --readout` writes several readouts at once",
        )
    polar = {isinstance(layer.grid, PolarGrid) for layer in detector.layers}
    if len(polar) > 1:
        raise DetectorError(
            "some layers of this detector are cut into rings and some into rectangles: no way to move both",
            where=detector.name,
        )
    return polar.pop()


def _check_still(source: Detector, target: Detector) -> None:
    moving = [d for d in (source, target) if d.readout.frame == "particle"]
    if moving or target.readout.centre == "barycentre":
        raise DetectorError(
            "the cells of this detector move with each particle: showers have no place in it",
            where=(moving or [target])[0].name,
            got="frame: particle" if moving else "centre: barycentre",
            expected="frame: detector and centre: axis",
            cure="give a detector whose cells stand still, with layers and cells of the same sizes",
        )

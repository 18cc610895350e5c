"""From the energy in a cell to what its electronics give, and back to energy.

The order is that of a readout: energies are added, leak into neighbours, become photoelectrons, get noise,
are amplified and counted; what is below the threshold is left out. Only the first two steps could be done
particle by particle.
"""

from __future__ import annotations

__all__ = ["Digitiser", "Digits"]

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from caloforge.detector import NearestGrid, PolarGrid
from caloforge.errors import DetectorError
from caloforge.simulation.streams import ELECTRONICS, LIGHT, streams

if TYPE_CHECKING:
    from caloforge.detector import Detector
    from caloforge.detector.digitisation import Threshold

Real = NDArray[np.float64]
_PIECE = 1 << 16  # cells that are digitised at once: arrays that stay in the cache


@dataclass(frozen=True)
class Digits:
    """Digitised events.

    Attributes:
        energy: Calibrated energy in MeV, shape `(n, n_cells)`, float32; 0 in cells that are left out, and
            below 0 where noise is, unless there is a threshold.
        counts: Of the ADC, uint32, the same shape; 0 in cells that are left out. None without an ADC.
        gain: Index of the gain, from the lowest, uint8, the same shape. None without an ADC.
        saturated: Whether a cell holds more than can be measured, the same shape.
    """

    energy: NDArray[np.float32]
    counts: NDArray[np.uint32] | None
    gain: NDArray[np.uint8] | None
    saturated: NDArray[np.bool_]


class Digitiser:
    """The electronics of a detector.

    Args:
        detector: It has a `digitisation:`.

    Raises:
        DetectorError: It has none.

    Example:
        >>> digits = Digitiser(detector)(cells, seed=1)
    """

    def __init__(self, detector: Detector) -> None:
        block = detector.digitisation
        if block is None:
            raise DetectorError(
                "the detector does not say how it is digitised",
                where=detector.name,
                expected="a block `digitisation: {noise: 0.3 MeV, threshold: 3 sigma}` in its file",
                cure="see docs/detectors.md",
            )
        self.detector = detector
        self._shares = self._by_layer(block.crosstalk or (0.0,))
        self._light = None if block.light_yield is None else self._by_cell(block.light_yield)
        self._noise = self._by_cell(block.noise or (0.0,))
        self._full = self._by_cell(block.saturation or (np.inf,))
        self._least = self._thresholds(block.threshold)
        self._pedestal, self._most = block.pedestal or 0, block.counts
        self._gains = sorted(block.gains or (1.0,)) if block.bits is not None else []

    def __call__(self, cells: NDArray[Any], seed: int, first: int = 0) -> Digits:
        """Digitise events.

        Args:
            cells: Energies in MeV, all particles of an event added, shape `(n, n_cells)`.
            seed: Of light and noise.
            first: Number of the first event. Light and noise of an event depend on seed and number alone.
        """
        size = max(1, _PIECE // self.detector.n_cells)
        starts = range(0, max(1, len(cells)), size)
        return _joined([self._some(cells[i : i + size], seed, first + i) for i in starts])

    def _some(self, cells: NDArray[Any], seed: int, first: int) -> Digits:
        energy = np.array(cells, np.float64)
        self._share(energy)
        self._count_light(energy, seed, first)
        self._add_noise(energy, seed, first)
        if self._gains:
            counts, gain = self._converted(energy)
            return self._suppressed(self._calibrated(counts, gain), counts, gain)
        return self._suppressed(np.minimum(energy, self._full), None, None)

    def _share(self, energy: Real) -> None:
        for layer, image, share in zip(
            self.detector.layers, self.detector.split(energy), self._shares, strict=True
        ):
            if share:
                if isinstance(layer.grid, NearestGrid):
                    exchange_at_sides(image[:, :, 0], share, layer.grid.sides())
                else:
                    exchange(image, share, isinstance(layer.grid, PolarGrid))

    def _count_light(self, energy: Real, seed: int, first: int) -> None:
        if self._light is not None:
            numbers = range(first, first + len(energy))
            for row, rng in zip(energy, streams(seed, LIGHT, numbers), strict=True):
                hit = row.nonzero()[0]
                light = self._light[hit]
                row[hit] = rng.poisson(row[hit] * light) / light

    def _add_noise(self, energy: Real, seed: int, first: int) -> None:
        if self._noise.any():
            numbers = range(first, first + len(energy))
            for row, rng in zip(energy, streams(seed, ELECTRONICS, numbers), strict=True):
                row += self._noise * rng.standard_normal(len(row), np.float32)

    def _converted(self, energy: Real) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
        """Count each cell at the highest gain that it does not fill; the lowest takes the rest."""
        counts = self._counted(energy, 0)
        gain = np.zeros(energy.shape, np.uint8)
        for number in range(1, len(self._gains)):
            finer = self._counted(energy, number)
            fits = finer < self._most
            counts, gain = np.where(fits, finer, counts), np.where(fits, np.uint8(number), gain)
        return counts.astype(np.uint32), gain

    def _counted(self, energy: Real, gain: int) -> Real:
        counts: Real = np.clip(np.rint(self._pedestal + energy / self._step(gain)), 0, self._most)
        return counts

    def _step(self, gain: int) -> Real:
        """MeV of one count at a gain, shape `(n_cells,)`."""
        return self._full * (self._gains[0] / self._gains[gain] / (self._most - self._pedestal))

    def _calibrated(self, counts: NDArray[np.uint32], gain: NDArray[np.uint8]) -> Real:
        step = np.broadcast_to(self._step(0), counts.shape)
        for number in range(1, len(self._gains)):
            step = np.where(gain == number, self._step(number), step)
        return (counts.astype(np.float64) - self._pedestal) * step

    def _suppressed(
        self, energy: Real, counts: NDArray[np.uint32] | None, gain: NDArray[np.uint8] | None
    ) -> Digits:
        kept = energy >= self._least
        if counts is None or gain is None:
            full = kept & (energy >= self._full)
            return Digits(np.where(kept, energy, 0).astype(np.float32), None, None, full)
        full = kept & (gain == 0) & (counts == self._most)
        energies = np.where(kept, energy, 0).astype(np.float32)
        return Digits(energies, counts * kept, gain * kept, full)

    def _thresholds(self, threshold: tuple[Threshold, ...] | None) -> Real:
        if threshold is None:
            return np.full(self.detector.n_cells, -np.inf)
        value = self._by_cell(tuple(least.value for least in threshold))
        in_sigma = self._by_cell(tuple(float(least.in_sigma) for least in threshold))
        return np.where(in_sigma > 0, value * self._noise, value)

    def _by_layer(self, values: tuple[float, ...]) -> Real:
        return np.broadcast_to(np.asarray(values, np.float64), (self.detector.n_layers,))

    def _by_cell(self, values: tuple[float, ...]) -> Real:
        return self._by_layer(values)[self.detector.layer_of_cell]


def _joined(parts: list[Digits]) -> Digits:
    if len(parts) == 1:
        return parts[0]
    columns: Iterator[tuple[Any, ...]] = zip(*(vars(part).values() for part in parts), strict=True)
    joined: Any = (None if column[0] is None else np.concatenate(column) for column in columns)
    return Digits(*joined)


def exchange(image: Real, share: float, polar: bool) -> None:
    """Let each cell give a share of its energy to every neighbour that it has a side in common with.

    Nothing leaves the layer: a cell at the border of the window has fewer neighbours and keeps more.

    Args:
        image: One layer of some events, shape `(n, x, y)` or `(n, sector, ring)`; changed in place.
        share: What one neighbour gets.
        polar: Whether the last sector is a neighbour of the first.
    """
    flows = [share * np.diff(image, axis=axis) for axis in (1, 2)]
    round_the_end = share * (image[:, 0] - image[:, -1])
    image[:, :-1] += flows[0]
    image[:, 1:] -= flows[0]
    image[:, :, :-1] += flows[1]
    image[:, :, 1:] -= flows[1]
    if polar and image.shape[1] > 1:
        image[:, -1] += round_the_end
        image[:, 0] -= round_the_end


def exchange_at_sides(cells: Real, share: float, sides: NDArray[np.int64]) -> None:
    """Let each polygon give a share of its energy to every neighbour, as `exchange` does.

    Args:
        cells: One layer of some events, shape `(n, cells)`; changed in place.
        share: What one neighbour gets.
        sides: Pairs of neighbours, shape `(pairs, 2)`.
    """
    one, other = sides.T
    flows = (share * (cells[:, other] - cells[:, one])).T
    np.add.at(cells.T, one, flows)
    np.subtract.at(cells.T, other, flows)

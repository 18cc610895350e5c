"""Times of cells: means of what is in them, weighted with its energy, so that cells can be added up."""

from __future__ import annotations

__all__ = ["TimeSpectra", "check_times", "mean_times"]

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from caloforge.errors import ShowersError

if TYPE_CHECKING:
    from caloforge.detector import Detector
    from caloforge.showers.container import Showers

_EDGES = np.geomspace(1e-4, 1e10, 14 * 64 + 1)  # ns, in steps of 3.7 %


def mean_times(moments: NDArray[Any], energy: NDArray[Any]) -> NDArray[np.float32]:
    """Return the mean time of cells in ns, 0 of those without energy.

    Args:
        moments: Sum of energy times time of what is in each cell, MeV ns.
        energy: Sum of its energy, MeV, same shape.
    """
    there = (energy > 0) & np.isfinite(energy)
    times = np.divide(moments, energy, out=np.zeros(energy.shape), where=there)
    return np.asarray(times, np.float32)


def check_times(time: NDArray[Any], where: object = None) -> None:
    """Refuse times of cells that are no numbers.

    Raises:
        ShowersError: NaN, or infinite.
    """
    bad = int(time.size - np.isfinite(time).sum())
    if bad:
        raise ShowersError(
            "the showers hold impossible times",
            where=where,
            got=f"{bad} that are NaN or infinite",
            expected="a finite number of ns for every cell",
            cure="make them again, or leave the times out",
        )


class TimeSpectra:
    """How the energy of each layer is spread over the times of its cells, in constant memory.

    Attributes:
        low: Least time of a cell in each layer, ns, shape `(n_layers,)`.
        high: Greatest time.
    """

    def __init__(self, detector: Detector) -> None:
        self._layer_of_cell, n = detector.layer_of_cell, detector.n_layers
        self.low, self.high = np.full(n, np.inf), np.full(n, -np.inf)
        self._moment, self._energy = np.zeros(n), np.zeros((n, len(_EDGES) + 1))

    def add(self, part: Showers) -> None:
        """Take in the next showers, if they have times."""
        if part.time is None:
            return
        row, cell = np.nonzero(part.cells)
        layer = self._layer_of_cell[cell]
        time, energy = (values[row, cell].astype(np.float64) for values in (part.time, part.cells))
        np.minimum.at(self.low, layer, time)
        np.maximum.at(self.high, layer, time)
        np.add.at(self._moment, layer, energy * time)
        np.add.at(self._energy, (layer, np.searchsorted(_EDGES, time, side="right")), energy)

    def of_layer(self, layer: int) -> dict[str, float] | None:
        """Return what a layer's times are like, ns: mean and quantiles are those of its energy.

        Quantiles are right to 2 %, from 0.1 ps on.
        """
        spectrum = self._energy[layer]
        total = spectrum.sum()
        if not total:
            return None
        low, high = float(self.low[layer]), float(self.high[layer])
        half, most = (min(max(_quantile(spectrum, share), low), high) for share in (0.5, 0.9))
        mean = float(self._moment[layer] / total)
        return {"mean": mean, "least": low, "median": half, "p90": most, "greatest": high}


def _quantile(spectrum: NDArray[np.float64], share: float) -> float:
    """The time before which a share of the energy is there."""
    sums = np.concatenate([[0.0], np.cumsum(spectrum)])
    number = int(np.searchsorted(sums[1:], share * sums[-1]))
    inside = (share * sums[-1] - sums[number]) / spectrum[number]
    first, last = _EDGES[max(number - 1, 0)], _EDGES[min(number, len(_EDGES) - 1)]
    return float(first * (last / first) ** inside)

"""Fast and full simulation of the same events side by side: physics with its floor, and time."""

from __future__ import annotations

__all__ = ["LAYER", "LIMIT", "Comparison", "Row"]

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from caloforge.detector import Detector

if TYPE_CHECKING:
    from caloforge.showers import Showers
    from caloforge.simulation.fastsim.result import Costs

Real = NDArray[np.float64]
LAYER = "energy in"
"""How the names of layers' energies begin."""
LIMIT = 0.002
"""How far the response may be off for the two to agree."""
_SIGMAS = 2.0
_ONE_SIGMA = 0.15866  # of a normal distribution lies below its mean minus one standard deviation
_WIDTH_ERROR = 0.96  # / sqrt(n) is the relative error of half the central 68 % of a normal distribution


@dataclass(frozen=True)
class Row:
    """One number of both simulations.

    Attributes:
        name: What it is.
        full: Its mean in full simulation.
        fast: The same in fast simulation.
        difference: fast / full - 1.
        error: Statistical error of that.
        floor: The same between two halves of the full simulation, half a / half b - 1.
    """

    name: str
    full: float
    fast: float
    difference: float
    error: float
    floor: float


class _Moments:
    """Number, sum and sum of squares of some quantities; memory does not grow with the number of events."""

    def __init__(self, width: int) -> None:
        self.n, self.sum, self.square = 0, np.zeros(width), np.zeros(width)

    def add(self, values: Real) -> None:
        self.n += len(values)
        self.sum += values.sum(axis=0)
        self.square += (values**2).sum(axis=0)

    @property
    def mean(self) -> Real:
        return self.sum / self.n if self.n else np.full_like(self.sum, np.nan)

    @property
    def spread(self) -> Real:
        """Standard deviation; NaN for less than two events."""
        if self.n < 2:
            return np.full_like(self.sum, np.nan)
        variance = (self.square - self.n * self.mean**2) / (self.n - 1)
        return np.sqrt(np.maximum(variance, 0.0))


class _Widths:
    """How wide a quantity spreads: half its central 68 % by its median, from a fine histogram.

    A standard deviation would be that of the one shower in hundreds that loses a tenth of its energy.
    """

    _LOW, _HIGH, _STEP = math.log(1e-6), math.log(1e2), 1e-4

    def __init__(self) -> None:
        self._counts = np.zeros(math.ceil((self._HIGH - self._LOW) / self._STEP), np.int64)

    def add(self, values: Real) -> None:
        bins = (np.log(np.maximum(values, 1e-30)) - self._LOW) / self._STEP
        bins = np.clip(bins, 0, len(self._counts) - 1).astype(np.int64)
        self._counts += np.bincount(bins, minlength=len(self._counts))

    @property
    def width(self) -> float:
        """NaN for less than two events."""
        n = self._counts.sum()
        if n < 2:
            return math.nan
        # Ranks as of numpy's quantiles, to the nearest event.
        ranks = np.rint(np.array([_ONE_SIGMA, 0.5, 1 - _ONE_SIGMA]) * (n - 1)) + 1
        low, middle, high = np.searchsorted(np.cumsum(self._counts), ranks) * self._STEP
        return float((math.exp(high - middle) - math.exp(low - middle)) / 2)


class Comparison:
    """Adds up what is compared.

    Args:
        detector: That of the events.
    """

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        layers = [f"{LAYER} {layer.name}" for layer in detector.layers]
        self._names = ["response", "depth", *layers, "cells hit", "width in x", "width in y"]
        width = len(self._names)
        self._fast, self._full = _Moments(width), _Moments(width)
        self._halves = _Moments(width), _Moments(width)
        self._widths = {name: _Widths() for name in ("full", "fast", "a", "b")}
        self.milliseconds = 0.0

    @property
    def n_layers(self) -> int:
        """Number of layers whose energies are compared."""
        return self._detector.n_layers

    def add(self, fast: Showers, full: Showers, milliseconds: float) -> None:
        """Add events, once fast and once full; `milliseconds` is what the full simulation took."""
        one, other = self._measured(fast), self._measured(full)
        half = (np.arange(len(other)) + self._full.n) % 2
        self._fast.add(one)
        self._full.add(other)
        for number, moments in enumerate(self._halves):
            moments.add(other[half == number])
        responses = (other, one, other[half == 0], other[half == 1])
        for width, values in zip(self._widths.values(), responses, strict=True):
            width.add(values[:, 0])
        self.milliseconds += milliseconds

    def _measured(self, showers: Showers) -> Real:
        """All quantities of all events, shape `(n, width)`."""
        cells = showers.cells.astype(np.float64)
        energy = showers.incident.energy.astype(np.float64)
        layers = np.add.reduceat(cells, [layer.cells.start for layer in self._detector.layers], axis=1)
        total = np.maximum(layers.sum(axis=1), 1e-30)
        mean = cells @ self._detector.positions / total[:, None]
        square = cells @ self._detector.positions[:, :2] ** 2 / total[:, None]
        width = np.sqrt(np.maximum(square - mean[:, :2] ** 2, 0.0))
        hit, response = (cells > 0).sum(axis=1), layers.sum(axis=1) / energy
        return np.column_stack([response, mean[:, 2], layers / energy[:, None], hit, width])

    def rows(self) -> list[Row]:
        """Means of all quantities; after the response its resolution, half its central 68 % by its median."""
        fast, full, (a, b) = self._fast, self._full, self._halves
        error = np.hypot(fast.spread / np.sqrt(max(fast.n, 1)), full.spread / np.sqrt(max(full.n, 1)))
        off, error = _over(fast.mean, full.mean), _relative(error, full.mean)
        columns = np.column_stack([full.mean, fast.mean, off, error, _over(a.mean, b.mean)]).tolist()
        table = [Row(name, *values) for name, values in zip(self._names, columns, strict=True)]
        return [table[0], self._resolution(), *table[1:]]

    def _resolution(self) -> Row:
        full, fast, a, b = (widths.width for widths in self._widths.values())
        ratio, floor = (one / other if other else math.nan for one, other in ((fast, full), (a, b)))
        error = ratio * _WIDTH_ERROR * math.sqrt(2 / max(self._full.n, 1))
        return Row("resolution", full, fast, ratio - 1, error, floor - 1)

    @property
    def agrees(self) -> bool | None:
        """Whether the response agrees within `LIMIT`; None if there are too few events to say."""
        response = self.rows()[0]
        off, error = abs(response.difference), _SIGMAS * response.error
        if off <= LIMIT and error <= LIMIT:
            return True
        return False if off > max(LIMIT, error) else None

    @property
    def verdict(self) -> str:
        """The same in words."""
        response = self.rows()[0]
        told = f"{100 * response.difference:+.3f} +- {100 * response.error:.3f} %"
        return {
            True: f"the response agrees within {100 * LIMIT:g} %: {told}",
            False: f"the response differs by more than {100 * LIMIT:g} %: {told}",
            None: f"too few events to say whether the response agrees within {100 * LIMIT:g} %: {told}",
        }[self.agrees]

    @property
    def ms_per_event(self) -> float:
        """CPU milliseconds of the full simulation per event."""
        return self.milliseconds / max(self._full.n, 1)

    def speed_up(self, costs: Costs) -> float:
        """How many times less CPU time the fast simulation took."""
        return self.ms_per_event / costs.ms_per_event["total"]

    def as_dict(self, costs: Costs) -> dict[str, Any]:
        """All of it, for JSON."""
        return {
            "agrees": self.agrees,
            "verdict": self.verdict,
            "full_ms_per_event": self.ms_per_event,
            "speed_up": self.speed_up(costs),
            "rows": [asdict(row) for row in self.rows()],
        }


def _over(one: Real, other: Real) -> Real:
    return _relative(one, other) - 1


def _relative(one: Real, other: Real) -> Real:
    return np.divide(one, other, out=np.full_like(other, np.nan), where=other != 0)

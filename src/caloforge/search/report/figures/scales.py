"""Where values lie on an axis: of an objective, or of a parameter."""

from __future__ import annotations

__all__ = ["Axis", "Scale", "scale", "value_axis"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caloforge.search.report.view import label

Array = NDArray[np.float64]
_FAR = 4.0


@dataclass(frozen=True)
class Axis:
    """Ends of an axis.

    Attributes:
        low: Where it begins.
        high: Where it ends.
        log: Whether it is logarithmic.
    """

    low: float
    high: float
    log: bool

    @property
    def ends(self) -> tuple[float, float]:
        """Both ends."""
        return self.low, self.high

    def held(self, values: Array) -> Array:
        """Return values with those above the axis at its upper end."""
        return np.minimum(values, self.high)

    def share(self, values: Array) -> Array:
        """Return positions on the axis, 0 at its beginning and 1 at its end."""
        if self.log:
            span = np.log(self.high / self.low)
            return np.asarray(np.log(np.maximum(values, self.low) / self.low) / span)
        return np.asarray((values - self.low) / (self.high - self.low))


def value_axis(values: Array, decades: float = 1.5) -> Axis:
    """Choose an axis of an objective: logarithmic over decades; what is far above the rest lies beyond it.

    Args:
        values: Any shape; what is not finite does not count.
        decades: From how many on it is logarithmic.
    """
    known = values[np.isfinite(values)]
    if not known.size:
        return Axis(0.0, 1.0, False)
    log = bool(known.min() > 0 and np.log10(known.max() / known.min()) > decades)
    scaled = np.log10(known) if log else known
    low, most, usual = float(scaled.min()), float(scaled.max()), float(np.quantile(scaled, 0.9))
    if usual > low:
        most = min(most, usual + _FAR * (usual - low))
    room = 0.06 * (most - low) or 0.1 * max(abs(most), 0.1)
    ends = low - room, most + room
    return Axis(10 ** ends[0], 10 ** ends[1], True) if log else Axis(*ends, False)


@dataclass(frozen=True)
class Scale:
    """Where values of a parameter lie.

    Attributes:
        axis: Its ends; choices lie at 0, 1, ...
        names: Of choices, empty for numbers.
    """

    axis: Axis
    names: tuple[str, ...] = ()

    def at(self, values: Sequence[Any]) -> Array:
        """Return positions; NaN for None, a value that is not in use."""
        if not self.names:
            return np.array([np.nan if value is None else value for value in values], np.float64)
        places = {name: float(i) for i, name in enumerate(self.names)}
        return np.array([np.nan if value is None else places.get(label(value), np.nan) for value in values])


def scale(parameter: Mapping[str, Any]) -> Scale:
    """Return the scale of a parameter of the record."""
    if parameter["kind"] == "choice":
        names = tuple(label(choice) for choice in parameter["choices"])
        return Scale(Axis(-0.5, len(names) - 0.5, False), names)
    low, high, log = float(parameter["low"]), float(parameter["high"]), bool(parameter["log"])
    if log:
        room = (high / low) ** 0.04 if high > low else 1.5
        return Scale(Axis(low / room, high * room, True))
    wide = 0.04 * (high - low) or 0.5
    return Scale(Axis(low - wide, high + wide, False))

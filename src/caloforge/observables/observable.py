"""Observable: one number per shower, with the name, label and unit under which it is reported."""

from __future__ import annotations

__all__ = ["Observable", "evaluate"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caloforge.observables.shapes import Shapes
from caloforge.showers import Showers


@dataclass(frozen=True)
class Observable:
    """One number per shower.

    Args:
        name: Stable key, as in `report.json`: `width_x_1` is the width along x in layer 1.
        label: What a figure's axis says, with mathematics between dollars and without the unit.
        unit: `MeV`, `mm`, `rad`, `layers`, `cells` or empty for a ratio.
        theme: Section of the report: `energy`, `longitudinal`, `lateral` or `cells`.
        compute: Pure function of the showers' shapes, returns `(n,)`; NaN where the number is not
            defined, as for the width of a layer without energy.
        quantity: What is measured, without the layer: `width_x`.
        layer: Index of the layer, None for the whole shower.
        integer: Whether the values are counts, so that bins must not cut between them.

    Example:
        >>> total = Observable("total", "E", "MeV", "energy", lambda shapes: shapes.energy, "total")
        >>> total.name, total.layer
        ('total', None)
    """

    name: str
    label: str
    unit: str
    theme: str
    compute: Callable[[Shapes], NDArray[np.float64]]
    quantity: str
    layer: int | None = None
    integer: bool = False

    def __call__(self, showers: Showers | Shapes) -> NDArray[np.float64]:
        """Return the observable of each shower, shape `(n,)`."""
        return self.compute(showers if isinstance(showers, Shapes) else Shapes(showers))


def evaluate(observables: Sequence[Observable], showers: Showers | Shapes) -> NDArray[np.float32]:
    """Return all `observables` of all `showers`, shape `(n, len(observables))`; sums are shared."""
    shapes = showers if isinstance(showers, Shapes) else Shapes(showers)
    rows = np.empty((len(observables), len(shapes)), np.float32)
    for row, observable in zip(rows, observables, strict=True):
        row[:] = observable(shapes)
    return rows.T

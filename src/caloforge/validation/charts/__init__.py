"""What a figure shows, as numbers alone: drawn as SVG or PDF, and written as CSV or JSON, by others."""

from __future__ import annotations

__all__ = [
    "Chart",
    "Cloud",
    "Curve",
    "Face",
    "Histogram",
    "Line",
    "Map",
    "Maps",
    "Point",
    "Points",
    "Role",
    "Table",
    "binned",
]

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Role = Literal["geant4", "floor", "candidate"]


@dataclass(frozen=True, kw_only=True)
class Chart:
    """What all charts have.

    Attributes:
        key: Unique and stable: `width_x_1`, `width_x_1.energy_2`, `roc_high`.
        title: For people, mathematics between dollars.
        theme: Page of the report: `energy`, `longitudinal`, `lateral`, `cells`, `profiles`, `images`,
            `fluctuations`, `correlations`, `showers`, `classifiers`, `generative`, `bins` or `scans`.
        caption: A sentence below the figure, or empty.
        quantity: What is measured, without the layer, or empty.
        layer: Index of the layer, or None.
    """

    key: str
    title: str
    theme: str
    caption: str = ""
    quantity: str = ""
    layer: int | None = None


@dataclass(frozen=True)
class Line:
    """One sample's values in a chart.

    Attributes:
        name: What the legend says.
        role: Decides the colour and how it is drawn: Geant4 is a band, its floor a thin line.
        values: Shape `(k,)`; counts of a histogram have three more, see `Histogram`.
        errors: Standard errors, same shape, or None (of counts: their square roots).
    """

    name: str
    role: Role
    values: Array
    errors: Array | None = None


@dataclass(frozen=True, kw_only=True)
class Histogram(Chart):
    """Distributions in one binning, with a panel of their ratios to the first Geant4 line.

    Attributes:
        x: Label of the axis, without its unit.
        unit: Its unit.
        edges: Bins, shape `(k + 1,)`.
        lines: Counts, shape `(k + 3,)`: the bins, then below, above and undefined.
        log: Whether the horizontal axis is logarithmic.
        integer: Whether the values are whole numbers.
        y: What is counted.
    """

    x: str
    unit: str
    edges: Array
    lines: tuple[Line, ...]
    log: bool = False
    integer: bool = False
    y: str = "Showers per bin"


@dataclass(frozen=True, kw_only=True)
class Curve(Chart):
    """Values at positions: a profile, response against energy, a ROC curve, a learning curve.

    Attributes:
        x: Label of the horizontal axis, without its unit.
        unit: Its unit.
        y: Label of the vertical axis, without its unit.
        y_unit: Its unit.
        at: Positions, shape `(k,)`, of all lines.
        edges: Bins, shape `(k + 1,)`, to draw steps; None to draw points and lines.
        lines: Values, shape `(k,)`; NaN are left out.
        log_x: Whether the horizontal axis is logarithmic.
        log_y: Whether the vertical axis is logarithmic.
        ratio: Whether a panel below shows ratios to the first Geant4 line.
        level: A horizontal line for the eye (a chance level), or None.
        shaded: Intervals of the horizontal axis to shade (energies outside the training), may be empty.
    """

    x: str
    unit: str
    y: str
    y_unit: str
    at: Array
    lines: tuple[Line, ...]
    edges: Array | None = None
    log_x: bool = False
    log_y: bool = False
    ratio: bool = True
    level: float | None = None
    shaded: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Face:
    """A map of values on any grid.

    Attributes:
        x: Corners, shape `(a + 1, b + 1)`; of polygons those of each, `(a, corners)`, the last one repeated.
        y: Corners, same shape.
        values: One per cell, shape `(a, b)`, of polygons `(a,)`; NaN and, on an energy scale, 0 stay empty.
        labels: What the axes are, with units.
        square: Whether both axes have one scale.
    """

    x: Array
    y: Array
    values: Array
    labels: tuple[str, str]
    square: bool = True

    def corners(self, x: Array, y: Array) -> Array:
        """Return the corners of each cell, `(*values.shape, corners, 2)`, of `x` and `y` in any unit."""
        at = np.stack([x, y], axis=-1)
        if self.values.ndim == 1:
            return at
        return np.stack([at[:-1, :-1], at[1:, :-1], at[1:, 1:], at[:-1, 1:]], axis=2)

    def middles(self) -> Array:
        """Return the mean of the corners of each cell, `(*values.shape, 2)`."""
        at = self.corners(self.x, self.y)
        if self.values.ndim == 2:
            return np.asarray(at.mean(axis=2))
        first = np.ones(at.shape[:-1], bool)
        first[:, 1:] = (at[:, 1:] != at[:, :-1]).any(axis=-1)  # not those that are repeated
        return np.asarray((at * first[:, :, None]).sum(axis=1) / first.sum(axis=1)[:, None])


@dataclass(frozen=True)
class Map:
    """One panel of `Maps`.

    Attributes:
        name: Title of the panel.
        face: What it shows.
        scale: `energy` (logarithmic, MeV, one scale for all energy panels of a chart), `ratio` (0.5 to 2
            about 1), `difference` (symmetric about 0), `deviation` (the same, one scale for all such panels
            of a chart) or `correlation` (-1 to 1).
        ticks: Names of rows and columns of a matrix, or empty.
    """

    name: str
    face: Face
    scale: Literal["energy", "ratio", "difference", "deviation", "correlation"]
    ticks: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Maps(Chart):
    """Images or matrices side by side.

    Attributes:
        panels: From left to right.
    """

    panels: tuple[Map, ...]


@dataclass(frozen=True)
class Point:
    """One point of `Points`.

    Attributes:
        name: What stands beside it.
        role: Decides its colour.
        x: Position.
        y: Position.
        x_error: Standard error.
        y_error: Standard error.
    """

    name: str
    role: Role
    x: float
    y: float
    x_error: float = 0.0
    y_error: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Points(Chart):
    """Named points, as quality against milliseconds.

    Attributes:
        x: Label of the horizontal axis with unit.
        y: Label of the vertical axis with unit.
        points: What is drawn.
        log_x: Whether the horizontal axis is logarithmic.
        log_y: Whether the vertical axis is logarithmic.
        pareto: Whether to join the points that no other beats in both (low is better).
    """

    x: str
    y: str
    points: tuple[Point, ...]
    log_x: bool = False
    log_y: bool = False
    pareto: bool = False


@dataclass(frozen=True, kw_only=True)
class Cloud(Chart):
    """Single showers in space, to be turned with the mouse.

    Attributes:
        showers: Name, role and hits of each: columns x, y, z in mm and energy in MeV, shape `(hits, 4)`.
        size: Extent of the detector along x, y, z in mm.
    """

    showers: tuple[tuple[str, Role, Array], ...]
    size: tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Table(Chart):
    """A table that sorts.

    Attributes:
        columns: Heads.
        rows: Cells: text, numbers, or pairs of a number and its error.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str | float | tuple[float, float], ...], ...]


def binned(values: NDArray[np.floating], edges: Array) -> Array:
    """Return counts as a `Histogram` takes them: in each bin, then below, above and undefined.

    Args:
        values: Shape `(n,)`.
        edges: Shape `(k + 1,)`.
    """
    known = values[~np.isnan(values)]
    inside = np.histogram(known, edges)[0]
    outside = (known < edges[0]).sum(), (known > edges[-1]).sum(), len(values) - len(known)
    return np.array([*inside, *outside], np.float64)

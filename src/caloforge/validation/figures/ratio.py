"""A curve of Geant4, the floor and the candidate above, their ratio to Geant4 below."""

from __future__ import annotations

__all__ = ["Curve", "Frame", "ratio_figure"]

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from caloforge.validation.figures.style import CANDIDATE, FLOOR, GEANT4, INK, axis_label, canvas, minor_ticks

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """Values with errors, one per bin."""

    values: Array
    errors: Array


@dataclass(frozen=True)
class Frame:
    """Axes of a figure.

    Attributes:
        name: Unique in the page.
        edges: Edges of the bins.
        x: Label of the horizontal axis.
        x_unit: Its unit.
        y: Label of the vertical axis.
        x_log: Logarithmic horizontal axis.
        y_log: Logarithmic vertical axis; None chooses it for values over more than two decades.
        positions: Where points are drawn; the middles of the bins if None.
        steps: Draw histograms; otherwise points with error bars.
    """

    name: str
    edges: Array
    x: str
    x_unit: str
    y: str
    x_log: bool = False
    y_log: bool | None = None
    positions: Array | None = None
    steps: bool = True

    @property
    def middles(self) -> Array:
        """Where points are drawn."""
        if self.positions is not None:
            return self.positions
        if self.x_log:
            return np.sqrt(self.edges[1:] * self.edges[:-1])
        return (self.edges[1:] + self.edges[:-1]) / 2


def ratio_figure(frame: Frame, geant4: Curve, floor: Curve, candidate: Curve) -> str:
    """Draw the figure.

    The grey band is Geant4's statistical error, the thin line the second Geant4 sample: what chance does.

    Args:
        frame: Axes.
        geant4: Reference.
        floor: Second Geant4 sample.
        candidate: What is judged.

    Returns:
        SVG.
    """
    with canvas(frame.name, 4.4, 3.9) as drawing:
        top = drawing.figure.add_axes((0.155, 0.37, 0.815, 0.575))
        bottom = drawing.figure.add_axes((0.155, 0.135, 0.815, 0.205))
        for axes in (top, bottom):
            axes.set_xlim(frame.edges[0], frame.edges[-1])
            if frame.x_log:
                axes.set_xscale("log")
        _draw_curves(top, frame, geant4, floor, candidate)
        _draw_ratio(bottom, frame, geant4, floor, candidate)
        _label(top, bottom, frame)
    return drawing.svg


def _draw_curves(axes: Axes, frame: Frame, geant4: Curve, floor: Curve, candidate: Curve) -> None:
    if frame.steps:
        axes.stairs(geant4.values, frame.edges, fill=True, color=GEANT4, alpha=0.28, label="Geant4")
        axes.stairs(geant4.values, frame.edges, color=GEANT4, linewidth=1.1)
        axes.stairs(candidate.values, frame.edges, color=CANDIDATE, linewidth=1.4, label="candidate")
        _error_bars(axes, frame, candidate)
    else:
        _band(axes, frame, geant4.values, geant4.errors, "Geant4")
        axes.plot(frame.middles, floor.values, color=FLOOR, linewidth=0.9, label="Geant4 again")
        axes.errorbar(
            *(frame.middles, candidate.values, candidate.errors),
            fmt="o",
            color=CANDIDATE,
            markersize=4,
            elinewidth=1.1,
            label="candidate",
        )
    _vertical(axes, frame, [geant4, candidate])


def _error_bars(axes: Axes, frame: Frame, curve: Curve) -> None:
    axes.vlines(
        frame.middles, curve.values - curve.errors, curve.values + curve.errors, CANDIDATE, linewidth=0.8
    )


def _band(axes: Axes, frame: Frame, middle: Array, half: Array, label: str | None = None) -> None:
    if frame.steps:
        low, high = (np.append(v, v[-1]) for v in (middle - half, middle + half))
        axes.fill_between(
            frame.edges, low, high, step="post", color=GEANT4, alpha=0.28, linewidth=0, label=label
        )
        return
    axes.fill_between(
        frame.middles, middle - half, middle + half, color=GEANT4, alpha=0.28, linewidth=0, label=label
    )
    axes.plot(frame.middles, middle, color=GEANT4, linewidth=1.1)


def _vertical(axes: Axes, frame: Frame, curves: list[Curve]) -> None:
    values = np.concatenate([curve.values for curve in curves])
    known = values[np.isfinite(values)]
    positive = known[known > 0]
    if len(positive) == 0:
        axes.set_ylim(0, 1)
    elif frame.y_log or (frame.y_log is None and frame.steps and _spans(positive)):
        axes.set_yscale("log")
        axes.set_ylim(positive.min() / 1.5, positive.max() * 10 ** (0.25 * _decades(positive)))
    elif frame.steps:
        axes.set_ylim(0, known.max() * 1.32)
    else:
        low, high = _with_errors(curves)
        room = max(high - low, 1e-3 * abs(high))
        axes.set_ylim(low - 0.1 * room, high + 0.3 * room)


def _with_errors(curves: list[Curve]) -> tuple[float, float]:
    """Return what values and errors span; an error far larger than most may leave the frame."""
    values, errors = (np.concatenate([getattr(c, key) for c in curves]) for key in ("values", "errors"))
    usual = np.isfinite(errors) & (errors <= 4 * np.nanmedian(errors))
    ends = np.concatenate([values[np.isfinite(values)], (values - errors)[usual], (values + errors)[usual]])
    return float(ends.min()), float(ends.max())


def _spans(positive: Array) -> bool:
    return bool(positive.max() > 300 * np.median(positive))


def _decades(positive: Array) -> float:
    return max(float(np.log10(positive.max() / positive.min())), 1.0)


def _draw_ratio(axes: Axes, frame: Frame, geant4: Curve, floor: Curve, candidate: Curve) -> None:
    with np.errstate(divide="ignore", invalid="ignore"):
        band, again, ratio = (
            curve.values / geant4.values for curve in (Curve(geant4.errors, geant4.errors), floor, candidate)
        )
        error = candidate.errors / geant4.values
    half = _reach(frame, band, ratio)
    axes.set_ylim(1 - half, 1 + half)
    axes.axhline(1.0, color=INK, linewidth=0.7)
    _band(axes, frame, np.ones(len(band)), np.nan_to_num(band, posinf=0.0))
    if frame.steps:
        axes.stairs(again, frame.edges, color=FLOOR, linewidth=0.9, baseline=None)
    else:
        axes.plot(frame.middles, again, color=FLOOR, linewidth=0.9)
    inside = np.abs(ratio - 1) <= half
    axes.errorbar(
        *(frame.middles[inside], ratio[inside], error[inside]),
        fmt="o",
        color=CANDIDATE,
        markersize=3,
        elinewidth=0.9,
    )
    _arrows(axes, frame, ratio, half)


def _arrows(axes: Axes, frame: Frame, ratio: Array, half: float) -> None:
    """Mark points outside the ratio panel by triangles at its borders, so that none vanishes."""
    for outside, edge, marker in ((ratio > 1 + half, 0.93, "^"), (ratio < 1 - half, 0.07, "v")):
        axes.plot(
            *(frame.middles[outside], np.full(int(outside.sum()), edge)),
            marker=marker,
            linestyle="none",
            color=CANDIDATE,
            markersize=3.5,
            transform=axes.get_xaxis_transform(),
        )


def _reach(frame: Frame, band: Array, ratio: Array) -> float:
    """Return the half height of the ratio panel: enough for most of the points, in round steps."""
    apart = np.abs(ratio - 1)
    sure = np.isfinite(apart) & np.isfinite(band) & (band < 0.5)
    if not sure.any():
        return 0.95
    need = 1.3 * float(np.quantile(apart[sure], 0.9 if frame.steps else 1.0))
    need = max(need, 2.5 * float(np.median(band[sure])))
    steps = (
        [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.95] if not frame.steps else [0.1, 0.2, 0.5, 0.95]
    )
    return next((step for step in steps if step >= need), 0.95)


def _label(top: Axes, bottom: Axes, frame: Frame) -> None:
    top.tick_params(labelbottom=False)
    top.set_ylabel(frame.y)
    bottom.set_ylabel("ratio", loc="center")
    bottom.set_xlabel(axis_label(frame.x, frame.x_unit))
    bottom.yaxis.set_major_locator(MaxNLocator(nbins=4, prune="both"))
    top.yaxis.set_label_coords(-0.135, 1.0)
    bottom.yaxis.set_label_coords(-0.135, 0.5)
    top.legend(loc="upper right", ncols=3 if not frame.steps else 2, borderaxespad=0.2, columnspacing=1.2)
    minor_ticks(top)
    minor_ticks(bottom)

"""Figures of distributions and of values at positions."""

from __future__ import annotations

__all__ = ["curve_plate", "histogram_plate"]

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from caloforge.validation.charts import Curve, Histogram, Line
from caloforge.validation.figures.plate import Plate
from caloforge.validation.figures.ratio import Frame, Strand, ratio_plate
from caloforge.validation.figures.style import MARKERS, Look, axis_label, short, unit_scale

Array = NDArray[np.float64]
_MOST_BINS = 60


def histogram_plate(chart: Histogram, look: Look) -> Plate:
    """Draw distributions; more than 60 bins are joined, and empty ends cut off."""
    chart = _trimmed(chart)
    unit, scale = unit_scale(chart.unit, 0.0 if chart.log else float(np.abs(chart.edges).max()))
    edges = chart.edges / scale
    bins = len(edges) - 1
    lines = tuple(replace(line, values=line.values[:bins], errors=_cut(line, bins)) for line in chart.lines)
    strands = _strands(lines, look, counts=True)
    frame = Frame(
        axis_label(chart.x, unit),
        chart.y,
        at=np.sqrt(edges[1:] * edges[:-1]) if chart.log else (edges[1:] + edges[:-1]) / 2,
        edges=edges,
        x_log=chart.log,
        y_log=_spans(strands),
        counts=True,
    )
    return ratio_plate(frame, strands)


def curve_plate(chart: Curve, look: Look) -> Plate:
    """Draw values at positions, as steps if the chart has edges."""
    ends = chart.edges if chart.edges is not None else chart.at
    unit, scale = unit_scale(chart.unit, float(np.nanmax(np.abs(ends))))
    frame = Frame(
        axis_label(chart.x, unit),
        axis_label(chart.y, chart.y_unit),
        at=chart.at / scale,
        edges=None if chart.edges is None else chart.edges / scale,
        x_log=chart.log_x,
        y_log=chart.log_y,
        ratio=chart.ratio,
        level=chart.level,
        shaded=tuple((low / scale, high / scale) for low, high in chart.shaded),
    )
    return ratio_plate(frame, _strands(chart.lines, look, counts=False))


def _strands(lines: tuple[Line, ...], look: Look, counts: bool) -> list[Strand]:
    strands = []
    for line, place in zip(lines, look.places(lines), strict=True):
        values = np.asarray(line.values, np.float64)
        if line.errors is not None:
            errors = np.asarray(line.errors, np.float64)
        else:
            errors = np.sqrt(np.abs(values)) if counts else np.full(len(values), np.nan)
        colour = f"candidate-{place}" if line.role == "candidate" else line.role
        strands.append(Strand(short(line.name), line.role, colour, MARKERS[place], values, errors))
    return strands


def _cut(line: Line, bins: int) -> Array | None:
    return None if line.errors is None else line.errors[:bins]


def _spans(strands: list[Strand]) -> bool:
    """Say whether counts span so much that only a logarithmic axis shows them all."""
    values = np.concatenate([s.values for s in strands if s.role != "floor"])
    positive = values[np.isfinite(values) & (values > 0)]
    return len(positive) > 0 and bool(positive.max() > 300 * np.median(positive))


def _trimmed(chart: Histogram) -> Histogram:
    bins = len(chart.edges) - 1
    if bins <= _MOST_BINS:
        return chart
    filled = np.flatnonzero(sum(np.abs(line.values[:bins]) for line in chart.lines))
    if len(filled) == 0:
        return chart
    group = -(-(filled[-1] + 1 - filled[0]) // _MOST_BINS)
    starts = np.arange(filled[0], filled[-1] + 1, group)
    stop = min(starts[-1] + group, bins)
    lines = []
    for line in chart.lines:
        errors = None
        if line.errors is not None:
            errors = np.sqrt(np.add.reduceat(line.errors[:stop] ** 2, starts))
        lines.append(replace(line, values=np.add.reduceat(line.values[:stop], starts), errors=errors))
    return replace(chart, edges=chart.edges[[*starts, stop]], lines=tuple(lines))

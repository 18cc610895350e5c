"""Curves of Geant4, its floor and all candidates above; their ratios to Geant4 below."""

from __future__ import annotations

__all__ = ["Frame", "Strand", "ratio_plate"]

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caloforge.validation.figures.legend import Entry, legend, legend_height
from caloforge.validation.figures.panel import Panel
from caloforge.validation.figures.plate import Box, Plate

Array = NDArray[np.float64]
WIDTH, HEIGHT = 317.0, 281.0
_LEFT, _RIGHT = 50.0, 309.0
_BAND = 0.28
_FEW = 40
"""So many points at most are drawn as points; more are a line."""


@dataclass(frozen=True)
class Strand:
    """One sample's values with their errors.

    Attributes:
        name: What the legend says.
        role: `geant4`, `floor` or `candidate`.
        colour: Name of its colour.
        marker: Shape of its points.
        values: One per bin or position.
        errors: Standard errors, NaN where there are none.
    """

    name: str
    role: str
    colour: str
    marker: str
    values: Array
    errors: Array

    def over(self, base: Array) -> Strand:
        """Return the ratio to `base`."""
        with np.errstate(divide="ignore", invalid="ignore"):
            values, errors = self.values / base, self.errors / np.abs(base)
        known = np.isfinite(values)
        values = np.where(known, values, np.nan)
        return Strand(self.name, self.role, self.colour, self.marker, values, np.where(known, errors, np.nan))


@dataclass(frozen=True)
class Frame:
    """Axes of a figure.

    Attributes:
        x: Label of the horizontal axis, with its unit.
        y: Label of the vertical axis, with its unit.
        at: Positions of the points.
        edges: Edges of the bins, to draw steps, or None.
        x_log: Logarithmic horizontal axis.
        y_log: Logarithmic vertical axis.
        counts: Whether the values are counts, whose axis begins at zero.
        ratio: Whether there is a panel of ratios.
        level: A horizontal line for the eye, or None.
        shaded: Intervals of the horizontal axis to shade.
    """

    x: str
    y: str
    at: Array
    edges: Array | None
    x_log: bool = False
    y_log: bool = False
    counts: bool = False
    ratio: bool = True
    level: float | None = None
    shaded: tuple[tuple[float, float], ...] = ()

    @property
    def ends(self) -> tuple[float, float]:
        """Ends of the horizontal axis."""
        if self.edges is not None:
            return float(self.edges[0]), float(self.edges[-1])
        low, high = float(np.nanmin(self.at)), float(np.nanmax(self.at))
        if self.x_log:
            room = (high / low) ** 0.04 if high > low else 1.5
            return low / room, high * room
        room = 0.04 * (high - low) or 0.5
        return low - room, high + room


def ratio_plate(frame: Frame, strands: Sequence[Strand]) -> Plate:
    """Draw the figure.

    The grey band is Geant4's statistical error, the thin line a second Geant4 sample: what chance does.

    Args:
        frame: Axes.
        strands: Samples; the first of Geant4 is what ratios are taken to.
    """
    plate = Plate(WIDTH, HEIGHT)
    base = next((s for s in strands if s.role == "geant4"), None)
    split = frame.ratio and base is not None
    box = Box(_LEFT, 110.0 if split else 38.0, _RIGHT, 268.0)
    entries = _entries(frame, strands)
    room = 1 - legend_height(entries, box.right - box.left) / (box.top - box.bottom)
    top = Panel(plate, box, frame.ends, _reach(frame, strands, room), frame.x_log, frame.y_log)
    _draw_values(top, frame, strands)
    legend(plate, box, entries)
    top.frame("" if split else frame.x, frame.y, numbers=not split)
    if split and base is not None:
        _draw_ratios(plate, frame, [s.over(base.values) for s in strands])
    return plate


def _entries(frame: Frame, strands: Sequence[Strand]) -> list[Entry]:
    shown = []
    for s in strands:
        geant4 = s.role == "geant4"
        marker = s.marker if s.role == "candidate" and _pointed(frame) else ""
        shown.append(Entry(s.name, s.colour, marker, filled=geant4, thin=s.role == "floor"))
    return shown


def _pointed(frame: Frame) -> bool:
    return frame.edges is not None or len(frame.at) <= _FEW


def _draw_values(panel: Panel, frame: Frame, strands: Sequence[Strand]) -> None:
    _draw_ground(panel, frame)
    for s in sorted(strands, key=lambda s: ("geant4", "floor", "candidate").index(s.role)):
        if frame.edges is not None:
            _draw_steps(panel, frame, s)
        elif s.role == "geant4":
            panel.band(frame.at, s.values - s.errors, s.values + s.errors, s.colour, _BAND, steps=False)
            panel.line(frame.at, s.values, s.colour, 1.2)
        else:
            _draw_points(panel, frame, s)


def _draw_ground(panel: Panel, frame: Frame) -> None:
    for low, high in frame.shaded:
        ends = np.clip([low, high], *panel.x_ends)
        bottom, top = np.array([panel.y_ends[0]] * 2), np.array([panel.y_ends[1]] * 2)
        panel.band(ends, bottom, top, "soft", 0.1, steps=False)
    if frame.level is not None:
        panel.level(frame.level, "soft", 0.8, dashed=True)


def _draw_steps(panel: Panel, frame: Frame, s: Strand) -> None:
    edges = frame.edges if frame.edges is not None else np.empty(0)
    if s.role == "floor" and frame.counts:
        return  # would hide Geant4's outline; the ratio shows it
    if s.role == "geant4" and frame.counts:
        panel.area(edges, s.values, s.colour, _BAND)
    elif s.role == "geant4":
        panel.band(edges, s.values - s.errors, s.values + s.errors, s.colour, _BAND, steps=True)
    panel.steps(edges, s.values, s.colour, {"geant4": 1.1, "floor": 0.9, "candidate": 1.4}[s.role])
    if s.role == "candidate":
        panel.bars(frame.at, s.values - s.errors, s.values + s.errors, s.colour, 0.8)


def _draw_points(panel: Panel, frame: Frame, s: Strand) -> None:
    floor = s.role == "floor"
    if floor or not _pointed(frame):
        if not floor:
            panel.band(frame.at, s.values - s.errors, s.values + s.errors, s.colour, 0.15, steps=False)
        panel.line(frame.at, s.values, s.colour, 0.9 if floor else 1.4)
        return
    panel.line(frame.at, s.values, s.colour, 0.8)
    panel.bars(frame.at, s.values - s.errors, s.values + s.errors, s.colour, 1.1)
    panel.marks(frame.at, s.values, s.marker, 2.6, s.colour)


def _reach(frame: Frame, strands: Sequence[Strand], room: float) -> tuple[float, float]:
    """Return the ends of the vertical axis; the share `room` of it, below the legend, is for the values."""
    low, high = _spanned(frame, strands)
    if frame.y_log:
        if not 0 < low <= high:
            return 0.1, 1.0
        decades = max(np.log10(high / low), 1.0)
        return low / 10 ** (0.06 * decades), low * 10 ** (decades * 1.04 / room)
    if frame.counts:
        return 0.0, (high if high > 0 else 1.0) * 1.04 / room
    if frame.edges is not None and 0 <= low < 0.2 * high:
        return 0.0, high * 1.04 / room
    span = max(high - low, 1e-3 * max(abs(high), abs(low)), 1e-12)
    return low - 0.08 * span, low + span * 1.06 / room


def _spanned(frame: Frame, strands: Sequence[Strand]) -> tuple[float, float]:
    """Return what values and errors span; errors far larger than most may leave the frame."""
    values, errors = (np.concatenate([getattr(s, key) for s in strands]) for key in ("values", "errors"))
    known = np.isfinite(values) & ((values > 0) | (not frame.y_log))
    if not known.any():
        return 0.0, 0.0
    values, errors = values[known], errors[known]
    if frame.counts or frame.y_log:
        return float(values.min()), float((values + np.nan_to_num(errors)).max())
    usual = np.isfinite(errors)
    if usual.any():
        usual &= errors <= 4 * np.median(errors[usual])
    level = [] if frame.level is None else [frame.level]
    ends = np.concatenate([values, (values - errors)[usual], (values + errors)[usual], level])
    return float(ends.min()), float(ends.max())


def _draw_ratios(plate: Plate, frame: Frame, ratios: Sequence[Strand]) -> None:
    half = _half_height(frame, ratios)
    ends = (1 - half, 1 + half)
    panel = Panel(plate, Box(_LEFT, 38.0, _RIGHT, 101.0), frame.ends, ends, frame.x_log)
    _draw_ground(panel, Frame(frame.x, "", frame.at, frame.edges, shaded=frame.shaded))
    base = next(s for s in ratios if s.role == "geant4")
    error = np.nan_to_num(base.errors)
    where, steps = (frame.at, False) if frame.edges is None else (frame.edges, True)
    panel.band(where, 1 - error, 1 + error, "geant4", _BAND, steps)
    panel.level(1.0, "ink", 0.7)
    for s in ratios:
        if s.role == "floor":
            draw = panel.line if frame.edges is None else panel.steps
            draw(where, s.values, s.colour, 0.9)
    candidates = [s for s in ratios if s.role == "candidate"]
    for i, s in enumerate(candidates):
        _draw_ratio(panel, frame, s, half, i - (len(candidates) - 1) / 2)
    panel.frame(frame.x, "ratio", about=0.5 * half if half < 0.9 else 0.5)


def _draw_ratio(panel: Panel, frame: Frame, s: Strand, half: float, shift: float) -> None:
    """Draw one candidate's ratio; what lies beyond the panel is a triangle at its border."""
    if frame.edges is None and not _pointed(frame):
        panel.line(frame.at, s.values, s.colour, 1.4)
        return
    at, apart = _shifted(frame, shift), s.values - 1
    inside = np.abs(apart) <= half
    panel.bars(at[inside], (s.values - s.errors)[inside], (s.values + s.errors)[inside], s.colour, 0.9)
    if frame.edges is None:
        panel.line(frame.at, s.values, s.colour, 0.7)
    panel.marks(at[inside], s.values[inside], s.marker, 1.9, s.colour)
    for beyond, sign, shape in ((apart > half, 1, "up"), (apart < -half, -1, "down")):
        where = np.full(int(beyond.sum()), 1 + sign * 0.86 * half)
        panel.marks(at[beyond], where, shape, 2.0, s.colour)


def _shifted(frame: Frame, shift: float) -> Array:
    """Move points of several candidates apart within their bin."""
    if frame.edges is None or shift == 0:
        return frame.at
    low, high = frame.edges[:-1], frame.edges[1:]
    share = 0.5 + 0.15 * shift
    if frame.x_log:
        return np.asarray(low * (high / low) ** share)
    return np.asarray(low + share * (high - low))


def _half_height(frame: Frame, ratios: Sequence[Strand]) -> float:
    """Return the half height of the ratio panel: enough for most of the points, in round steps."""
    steps = [0.1, 0.2, 0.5, 0.95] if frame.counts else [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.95]
    band = next(s.errors for s in ratios if s.role == "geant4")
    error = np.nan_to_num(band)
    need = 2.5 * float(np.median(error[error < 0.5])) if (error < 0.5).any() else 0.0
    for s in ratios:
        apart = np.abs(s.values - 1)
        sure = np.isfinite(apart) & (error < 0.5)
        if s.role == "candidate" and sure.any():
            need = max(need, 1.3 * float(np.quantile(apart[sure], 0.9 if frame.edges is not None else 1.0)))
    return next((step for step in steps if step >= need), 0.95)

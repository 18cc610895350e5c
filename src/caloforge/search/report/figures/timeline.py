"""Which group of workers was busy when, and on which trial."""

from __future__ import annotations

__all__ = ["timeline"]

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caloforge.search.report.figures.drawing import Drawing
from caloforge.search.report.view import View
from caloforge.validation.figures.glyphs import SIZE, width
from caloforge.validation.figures.legend import Entry, legend
from caloforge.validation.figures.panel import TICK_SIZE, Panel
from caloforge.validation.figures.plate import Box, Plate
from caloforge.validation.figures.style import short

Array = NDArray[np.float64]
Clock = Callable[[Array], Array]
_WIDTH, _ROWS, _TITLED = 860.0, 40, 2500
_KINDS = {
    "finished": Entry("finished", "geant4", filled=True),
    "best": Entry("best", "candidate-2", filled=True),
    "pruned": Entry("stopped early", "floor", filled=True),
    "failed": Entry("failed or lost", "off", filled=True),
    "running": Entry("not finished", "candidate-4", filled=True),
}


def timeline(view: View) -> Drawing | None:
    """Draw a row for each group of workers; None if no job is known."""
    found: Sequence[Mapping[str, Any]] = view.record["groups"]["groups"]
    if not found:
        return None
    every = -(-len(found) // _ROWS)
    rows = {group["name"]: row for row, group in enumerate(found[::every])}
    jobs = [(i, job) for i, trial in enumerate(view.trials) for job in trial["jobs"]]
    pauses = view.record["groups"]["pauses"]
    clock = _clock([job for _, job in jobs], pauses)
    total = float(clock(np.array(max(job["end"] for _, job in jobs))))
    unit, scale = _unit(total)
    names = [short(name, 24) for name in rows]
    left = 16.0 + max(width(name) for name in names) * TICK_SIZE / SIZE
    height = 70.0 + 15.0 * len(rows)
    plate = Plate(_WIDTH, height)
    box = Box(left, 38.0, _WIDTH - 46.0, height - 24.0)
    panel = Panel(plate, box, (0.0, total / scale or 1.0), (len(rows) - 0.4, -0.6))
    drawn = [(i, job) for i, job in jobs if job["group"] in rows]
    used = _bars(panel, view, drawn, rows, clock, scale)
    _idle(plate, panel, found[::every])
    panel.frame(f"time since the first job [{unit}]", rows=names)
    for cut in (clock(np.array([begin for begin, _ in pauses])) / scale).tolist():
        panel.line(np.array([cut, cut]), np.array(panel.y_ends), "off", 0.9, dashed=True)
    legend(plate, Box(0, height - 22, _WIDTH - 46, height), [_KINDS[kind] for kind in used])
    caption = _caption(len(found), len(rows), len(pauses))
    return Drawing("timeline", "What each group of workers did", caption, (plate,), wide=True)


def _clock(jobs: Sequence[Mapping[str, Any]], pauses: Sequence[Sequence[float]]) -> Clock:
    """Return what gives the time since the first job, without pauses, for moments of the day."""
    ends = [min(job["begin"] for job in jobs), *np.ravel(pauses).tolist(), max(job["end"] for job in jobs)]
    lasts = np.diff(ends)
    lasts[1::2] = 0.0
    since = np.concatenate([[0.0], np.cumsum(lasts)])
    return lambda moments: np.interp(moments, ends, since)


def _unit(seconds: float) -> tuple[str, float]:
    if seconds < 300:
        return "s", 1.0
    return ("min", 60.0) if seconds < 3 * 3600 else ("h", 3600.0)


def _bars(
    panel: Panel,
    view: View,
    jobs: Sequence[tuple[int, Mapping[str, Any]]],
    rows: Mapping[str, int],
    clock: Clock,
    scale: float,
) -> list[str]:
    """Draw the jobs, and return which kinds there are."""
    row = np.array([rows[job["group"]] for _, job in jobs], np.float64)
    left = panel.across(clock(np.array([job["begin"] for _, job in jobs])) / scale)
    right = panel.across(clock(np.array([job["end"] for _, job in jobs])) / scale)
    low, high = panel.up(row + 0.36), panel.up(row - 0.36)
    corners = np.stack([left, low, right, low, right, high, left, high], axis=1).reshape(-1, 4, 2)
    kinds = [_kind(view, i) for i, _ in jobs]
    used = [kind for kind in _KINDS if kind in kinds]
    for kind in used:
        here = [k for k, found in enumerate(kinds) if found == kind]
        told = [_title(view, *jobs[k]) for k in here] if len(jobs) <= _TITLED else []
        panel.plate.fill([corners[k] for k in here], _KINDS[kind].colour, 0.6, told)
    return used


def _kind(view: View, i: int) -> str:
    state: str = view.trials[i]["state"]
    if view.best[i]:
        return "best"
    return {"lost": "failed", "waiting": "running"}.get(state, state)


def _title(view: View, i: int, job: Mapping[str, Any]) -> str:
    fold = f", fold {job['fold']}" if job.get("fold") is not None else ""
    startup = f", {job['startup']:.2g} s of it start-up" if job.get("startup") else ""
    return f"{view.title(i)}{fold}\n{job['end'] - job['begin']:.1f} s{startup}\n{job['group']}"


def _idle(plate: Plate, panel: Panel, groups: Sequence[Mapping[str, Any]]) -> None:
    """Write each group's idle share behind its row."""
    for row, y in enumerate(panel.up(np.arange(len(groups), dtype=np.float64)).tolist()):
        text = f"{100 * groups[row]['idle_share']:.1f} %"
        plate.text(panel.box.right + 6, y - 3.2, text, TICK_SIZE, colour="soft")


def _caption(groups: int, shown: int, cuts: int) -> str:
    parts = ["At the right: the idle share of each group, between its first job and its last."]
    parts += [f"Of {groups:,} groups {shown} are drawn."] if shown < groups else []
    parts += ["A dashed line is a pause that was cut out."] if cuts else []
    return " ".join(parts)

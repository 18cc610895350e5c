"""Which group of workers did what, and how long it waited for its next job."""

from __future__ import annotations

__all__ = ["groups"]

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Span = tuple[float, float]
_PAUSE = 300.0
"""Seconds."""


def groups(trials: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Sum up the jobs of each group.

    A group's time is that from the beginning of its first job to the end of its last. What of it is covered
    by no job is idle. Before and after there was nothing for it to do yet, or no more. When no group works
    for more than five minutes, there is no master: before and after such a pause are counted apart. What was
    lost with its worker is known to nobody, and so counts as idle.

    Args:
        trials: Each with `jobs`: `group`, `begin`, `end` and `startup` (before the training), in seconds.

    Returns:
        `idle_share` (of the time of all groups together, None without jobs), `startup_share` (of the time
        that they worked), `pauses` (pairs of begin and end) and `groups`: for each `name`, `jobs`, `begin`,
        `end`, `time` (without pauses), `worked` and `idle_share`.
    """
    by_name: dict[str, list[Span]] = {}
    startup = 0.0
    for job in (job for trial in trials for job in trial["jobs"]):
        by_name.setdefault(job["group"], []).append((job["begin"], job["end"]))
        startup += job.get("startup") or 0.0
    together = _joined(span for spans in by_name.values() for span in spans)
    gaps = zip((end for _, end in together), (begin for begin, _ in together[1:]), strict=False)
    pauses = [(end, begin) for end, begin in gaps if begin - end > _PAUSE]
    found = [_group(name, spans, pauses) for name, spans in by_name.items()]
    found.sort(key=lambda group: (group["begin"], group["name"]))
    time = sum(group["time"] for group in found)
    worked = sum(group["worked"] for group in found)
    return {
        "idle_share": 1 - worked / time if time > 0 else None,
        "startup_share": startup / worked if worked > 0 else None,
        "pauses": pauses,
        "groups": found,
    }


def _group(name: str, spans: Sequence[Span], pauses: Sequence[Span]) -> dict[str, Any]:
    starts = [begin for begin, _ in pauses]
    sessions: dict[int, list[Span]] = {}
    for span in spans:
        sessions.setdefault(bisect_right(starts, span[0]), []).append(span)
    time = sum(_last(part) - _first(part) for part in sessions.values())
    worked = sum(end - begin for begin, end in _joined(spans))
    return {
        "name": name,
        "jobs": len(spans),
        "begin": _first(spans),
        "end": _last(spans),
        "time": time,
        "worked": worked,
        "idle_share": 1 - worked / time if time > 0 else 0.0,
    }


def _first(spans: Iterable[Span]) -> float:
    return min(begin for begin, _ in spans)


def _last(spans: Iterable[Span]) -> float:
    return max(end for _, end in spans)


def _joined(spans: Iterable[Span]) -> list[Span]:
    """Return what spans cover together, in order and without overlaps."""
    found: list[Span] = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((begin, end))
    return found

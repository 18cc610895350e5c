"""Which group of workers did what, and how long it waited for its next job."""

from __future__ import annotations

__all__ = ["groups"]

from collections.abc import Iterable, Mapping
from typing import Any


def groups(trials: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Sum up the jobs of each group.

    A group's time is that from the beginning of its first job to the end of its last. What of it is covered by
    no job is idle. Before and after there was nothing for it to do yet, or no more. A master that goes on
    (`--resume`) starts groups of its own, so the pause counts for none.

    Args:
        trials: Each with `jobs`: `group`, `begin` and `end` (seconds), `startup` (seconds of it before the training).

    Returns:
        `idle_share` (of the time of all groups together, None without jobs), `startup_share` (of the time that
        they worked) and `groups`: for each `name`, `jobs`, `begin`, `end`, `worked` and `idle_share`.
    """
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for trial in trials:
        for job in trial["jobs"]:
            by_name.setdefault(job["group"], []).append(job)
    found = [_group(name, jobs) for name, jobs in by_name.items()]
    found.sort(key=lambda group: (group["begin"], group["name"]))
    time = sum(group["end"] - group["begin"] for group in found)
    worked = sum(group["worked"] for group in found)
    startup = sum(job.get("startup") or 0.0 for jobs in by_name.values() for job in jobs)
    return {
        "idle_share": 1 - worked / time if time > 0 else None,
        "startup_share": startup / worked if worked > 0 else None,
        "groups": found,
    }


def _group(name: str, jobs: list[Mapping[str, Any]]) -> dict[str, Any]:
    begin, end = min(job["begin"] for job in jobs), max(job["end"] for job in jobs)
    worked = _covered([(job["begin"], job["end"]) for job in jobs])
    idle = 1 - worked / (end - begin) if end > begin else 0.0
    return {
        "name": name,
        "jobs": len(jobs),
        "begin": begin,
        "end": end,
        "worked": worked,
        "idle_share": idle,
    }


def _covered(intervals: list[tuple[float, float]]) -> float:
    """Return the length of what intervals cover together."""
    total, reached = 0.0, float("-inf")
    for begin, end in sorted(intervals):
        total += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return total

"""The answer of a search in words, for the page and the terminal."""

from __future__ import annotations

__all__ = ["answer", "hours", "percent", "summary_lines", "title"]

import math
from collections.abc import Mapping
from statistics import fmean, stdev
from typing import Any

from caloforge.validation.report.text import number

Record = Mapping[str, Any]
_STATES = {
    "finished": "finished",
    "pruned": "stopped early",
    "failed": "failed",
    "lost": "interrupted and tried again",
    "running": "not finished",
    "waiting": "waiting",
}


def title(record: Record) -> str:
    """Return what came out in one line."""
    counts, names = record["counts"], record["objectives"]
    if not counts["finished"]:
        failed = counts["failed"] + counts["lost"]
        return (
            f"All {failed} trials failed"
            if failed and failed == len(record["trials"])
            else "No trial has finished"
        )
    if record["best"][names[0]] is None:
        return "No trial is within the constraints"
    if len(names) == 1:
        return f"{names[0]} {_value(_best(record, names[0]), names[0])} in trial {record['best'][names[0]]}"
    many = len(record["front"])
    return f"{many} trial{'s' if many > 1 else ''} on the front of {_listed(names)}"


def answer(record: Record) -> list[str]:
    """Return what came out in sentences: counts, the best, what was important, the groups."""
    parts = [_counted(record)]
    if any(best is not None for best in record["best"].values()):
        parts += [_told_best(record, name) for name in record["objectives"]]
        parts += [_luck(record)]
    elif record["counts"]["finished"]:
        parts += [_nearest(record)]
    parts += [text for name in record["objectives"] if (text := _important(record, name))]
    return parts + ([_busy(record)] if record["groups"]["groups"] else [])


def summary_lines(record: Record) -> list[str]:
    """Return the answer for a terminal: its title, then a line for each sentence."""
    return [title(record), *answer(record)]


def hours(seconds: float) -> str:
    """Write a time.

    Example:
        >>> hours(5400)
        '1.5 h'
    """
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"


def percent(share: float | None) -> str:
    """Write a share; none becomes a dash."""
    if share is None:
        return "—"
    if 0 < share < 0.0005:
        return "< 0.1 %"
    return f"{100 * share:.0f} %" if share >= 0.095 else f"{100 * share:.1f} %"


def _counted(record: Record) -> str:
    counts = record["counts"]
    told = ", ".join(f"{counts[state]:,} {text}" for state, text in _STATES.items() if counts[state])
    beyond = (
        f"; {counts['infeasible']:,} of those that finished break a constraint"
        if counts["infeasible"]
        else ""
    )
    seconds = record["seconds"]
    time = (
        f" They took {hours(seconds['worked'])} of work in {hours(seconds['wall'])}."
        if seconds["worked"]
        else ""
    )
    many = len(record["trials"])
    return f"{many:,} trial{'s' if many != 1 else ''}: {told or 'none yet'}{beyond}.{time}"


def _told_best(record: Record, name: str) -> str:
    best = _best(record, name)
    told = f"Trial {best['number']} has the smallest {name}, {_value(best, name)}"
    folds = len(best["folds"])
    told += f" (standard deviation over {folds} folds)." if name in best["spread"] and folds else "."
    other, what = _compared(record)
    if other is None or other["number"] == best["number"]:
        return f"{told} It is {what}." if other is not None else told
    value, less = _value(other, name), _less(best, other, name)
    if not less:
        return f"{told} {what[0].upper()}{what[1:]}, trial {other['number']}, has {value}."
    return f"{told} That is {less[0]} less than {what}, trial {other['number']} ({value}){less[1]}."


def _compared(record: Record) -> tuple[Mapping[str, Any] | None, str]:
    """Return the trial that the best is held against: the recipe's own values, or the first that finished."""
    if record["own"] is not None:
        return _trial(record, record["own"]), "the recipe with its own values"
    first = next((trial for trial in record["trials"] if trial["state"] == "finished"), None)
    return first, "the first trial that finished"


def _less(best: Mapping[str, Any], other: Mapping[str, Any], name: str) -> tuple[str, str] | None:
    """Return how much less the best has, and how sure that is; None if it is no share of what the other has.

    Both were trained on the same divisions of the showers, so they are compared fold by fold.
    """
    new, old = best["objectives"][name], other["objectives"][name]
    if old <= 0 or new >= old:
        return None
    folds = zip(best["folds"], other["folds"], strict=False)
    apart = [b[name] - a[name] for a, b in folds if a.get(name) is not None and b.get(name) is not None]
    error = stdev(apart) / math.sqrt(len(apart)) if len(apart) > 1 else 0.0
    text = f": {fmean(apart) / error:.1f} standard errors, fold by fold" if error else ""
    return percent(1 - new / old), text


def _luck(record: Record) -> str:
    unseen = "showers that the search never saw tell how much (caloforge validate)"
    if record["settings"]["folds"] > 1:
        return f"The best of many is partly luck: {unseen}."
    return f"Each trial is one training, and the best of many is partly luck: {unseen}, and so does --folds."


def _nearest(record: Record) -> str:
    """Tell of the trial that breaks the constraints least."""
    finished = [trial for trial in record["trials"] if trial["state"] == "finished"]
    known = [t for t in finished if all(v is not None for v in t["constraints"].values())]
    if not known:
        return "No trial tells by how much it breaks the constraints."
    least = min(known, key=lambda trial: sum(max(v, 0.0) for v in trial["constraints"].values()))
    broken = ", ".join(f"{text} by {percent(v)}" for text, v in least["constraints"].items() if v > 0)
    return f"Trial {least['number']} breaks the constraints least: {broken}."


def _important(record: Record, name: str) -> str:
    shares, chance = record["importances"].get(name, {}), record["chance"].get(name, {})
    if not shares:
        return ""
    sure = [key for key, share in shares.items() if share > chance[key]]
    differs = f"For {name}, the best tenth of the trials differs from all of them"
    if not sure:
        return f"{differs} in no parameter by more than chance."
    told = _listed([f"{key} ({percent(shares[key])})" for key in sure[:3]])
    rest = len(shares) - len(sure)
    less = f", and in {rest} of {len(shares)} parameters by no more than chance" if rest else ""
    return f"{differs} most in {told}{less}."


def _busy(record: Record) -> str:
    found = record["groups"]
    many = len(found["groups"])
    told = f"{many} group{'s' if many > 1 else ''} of workers"
    idle, startup = percent(found["idle_share"]), percent(found["startup_share"])
    return f"{told}: idle {idle} of their time, start-up {startup} of their work."


def _value(trial: Mapping[str, Any], name: str) -> str:
    return number(trial["objectives"][name], trial["spread"].get(name))


def _best(record: Record, name: str) -> Mapping[str, Any]:
    return _trial(record, record["best"][name])


def _trial(record: Record, wanted: int) -> Mapping[str, Any]:
    return next(trial for trial in record["trials"] if trial["number"] == wanted)


def _listed(texts: list[str]) -> str:
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"

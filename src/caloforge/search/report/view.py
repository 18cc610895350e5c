"""A study's record as figures need it: arrays, an order of the trials, and what the mouse is told."""

from __future__ import annotations

__all__ = ["View", "label"]

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caloforge.validation.report.text import number

Array = NDArray[np.float64]
Numbers = NDArray[np.int64]
_LONG = 60


class View:
    """What the record of a study says, by trial; trial `i` is the i-th of the record.

    Args:
        record: What `study_record` gave.

    Attributes:
        record: The same.
        trials: Its trials.
        objectives: Names of the objectives.
    """

    def __init__(self, record: Mapping[str, Any]) -> None:
        self.record = record
        self.trials: list[Mapping[str, Any]] = record["trials"]
        self.objectives: list[str] = record["objectives"]

    @cached_property
    def values(self) -> Array:
        """Objectives of finished trials, others NaN, shape `(trials, objectives)`."""
        found = [[trial["objectives"].get(name) for name in self.objectives] for trial in self.trials]
        return np.array(found, np.float64).reshape(len(self.trials), len(self.objectives))

    @cached_property
    def numbers(self) -> Numbers:
        """Numbers of the trials, shape `(trials,)`."""
        return np.array([trial["number"] for trial in self.trials], np.int64)

    @cached_property
    def finished(self) -> NDArray[np.bool_]:
        """Which trials have objectives, shape `(trials,)`."""
        return np.array([trial["state"] == "finished" for trial in self.trials], np.bool_)

    @cached_property
    def kept(self) -> NDArray[np.bool_]:
        """Which trials are finished and within all constraints, shape `(trials,)`."""
        return self.finished & np.array([trial["feasible"] for trial in self.trials], np.bool_)

    @cached_property
    def front(self) -> NDArray[np.bool_]:
        """Which trials lie on the Pareto front, shape `(trials,)`."""
        return np.isin(self.numbers, self.record["front"])

    @cached_property
    def ranked(self) -> list[int]:
        """Finished trials: the front first, then the first objective; those beyond a constraint last."""
        places = np.flatnonzero(self.finished)
        keys = self.values[places, 0], ~self.front[places], ~self.kept[places]
        return [int(i) for i in places[np.lexsort(keys)]]

    @cached_property
    def best(self) -> NDArray[np.bool_]:
        """Which trials are shown as the best: the front, or the best tenth of a single objective."""
        if len(self.objectives) > 1:
            return self.front
        most = max(1, round(0.1 * int(self.kept.sum())))
        found = np.zeros(len(self.trials), np.bool_)
        found[[i for i in self.ranked if self.kept[i]][:most]] = True
        return found

    def thinned(self, among: Sequence[int] | Numbers, most: int) -> list[int]:
        """Return at most about `most` of some trials: the best, and of the rest every so many."""
        places = np.asarray(among, np.int64)
        if len(places) <= most:
            return [int(i) for i in places]
        first = np.intersect1d(self.ranked[: most // 4], places)
        rest = np.setdiff1d(places, first)
        step = np.linspace(0, len(rest) - 1, most - len(first)).round().astype(np.int64)
        return sorted({*first.tolist(), *rest[step].tolist()})

    def title(self, i: int, *objectives: int) -> str:
        """Return what the mouse is told of a trial: number, state and objectives, of all or of some."""
        trial = self.trials[i]
        parts = [self._told(trial, self.objectives[k]) for k in objectives or range(len(self.objectives))]
        state = trial["state"] if trial["state"] != "finished" else ""
        beyond = "beyond a constraint" if self.finished[i] and not trial["feasible"] else ""
        told = ", ".join(part for part in (state, *parts, beyond) if part)
        return f"trial {trial['number']}: {told}"

    @staticmethod
    def _told(trial: Mapping[str, Any], name: str) -> str:
        value = trial["objectives"].get(name)
        return "" if value is None else f"{name} {number(value, trial['spread'].get(name))}"

    def settings_of(self, i: int, names: Sequence[str]) -> str:
        """Return those of a trial's values that it used, each in a line."""
        values = self.trials[i]["values"]
        return "\n".join(f"{name} {label(values[name])}" for name in names if name in values)


def label(value: Any) -> str:
    """Write a value of a parameter as a recipe has it; numbers with three digits.

    Example:
        >>> label({"kind": "cosine", "to": 0.1})
        'kind: cosine, to: 0.1'
    """
    if isinstance(value, Mapping):
        return _cut(", ".join(f"{key}: {label(inner)}" for key, inner in value.items()))
    if isinstance(value, float):
        return f"{value:.3g}"
    return _cut(value if isinstance(value, str) else json.dumps(value))


def _cut(text: str) -> str:
    return text if len(text) <= _LONG else f"{text[: _LONG - 1]}…"

"""A study as a plain record: what `study.json` holds, and all that its page shows."""

from __future__ import annotations

__all__ = ["SCHEMA", "at", "has", "study_record"]

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.search.report.fronts import front
from caloforge.search.report.groups import groups
from caloforge.search.report.importances import importances

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

SCHEMA = 1
"""Version of the layout of `study.json`."""

Record = dict[str, Any]
_STATES = ("finished", "pruned", "failed", "lost", "running", "waiting")


def study_record(study: Study) -> Record:
    """Tell a study in plain values.

    All objectives are minimised. What is not finite is None, as JSON has no infinity.

    Args:
        study: A study of `caloforge tune`.

    Returns:
        `schema`, `study` (its name), `settings` (how it was searched), `objectives`, `parameters` (what was
        searched), `counts` (trials by state, and `infeasible`: finished, but beyond a constraint), `best`
        (the number of the best trial in each objective), `front` (numbers of the trials that no other beats
        in all objectives; for both, only finished trials within all constraints count), `own` (the number
        of the trial with the recipe's own values, or None), `importances` and `chance` (see `importances`),
        `groups` (see `groups`), `seconds` (`wall`, from the first beginning to the last end without pauses,
        and `worked`, the sum of all trials) and `trials`.

        A trial has `number`, `state` (`finished`; `pruned`, stopped early; `failed`, its training diverged
        or was refused; `lost`, its worker died; `running`; `waiting`), `feasible`, `objectives`, `values`
        (of the parameters that were in use), `figures`, `spread` and `folds`, `constraints` (violations,
        kept if <= 0), `reported` (pairs of a step and the objective so far), `jobs`, `seconds`, `run` and
        `failed`.
    """
    settings = study.user_attrs["caloforge"]
    names = list(settings["objectives"])
    frozen = study.get_trials(deepcopy=False)
    trials = [_trial(trial, names) for trial in frozen]
    usable = [t for t in trials if t["state"] == "finished" and t["feasible"]]
    shares, chance = importances(study, names)
    at_work = groups(trials)
    record = {
        "schema": SCHEMA,
        "study": study.study_name,
        "settings": settings,
        "objectives": names,
        "parameters": _parameters(frozen),
        "counts": _counts(trials),
        "best": {name: _best(usable, name) for name in names},
        "front": _front(usable, names),
        "own": _own(trials, settings.get("recipe", {})),
        "importances": shares,
        "chance": chance,
        "groups": at_work,
        "seconds": {"wall": _wall(frozen, at_work), "worked": sum(trial["seconds"] for trial in trials)},
        "trials": trials,
    }
    plain = _plain(record)
    assert isinstance(plain, dict)
    return plain


def _trial(trial: FrozenTrial, objectives: Sequence[str]) -> Record:
    told = trial.user_attrs
    state = _state(trial)
    jobs = told["jobs"] if "jobs" in told else _done(told) if state == "running" else []
    lasted = trial.duration.total_seconds() if trial.duration else 0.0
    return {
        "number": trial.number,
        "state": state,
        "feasible": all(violation <= 0 for violation in trial.constraints.values()),
        "objectives": dict(zip(objectives, trial.values, strict=True)) if state == "finished" else {},
        "values": told.get("values", trial.params),
        "figures": told.get("figures", {}),
        "spread": told.get("spread", {}),
        "folds": told.get("folds", []),
        "constraints": trial.constraints,
        "reported": sorted(trial.intermediate_values.items()),
        "jobs": jobs,
        "seconds": sum(job["end"] - job["begin"] for job in jobs) if jobs else lasted,
        "run": told.get("run"),
        "failed": told.get("failed") or ("its figures are not finite" if state == "failed" else None),
    }


def _done(told: Mapping[str, Any]) -> list[Record]:
    """Return the jobs of a trial that is not finished: its folds so far.

    One that is tried again has them from the trial that was lost, whose own do not count.
    """
    keys = "group", "begin", "end", "epochs", "startup"
    return [{"fold": fold} | {key: report[key] for key in keys} for fold, report in told.get("done", [])]


def _state(trial: FrozenTrial) -> str:
    name = str(trial.state.name)
    if trial.user_attrs.get("failed"):
        return "failed"
    if name == "COMPLETE":
        return "finished" if all(math.isfinite(v) for v in trial.values) else "failed"
    return "lost" if name == "FAIL" else name.lower()


def _parameters(trials: Iterable[FrozenTrial]) -> list[Record]:
    """Return what was searched, in the order in which it was first drawn."""
    found: dict[str, BaseDistribution] = {}
    for trial in trials:
        for name, distribution in trial.distributions.items():
            found.setdefault(name, distribution)
    return [{"name": name, **_range(distribution)} for name, distribution in found.items()]


def _range(distribution: BaseDistribution) -> Record:
    from optuna.distributions import distribution_to_json

    told = json.loads(distribution_to_json(distribution))["attributes"]
    if "choices" in told:
        told["choices"] = [_decoded(choice) for choice in told["choices"]]
    kinds = {"FloatDistribution": "float", "IntDistribution": "int", "CategoricalDistribution": "choice"}
    return {"kind": kinds[type(distribution).__name__], **told}


def _decoded(choice: Any) -> Any:
    """Return a choice as the recipe has it: lists and mappings are kept as text, see `Parameter.code`."""
    return json.loads(choice) if isinstance(choice, str) and choice[:1] in ("{", "[") else choice


def _counts(trials: Sequence[Record]) -> dict[str, int]:
    found = Counter(trial["state"] for trial in trials)
    beyond = sum(t["state"] == "finished" and not t["feasible"] for t in trials)
    return {state: found[state] for state in _STATES} | {"infeasible": beyond}


def _best(usable: Sequence[Record], name: str) -> int | None:
    if not usable:
        return None
    # Between equals the other figures decide, as they do for the run that is kept.
    best = min(usable, key=lambda t: (t["objectives"][name], *t["objectives"].values(), t["number"]))
    return int(best["number"])


def _front(usable: Sequence[Record], names: Sequence[str]) -> list[int]:
    values = np.array([[trial["objectives"][name] for name in names] for trial in usable])
    on_front = front(values.reshape(len(usable), len(names)))
    return [trial["number"] for trial, on in zip(usable, on_front, strict=True) if on]


def _own(trials: Sequence[Record], recipe: Mapping[str, Any]) -> int | None:
    """Return the first finished trial with the values that the recipe has anyway."""
    for trial in trials:
        values = trial["values"]
        if trial["state"] == "finished" and values and all(has(at(recipe, k), v) for k, v in values.items()):
            return int(trial["number"])
    return None


def at(tree: Any, path: str) -> Any:
    """Return the part of a recipe at a key path, None where there is none."""
    for key in path.split("."):
        tree = tree.get(key) if isinstance(tree, Mapping) else None
    return tree


def has(part: Any, value: Any) -> bool:
    """Say whether a part of a recipe is what a value would make of it; a mapping sets its keys alone."""
    if isinstance(value, Mapping):
        return isinstance(part, Mapping) and all(has(part.get(key), inner) for key, inner in value.items())
    return bool(part == value)


def _wall(frozen: Sequence[FrozenTrial], at_work: Record) -> float:
    begins = [group["begin"] for group in at_work["groups"]]
    ends = [group["end"] for group in at_work["groups"]]
    if not begins:
        begins = [t.datetime_start.timestamp() for t in frozen if t.datetime_start]
        ends = [t.datetime_complete.timestamp() for t in frozen if t.datetime_complete]
    paused = sum(end - begin for begin, end in at_work["pauses"])
    return max(max(ends) - min(begins) - paused, 0.0) if begins and ends else 0.0


def _plain(value: Any) -> Any:
    """Return what JSON has: lists for tuples, None for what is not finite."""
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

"""The report as a thing: where it lies, what it says, and its JSON."""

from __future__ import annotations

__all__ = ["KEYS", "SCHEMA", "Report", "charts_of", "summary_of", "to_json"]

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from caloforge import __version__
from caloforge.validation.charts import Chart
from caloforge.validation.compare import Comparison
from caloforge.validation.inputs.source import Source
from caloforge.validation.measure import Number
from caloforge.validation.metrics.distances import Distance
from caloforge.validation.report.overview import incident_chart, pareto_charts, repeats_chart
from caloforge.validation.report.page import Judged, Origin, Summary
from caloforge.validation.require import Outcome
from caloforge.validation.verdict import Verdict

SCHEMA = 2

KEYS = (
    "auc_low",
    "auc_cells",
    "auc_high",
    "response",
    "resolution",
    "beyond_floor",
    "fpd",
    "auc_trees",
    "separation",
)
"""What the top of a report shows, the first six of these that were computed."""
_MOST_KEYS = 6


@dataclass(frozen=True)
class Report:
    """A finished validation.

    Attributes:
        html: The page, one file that opens offline.
        json: The same numbers for programs.
        comparison: The numbers as objects.
        outcomes: What was required, and what it came to.
    """

    html: Path
    json: Path
    comparison: Comparison
    outcomes: tuple[Outcome, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The answer for the first candidate."""
        return self.comparison.verdicts[0]

    @property
    def numbers(self) -> dict[str, Number]:
        """Every number of the first candidate, by name."""
        return self.comparison.numbers(0)

    @property
    def worst(self) -> list[Distance]:
        """Distributions and profiles of the first candidate beyond their floor, the farthest first."""
        return self.worst_of(0)

    def worst_of(self, candidate: int) -> list[Distance]:
        """Return distributions and profiles of a candidate beyond their floor, the farthest first."""
        return sorted((d for d in self.comparison.distances(candidate) if d.off), key=lambda d: -d.excess)

    def summary(self) -> dict[str, Any]:
        """Return paths, verdicts, findings, key numbers and outcomes as what JSON has."""
        comparison = self.comparison
        summary: dict[str, Any] = _plain(
            {
                "html": self.html,
                "json": self.json,
                "remarks": comparison.remarks,
                "candidates": {
                    name: {
                        "verdict": comparison.verdicts[i],
                        "findings": comparison.findings[i],
                        "numbers": {k: n.measure for k, n in comparison.numbers(i).items() if "." not in k},
                        "beyond_floor": [d.name for d in self.worst_of(i)],
                    }
                    for i, name in enumerate(comparison.names)
                },
                "required": [_outcome(outcome) for outcome in self.outcomes],
            }
        )
        return summary


def summary_of(
    comparison: Comparison,
    notes: Sequence[str],
    speed: Sequence[Mapping[str, Any]],
    outcomes: Sequence[Outcome],
) -> Summary:
    """Return what a report's page says."""
    given = comparison.given
    candidates = tuple(
        Judged(
            name=name,
            origin=_origin(source),
            verdict=comparison.verdicts[i],
            keys=_keys(comparison.numbers(i)),
            findings=comparison.findings[i],
            distances=comparison.distances(i),
        )
        for i, (name, source) in enumerate(given.candidates.items())
    )
    return Summary(
        detector=given.reference.detector.name,
        size=comparison.plan.size,
        reference=_origin(given.reference),
        floor=None if given.floor is None else _origin(given.floor),
        candidates=candidates,
        studies=comparison.studies,
        remarks=comparison.remarks,
        notes=tuple(notes),
        speed=tuple(speed),
        outcomes=tuple(outcomes),
    )


def charts_of(comparison: Comparison) -> tuple[Chart, ...]:
    """Return all charts of a report: those of the studies, incident energies, and quality against cost."""
    given = comparison.given
    sources = (given.reference, *given.candidates.values())
    numbers = [comparison.numbers(i) for i in range(len(comparison.names))]
    pareto = pareto_charts(("Geant4", *comparison.names), numbers, [_milliseconds(s) for s in sources])
    studied = (chart for study in comparison.studies for chart in study.charts)
    repeats = repeats_chart(("Geant4", *comparison.names), comparison.digests)
    own = [chart for chart in (incident_chart(comparison.samples), repeats) if chart is not None]
    return (*pareto, *own, *studied)


def _keys(numbers: Mapping[str, Number]) -> tuple[Number, ...]:
    return tuple([numbers[name] for name in KEYS if name in numbers][:_MOST_KEYS])


def _origin(source: Source) -> Origin:
    return Origin(source.name, len(source), source.provenance)


def _milliseconds(source: Source) -> float | None:
    """Return what a file says of the cost of its making, ms per shower."""
    ms = source.provenance.get("ms_per_shower")
    return float(ms) if isinstance(ms, int | float) and ms > 0 else None


def to_json(
    comparison: Comparison,
    notes: Sequence[str],
    speed: Sequence[Mapping[str, Any]],
    outcomes: Sequence[Outcome],
) -> dict[str, Any]:
    """Return every number of a comparison as what JSON has; NaN and infinities become None."""
    given, plan = comparison.given, comparison.plan
    files = {"reference": given.reference, "floor": given.floor, "training": given.training}
    numbers: dict[str, Any] = _plain(
        {
            "schema": SCHEMA,
            "caloforge": __version__,
            "detector": {"name": given.reference.detector.name, "digest": given.reference.detector.digest},
            "files": {
                role: {"name": s.name, "showers": len(s), "provenance": s.provenance}
                for role, s in files.items()
                if s is not None
            },
            "showers_compared": plan.size,
            "floor": "halves of the reference" if plan.halves else "independent file",
            "notes": list(notes),
            "speed": [dict(row) for row in speed],
            "remarks": comparison.remarks,
            "required": [_outcome(outcome) for outcome in outcomes],
            "candidates": {name: _candidate(comparison, i) for i, name in enumerate(comparison.names)},
            "studies": {
                s.name: {"title": s.title, "method": s.method, **s.details} for s in comparison.studies
            },
        }
    )
    return numbers


def _candidate(comparison: Comparison, i: int) -> dict[str, Any]:
    source = list(comparison.given.candidates.values())[i]
    return {
        "file": source.name,
        "showers": len(source),
        "provenance": source.provenance,
        "verdict": comparison.verdicts[i],
        "findings": comparison.findings[i],
        "numbers": {
            name: {
                **_members(number.measure),
                "off": number.off,
                "unit": number.unit,
                "label": number.label,
                "showers": number.showers,
            }
            for name, number in comparison.numbers(i).items()
            if "." not in name
        },
        "distances": {d.name: {**_members(d), "off": d.off} for d in comparison.distances(i)},
    }


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "candidate": outcome.candidate,
        "required": outcome.requirement.text,
        "value": outcome.value,
        "limit": outcome.limit,
        "met": outcome.met,
    }


def _members(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in fields(value)}


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(_members(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int | bool) else str(value)

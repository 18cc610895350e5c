"""A study: one question about the samples, answered by numbers, charts and findings for every candidate."""

from __future__ import annotations

__all__ = ["Absent", "Finding", "Study", "Tell", "faults_first", "without_numbers"]

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from caloforge.validation.charts import Chart
from caloforge.validation.measure import Number

Tell = Callable[[float, str], None]
"""Called with the share of a study that is done, 0 to 1, and a note of a few words."""


@dataclass(frozen=True)
class Finding:
    """Something a reader must know.

    Attributes:
        severity: `fault` (the candidate is wrong), `warning` (the comparison is weak) or `note`.
        title: A few words.
        text: A sentence or two.
        chart: Key of the chart where it is seen, or empty.
    """

    severity: Literal["fault", "warning", "note"]
    title: str
    text: str
    chart: str = ""


@dataclass(frozen=True)
class Absent:
    """Why a study lacks numbers.

    Attributes:
        showers: Of each kind that there were.
        needed: From how many on there would be all numbers; 0 where no number of showers helps.
        why: In words, where it is not for want of showers.
    """

    showers: int
    needed: int
    why: str = ""

    def __str__(self) -> str:
        return self.why or f"{self.showers:,} showers of each kind are too few, {self.needed:,} are needed"

    @property
    def cure(self) -> str | None:
        """What helps, if anything does."""
        if not self.needed:
            return None
        return (
            f"compare {self.needed:,} showers or more of each candidate, and {2 * self.needed:,} of a "
            "reference that is also the floor"
        )


@dataclass(frozen=True)
class Study:
    """What a study found. Tuples over candidates have one entry for each, in the order of the candidates.

    Attributes:
        name: Stable key, as in `--metrics`.
        title: For people.
        numbers: Figures of merit of each candidate.
        charts: What to draw; a chart shows Geant4 and all candidates together.
        findings: What stands out in each candidate.
        method: Sentences for the report's method page: definition, sample size, source (arXiv id).
        details: Anything else for `report.json`: plain numbers, lists and dicts.
        faults_tested: How many tests for faults that have a name were made of each candidate; none if empty.
        absent: Why some of the numbers that it is known for are not there, if they are not.
        missing: The same of single numbers, where the reason is their own.
    """

    name: str
    title: str
    numbers: tuple[tuple[Number, ...], ...]
    charts: tuple[Chart, ...] = ()
    findings: tuple[tuple[Finding, ...], ...] = ()
    method: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    faults_tested: tuple[int, ...] = ()
    absent: Absent | None = None
    missing: Mapping[str, Absent] = field(default_factory=dict)


def without_numbers(name: str, title: str, candidates: Sequence[object], absent: Absent) -> Study:
    """Return a study that found nothing, and says why."""
    nothing: tuple[tuple[Number, ...], ...] = tuple(() for _ in candidates)
    return Study(name, title, nothing, method=f"{title}: not computed, {absent}.", absent=absent)


def faults_first(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return faults, then warnings, then notes."""
    return tuple(sorted(findings, key=lambda finding: ("fault", "warning", "note").index(finding.severity)))

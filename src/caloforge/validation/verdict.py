"""The answer in two sentences, from numbers alone."""

from __future__ import annotations

__all__ = ["Trials", "Verdict", "judge", "plain"]

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from scipy.stats import norm

from caloforge.validation.measure import Number
from caloforge.validation.metrics.distances import DISTANCES_LEVEL, Distance
from caloforge.validation.metrics.exchange import FAULTS_LEVEL
from caloforge.validation.study import Finding

Level = Literal["none", "floor", "close", "visible", "far"]

_CLOSE, _VISIBLE = 0.6, 0.8
_NUMBERS_LEVEL = 0.0025
"""How often chance alone puts any of a report's numbers so far beyond its floor that it decides."""


@dataclass(frozen=True)
class Trials:
    """How much was looked at, and how often that blames a candidate that is Geant4 itself.

    Attributes:
        distributions: Distributions and profiles: one or more lie beyond their floor in 1 report of 200.
        faults: Tests for faults that have a name: one or more is named in 1 report of 400.
        numbers: Numbers with a floor: one or more decides the verdict in 1 report of 400.
        chance: Of all that were looked for together, for one candidate.
    """

    distributions: int
    faults: int
    numbers: int
    chance: float = field(init=False)

    def __post_init__(self) -> None:
        levels = DISTANCES_LEVEL, FAULTS_LEVEL, _NUMBERS_LEVEL
        looked = self.distributions, self.faults, self.numbers
        chance = sum(level for level, number in zip(levels, looked, strict=True) if number)
        object.__setattr__(self, "chance", chance)

    def __str__(self) -> str:
        if not self.chance:
            return "No differences were looked for."
        return (
            f"{self.distributions + self.faults + self.numbers} differences were looked for: in "
            f"{self.distributions} distributions and profiles, in {self.numbers} numbers, and by "
            f"{self.faults} tests for faults that have a name. Were the candidate Geant4 itself, chance "
            f"would find one or more in {100 * self.chance:.2g} report of 100."
        )


@dataclass(frozen=True)
class Verdict:
    """The report's answer.

    Attributes:
        level: `none` (too little was compared to say), `floor` (not to be told from Geant4 at this sample
            size), `close` (AUC below 0.6), `visible` (below 0.8) or `far`.
        title: The answer.
        text: What it rests on.
        trials: How much was looked at.
    """

    level: Level
    title: str
    text: str
    trials: Trials


_TITLES: dict[Level, str] = {
    "none": "No verdict: too few showers were compared, or too little of them",
    "floor": "Not to be told from Geant4 at this sample size",
    "close": "Close to Geant4, with differences that are more than chance",
    "visible": "Visibly different from Geant4",
    "far": "Easily told from Geant4",
}

_ONLY_FAULTS = "Showers like Geant4's, but a faulty sample"
_OF_THE_SAMPLE = ("Repeated showers", "Copies of the reference", "Copies of training showers")


def judge(
    distances: Sequence[Distance],
    numbers: Sequence[Number],
    findings: Sequence[Finding],
    size: int,
    tests: int,
) -> Verdict:
    """Weigh distributions, classifiers and faults of one candidate.

    Args:
        distances: All distributions and profiles; empty if they were not asked for.
        numbers: All its numbers; those far beyond their floor and those called `auc_...` are weighed.
        findings: What was found.
        size: Showers in each sample.
        tests: How many tests for faults were made.
    """
    off = [d for d in distances if d.off]
    faults = [f for f in findings if f.severity == "fault"]
    aucs = [n for n in numbers if n.name.startswith("auc_") and not math.isnan(n.measure.value)]
    with_floor = [n for n in numbers if not math.isnan(n.measure.floor)]
    # each number has false alarms of its own: only one that is clear for so many of them decides
    clear = float(norm.isf(_NUMBERS_LEVEL / 2 / max(len(with_floor), 1)))
    beyond = [n for n in with_floor if n.off and abs(n.measure.excess) > clear]
    level = _level(off, aucs, faults, beyond) if distances or aucs or faults or beyond else "none"
    parts = [_on_classifiers(aucs, size), _on_distances(off, len(distances))]
    if faults:
        parts.append("Faults: " + ", ".join(lower_first(f.title) for f in faults) + ".")
    if not off and beyond:
        parts.append("Beyond their floor: " + ", ".join(plain(lower_first(n.label)) for n in beyond) + ".")
    only_faults = faults and not (off or beyond) and all(f.title in _OF_THE_SAMPLE for f in faults)
    title = _ONLY_FAULTS if only_faults else _TITLES[level]
    trials = Trials(len(distances), tests, len(with_floor))
    return Verdict(level, title, " ".join(filter(None, parts)), trials)


def _level(
    off: Sequence[Distance], aucs: Sequence[Number], faults: Sequence[Finding], beyond: Sequence[Number]
) -> Level:
    if not (off or faults or beyond):
        return "floor"
    auc = max((n.measure.value for n in aucs), default=_CLOSE)
    # A classifier of few showers may overlook what one observable shows at a glance.
    apart = max((d.measures["separation"].value for d in off if "separation" in d.measures), default=0.0)
    if auc >= _VISIBLE or apart >= 0.5:
        return "far"
    return "visible" if auc >= _CLOSE or apart >= 0.1 else "close"


def _on_classifiers(aucs: Sequence[Number], size: int) -> str:
    if not aucs:
        return f"{size:,} showers of each kind were compared, without a classifier."
    best = max(aucs, key=lambda n: n.measure.value)
    auc, name = best.measure, best.label.removeprefix("AUC, ")
    return (
        f"Given {best.showers or size:,} showers of each kind, the best classifier ({name}) reaches AUC "
        f"{auc.value:.3f} ± {auc.error:.3f}; between two samples of Geant4, "
        f"{auc.floor:.3f} ± {auc.floor_error:.3f}."
    )


def _on_distances(off: Sequence[Distance], total: int) -> str:
    if not total:
        return ""
    if not off:
        return f"None of {total} distributions and profiles lies beyond its floor."
    worst = max(off, key=lambda d: d.excess)
    beyond = "lies beyond its" if len(off) == 1 else "lie beyond their"
    return (
        f"{len(off)} of {total} distributions and profiles {beyond} floor, "
        f"the farthest being “{plain(worst.label)}”."
    )


def lower_first(text: str) -> str:
    """Return a title as the middle of a sentence; AUC stays."""
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


def plain(label: str) -> str:
    """Return a label without mathematical markup.

    Example:
        >>> plain(r"Width $\\sigma_x$, layer 1")
        'Width σ_x, layer 1'
    """
    for markup, text in _SYMBOLS.items():
        label = label.replace(markup, text)
    return re.sub(r"_\{(\w+)\}", r"_\1", label)


_SYMBOLS = {
    "$": "",
    r"\sigma": "σ",
    r"\theta": "θ",
    r"\varphi": "φ",
    r"\phi": "φ",
    r"\langle ": "⟨",
    r"\langle": "⟨",
    r"\rangle": "⟩",
    "_{s_d}": "(s_d)",
    "E_{tot}": "E_tot",
    "E_{inc}": "E_inc",
}

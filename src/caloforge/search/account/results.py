"""What the members of an arm come to together."""

from __future__ import annotations

__all__ = ["Row", "answer", "rows_of"]

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from caloforge.search.account.arms import CODINGS, Arm
from caloforge.validation.report.text import number

if TYPE_CHECKING:
    from caloforge.search.account.member import Member
    from caloforge.search.account.record import Record

_NONE = float("nan")


@dataclass(frozen=True)
class Row:
    """An arm in numbers: medians over its seeds, and half of their range.

    Attributes:
        arm: Which.
        members: Those that are done, in the order of their seeds.
    """

    arm: Arm
    members: tuple[Member, ...]

    @property
    def good(self) -> tuple[Member, ...]:
        """Members that came to something."""
        return tuple(member for member in self.members if member.figures)

    def figure(self, name: str, leg: int = -1) -> float:
        """Return the median of a figure, after a training of the arm; NaN if nothing is known."""
        found = [one.legs[leg].figures[name] for one in self.good if name in one.legs[leg].figures]
        return float(np.median(found)) if found else _NONE

    def range(self, name: str) -> float:
        """Return half of the range of a figure."""
        found = [one.figures[name] for one in self.good if name in one.figures]
        return float(np.ptp(found)) / 2 if found else _NONE

    @property
    def core_seconds(self) -> float:
        """Mean over the seeds."""
        return _mean([one.core_seconds for one in self.good])

    @property
    def showers(self) -> float:
        """Real showers that were seen, mean over the seeds."""
        return _mean([one.showers for one in self.good])

    @property
    def evaluations(self) -> float:
        """Individuals that were judged, mean over the seeds; 0 for gradients alone."""
        return _mean([sum(leg.evaluations for leg in one.legs) for one in self.good])

    @property
    def bytes(self) -> float:
        """Of an individual, of the last training that evolved."""
        found = [leg.bytes for one in self.good for leg in one.legs if leg.bytes]
        return found[-1] if found else 0.0


def rows_of(record: Record, arms: Mapping[str, Arm]) -> dict[str, Row]:
    """Return an account's arms that have members, by their keys."""
    found = {}
    for key, arm in arms.items():
        members = sorted((one for one in record.members if one.arm == key), key=lambda one: one.seed)
        if members:
            found[key] = Row(arm, tuple(members))
    return found


def answer(rows: Mapping[str, Row], floor: Mapping[str, float]) -> list[str]:
    """Return what came out in sentences, the most important first."""
    told = [_beside_gradients(rows, floor), _with_as_many(rows), _hits(rows), _hybrids(rows), _coding(rows)]
    return [text for text in told if text]


def _beside_gradients(rows: Mapping[str, Row], floor: Mapping[str, float]) -> str:
    if not {"evolved", "distance"} <= rows.keys() or "merit" not in floor:
        return ""
    own, twin = (rows[key].figure("merit") for key in ("evolved", "distance"))
    if math.isnan(own / twin):
        return ""
    return (
        f"At equal core-seconds the figure of merit of the evolved generator is {own / twin:.3g} times that "
        f"of the same generator trained by gradients: {number(own)} and {number(twin)} (floor "
        f"{number(floor['merit'])}). Trees tell them from Geant4 with an AUC of "
        f"{number(rows['evolved'].figure('auc'))} and {number(rows['distance'].figure('auc'))}."
    )


def _with_as_many(rows: Mapping[str, Row]) -> str:
    row = rows.get("distance-few")
    if row is None or not row.good:
        return ""
    return (
        f"With as many real showers, which cost gradients {number(row.core_seconds)} core-seconds, they "
        f"reach {number(row.figure('merit'))}, and an AUC of {number(row.figure('auc'))}."
    )


def _hits(rows: Mapping[str, Row]) -> str:
    row = rows.get("trained-hits")
    if row is None or not row.good:
        return ""
    told = []
    for name, words in (("hits", "numbers of hits"), ("depth", "the deepest layer"), ("auc", "AUC")):
        before, after = row.figure(name, 0), row.figure(name)
        if before > 0 or after > 0:
            told.append(f"{words} {number(before)} to {number(after)}")
    return f"Evolving the last layers of a trained generator: {', '.join(told)} (distances from Geant4)."


def _hybrids(rows: Mapping[str, Row]) -> str:
    keys = [key for key in ("distance", "evolved-trained", "trained-evolved") if key in rows]
    if len(keys) < 3:
        return ""
    told = [f"{number(rows[key].figure('auc'))} ({rows[key].arm.title})" for key in keys]
    return f"Hybrids, by the AUC of trees: {', '.join(told)}."


def _coding(rows: Mapping[str, Row]) -> str:
    codings = [row for row in rows.values() if row.arm.group == CODINGS and row.good]
    own = rows.get("evolved")
    everyone = [*codings, *([own] if own and own.good else [])]
    if not codings:
        return ""
    best = min(everyone, key=lambda row: row.figure("merit"))
    reached = number(best.figure("merit"))
    return f"Of the chromosomes, {best.arm.title} reaches the best figure of merit: {reached}."


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else _NONE

"""Which member of a zoo to take: the best within a latency, and of those as good the quickest."""

from __future__ import annotations

__all__ = ["Choice", "as_good", "choose", "on_front", "quality"]

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from caloforge.search.zoo.record import Member, Number


@dataclass(frozen=True)
class Choice:
    """What was chosen, and from what.

    Attributes:
        taken: The member to take; None if none is within the latency.
        as_good: Others within the latency whose figure is the same within errors; they take longer.
        better: Members that are better by more than errors and too slow, the quickest first.
        quicker: Of the members that are quicker than the one taken, and worse than the best by more than
            errors, the best.
        quickest: Of all members.
    """

    taken: Member | None
    as_good: tuple[Member, ...]
    better: tuple[Member, ...]
    quicker: Member | None
    quickest: Member


def choose(
    members: Sequence[Member], metric: str, floor: Number | None, batch: int, latency_ms: float
) -> Choice:
    """Choose from members that have the figure.

    Args:
        members: At least one.
        metric: Of `METRICS`.
        floor: What Geant4 comes to; nothing counts as better than that.
        batch: Showers of a call.
        latency_ms: What a shower may take.
    """
    ordered = sorted(members, key=lambda one: (one.ms(batch), one.weights))
    within = [one for one in ordered if one.ms(batch) <= latency_ms]
    if not within:
        return Choice(None, (), (), None, ordered[0])
    best = min(within, key=lambda one: quality(one, metric, floor))
    alike = [one for one in within if as_good(one, best, metric, floor)]
    taken = alike[0]
    quicker = ordered[: ordered.index(taken)]
    slow = [one for one in ordered if one.ms(batch) > latency_ms]
    return Choice(
        taken=taken,
        as_good=tuple(alike[1:]),
        better=tuple(one for one in slow if not as_good(taken, one, metric, floor)),
        quicker=min(quicker, key=lambda one: quality(one, metric, floor), default=None),
        quickest=ordered[0],
    )


def quality(member: Member, metric: str, floor: Number | None) -> float:
    """Return a figure, at least the floor: what lies below it does so by chance."""
    return max(member.figures[metric].value, -math.inf if floor is None else floor.value)


def as_good(one: Member, other: Member, metric: str, floor: Number | None) -> bool:
    """Say whether one member is as good as another: not worse by more than both errors together."""
    errors = math.hypot(one.figures[metric].error, other.figures[metric].error)
    return quality(one, metric, floor) - quality(other, metric, floor) <= errors


def on_front(members: Sequence[Member], metric: str, floor: Number | None, batch: int) -> NDArray[np.bool_]:
    """Say which members no other beats in time and figure, shape `(members,)`."""
    from caloforge.search.report.fronts import front  # with the figures of searches, slow to load

    values = [[one.ms(batch), quality(one, metric, floor)] for one in members]
    return front(np.array(values, np.float64).reshape(len(members), 2))

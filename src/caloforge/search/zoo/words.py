"""What a zoo says, in sentences: which member to take and why, and what each family cost."""

from __future__ import annotations

__all__ = ["Cost", "costs", "figure_text", "ms_text", "why", "with_error"]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from caloforge.search.zoo.families import FAMILIES, Family
from caloforge.search.zoo.metrics import METRICS, QUALITY

if TYPE_CHECKING:
    from caloforge.search.zoo.choice import Choice
    from caloforge.search.zoo.record import Member, Number, Zoo

_LADDER = (0.9, 0.8, 0.7, 0.65, 0.6, 0.58, 0.56, 0.54, 0.52)


def why(zoo: Zoo, choice: Choice, metric: str, batch: int, latency_ms: float) -> list[str]:
    """Return why a member was chosen, or that none is within the latency, in sentences.

    Args:
        zoo: Whose members.
        choice: Of one of them.
        metric: Of `METRICS`.
        batch: Showers of a call.
        latency_ms: What a shower may take.
    """
    limit = f"{latency_ms:.3g} ms"
    if choice.taken is None:
        first = choice.quickest
        return [
            f"None of the {len(zoo.members)} generators measured makes a shower within {limit} at batch "
            f"{batch}: the quickest is {first.name} with {ms_text(first, batch)}.",
            f"Measured on one core of {zoo.machine}.",
        ]
    told = [_best(zoo, choice.taken, metric, batch, limit), _alike(choice, metric, batch)]
    told += [_better(choice, metric, batch, limit), _quicker(choice, metric, batch), _floor(zoo, metric)]
    return [text for text in told if text]


def _best(zoo: Zoo, taken: Member, metric: str, batch: int, limit: str) -> str:
    return (
        f"Take {taken.name} ({FAMILIES[taken.family]}): {METRICS[metric]} {figure_text(taken, metric)} at "
        f"{ms_text(taken, batch)} a shower, batch {batch}, on one core of {zoo.machine}. No other within "
        f"{limit} is better by more than errors."
    )


def _alike(choice: Choice, metric: str, batch: int) -> str:
    if not choice.as_good:
        return ""
    listed = _listed(choice.as_good, metric, batch)
    return f"As good within errors, but slower: {listed}."


def _better(choice: Choice, metric: str, batch: int, limit: str) -> str:
    if not choice.better:
        return ""
    return f"Better, but slower than {limit}: {_listed(choice.better, metric, batch)}."


def _quicker(choice: Choice, metric: str, batch: int) -> str:
    if choice.quicker is None:
        return ""
    return f"Quicker, but worse: {_listed([choice.quicker], metric, batch)}."


def _floor(zoo: Zoo, metric: str) -> str:
    floor = zoo.floor.get(metric)
    if floor is None:
        return ""
    return (
        f"The floor, Geant4 beside Geant4, is {with_error(floor)}. Figures are of {zoo.compared:,} showers "
        f"on both sides, {zoo.particles}."
    )


def _listed(members: Sequence[Member], metric: str, batch: int) -> str:
    told = [f"{one.name} ({figure_text(one, metric)}, {ms_text(one, batch)})" for one in members]
    return ", ".join(told)


def figure_text(member: Member, metric: str) -> str:
    """Return a figure with its error; a dash where it is not known."""
    found = member.figures.get(metric)
    return "–" if found is None else with_error(found)


def ms_text(member: Member, batch: int) -> str:
    """Return the time of a shower."""
    return f"{member.ms(batch):.3g} ms"


def with_error(number: Number) -> str:
    """Return a figure, with its error if that is known."""
    error = f" ± {number.error:.3f}" if number.error else ""
    return f"{number.value:.3f}{error}"


@dataclass(frozen=True)
class Cost:
    """What a family's training cost until its trees on cells reached an AUC.

    Attributes:
        family: Which.
        members: The quickest to train that got there, for each AUC of the table; None: none did.
    """

    family: Family
    members: tuple[Member | None, ...]


def costs(zoo: Zoo) -> tuple[tuple[float, ...], list[Cost]]:
    """Return AUCs, falling, and for each family the member that reached them with the least training.

    Of AUCs that all families have reached, the lowest is there; those that none has are left out.
    """
    known = [one for one in zoo.members if one.train_seconds is not None and QUALITY in one.figures]
    families = [name for name in FAMILIES if any(one.family == name for one in known)]
    found = {
        name: [_least([m for m in known if m.family == name], auc) for auc in _LADDER] for name in families
    }
    useful = [i for i in range(len(_LADDER)) if any(found[name][i] for name in families)]
    common = [i for i in useful if all(found[name][i] for name in families)]
    shown = [i for i in useful if i not in common[:-1]]
    rows = [Cost(name, tuple(found[name][i] for i in shown)) for name in families]
    return tuple(_LADDER[i] for i in shown), rows


def _least(members: Sequence[Member], auc: float) -> Member | None:
    there = [one for one in members if one.figures[QUALITY].value <= auc]
    return min(there, key=lambda one: one.train_seconds or 0.0, default=None)

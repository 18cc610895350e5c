"""The terms of a fitness: functions of the showers of many generators and of Geant4's, one number each."""

from __future__ import annotations

__all__ = ["TERMS", "Seen", "Term"]

from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor

from caloforge.models.blocks.energy_distance import energy_distance, of_the_same
from caloforge.observables.figure_of_merit import Profiles, merit

if TYPE_CHECKING:
    from caloforge.evolution.fitness.fitness import Fitness

_NARROW = 0.05  # spread of an observable, in Geant4's, below which narrower says no more


@dataclass(frozen=True)
class Seen:
    """Showers of many generators beside Geant4's of the same incident particles.

    Attributes:
        made: `(individuals, n, n_cells)` MeV.
        real: `(n, n_cells)` MeV.
        incident: `(n, k)` MeV, rad, mm.
        observables: Of the generated showers, `(individuals, n, observables)`.
        truth: Those of the real ones.
        given: What was asked for as numbers of the order of one, `(n, numbers)`.
        along: Directions in the space of both.
    """

    made: Tensor
    real: Tensor
    incident: Tensor
    observables: Tensor
    truth: Tensor
    given: Tensor
    along: Tensor


Term: TypeAlias = Callable[["Fitness", Seen], Tensor]


def distance(_: Fitness, seen: Seen) -> Tensor:
    return of_the_same(seen.observables, seen.truth, seen.given, seen.along).mean(0)


def response(_: Fitness, seen: Seen) -> Tensor:
    energy = seen.incident[:, 0]
    made, real = (cells.sum(-1) / energy for cells in (seen.made, seen.real))
    return (made.mean(-1) / real.mean() - 1).abs()


def spread(_: Fitness, seen: Seen) -> Tensor:
    made, real = (x.std(-2).clamp_min(_NARROW) for x in (seen.observables, seen.truth))
    return (made / real).log().abs().mean(-1)


def hits(fitness: Fitness, seen: Seen) -> Tensor:
    made, real = (fitness.counts(cells) for cells in (seen.made, seen.real))
    return energy_distance(made / fitness.counted, real / fitness.counted)


def depth(fitness: Fitness, seen: Seen) -> Tensor:
    return energy_distance(*(fitness.deepest(cells) for cells in (seen.made, seen.real)))


def figure_of_merit(fitness: Fitness, seen: Seen) -> Tensor:
    one, many = (_profiles(fitness, cells, seen.incident[:, 0]) for cells in (seen.real[None], seen.made))
    found = sum(merit(one, many))
    return torch.as_tensor(found, dtype=seen.made.dtype, device=seen.made.device)


def _profiles(fitness: Fitness, cells: Tensor, energy: Tensor) -> Profiles:
    """What the figure of merit compares: each individual is a row of it."""
    member = fitness.member(energy)
    total = cells.sum(-1, keepdim=True)
    filled = total > 0
    seen = cells @ fitness.projections
    moments, profiles = seen[..., : fitness.powers], seen[..., fitness.powers :]
    relative = moments / total.where(filled, 1)
    first, second = relative[..., 0::2], relative[..., 1::2]
    shape = torch.stack([first, (second - first**2).clamp_min(0)], dim=-1).flatten(-2)
    sums = [member.mT @ x for x in (filled.to(cells), shape, profiles)]
    counted, summed, along = (x.double().cpu().numpy() for x in sums)
    showers = member.sum(0).double().cpu().numpy()[None]
    ends = list(accumulate(fitness.bins, initial=0))
    return Profiles(
        showers,
        counted[..., 0],
        summed.reshape(*summed.shape[:2], -1, 2),
        tuple(along[..., first:last] for first, last in pairwise(ends)),
    )


TERMS: dict[str, Term] = {
    "distance": distance,
    "merit": figure_of_merit,
    "response": response,
    "spread": spread,
    "hits": hits,
    "depth": depth,
}
"""By the names of `FitnessSettings`."""

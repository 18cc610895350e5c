"""What became of the population, generation by generation."""

from __future__ import annotations

__all__ = ["diary", "front_of", "write_diary"]

import json
import math
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.search.topology.individual import Individual, values_of, violations
from caloforge.search.topology.nsga2 import hypervolume, ranks
from caloforge.writing import replace_text

if TYPE_CHECKING:
    from caloforge.search.topology.store import State


def front_of(state: State) -> list[Individual]:
    """Return the members of the Pareto front that live, the quickest first."""
    known = {one.number: one for one in state.individuals}
    living = [known[number] for number in state.population]
    if not living:
        return []
    tolerance = state.recipe["topology"]["tolerance"]
    rank = ranks(values_of(living), violations(living, tolerance))
    front = [one for one, number in zip(living, rank.tolist(), strict=True) if number == 0]
    return sorted(front, key=lambda one: (one.ms, one.weights))


def diary(state: State) -> list[dict[str, Any]]:
    """Return one entry for each generation, of those who lived at its end."""
    if not state.lived:
        return []
    known = {one.number: one for one in state.individuals}
    founders = [one for one in state.individuals if not one.generation and one.fitness is not None]
    worst = max((one.fitness or 0.0 for one in founders), default=1.0), max(one.ms for one in founders)
    entries = []
    for generation, (lived, seconds) in enumerate(zip(state.lived, state.worked, strict=True)):
        living = [one for one in map(known.__getitem__, lived) if one.fitness is not None]
        born = [one for one in state.individuals if one.generation == generation]
        entries.append(
            {
                "generation": generation,
                "seconds": seconds,
                "born": len(born),
                "faulty": sum(one.fitness is None for one in born),
                "best": min(one.fitness or 0.0 for one in living),
                "median": median(one.fitness or 0.0 for one in living),
                "ms": median(one.ms for one in living),
                "weights": median(one.weights for one in living),
                "hypervolume": _hypervolume(living, worst),
            }
        )
    return entries


def _hypervolume(living: Sequence[Individual], worst: tuple[float, float]) -> float:
    """Area that individuals dominate: shares of the worst founder's fitness, times decades of ms below it."""
    rows = [((one.fitness or 0.0) / worst[0], math.log10(one.ms / worst[1])) for one in living]
    return hypervolume(np.array(rows), np.array([1.0, 0.0]))


def write_diary(state: State, folder: Path) -> None:
    """Replace `metrics.jsonl`."""
    lines = (json.dumps(entry) for entry in diary(state))
    replace_text(folder / "metrics.jsonl", "".join(f"{line}\n" for line in lines))

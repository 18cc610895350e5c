"""Individuals judged by other processes: chromosomes go out, fitness comes back."""

from __future__ import annotations

__all__ = ["Elsewhere", "Reading", "Spread", "Terms", "selected"]

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from caloforge.cluster import Chunk
from caloforge.training.batches import TrainingData
from caloforge.training.hardware import Hardware

if TYPE_CHECKING:
    from collections.abc import Callable

    from caloforge.cluster import Cluster
    from caloforge.detector import Detector
    from caloforge.evolution.judge import Judge
    from caloforge.training.recipe import Recipe

Terms: TypeAlias = "dict[str, NDArray[np.float64]]"
Shown: TypeAlias = "tuple[Tensor, Tensor]"

_NOTHING: Shown = (torch.empty(0), torch.empty(0))


class Spread:
    """Hands individuals to the processes of a cluster, and waits for all of a generation.

    Args:
        cluster: Where.
        function: What judges them there.
    """

    def __init__(self, cluster: Cluster, function: Callable[..., Any]) -> None:
        self._todo: deque[Chunk] = deque()
        self._outcomes = cluster.run(function, self._chunks(), ahead=1)
        self._sent = 0

    def __call__(
        self, parts: Iterable[tuple[Any, ...]], told: Callable[[], None] = lambda: None
    ) -> list[Any]:
        """Judge parts of a generation, each the arguments of a call; what they give, in their order.

        Args:
            parts: Arguments.
            told: Called after each.

        Raises:
            CaloforgeError: A part could not be judged, whoever tried.
        """
        first = self._sent
        for arguments in parts:
            self._todo.append(Chunk(self._sent, arguments))
            self._sent += 1
        found: dict[int, Any] = {}
        while len(found) < self._sent - first:
            outcome = next(self._outcomes)
            if outcome.fault:
                raise outcome.fault.error
            found[outcome.chunk.number] = outcome.result
            told()
        return [found[number] for number in range(first, self._sent)]

    def close(self) -> None:
        """Let go of the cluster."""
        self._outcomes.close()

    def _chunks(self) -> Iterator[Chunk | None]:
        while True:
            yield self._todo.popleft() if self._todo else None


class Elsewhere:
    """What a worker does: it reads the showers itself, and remembers what it has read.

    Args:
        judge: Of the evolution.
        recipe: Its recipe.
        paths: Shower files, under these names on every machine.
        again: How many of those that select judge elites.
    """

    def __init__(self, judge: Judge, recipe: Recipe, paths: Sequence[Path], again: int) -> None:
        self._judge, self._recipe, self._again = judge, recipe, again
        self._paths = [path.absolute() for path in paths]
        self._reading: Reading | None = None

    def __call__(
        self, shared: Sequence[NDArray[Any]], chromosomes: Sequence[bytes], number: int, elite: bool
    ) -> tuple[Terms, float]:
        """Judge individuals of the generation of this number, by its batch; elites by what selects.

        Returns:
            Their terms, and the seconds of a processor that it took.
        """
        begin = time.process_time()
        if self._reading is None:
            generator = self._judge.generator
            self._reading = Reading(self._recipe, self._paths, generator.detector, generator.conditions)
            self._judge.to(self._reading.hardware.device)
            self._selected = self._reading.selected(self._again)
        showers = self._selected if elite and self._selected else self._reading.batch(number)
        terms = self._judge(shared, chromosomes, number, *showers, elite=elite)
        return terms, time.process_time() - begin


class Reading:
    """Real showers where there is no training loop: any batch by its number.

    Args:
        recipe: Says which showers train, and how they are shown.
        paths: Shower files.
        detector: Theirs.
        conditions: Incident columns that the generator knows.
    """

    def __init__(
        self, recipe: Recipe, paths: Sequence[Path], detector: Detector, conditions: Sequence[str]
    ) -> None:
        self.hardware, self._conditions = Hardware.choose(recipe.schedule), conditions
        self.data = TrainingData(paths, recipe, detector, conditions, self.hardware.device)
        self._next, self._shown = -1, _NOTHING
        self._batches: Iterator[Shown] = iter(())

    def batch(self, number: int) -> Shown:
        """Return the batch of a step; one after the other they cost nothing but their reading."""
        if number != self._next - 1:
            epoch, step = divmod(number, self.data.steps)
            if number != self._next or not step:
                self._batches = self.data.epoch(epoch, step)
            self._shown, self._next = next(self._batches), number + 1
        return self._shown

    def selected(self, most: int) -> Shown | None:
        """Return the first of the showers that select, see `selected`."""
        return selected(self.data, self._conditions, self.hardware.device, most)


def selected(data: TrainingData, conditions: Sequence[str], device: torch.device, most: int) -> Shown | None:
    """Return the first of the showers that select, and their particles, on the device; None if none do."""
    chosen = data.selection
    if chosen is None:
        return None
    arrays = chosen.cells[:most], chosen.incident.matrix(conditions)[:most]
    cells, incident = (torch.from_numpy(np.ascontiguousarray(x)).to(device) for x in arrays)
    return cells, incident

"""Chunks go to whatever works on them, and come back: what all clusters have in common."""

from __future__ import annotations

__all__ = ["Pool", "drive"]

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Protocol

from caloforge.cluster.base import MOST_DEATHS, Chunk, Outcome


class Pool(Protocol):
    """Workers that call one function."""

    @property
    def slots(self) -> int:
        """How many chunks are worked on at a time, now."""
        ...

    def submit(self, chunk: Chunk) -> None:
        """Have a chunk worked on."""
        ...

    def wait(self) -> Outcome | None:
        """Wait until a chunk has come back; None from time to time, as there may be more workers now.

        A fault `died` says how many workers died of it since it was submitted.
        """
        ...


def drive(pool: Pool, chunks: Iterable[Chunk | None], ahead: int) -> Iterator[Outcome]:
    """Keep workers busy; see `Cluster.run`."""
    todo = iter(chunks)
    deaths: Counter[int] = Counter()
    under_way, asking, ended = 0, True, False
    while True:
        while under_way < pool.slots + ahead and asking:  # slots are looked at in any case
            chunk, ended = _next(todo)
            if asking := chunk is not None:
                pool.submit(chunk)
                under_way += 1
        if not under_way:
            if ended:
                return
            raise RuntimeError("chunks were to come after others had finished, and none is under way")
        outcome = pool.wait()
        if outcome is None:
            continue
        if outcome.fault and outcome.fault.kind == "died":
            deaths[outcome.chunk.number] += outcome.fault.deaths
            if deaths[outcome.chunk.number] < MOST_DEATHS:
                pool.submit(outcome.chunk)
                continue
            outcome = replace(outcome, fault=replace(outcome.fault, deaths=deaths[outcome.chunk.number]))
        under_way -= 1
        yield outcome
        asking = not ended


def _next(todo: Iterator[Chunk | None]) -> tuple[Chunk | None, bool]:
    """Return what is to be done next, if anything, and whether that is all."""
    try:
        return next(todo), False
    except StopIteration:
        return None, True

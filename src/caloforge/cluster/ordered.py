"""Results in the order of their chunks, of which few wait for an earlier one at any time."""

from __future__ import annotations

__all__ = ["in_order"]

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from typing import Any

from caloforge.cluster.base import Chunk, Cluster, Outcome

_MOST_BYTES = 512_000_000  # of results that wait
_BEYOND = 2  # chunks more than two for each slot


def in_order(
    cluster: Cluster,
    function: Callable[..., Any],
    arguments: Iterable[tuple[Any, ...]],
    size: Callable[[Any], int],
) -> Generator[Outcome, None, None]:
    """Call a function on a cluster, and hand out what it returned in order; closed, it cancels what is left.

    Args:
        cluster: Where.
        function: See `Cluster.run`.
        arguments: What it is called with, each time.
        size: Returns the bytes of a result: memory does not grow while all wait for one that takes long.

    Yields:
        The outcomes in order, those with a fault too.
    """
    waiting: dict[int, Outcome] = {}
    first = held = 0

    def chunks() -> Iterator[Chunk | None]:
        for number, given in enumerate(arguments):
            while number >= first + 2 * cluster.slots + _BEYOND or held > _MOST_BYTES:
                yield None  # what `first` names is under way
            yield Chunk(number, given)

    with closing(cluster.run(function, chunks(), ahead=cluster.slots)) as outcomes:
        for outcome in outcomes:
            waiting[outcome.chunk.number] = outcome
            held += _bytes(outcome, size)
            while first in waiting:
                outcome = waiting.pop(first)
                held -= _bytes(outcome, size)
                first += 1
                yield outcome


def _bytes(outcome: Outcome, size: Callable[[Any], int]) -> int:
    return 0 if outcome.fault else size(outcome.result)

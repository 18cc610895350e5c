"""What a cluster is to us: chunks of work go out, and come back finished, in whatever order."""

from __future__ import annotations

__all__ = ["MOST_DEATHS", "Chunk", "Cluster", "Fault", "Outcome"]

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

MOST_DEATHS = 4
"""As many workers may die of a chunk before it is set aside."""


@dataclass(frozen=True)
class Chunk:
    """One piece of work.

    Args:
        number: Names it; what is random in it must follow from what it says, as it may be done twice.
        arguments: What the function is called with; they are pickled on their way.
    """

    number: int
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Fault:
    """Why a chunk has no result.

    Args:
        kind: `raised`: its function raised an error, which is not tried again. `died`: as many workers as are
            allowed died of it; it is set aside.
        error: What was raised, or a `WorkerError` that says how the last worker died.
        deaths: How many workers died of it.
    """

    kind: Literal["raised", "died"]
    error: Exception
    deaths: int = 0


@dataclass(frozen=True)
class Outcome:
    """A chunk that is finished: with the function's result, or with a fault.

    Args:
        chunk: Which.
        result: What its function returned.
        fault: Why there is no result.
    """

    chunk: Chunk
    result: Any = None
    fault: Fault | None = None


class Cluster(Protocol):
    """Processes, here or elsewhere, that call a function on chunks; closed at the end of a `with`."""

    @property
    def slots(self) -> int:
        """How many chunks are worked on at a time; on a cluster this may change while it runs."""
        ...

    @property
    def chunk_seconds(self) -> float:
        """How long a chunk should take, so that its way there and back costs nearly nothing."""
        ...

    def run(
        self, function: Callable[..., Any], chunks: Iterable[Chunk | None], ahead: int = 1
    ) -> Generator[Outcome, None, None]:
        """Call a function on chunks, and hand out each as soon as it is finished.

        A chunk is taken from `chunks` only when there is room, in the thread of whoever takes outcomes: what
        was learned from one outcome can decide the next chunk. A chunk whose worker dies is done again
        elsewhere; the fourth death sets it aside. Whoever stops early closes the generator, which cancels the
        rest.

        Args:
            function: It must be importable by its name, or be a picklable object; it stays with a worker, so
                what it remembers between calls is kept.
            chunks: The work. None says that there is nothing to do until something has finished.
            ahead: Chunks that wait for a free worker, so that none has to wait for us.

        Yields:
            Every chunk once, with result or fault, in the order in which they finish.

        Raises:
            ClusterError: The cluster is lost, has no workers any more, or workers of another version.
        """
        ...

    def close(self) -> None:
        """End what this process started, whatever it does."""
        ...

    def __enter__(self) -> Cluster: ...

    def __exit__(self, *_: object) -> None: ...

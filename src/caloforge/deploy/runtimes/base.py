"""What a runtime is: a loaded graph that maps noise and incident particles to cells."""

from __future__ import annotations

__all__ = ["Order", "Port", "Runtime"]

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Port:
    """An input or output of a graph.

    Attributes:
        name: As in the graph.
        float32: Whether its numbers are.
        shape: Without the batch; None where the graph leaves an axis open.
        batch: The only one that the graph takes, or None.
    """

    name: str
    float32: bool
    shape: tuple[int | None, ...]
    batch: int | None = None

    def __str__(self) -> str:
        kind = "float32" if self.float32 else "another type"
        axes = [self.batch or "batch", *("?" if n is None else n for n in self.shape)]
        return f"{self.name} {kind} ({', '.join(map(str, axes))})"


@dataclass(frozen=True)
class Order:
    """How a graph is to be loaded.

    Attributes:
        threads: All that it may use at a time, its streams together.
        streams: Calls that run at the same time.
        batches: Batch sizes that will be asked for again and again: a runtime that is faster with a fixed
            shape may prepare for them. Any other works, too.
        options: Of the session, by name; those of the manifest, which change results.
    """

    threads: int = 1
    streams: int = 1
    batches: tuple[int, ...] = (1,)
    options: Mapping[str, str] = field(default_factory=dict)


class Runtime(Protocol):
    """A loaded graph. Several threads may call it at the same time.

    Attributes:
        ports: Inputs and outputs, in the order of the graph.
    """

    ports: tuple[Port, ...]

    def run(self, noise: NDArray[np.float32], incident: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run the graph.

        Args:
            noise: Contiguous, shape `(n, ...)`; n may be 0.
            incident: Contiguous, shape `(n, columns)`.

        Returns:
            Energy of every cell in MeV, shape `(n, n_cells)`; the caller's own.
        """

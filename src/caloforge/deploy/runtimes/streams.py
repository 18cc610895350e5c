"""Several calls of one graph at the same time: each gets a part of the batch."""

from __future__ import annotations

__all__ = ["Streams"]

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from caloforge.deploy.runtimes.base import Runtime


class Streams:
    """A runtime that cuts batches into parts and runs them at the same time.

    Where one call cannot keep all threads or the whole device busy, several can. Runtimes leave Python while
    they work, so that threads of Python suffice.

    Args:
        runtime: It must have been loaded for as many streams.
        count: How many.
    """

    def __init__(self, runtime: Runtime, count: int) -> None:
        self.ports, self._runtime, self._count = runtime.ports, runtime, count
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="caloforge-stream")

    def run(self, noise: NDArray[np.float32], incident: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `Runtime`."""
        parts = min(self._count, len(noise))
        if parts < 2:
            return self._runtime.run(noise, incident)
        given = zip(np.array_split(noise, parts), np.array_split(incident, parts), strict=True)
        return np.concatenate(list(self._pool.map(lambda part: self._runtime.run(*part), given)))

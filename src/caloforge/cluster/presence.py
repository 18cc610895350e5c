"""Whether a cluster has workers: they join and leave while it runs, and sometimes none are left."""

from __future__ import annotations

__all__ = ["Presence"]

import logging
import time
from collections.abc import Callable

from caloforge.errors import ClusterError

_log = logging.getLogger(__name__)
_EVERY = 1.0  # seconds between two looks


class Presence:
    """How many workers there are, and a word when there are none.

    Args:
        where: The cluster's address.
        count: Asks the cluster how many chunks its workers do at a time.
        patience: Seconds without any worker after which to give up.
        clock: Gives the seconds.
    """

    def __init__(
        self,
        where: str,
        count: Callable[[], int],
        patience: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._where, self._count, self._patience, self._clock = where, count, patience, clock
        self._known, self._looked = 0, float("-inf")
        self._missed: float | None = None

    def slots(self) -> int:
        """Return how many chunks are worked on at a time, at least 1.

        A cluster that grows with its work must see some before it has workers.

        Raises:
            ClusterError: There has been no worker for too long.
        """
        now = self._clock()
        if now - self._looked >= _EVERY:
            self._known, self._looked = self._count(), now
            self._miss(now)
        return max(1, self._known)

    def _miss(self, now: float) -> None:
        if self._known:
            self._missed = None
        elif self._missed is None:
            self._missed = now
            _log.warning("no workers at %s yet: waiting up to %.0f s for them", self._where, self._patience)
        elif now - self._missed > self._patience:
            raise ClusterError(
                "the cluster has no workers",
                where=self._where,
                got=f"none for {self._patience:.0f} s",
                cure="start workers, see docs/cluster.md, or look why the batch system does not",
            )

"""From what a worker elsewhere replies to an outcome."""

from __future__ import annotations

__all__ = ["died", "outcome"]

from caloforge import __version__
from caloforge.calls import unpack
from caloforge.cluster.base import Chunk, Fault, Outcome
from caloforge.cluster.remote import DIED
from caloforge.errors import ClusterError, WorkerError


def outcome(chunk: Chunk, reply: bytes | tuple[str, str], where: str) -> Outcome:
    """Return what became of a chunk.

    Args:
        chunk: What was asked for.
        reply: From `remote.call`.
        where: The cluster's address.

    Raises:
        ClusterError: The worker has another caloforge.
    """
    if isinstance(reply, bytes):
        try:
            return Outcome(chunk, unpack(reply))
        except Exception as error:
            return Outcome(chunk, fault=Fault("raised", error))
    what, how = reply
    if what == DIED:
        return died(chunk, how)
    raise other_version(where, how)


def died(chunk: Chunk, how: str, deaths: int = 1) -> Outcome:
    """Return the outcome of a chunk whose workers died."""
    return Outcome(chunk, fault=Fault("died", WorkerError("a worker process has died", got=how), deaths))


def other_version(where: str, got: str) -> ClusterError:
    """Return why workers are refused."""
    return ClusterError(
        "the workers have another caloforge",
        where=where,
        got=got,
        expected=f"caloforge {__version__}, as here",
        cure="install the same version on the workers, and start them anew",
    )

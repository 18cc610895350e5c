"""Whether anybody is at an address: asked before a client that would try for long, or for ever."""

from __future__ import annotations

__all__ = ["check_port", "lost", "nobody"]

import socket

from caloforge.errors import ClusterError


def check_port(where: str, kind: str, start: str, seconds: float) -> None:
    """See that somebody listens.

    Args:
        where: The address, which ends in `HOST:PORT`.
        kind: What should be there, for messages.
        start: The command that starts it.
        seconds: How long the host may take to answer.

    Raises:
        ClusterError: The address has no port, or nobody listens there.
    """
    host, _, port = where.rpartition("/")[2].rpartition(":")
    if not host or not port.isdecimal():
        raise ClusterError(f"this address names no {kind}", got=where, expected="HOST:PORT at its end")
    try:
        socket.create_connection((host.strip("[]"), int(port)), seconds).close()
    except (OSError, OverflowError) as error:
        raise nobody(where, kind, start, error) from error


def nobody(where: str, kind: str, start: str, got: object) -> ClusterError:
    """Return the error that nobody answered."""
    return ClusterError(
        f"no {kind} answers",
        where=where,
        got=got,
        cure=f"start one with `{start}`, or correct the address",
    )


def lost(where: str, what: str, error: BaseException) -> ClusterError:
    """Return the error that somebody does not answer any more."""
    return ClusterError(
        f"the connection to the {what} is lost",
        where=where,
        got=f"{type(error).__name__}: {error}",
        cure="see whether it still runs; what was finished is kept",
    )

"""Which caloforge workers have, if any."""

from __future__ import annotations

__all__ = ["version_there"]

from collections.abc import Callable


def version_there() -> Callable[[], str]:
    """Return what says a worker's version.

    It is a function inside another one, so that Dask and Ray send all of it: perhaps there is no caloforge.
    """

    def version() -> str:
        import socket

        try:
            from caloforge import __version__ as found
        except ImportError:
            return f"no caloforge on {socket.gethostname()}"
        return f"caloforge {found}"

    return version

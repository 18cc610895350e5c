"""From an address to a cluster."""

from __future__ import annotations

__all__ = ["open_cluster"]

from caloforge.cluster.base import Cluster
from caloforge.cluster.dask import Dask
from caloforge.cluster.processes import Processes
from caloforge.cluster.ray import Ray
from caloforge.errors import ClusterError, nearest
from caloforge.quantities import MOST_WORKERS, check_whole

_DASK = "dask", "tcp", "tls"
_EXPECTED = (
    "processes, processes:4, dask://HOST:8786, a Dask scheduler file x.json, ray:auto or ray:HOST:6379"
)


def open_cluster(address: str | None = None, jobs: int = 1) -> Cluster:
    """Open what works on chunks; close it, or use it in a `with`.

    Args:
        address: None or `processes`: processes of this machine, also with their number, `processes:4`.
            `dask://HOST:PORT` (Dask's own `tcp://` and `tls://` do as well) or a scheduler file that ends in
            `.json`: Dask. `ray:auto`, `ray:HOST:PORT` or, by Ray's client server, `ray://HOST:PORT`: Ray.
        jobs: Number of processes where the address does not say it; a cluster has its own.

    Raises:
        ClusterError: No such kind of cluster, nothing there, or workers with another caloforge.
        MissingExtraError: Dask or Ray is not installed.

    Example:
        >>> with open_cluster("processes:2") as cluster:
        ...     cluster.slots
        2
    """
    if address is None:
        return Processes(jobs)
    kind, _, rest = address.partition(":")
    if kind == "processes":
        return Processes(_jobs(address, rest) if rest else jobs)
    if kind in _DASK or address.endswith(".json"):
        return Dask(address)
    if kind == "ray" and rest:
        return Ray(address)
    raise ClusterError(
        "no such kind of cluster",
        where="--cluster",
        got=address,
        expected=_EXPECTED,
        near=nearest(kind, ["processes", "dask", "ray"]),
    )


def _jobs(address: str, text: str) -> int:
    if not text.isdecimal():
        raise ClusterError("no number of processes", where="--cluster", got=address, expected="processes:4")
    jobs = int(text)
    check_whole(jobs, "--cluster processes", 1, MOST_WORKERS)
    return jobs

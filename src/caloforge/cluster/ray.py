"""Ray: chunks on the nodes of a cluster, as plain tasks of Ray."""

from __future__ import annotations

__all__ = ["Ray"]

import logging
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from caloforge import __version__
from caloforge.calls import pack, pack_function
from caloforge.cluster.base import Chunk, Outcome
from caloforge.cluster.drive import drive
from caloforge.cluster.presence import Presence
from caloforge.cluster.reaching import check_port, lost, nobody
from caloforge.cluster.remote import call, new_run
from caloforge.cluster.replies import died, other_version, outcome
from caloforge.cluster.there import version_there
from caloforge.errors import ClusterError, MissingExtraError

if TYPE_CHECKING:
    from typing_extensions import Self

_KIND, _START = "Ray cluster", "ray start --head"
_ANSWERS_WITHIN = 10.0  # seconds, of the head
_VERSIONS_WITHIN = 60.0  # seconds, as each node may have to start a worker first
_PATIENCE = 600.0  # seconds without a worker


class Ray:
    """The cores of a Ray cluster; each has a process of its own for our calls.

    Args:
        address: `ray:auto`, `ray:HOST:PORT` of its head, or `ray://HOST:PORT` of its client server.
        patience: Seconds to wait for nodes while there are none.

    Raises:
        ClusterError: There is no cluster, or its nodes have another caloforge.
        MissingExtraError: Ray is not installed.
    """

    chunk_seconds = 5.0

    def __init__(self, address: str, patience: float = _PATIENCE) -> None:
        try:
            import ray
        except ImportError:
            raise MissingExtraError("ray", "ray") from None
        self._where = address
        self._ours = not ray.is_initialized()
        head = _connect(address) if self._ours else str(ray.get_runtime_context().gcs_address)
        self._presence = Presence(address, partial(_cores, head), patience)
        try:
            _check_versions(address)
        except BaseException:
            self.close()
            raise

    @property
    def slots(self) -> int:
        """See `Cluster.slots`."""
        return self._presence.slots()

    def run(
        self, function: Callable[..., Any], chunks: Iterable[Chunk | None], ahead: int = 1
    ) -> Generator[Outcome, None, None]:
        """See `Cluster.run`."""
        pool = _Pool(self._presence, function, self._where)
        try:
            yield from drive(pool, chunks, ahead)
        finally:
            pool.close()

    def close(self) -> None:
        """See `Cluster.close`."""
        import ray

        if self._ours:
            ray.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Pool:
    """One run on a cluster."""

    def __init__(self, presence: Presence, function: Callable[..., Any], where: str) -> None:
        import ray

        self._presence, self._where = presence, where
        # Ray would try again by itself, and not count what others lost.
        self._call: Any = ray.remote(num_cpus=1, max_retries=0)(call)
        self._run, self._function = new_run(), pack_function(function)
        self._under_way: dict[Any, Chunk] = {}

    @property
    def slots(self) -> int:
        return self._presence.slots()

    def submit(self, chunk: Chunk) -> None:
        arguments = self._run, __version__, self._function, pack(chunk.arguments)
        self._under_way[self._call.remote(*arguments)] = chunk

    def wait(self) -> Outcome | None:
        import ray

        finished, _ = ray.wait(list(self._under_way), num_returns=1, timeout=1.0)
        if not finished:
            return None
        (reference,) = finished
        return self._outcome(self._under_way.pop(reference), reference)

    def _outcome(self, chunk: Chunk, reference: Any) -> Outcome:
        import ray
        from ray import exceptions

        try:
            reply = ray.get(reference)
        except exceptions.RayTaskError as error:
            raise _cannot_work(self._where, error) from error
        except (exceptions.RayError, ConnectionError) as error:
            return died(chunk, _first_line(error))
        return outcome(chunk, reply, self._where)

    def close(self) -> None:
        """Cancel what waits, and end the workers of what runs, whose processes end with them."""
        import ray

        with suppress(Exception):  # the cluster may have gone
            for reference in self._under_way:
                ray.cancel(reference, force=True)


def _connect(address: str) -> str:
    """Connect to a cluster, and return at which port its head can be asked whether it is still there."""
    import ray

    where = address if address.startswith("ray://") else address.removeprefix("ray:")
    if where != "auto":
        check_port(where, _KIND, _START, _ANSWERS_WITHIN)
    try:
        ray.init(address=where, log_to_driver=False, logging_level=logging.ERROR, configure_logging=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise nobody(address, _KIND, _START, _first_line(error)) from error
    return str(ray.get_runtime_context().gcs_address) if where == "auto" else where


def _cores(head: str) -> int:
    import ray

    try:
        # Ray itself would end this process a minute after its head has gone.
        check_port(head, _KIND, _START, _ANSWERS_WITHIN)
        return int(ray.cluster_resources().get("CPU", 0))
    except (ClusterError, ConnectionError) as error:
        raise lost(f"ray:{head}", "head of the cluster", error) from error


def _check_versions(where: str) -> None:
    """Nodes that join later are asked with their first chunk."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ask: Any = ray.remote(num_cpus=0, max_retries=0)(version_there())
    nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
    asked = [
        ask.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote()
        for node in nodes
    ]
    answered, _ = ray.wait(asked, num_returns=len(asked), timeout=_VERSIONS_WITHIN)
    found = set(ray.get(answered)) - {f"caloforge {__version__}"}
    if found:
        raise other_version(where, ", ".join(sorted(found)))


def _cannot_work(where: str, error: Exception) -> ClusterError:
    return ClusterError(
        "a worker cannot work on this",
        where=where,
        got=_first_line(error),
        cure=f"install caloforge {__version__} on the workers, and start them anew",
    )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__

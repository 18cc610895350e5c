"""What a shower needs, and what this machine could do at best: printed before anything is timed."""

from __future__ import annotations

__all__ = ["Card", "make_card"]

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import prod
from typing import Any

import numpy as np

from caloforge.deploy.engine import Engine
from caloforge.deploy.operations import Operations, count_operations

_SIDE = 768  # of the matrices whose product is timed
_SECONDS = 0.15  # how long each of the two is tried
_LEAST_BYTES = 1 << 16


@dataclass(frozen=True)
class Card:
    """What a generator needs, and what this machine could do at best.

    Attributes:
        name: Of the generator.
        runtime: What runs it.
        precision: Of the graph.
        threads: Of one call.
        operations: What the graph holds and does for one shower.
        call_bytes: Read at each call whatever the batch: the weights.
        shower_bytes: Read and written for each shower: noise, incident particle and cells.
        flops: Floating-point operations per second of a product of two float32 matrices here.
        bytes_per_s: Read speed of as many bytes as a call reads: those that fit into the cache are read from
            there.
    """

    name: str
    runtime: str
    precision: str
    threads: int
    operations: Operations
    call_bytes: int
    shower_bytes: int
    flops: float
    bytes_per_s: float

    def best_ms(self, batch: int) -> float:
        """Milliseconds per shower that this processor cannot beat: products or bytes, whichever is more."""
        products = 2e3 * self.operations.macs / self.flops
        bytes_read = self.call_bytes / batch + self.shower_bytes
        return max(products, 1e3 * bytes_read / self.bytes_per_s)

    def share_of_best(self, batch: int, ms: float) -> float | None:
        """What part of that speed was reached; None on a device, whose limits numpy cannot measure."""
        return None if self.runtime == "cuda" else self.best_ms(batch) / ms

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain values."""
        return asdict(self)

    def lines(self) -> list[str]:
        """The card as people read it."""
        ops = self.operations
        at_least = "at least " if ops.uncounted else ""
        return [
            f"{self.name}, {self.precision} in {self.runtime}, {self.threads} threads",
            f"weights {ops.weights:,} ({ops.weight_bytes / 1e6:.3g} MB), operators {ops.nodes}",
            f"multiplications per shower {at_least}{ops.macs / 1e6:,.3g} million, "
            f"bytes per call {self.call_bytes / 1e6:.3g} MB and per shower {self.shower_bytes / 1e3:.3g} kB",
            f"this machine at best: {self.flops / 1e9:.3g} GFLOP/s (float32), "
            f"reads {self.bytes_per_s / 1e9:.3g} GB/s of that size",
            f"so no faster than {self.best_ms(1):.3g} ms at batch 1, {self.best_ms(128):.3g} ms at batch 128",
        ]


def make_card(engine: Engine) -> Card:
    """Count in the graph and measure the machine; takes half a second.

    Args:
        engine: What is to be timed.
    """
    manifest = engine.bundle.manifest
    operations = count_operations(engine.bundle.graph(engine.precision))
    numbers = prod(engine.noise_shape) + len(engine.conditions) + prod(manifest.output.shape)
    return Card(
        name=engine.name,
        runtime=engine.runtime,
        precision=engine.precision,
        threads=engine.threads,
        operations=operations,
        call_bytes=operations.weight_bytes,
        shower_bytes=4 * numbers,
        flops=_flops(engine.threads),
        bytes_per_s=_bytes_per_s(operations.weight_bytes + 4 * numbers, engine.threads),
    )


def _flops(threads: int) -> float:
    rng = np.random.default_rng(1)
    first, second = rng.standard_normal((2, _SIDE, _SIDE), dtype=np.float32)
    out = np.empty_like(first)
    return 2 * _SIDE**3 / _shortest(lambda: np.matmul(first, second, out=out), threads)


def _bytes_per_s(size: int, threads: int) -> float:
    values = np.ones(max(size, _LEAST_BYTES) // 4, np.float32)
    return values.nbytes / _shortest(lambda: np.dot(values, values), threads)


def _shortest(call: Callable[[], Any], threads: int) -> float:
    """Seconds of the fastest call: what the machine can do when nobody disturbs it."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(threads):
        call()
        taken: list[float] = []
        while sum(taken) < _SECONDS:
            start = time.perf_counter()
            call()
            taken.append(time.perf_counter() - start)
    return min(taken)

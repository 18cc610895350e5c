"""One engine timed in a process of its own, so that the memory is that of this engine alone."""

from __future__ import annotations

__all__ = ["measure_alone"]

from pathlib import Path
from typing import Any

from caloforge import machine
from caloforge.deploy.bench.measure import bench_particles, bench_row
from caloforge.deploy.engine import Engine


def measure_alone(
    bundle: Path,
    runtime: str,
    precision: str,
    threads: int,
    batches: tuple[int, ...],
    seconds: float,
    reference: Path | None,
) -> list[dict[str, Any]]:
    """Return a row for each batch size, the smallest first, with the peak memory up to then.

    Called in a worker process, which does nothing else.
    """
    engine = Engine(bundle, threads, runtime, precision)
    incident, _ = bench_particles(engine, reference)
    told = {"runtime": runtime, "precision": precision, "threads": threads}
    return [
        told | bench_row(engine, incident, batch, seconds) | {"peak_memory_mb": machine.peak_memory_mb()}
        for batch in sorted(batches)
    ]

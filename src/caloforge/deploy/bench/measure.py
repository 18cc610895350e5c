"""What a shower costs: the bundle at several batch sizes, and Geant4 for the same incident energies."""

from __future__ import annotations

__all__ = ["PACKAGES", "bench", "bench_particles", "bench_row", "check_request"]

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from caloforge import machine
from caloforge.deploy.asking import sample_incident
from caloforge.deploy.bench.card import Card, make_card
from caloforge.deploy.bench.geant4_cost import check_geant4, geant4_cost
from caloforge.deploy.bench.result import Bench
from caloforge.deploy.bench.timing import time_calls
from caloforge.deploy.bundle import Bundle
from caloforge.deploy.bundle.validity import Span
from caloforge.deploy.engine import Engine
from caloforge.deploy.runtimes import AUTO
from caloforge.deploy.sampling import make_showers
from caloforge.progress import Progress
from caloforge.quantities import MOST_AT_ONCE, MOST_WORKERS, check_whole
from caloforge.showers import Incident, open_showers

PACKAGES = ("onnxruntime", "onnxruntime-gpu", "openvino", "numpy", "calzone")
"""Those whose versions a table tells."""

_SEED = 1


def bench(
    bundle: str | Path | Bundle,
    *,
    batches: Sequence[int] = (1, 10, 128, 1024),
    threads: int = 1,
    runtime: str = AUTO,
    precision: str = "fp32",
    streams: int = 1,
    geant4: bool = False,
    reference: str | Path | None = None,
    seconds: float = 2.0,
    show_card: Callable[[Card], None] | None = None,
    progress: Progress | None = None,
) -> Bench:
    """Measure a bundle's time per shower, noise and threshold included.

    Args:
        bundle: The bundle or its folder.
        batches: Showers per call.
        threads: Of the runtime; 1 compares one core with Geant4's one core.
        runtime: As for `Engine`.
        precision: As for `Engine`.
        streams: As for `Engine`.
        geant4: Shoot the same particles with Geant4 now; needs the extra `geant4` and its data.
        reference: A shower file: its incident particles are used, and unless `geant4` is given, the time
            that `caloforge simulate` recorded in it stands for Geant4's.
        seconds: How long each batch size is measured, at least.
        show_card: Given what is known before anything is timed.
        progress: Told after every batch size.

    Raises:
        BundleError: A damaged bundle, or Geant4 was asked for a particle that nothing names.
        RangeError: `reference` has particles outside the trained range.
        CaloforgeError: Batches or threads below 1, or no such runtime.
        Geant4Error, MissingExtraError: Geant4 or a runtime was asked for and cannot run here.
    """
    check_request(batches, threads)
    check_whole(streams, "--streams", 1, MOST_WORKERS)
    if geant4:
        check_geant4()
    start = time.perf_counter()
    engine = Engine(bundle, threads, runtime, precision, streams)
    load_s = time.perf_counter() - start
    incident, energies = bench_particles(engine, reference)
    card = make_card(engine)
    if show_card:
        show_card(card)
    rows = []
    for done, batch in enumerate(batches):
        row = bench_row(engine, incident, batch, seconds)
        rows.append(row | {"share_of_best": card.share_of_best(batch, row["ms_per_shower"])})
        if progress:
            progress(done + 1, len(batches) + geant4, f"batch {batch}")
    cost = geant4_cost(engine, incident, geant4, reference)
    if cost:
        rows = [row | {"speed_up": cost.ms_per_shower / row["cpu_ms_per_shower"]} for row in rows]
    versions = machine.versions(*PACKAGES)
    return Bench(rows, engine.name, energies, threads, machine.processor(), load_s, card, cost, versions)


def check_request(batches: Sequence[int], threads: int) -> None:
    """Raise a CaloforgeError unless these are numbers of showers and of threads."""
    for batch in batches or [0]:
        check_whole(batch, "--batch", 1, MOST_AT_ONCE)
    check_whole(threads, "--threads", 1, MOST_WORKERS)


def bench_particles(engine: Engine, reference: str | Path | None) -> tuple[Incident, str]:
    """The particles of the reference, or of the whole trained range, each equally often."""
    if reference is not None:
        with open_showers(reference) as file:
            incident = file.incident()
        engine.valid.admit(incident)
        span = Span(min=float(incident.energy.min()), max=float(incident.energy.max()), unit="MeV")
        return incident, f"those of {Path(reference).name} ({span})"
    kind = engine.valid.particles[:1]  # one: Geant4 is timed with it
    incident = sample_incident(engine.valid, np.random.default_rng(_SEED), 4096, kind)
    return incident, f"uniform, {engine.valid.energy}"


def bench_row(engine: Engine, incident: Incident, batch: int, seconds: float) -> dict[str, Any]:
    """Time calls of one batch size; `Bench.rows` says what is in the row."""
    rng = np.random.default_rng(_SEED)
    # A new set of particles for every call would measure numpy's indexing at batch 1.
    asked = incident[np.arange(batch) % len(incident)]
    timed = time_calls(lambda: make_showers(engine, asked, rng), seconds)
    showers = len(timed.wall) * batch
    low, median, high = (1e3 * np.quantile(timed.wall, (0.1, 0.5, 0.9)) / batch).tolist()
    return {
        "batch": batch,
        "calls": len(timed.wall),
        "ms_per_shower": median,
        "low": low,
        "high": high,
        "mean_ms_per_shower": 1e3 * float(timed.wall.sum()) / showers,
        "cpu_ms_per_shower": 1e3 * timed.cpu / showers,
        "showers_per_s": 1e3 / median,
        "joules_per_shower": None if timed.joules is None else timed.joules / showers,
    }

"""What this machine needs for a bundle's showers in each runtime: measured in seconds, and chosen from."""

from __future__ import annotations

__all__ = ["Calibration", "Timing", "choose", "measure", "versions"]

import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from math import sqrt

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from caloforge import machine
from caloforge.deploy.asking import spread_incident
from caloforge.deploy.bundle import Bundle
from caloforge.deploy.runtimes.base import Order, Runtime
from caloforge.deploy.runtimes.loading import load_runtime, runtimes_for
from caloforge.errors import CaloforgeError
from caloforge.models.blocks.noise import draw_noise
from caloforge.progress import Progress
from caloforge.quantities import MOST_WORKERS

_BATCHES = (1, 4, 16, 64, 256)
_SECONDS, _FEWEST, _LONGEST = 0.03, 2, 0.1  # of each batch; calls; of one call
_AS_FAST = 1.03  # a smaller batch is taken if it is no slower than this
_SEED = 1


class Timing(BaseModel):
    """What one choice costs.

    Attributes:
        runtime: Its name.
        precision: Of the graph.
        threads: Of one call.
        batch: Showers of one call.
        ms_per_shower: Wall time of the runtime, the shortest of some calls.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    runtime: str
    precision: str
    threads: int = Field(ge=1, le=MOST_WORKERS)
    batch: int = Field(ge=1)
    ms_per_shower: float = Field(gt=0)


class Calibration(BaseModel):
    """All that was measured for a bundle on a machine.

    Attributes:
        bundle: Name of the generator.
        digest: The manifest's.
        processor: Of the machine, with its usable cores.
        versions: Of what ran.
        created: When.
        timings: One for each choice.
        failed: Runtimes that could not run a graph, with their words.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    bundle: str
    digest: str
    processor: str
    versions: dict[str, str]
    created: str
    timings: tuple[Timing, ...]
    failed: dict[str, str]


def measure(
    bundle: Bundle, threads: Sequence[int] | None = None, progress: Progress | None = None
) -> Calibration:
    """Measure every runtime that is installed with every graph of a bundle; it takes some seconds.

    Args:
        bundle: The bundle.
        threads: Numbers of threads to measure; by default one, and all usable cores.
        progress: Told after every choice.

    Raises:
        CaloforgeError: None of them can run here.
    """
    asked = sorted(set(threads or (1, machine.usable_cores())))
    choices = [(p, r, t) for p in bundle.manifest.graphs for r in runtimes_for(bundle, p) for t in asked]
    timings: list[Timing] = []
    failed: dict[str, str] = {}
    for done, (precision, name, count) in enumerate(choices):
        try:
            runtime = load_runtime(bundle, name, precision, Order(count))
            timings += [
                Timing(runtime=name, precision=precision, threads=count, batch=batch, ms_per_shower=ms)
                for batch, ms in _measure(bundle, runtime)
            ]
        except CaloforgeError as error:  # one that is installed and cannot run here, as CUDA without a device
            failed[f"{name} {precision}"] = error.problem
            if done + 1 == len(choices) and not timings:
                raise
        if progress:
            progress(done + 1, len(choices), f"{name} {precision}")
    return Calibration(
        bundle=bundle.manifest.name,
        digest=bundle.manifest.sha256,
        processor=machine.processor(),
        versions=versions(),
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        timings=tuple(timings),
        failed=failed,
    )


def versions() -> dict[str, str]:
    """Return those of which a measurement depends."""
    return machine.versions("onnxruntime", "onnxruntime-gpu", "openvino")


def choose(
    timings: Sequence[Timing], precisions: Sequence[str], threads: int | None, runtime: str | None
) -> Timing | None:
    """Pick what is fast at a single shower and in large batches: the least product of the two times.

    Args:
        timings: What was measured.
        precisions: Those that may be taken.
        threads: How many are given, or None: what is fastest.
        runtime: Which one is wanted, or None.

    Returns:
        The choice at its best batch, the smaller one of two that are as fast; None if nothing fits.
    """
    groups: dict[tuple[str, str, int], list[Timing]] = {}
    for timing in timings:
        fits = timing.precision in precisions and threads in (None, timing.threads)
        if fits and runtime in (None, timing.runtime):
            groups.setdefault((timing.runtime, timing.precision, timing.threads), []).append(timing)
    return _best(min(groups.values(), key=_score)) if groups else None


def _score(group: list[Timing]) -> float:
    single = min(group, key=lambda timing: timing.batch)
    return sqrt(single.ms_per_shower * min(timing.ms_per_shower for timing in group))


def _best(group: list[Timing]) -> Timing:
    enough = _AS_FAST * min(timing.ms_per_shower for timing in group)
    fast = (timing for timing in group if timing.ms_per_shower <= enough)
    return min(fast, key=lambda timing: timing.batch)


def _measure(bundle: Bundle, runtime: Runtime) -> Iterator[tuple[int, float]]:
    """Batch and milliseconds per shower, up to the batch whose call would take too long."""
    rng = np.random.default_rng(_SEED)
    manifest = bundle.manifest
    columns = manifest.inputs[1].columns or ()
    last, before = 0.0, 1
    for batch in _BATCHES:
        if last * batch / before > _LONGEST:
            return
        incident = spread_incident(manifest.valid, columns, rng, batch)
        noise = draw_noise(rng, batch, manifest.inputs[0].shape)
        last, before = _shortest(runtime, noise, incident), batch
        yield batch, 1e3 * last / batch


def _shortest(runtime: Runtime, noise: np.ndarray, incident: np.ndarray) -> float:
    """Seconds of a call: the shortest is the one that nothing else disturbed."""
    runtime.run(noise, incident)
    taken: list[float] = []
    while len(taken) < _FEWEST or sum(taken) < _SECONDS:
        start = time.perf_counter()
        runtime.run(noise, incident)
        taken.append(time.perf_counter() - start)
    return min(taken)

"""What a shower costs: the bundle at several batch sizes, and Geant4 for the same incident energies."""

from __future__ import annotations

__all__ = ["Bench", "Geant4Cost", "bench"]

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caloforge import machine
from caloforge.deploy.bundle import Bundle
from caloforge.deploy.bundle.validity import Span
from caloforge.deploy.engine import Engine
from caloforge.deploy.sampling import make_showers
from caloforge.errors import BundleError, ShowersError
from caloforge.progress import Progress
from caloforge.quantities import MOST_AT_ONCE, MOST_WORKERS, Interval, Spectrum, check_whole
from caloforge.showers import Incident, open_showers

_WARM_UP, _WARM_UP_CALLS = 0.15, 3  # the first is a share of the time that counts
_MOST_SECONDS, _FEWEST_CALLS = 20.0, 10
_GEANT4_SHOWERS = 40
_SEED = 1


@dataclass(frozen=True)
class Geant4Cost:
    """Geant4's time per shower.

    Attributes:
        ms_per_shower: CPU milliseconds on one core, averaged over the showers.
        low: 10 % of showers take less than this; None where only the average was recorded.
        high: 10 % of showers take more than this; None likewise.
        how: "measured now" or "recorded in FILE".
        machine: The processor that it was measured on, if known.
    """

    ms_per_shower: float
    low: float | None
    high: float | None
    how: str
    machine: str | None


@dataclass(frozen=True)
class Bench:
    """A bundle's speed table.

    Attributes:
        rows: One dict per batch size: `batch, calls, ms_per_shower` (wall time, median over the calls),
            `low, high` (quantiles 10 and 90 % of the same), `cpu_ms_per_shower` (mean, all threads
            together), `showers_per_s`, and, where Geant4's cost is known, `speed_up`: its CPU time per
            shower over this one's, whatever the number of threads.
        name: Of the generator.
        energies: What the incident energies were, in words.
        threads: Of ONNX Runtime.
        machine: Processor and usable cores.
        load_s: Time to open the bundle (checksums included) and to load its graph.
        geant4: Its cost for the same energies, or None.
        versions: Of everything that matters.
    """

    rows: list[dict[str, Any]]
    name: str
    energies: str
    threads: int
    machine: str
    load_s: float
    geant4: Geant4Cost | None
    versions: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain values, for JSON."""
        return asdict(self)

    def table(self) -> list[dict[str, str]]:
        """The rows as people read them, Geant4's last; the keys are the headings."""
        rows = [
            _readable("caloforge", row, self.threads, f"{row['speed_up']:,.0f}" if "speed_up" in row else "")
            for row in self.rows
        ]
        return [*rows, _geant4_row(self.geant4)] if self.geant4 else rows


def _readable(who: str, row: dict[str, Any], threads: int, speed_up: str) -> dict[str, str]:
    spread = "" if row["low"] is None else f"{_three_digits(row['low'])} - {_three_digits(row['high'])}"
    return {
        "what": who,
        "batch": str(row["batch"]),
        "threads": str(threads),
        "ms per shower": _three_digits(row["ms_per_shower"]),
        "10-90 %": spread,
        "CPU ms": _three_digits(row["cpu_ms_per_shower"]),
        "showers/s": _three_digits(row["showers_per_s"]),
        "times Geant4": speed_up,
    }


def _geant4_row(cost: Geant4Cost) -> dict[str, str]:
    ms = cost.ms_per_shower
    row = {"batch": 1, "ms_per_shower": ms, "low": cost.low, "high": cost.high}
    return _readable("Geant4", row | {"cpu_ms_per_shower": ms, "showers_per_s": 1e3 / ms}, 1, "1")


def _three_digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def bench(
    bundle: str | Path | Bundle,
    *,
    batches: Sequence[int] = (1, 10, 128, 1024),
    threads: int = 1,
    geant4: bool = False,
    reference: str | Path | None = None,
    seconds: float = 2.0,
    progress: Progress | None = None,
) -> Bench:
    """Measure a bundle's time per shower, noise and threshold included.

    Args:
        bundle: The bundle or its folder.
        batches: Showers per call.
        threads: Of ONNX Runtime; 1 compares one core with Geant4's one core.
        geant4: Shoot the same particles with Geant4 now; needs the extra `geant4` and its data.
        reference: A shower file: its incident particles are used, and unless `geant4` is given, the time
            that `caloforge simulate` recorded in it stands for Geant4's.
        seconds: How long each batch size is measured, at least.
        progress: Told after every batch size.

    Raises:
        BundleError: A damaged bundle, or Geant4 was asked for a particle that nothing names.
        RangeError: `reference` has particles outside the trained range.
        CaloforgeError: Batches or threads below 1.
        Geant4Error, MissingExtraError: Geant4 was asked for and cannot run here.
    """
    for batch in batches or [0]:
        check_whole(batch, "--batch", 1, MOST_AT_ONCE)
    check_whole(threads, "--threads", 1, MOST_WORKERS)
    if geant4:
        _check_geant4()
    start = time.perf_counter()
    engine = Engine(bundle if isinstance(bundle, Bundle) else Bundle.open(bundle), threads)
    load_s = time.perf_counter() - start
    incident, energies = _particles(engine, reference)
    rows = []
    for done, batch in enumerate(batches):
        rows.append(_row(engine, incident, batch, seconds))
        if progress:
            progress(done + 1, len(batches) + geant4, f"batch {batch}")
    cost = _geant4_cost(engine, incident, geant4, reference)
    if cost:
        rows = [row | {"speed_up": cost.ms_per_shower / row["cpu_ms_per_shower"]} for row in rows]
    versions = machine.versions("onnxruntime", "numpy", "calzone")
    return Bench(rows, engine.name, energies, threads, machine.processor(), load_s, cost, versions)


def _check_geant4() -> None:
    """Say at once, not after a minute of timing, if Geant4 cannot run."""
    from caloforge.truth import available

    available()


def _particles(engine: Engine, reference: str | Path | None) -> tuple[Incident, str]:
    """The particles of the reference, or of the whole trained range, each equally often."""
    if reference is not None:
        with open_showers(reference) as file:
            incident = file.incident()
        engine.valid.admit(incident)
        span = Span(min=float(incident.energy.min()), max=float(incident.energy.max()), unit="MeV")
        return incident, f"those of {Path(reference).name} ({span})"
    rng = np.random.default_rng(_SEED)
    columns = {name: span.sample(rng, 4096) for name, span in engine.valid.spans()}
    return Incident.of(pdg=engine.valid.particles[0], **columns), f"uniform, {engine.valid.energy}"


def _row(engine: Engine, incident: Incident, batch: int, seconds: float) -> dict[str, Any]:
    rng = np.random.default_rng(_SEED)
    # A new set of particles for every call would measure numpy's indexing at batch 1.
    asked = incident[np.arange(batch) % len(incident)]
    wall, cpu = _timed(lambda: make_showers(engine, asked, rng), seconds)
    low, median, high = (1e3 * np.quantile(wall, (0.1, 0.5, 0.9)) / batch).tolist()
    return {
        "batch": batch,
        "calls": len(wall),
        "ms_per_shower": median,
        "low": low,
        "high": high,
        "cpu_ms_per_shower": 1e3 * cpu / len(wall) / batch,
        "showers_per_s": 1e3 / median,
    }


def _timed(call: Callable[[], Any], seconds: float) -> tuple[NDArray[np.float64], float]:
    """Wall seconds of each call and CPU seconds of all, after calls that do not count."""
    _repeat(call, _WARM_UP * seconds, _WARM_UP_CALLS)
    collecting = gc.isenabled()
    gc.disable()
    try:
        cpu = time.process_time()
        wall = _repeat(call, seconds, _FEWEST_CALLS)
        return wall, time.process_time() - cpu
    finally:
        if collecting:
            gc.enable()


def _repeat(call: Callable[[], Any], at_least: float, calls: int) -> NDArray[np.float64]:
    taken: list[float] = []
    while sum(taken) < at_least or (len(taken) < calls and sum(taken) < _MOST_SECONDS):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return np.array(taken)


def _geant4_cost(
    engine: Engine, incident: Incident, measure: bool, reference: str | Path | None
) -> Geant4Cost | None:
    if measure:
        return _measured(engine, incident)
    return _recorded(Path(reference)) if reference is not None else None


def _measured(engine: Engine, incident: Incident) -> Geant4Cost:
    from caloforge.truth import time_geant4

    if not incident.pdg[0]:
        raise BundleError(
            "Geant4 cannot shoot these particles: the training showers do not say what they are",
            where="--geant4",
            cure="give a --reference that names them, or convert the training showers with `--particle`",
        )
    spectrum = Spectrum("listed", tuple(incident.energy.astype(float).tolist()), "the energies of the bench")
    theta = Interval(float(incident.theta.min()), float(incident.theta.max()))
    taken = time_geant4(
        engine.detector, str(incident.pdg[0]), spectrum, count=_GEANT4_SHOWERS, seed=_SEED, theta=theta
    )
    # The cost grows with the energy, and few showers are drawn: their mean energy is not that of all.
    mean = taken.per_gev * float(incident.energy.mean(dtype=np.float64)) / 1e3
    low, high = np.quantile(taken.milliseconds, (0.1, 0.9)).tolist()
    how = f"measured now with {_GEANT4_SHOWERS} showers of the same energies"
    return Geant4Cost(mean, low, high, how, machine.processor())


def _recorded(reference: Path) -> Geant4Cost | None:
    with open_showers(reference) as file:
        provenance = file.provenance
    ms = provenance.get("ms_per_shower")
    if ms is None or "physics" not in provenance:
        return None
    if not (isinstance(ms, int | float) and 0 < ms < float("inf")):
        raise ShowersError("the recorded time per shower is not a time", where=reference, got=ms)
    return Geant4Cost(float(ms), None, None, f"recorded in {reference.name}", provenance.get("processor"))

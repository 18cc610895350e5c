"""Simulating events: particles that a bundle knows are generated, all others are followed by Geant4."""

from __future__ import annotations

__all__ = ["fastsim"]

import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

from caloforge.deploy import open_sampler
from caloforge.detector import Detector, load_detector
from caloforge.errors import CaloforgeError
from caloforge.machine import processor
from caloforge.progress import Progress
from caloforge.quantities import (
    MOST_SEED,
    MOST_SHOWERS,
    MOST_WORKERS,
    Interval,
    Spectrum,
    angle,
    check_whole,
    length,
)
from caloforge.showers import Showers
from caloforge.simulation.fastsim.catching import Tolerance
from caloforge.simulation.fastsim.comparison import Comparison
from caloforge.simulation.fastsim.display import Pair, check_picture, draw
from caloforge.simulation.fastsim.fitting import event_detector, without_threshold
from caloforge.simulation.fastsim.primaries import Portion, gun_events
from caloforge.simulation.fastsim.result import Costs, Result
from caloforge.simulation.fastsim.simulation import Outcome, Simulation
from caloforge.simulation.fastsim.store import Primaries, RowWriter
from caloforge.simulation.output import HDF5, check_output
from caloforge.truth.environment import available, versions
from caloforge.truth.gun import Gun
from caloforge.truth.physics import Physics
from caloforge.truth.stages import Geant4, Setup
from caloforge.truth.upstream import slabs_before

_NONE = Interval(0.0, 0.0)


def fastsim(
    detector: Detector | str | Path,
    bundles: Sequence[str | Path],
    *,
    particle: str | int,
    energy: Spectrum | str,
    count: int,
    out: str | Path,
    particles_per_event: int = 1,
    before: Sequence[str] = (),
    seed: int = 1,
    theta: Interval | str = _NONE,
    phi: Interval | str = _NONE,
    x: Interval | str = _NONE,
    y: Interval | str = _NONE,
    angle_tolerance: str = "0.5deg",
    position_tolerance: str = "0.5mm",
    physics: str = "standard",
    cut: str = "0.7mm",
    jobs: int = 1,
    compare: bool = False,
    display: str | Path | None = None,
    command: str | None = None,
    progress: Progress | None = None,
) -> Result:
    """Simulate events in which bundles take over the particles that they were trained for.

    Particles that enter the detector are caught at its front face. Those that a bundle knows are killed there
    and generated, many events in one batch; all others are followed by Geant4. Each hit and each primary says
    which it was. Particle `k` of event `i` is shower `i * particles_per_event + k` of `simulate`.

    Args:
        detector: What is hit: planar, with a material stack and cartesian cells. A name or a file will do.
        bundles: Bundles, runs or names of runs that ship; of several that know a particle the first takes it.
            Without any all is full simulation.
        particle: Name or PDG id.
        energy: Spectrum of kinetic energies: "25GeV", "20:50GeV", ...
        count: Number of events.
        out: The file to make; with `compare`, `OUT` with `-full` in its name holds the full simulation.
        particles_per_event: How many there are in each event.
        before: Slabs before the detector, "G4_Al 1X0", the one that is met first first.
        seed: Seed of everything random.
        theta: Angle to the z axis, "10deg" or "0:30deg".
        phi: Azimuth of the direction.
        x: Where particles would enter the front face if nothing stood before it.
        y: The same in y.
        angle_tolerance: How far the direction may be from one of the training at 10 GeV or more; below,
            1 / sqrt(energy) times as far.
        position_tolerance: The same for the impact point, after a move by whole cells.
        physics: As in `simulate`.
        cut: Production cut.
        jobs: Processes with Geant4; they change nothing but the time.
        compare: Simulate the same events fully, too, and compare.
        display: Draw the first event here, full and fast side by side: .png, .svg or .pdf.
        command: The command line, for the file's provenance.
        progress: Called after every portion of events, and while Geant4 works on one.

    Returns:
        What it cost, what was caught and, with `compare`, how it compares.

    Raises:
        BundleError, RunError: A damaged bundle or run.
        DetectorError, QuantityError: No such detector or material, or not that of a bundle; a quantity
            without its unit.
        Geant4Error: Geant4 cannot run here, failed, or was asked for what it cannot do.
        OutputError: The file exists, another process writes it, or the disk is full.

    Example:
        >>> fastsim("calogan", ["calogan.bundle"], particle="e+", energy="20:50GeV", count=1000,
        ...         out="events.h5", compare=True).comparison.verdict
    """
    check_whole(seed, "--seed", 0, MOST_SEED)
    check_whole(count, "--count", 1, MOST_SHOWERS)
    check_whole(particles_per_event, "--particles-per-event", 1, MOST_SHOWERS // count)
    check_whole(jobs, "--jobs", 1, MOST_WORKERS)
    target = event_detector(detector if isinstance(detector, Detector) else load_detector(detector))
    slabs = slabs_before(before, target)
    gun = Gun.of(particle, energy, theta, phi, x, y)
    gun.check(target)
    models = Physics.parse(physics, length(cut, "--cut"))
    models.check(gun.pdg)
    tolerance = _tolerance(angle_tolerance, position_tolerance)
    files = _Files.of(Path(out), compare, display)
    available()
    samplers = [open_sampler(bundle, threads=1) for bundle in bundles]
    provenance = {
        "command": command or "caloforge.fastsim",
        **gun.as_dict(),
        "count": count,
        "particles_per_event": particles_per_event,
        "seed": seed,
        "before": [f"{slab.material} {slab.thickness:g} mm" for slab in slabs],
        **models.as_dict(),
        **tolerance.as_dict(),
        **_made(),
    }
    setup = Setup(without_threshold(target).to_yaml(), slabs, models, seed)
    events = gun_events(gun, seed, count, particles_per_event, target.n_cells)
    watch = _Watch(progress, count)
    with Geant4(setup, jobs, watch.geant4) as geant4:
        simulation = Simulation(target, samplers, tolerance, geant4, seed, bool(slabs))
        work = _Work(simulation, files, provenance)
        work.run(events, watch)
    if files.display and work.pair:
        draw(work.pair, target, slabs, files.display)
    return Result(files.out, files.full, files.display, work.costs, work.comparison)


def _made() -> dict[str, Any]:
    """By what and when, for the provenance."""
    created = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return {"versions": versions(), "processor": processor(), "created": created}


def _tolerance(angular: str, spatial: str) -> Tolerance:
    found = Tolerance(angle(angular, "--angle-tolerance"), length(spatial, "--position-tolerance"))
    if min(found.angle, found.position) < 0:
        raise CaloforgeError(
            "a tolerance cannot be negative",
            where="--angle-tolerance, --position-tolerance",
            got=f"{angular}, {spatial}",
        )
    return found


class _Files(NamedTuple):
    """What is to be written: events, those of the full simulation, a picture."""

    out: Path
    full: Path | None
    display: Path | None

    @classmethod
    def of(cls, out: Path, compare: bool, display: str | Path | None) -> _Files:
        check_output(out, HDF5)
        if display:
            check_picture(Path(display))
        full = out.with_name(f"{out.stem}-full{out.suffix}") if compare else None
        return cls(out, full, Path(display) if display else None)


class _Watch:
    """Tells how far the work is, also while Geant4 works on a portion of events."""

    def __init__(self, progress: Progress | None, count: int) -> None:
        self._progress, self._count, self._done = progress, count, 0
        self._begin = time.monotonic()
        self._tell("starting Geant4")

    def events(self, n: int) -> None:
        """Some events are done."""
        self._done += n
        self._tell(self._rate)

    def geant4(self, done: int, calls: int) -> None:
        """Geant4 has answered some of the calls that the present portion needs."""
        self._tell(f"{self._rate}, Geant4 has done {100 * done // calls} % of the next ones")

    @property
    def _rate(self) -> str:
        return f"{self._done / (time.monotonic() - self._begin):.3g} events/s"

    def _tell(self, note: str) -> None:
        if self._progress:
            self._progress(self._done, self._count, note)


class _Work:
    """Goes through portions of events, writes them, and adds up what is reported."""

    def __init__(self, simulation: Simulation, files: _Files, provenance: dict[str, Any]) -> None:
        self.simulation, self.files, self.provenance = simulation, files, provenance
        self.costs = Costs()
        self.comparison = Comparison(simulation.detector) if files.full else None
        self.pair: Pair | None = None

    def run(self, portions: Iterable[Portion], watch: _Watch) -> None:
        origins = [source.sampler.origin for source in self.simulation.sources]
        with ExitStack() as stack:
            fast = stack.enter_context(self._writer(self.files.out, origins))
            full = stack.enter_context(self._writer(self.files.full, [])) if self.files.full else None
            for portion in portions:
                self._do(portion, fast, full)
                watch.events(portion.n_events)
            fast.provenance.update(self.costs.as_dict())

    def _do(self, portion: Portion, fast: RowWriter, full: RowWriter | None) -> None:
        """Simulate a portion in turns, so that a busy machine slows both alike."""
        outcome = self.simulation.fast(portion)
        self.costs.add(portion, outcome)
        made = self._write(fast, portion, outcome)
        if full is not None and self.comparison is not None:
            other = self.simulation.full(portion)
            self.comparison.add(made, self._write(full, portion, other), other.total)
            self._show(portion, outcome, other)
        elif self.files.display and self.pair is None:
            self._show(portion, outcome, self.simulation.full(portion.head()))

    def _show(self, portion: Portion, fast: Outcome, full: Outcome) -> None:
        if self.files.display and self.pair is None:
            self.pair = Pair.of(portion, full, fast, self.simulation.detector.readout.threshold)

    def _writer(self, path: Path, bundles: list[dict[str, Any]]) -> RowWriter:
        return RowWriter(path, self.simulation.detector, self.provenance | {"bundles": bundles})

    def _write(self, writer: RowWriter, portion: Portion, outcome: Outcome) -> Showers:
        showers = self._showers(portion, outcome)
        primaries = Primaries(
            portion.incident, portion.offset, outcome.primary_origin, outcome.primary_generated
        )
        writer.append(showers, outcome.origin(), primaries)
        return showers

    def _showers(self, portion: Portion, outcome: Outcome) -> Showers:
        detector = self.simulation.detector
        return Showers(detector, portion.of_events(), outcome.cells(detector.readout.threshold))

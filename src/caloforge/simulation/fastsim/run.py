"""Simulating events: particles that a bundle knows are generated, all others are followed by Geant4."""

from __future__ import annotations

__all__ = ["fastsim"]

import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from caloforge.deploy import open_sampler
from caloforge.detector import Detector, load_detector
from caloforge.errors import CaloforgeError
from caloforge.machine import processor
from caloforge.progress import Progress
from caloforge.quantities import MOST_SEED, MOST_SHOWERS, Interval, Spectrum, angle, check_whole, length
from caloforge.showers import Showers
from caloforge.simulation.fastsim.catching import Tolerance
from caloforge.simulation.fastsim.comparison import Comparison
from caloforge.simulation.fastsim.display import Pair, check_format, draw
from caloforge.simulation.fastsim.fitting import event_detector, without_threshold
from caloforge.simulation.fastsim.primaries import Portion, gun_events
from caloforge.simulation.fastsim.result import Costs, Result
from caloforge.simulation.fastsim.simulation import Outcome, Simulation
from caloforge.simulation.fastsim.store import Primaries, RowWriter
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
        compare: Simulate the same events fully, too, and compare.
        display: Draw the first event here, full and fast side by side: .png, .svg or .pdf.
        command: The command line, for the file's provenance.
        progress: Called after every portion of events.

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
    target = event_detector(detector if isinstance(detector, Detector) else load_detector(detector))
    slabs = slabs_before(before, target)
    gun = Gun.of(particle, energy, theta, phi, x, y)
    gun.check(target)
    models = Physics.parse(physics, length(cut, "--cut"))
    models.check(gun.pdg)
    tolerance = _tolerance(angle_tolerance, position_tolerance)
    if display:
        check_format(Path(display))
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
        "versions": versions(),
        "processor": processor(),
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
    setup = Setup(without_threshold(target).to_yaml(), slabs, models, seed)
    events = gun_events(gun, seed, count, particles_per_event, target.n_cells)
    with Geant4(setup) as geant4:
        simulation = Simulation(target, samplers, tolerance, geant4, seed, bool(slabs))
        work = _Work(simulation, Path(out), provenance, compare, Path(display) if display else None)
        result = work.run(events, count, progress)
    if result.display and work.pair:
        draw(work.pair, target, slabs, result.display)
    return result


def _tolerance(angular: str, spatial: str) -> Tolerance:
    found = Tolerance(angle(angular, "--angle-tolerance"), length(spatial, "--position-tolerance"))
    if min(found.angle, found.position) < 0:
        raise CaloforgeError(
            "a tolerance cannot be negative",
            where="--angle-tolerance, --position-tolerance",
            got=f"{angular}, {spatial}",
        )
    return found


class _Work:
    """Goes through portions of events, writes them, and adds up what is reported."""

    def __init__(
        self,
        simulation: Simulation,
        out: Path,
        provenance: dict[str, Any],
        compare: bool,
        display: Path | None,
    ) -> None:
        self.simulation, self.out, self.provenance = simulation, out, provenance
        self.full_out = out.with_name(f"{out.stem}-full{out.suffix}") if compare else None
        self.display = display
        self.costs = Costs()
        self.comparison = Comparison(simulation.detector) if compare else None
        self.pair: Pair | None = None

    def run(self, portions: Iterable[Portion], count: int, progress: Progress | None) -> Result:
        begin, done = time.monotonic(), 0
        origins = [source.sampler.origin for source in self.simulation.sources]
        with ExitStack() as stack:
            fast = stack.enter_context(self._writer(self.out, {"bundles": origins}))
            full = (
                stack.enter_context(self._writer(self.full_out, {"bundles": []})) if self.full_out else None
            )
            if progress:
                progress(0, count, "starting Geant4")
            for portion in portions:
                self._do(portion, fast, full)
                done += portion.n_events
                if progress:
                    progress(done, count, f"{done / (time.monotonic() - begin):.3g} events/s")
            fast.provenance.update(self.costs.as_dict())
        return Result(self.out, self.full_out, self.display, self.costs, self.comparison)

    def _do(self, portion: Portion, fast: RowWriter, full: RowWriter | None) -> None:
        """Simulate a portion in turns, so that a busy machine slows both alike."""
        outcome = self.simulation.fast(portion)
        self.costs.add(portion, outcome)
        made = self._write(fast, portion, outcome)
        if full is not None and self.comparison is not None:
            other = self.simulation.full(portion)
            self.comparison.add(made, self._write(full, portion, other), other.total)
            self._show(portion, outcome, other)
        elif self.display and self.pair is None:
            self._show(portion, outcome, self.simulation.full(portion.head()))

    def _show(self, portion: Portion, fast: Outcome, full: Outcome) -> None:
        if self.display and self.pair is None:
            self.pair = Pair.of(portion, full, fast, self.simulation.detector.readout.threshold)

    def _writer(self, path: Path, more: dict[str, Any]) -> RowWriter:
        return RowWriter(path, self.simulation.detector, self.provenance | more)

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

"""Whole events: particles of a file or a gun, a generator for each, energies added and digitised."""

from __future__ import annotations

__all__ = ["EventSummary", "event"]

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caloforge import machine
from caloforge.detector import Detector, load_detector
from caloforge.errors import EventError
from caloforge.progress import Progress
from caloforge.quantities import MOST_SEED, MOST_SHOWERS, MOST_WORKERS, angle, check_whole, length
from caloforge.simulation.events import EventGun, Source, open_events
from caloforge.simulation.events.batch import Batch, batches
from caloforge.simulation.making import Made, Making, Plan, Rest
from caloforge.simulation.output import check_output, event_writer
from caloforge.simulation.output.base import About
from caloforge.simulation.placing import Placing, standing_still
from caloforge.simulation.serving import Fate
from caloforge.simulation.tally import Tally
from caloforge.workers import Workers

if TYPE_CHECKING:
    from caloforge.deploy.sampling import Sampler

_AHEAD = 2


@dataclass(frozen=True)
class EventSummary:
    """What became of events.

    Attributes:
        path: The file.
        events: How many there are.
        particles: How many there were in them.
        provenance: How they were made, with the fates of all particles.
    """

    path: Path
    events: int
    particles: int
    provenance: dict[str, Any]


def event(
    generators: str | Path | Sequence[str | Path],
    *,
    out: str | Path,
    input: str | Path | None = None,  # noqa: A002 - the user's word for it
    gun: EventGun | None = None,
    count: int | None = None,
    detector: Detector | str | Path | None = None,
    face: str | float | None = None,
    rest: Rest = "refuse",
    max_tilt: str | float = "1deg",
    seed: int = 1,
    jobs: int = 1,
    physics: str = "FTFP_BERT",
    command: str | None = None,
    progress: Progress | None = None,
) -> EventSummary:
    """Make the calorimeter's cells of whole events, and digitise them if the detector says how.

    Particles of the final state fly straight from where they begin to the face of the calorimeter: there is
    no field. Each that enters it is made by the first generator that was trained for it; energies are added
    cell by cell, then digitised. Events keep their order, and depend on source and seed, not on `jobs`.

    Args:
        generators: Bundles, runs, or names of pretrained runs.
        out: The file to make: `.h5` or `.root`.
        input: A file of events: HepMC, Les Houches or a table, see `open_events`.
        gun: Instead: particles that are shot at the face.
        count: The first so many events; of a gun, how many.
        detector: What is hit, and how it is digitised: cells of the generators' sizes in a window that may be
            larger. By default that of the first generator.
        face: Where the middle of the face is on the z axis of the input's coordinates, "1.5m"; a number is
            in mm. A table without z has its particles on the face already.
        rest: What to do with particles that enter and that no generator serves: "refuse", "drop" (each is
            counted), or "geant4".
        max_tilt: Largest angle between a particle and the directions that a generator was trained for, where
            it does not take the angle; a number is in rad.
        seed: Of showers and noise.
        jobs: Worker processes.
        physics: Of Geant4.
        command: The command line, for the file's provenance.
        progress: Told after every batch.

    Returns:
        What became of the particles.

    Raises:
        EventError: No such events, or particles that no generator serves.
        DetectorError: Generators whose cells do not fit the detector.
        BundleError, RunError: A generator that is none, or damaged.
        Geant4Error: Geant4 is needed and cannot run here.
        OutputError: `out` exists, another process writes it, or the disk is full.

    Example:
        >>> gun = EventGun.of("e+", "1:50GeV", number=20, x="-100:100mm", y="-100:100mm")
        >>> event("calogan-tuned", gun=gun, count=100, out="events.h5")
    """
    check_whole(seed, "--seed", 0, MOST_SEED)
    check_whole(jobs, "--jobs", 1, MOST_WORKERS)
    check_output(Path(out))
    source = _source(input, gun, count, seed)
    paths = [generators] if isinstance(generators, str | Path) else list(generators)
    samplers, target = _opened(paths, detector)
    plan = Plan(
        tuple(map(str, paths)),
        target.to_yaml(),
        _face(face, source),
        source.on_face,
        rest,
        angle(max_tilt, "--max-tilt") if isinstance(max_tilt, str) else max_tilt,
        seed,
        physics,
    )
    if rest == "geant4":
        _check_geant4(target, physics)
    origin = {
        "command": command or "caloforge.event",
        "source": source.about,
        "generators": [sampler.origin for sampler in samplers],
    }
    about = About(target, source.weights, _fates(samplers))
    return _write(Path(out), about, plan, source, jobs, origin, progress)


def _write(
    out: Path,
    about: About,
    plan: Plan,
    source: Source,
    jobs: int,
    origin: dict[str, Any],
    progress: Progress | None,
) -> EventSummary:
    tally = Tally(about.fates, about.detector)
    with event_writer(out, about) as writer:
        begin = time.monotonic()
        for made in _made(plan, batches(source, about.detector.n_cells), jobs):
            writer.append(made)
            tally.add(made)
            if progress:
                rate = tally.particles / (time.monotonic() - begin)
                progress(tally.events, source.total, f"{rate:.0f} particles/s")
        if not tally.events:
            raise EventError("there are no events", where=source.about.get("file"), expected="at least one")
        seconds = time.monotonic() - begin
        provenance = {**origin, **_options(plan), "jobs": jobs, "seconds": seconds, **tally.figures()}
        writer.finish(provenance)
    return EventSummary(out, tally.events, tally.particles, provenance)


def _options(plan: Plan) -> dict[str, Any]:
    return {
        "face_mm": None if plan.on_face else plan.face,
        "rest": plan.rest,
        "max_tilt_rad": plan.max_tilt,
        "seed": plan.seed,
        "physics": plan.physics if plan.rest == "geant4" else None,
        "processor": machine.processor(),
        "versions": machine.versions("numpy", "onnxruntime", "torch", "calzone", "pyhepmc"),
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def _source(path: str | Path | None, gun: EventGun | None, count: int | None, seed: int) -> Source:
    if (path is None) == (gun is None):
        raise EventError(
            "which events?",
            got="both --input and --gun" if gun else "neither --input nor --gun",
            expected="--input FILE, or --gun PARTICLE with --energy and --count",
            cure="for example --gun e+ --energy 1:50GeV --particles 20 --count 100",
        )
    if gun is not None and count is None:
        raise EventError("how many events?", where="--gun", expected="--count 100")
    if count is not None:
        check_whole(count, "--count", 1, MOST_SHOWERS)
    if gun is not None:
        return gun.source(count or 0, seed)
    source = open_events(path or "")
    if count is None or count >= source.total:
        return source
    return replace(source, events=islice(source.events, count), total=count)


def _opened(
    paths: Sequence[str | Path], detector: Detector | str | Path | None
) -> tuple[list[Sampler], Detector]:
    """Look at each generator, and see that it fits; the workers open their own."""
    from caloforge.deploy import open_sampler

    if not paths:
        raise EventError("which generators?", expected="one bundle or more")
    samplers = [open_sampler(path, threads=1) for path in paths]
    given = samplers[0].detector if detector is None else detector
    target = standing_still(given if isinstance(given, Detector) else load_detector(given))
    for sampler in samplers:
        Placing(sampler.detector, target)
    return samplers, target


def _fates(samplers: Sequence[Sampler]) -> tuple[str, ...]:
    """Names of all fates by their number; generators of one name are numbered."""
    names = [sampler.name for sampler in samplers]
    made = [name if names.count(name) == 1 else f"{name} ({i})" for i, name in enumerate(names, start=1)]
    return *(fate.words for fate in Fate if fate < Fate.GENERATED), *(f"generated: {name}" for name in made)


def _face(face: str | float | None, source: Source) -> float:
    if source.on_face:
        if face is not None:
            raise EventError(
                "these particles are on the face of the calorimeter already",
                where="--face",
                got=face,
                cure="leave --face out, or give the table a column z",
            )
        return 0.0
    if face is None:
        raise EventError(
            "where is the calorimeter? Particles fly from their vertex to its face",
            where="--face",
            expected="--face 1.5m: where the middle of its face is on the z axis (of a barrel, of its axis)",
        )
    return length(face, "--face") if isinstance(face, str) else float(face)


def _check_geant4(detector: Detector, physics: str) -> None:
    from caloforge.truth.environment import available
    from caloforge.truth.geometry import check_stack
    from caloforge.truth.physics import Physics

    check_stack(detector)
    Physics.parse(physics, cut=0.7)
    available()


def _made(plan: Plan, todo: Iterable[Batch], jobs: int) -> Iterator[Made]:
    """Make batches in worker processes; yields them in their order, and few of them wait at any time.

    A single job needs no process of its own, unless for Geant4, which may end the one that it is in.
    """
    if jobs == 1 and plan.rest != "geant4":
        yield from map(Making(plan), todo)
        return
    left = iter(todo)
    waiting: deque[Future[Made]] = deque()
    with Workers(jobs, Making(plan)) as workers:
        while True:
            for batch in islice(left, jobs + _AHEAD - len(waiting)):
                waiting.append(workers.submit(batch))
            if not waiting:
                return
            yield waiting.popleft().result()

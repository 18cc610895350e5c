"""Producing showers with Geant4: any number, in constant memory, nothing lost when stopped."""

from __future__ import annotations

__all__ = ["simulate"]

import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caloforge.cluster import open_cluster
from caloforge.detector import Detector, load_detector
from caloforge.errors import ClusterError
from caloforge.machine import processor
from caloforge.progress import Progress
from caloforge.quantities import (
    MOST_SEED,
    MOST_SHOWERS,
    MOST_WORKERS,
    Interval,
    Spectrum,
    check_whole,
    length,
)
from caloforge.truth.environment import available, installed, versions
from caloforge.truth.geometry import check_stack
from caloforge.truth.gun import Gun
from caloforge.truth.output import OutputFiles, check_readouts
from caloforge.truth.physics import Physics
from caloforge.truth.pool import Batch, Made, Plan, batches, produce

_NONE = Interval(0.0, 0.0)


def simulate(
    detector: Detector | str | Path,
    *,
    particle: str | int,
    energy: Spectrum | str,
    count: int,
    out: str | Path,
    readouts: Sequence[Detector | str | Path] = (),
    seed: int = 1,
    first: int = 0,
    theta: Interval | str = _NONE,
    phi: Interval | str = _NONE,
    x: Interval | str = _NONE,
    y: Interval | str = _NONE,
    physics: str = "standard",
    cut: float | str = "0.7mm",
    jobs: int = 1,
    cluster: str | None = None,
    resume: bool = False,
    command: str | None = None,
    progress: Progress | None = None,
) -> Path:
    """Make showers with Geant4 and write them to a shower file.

    The showers depend on the seed and their number only: not on where they are made, and not on
    interruptions. While they are made they are in `OUT.part`, whole and readable whenever the process is
    killed.

    Args:
        detector: What is hit; it needs a material stack. A preset's name or a file will do.
        particle: Name or PDG id.
        energy: Spectrum of kinetic energies: "25GeV", "1:100GeV" (uniform), "log:1:1000GeV", "10,20,50GeV".
        count: Number of showers.
        out: The file to make.
        readouts: The same detector with other readouts: other cells, other slabs that count, another gate,
            light that saturates. The same showers are written in each, `showers.NAME.h5` beside `showers.h5`.
        seed: Seed of everything random, 0 or more.
        first: Number of the first shower. Productions of one seed whose numbers do not overlap are parts of
            one production: `merge` joins them.
        theta: Angle to the z axis (barrel: to the radius), "10deg" or a range "0:30deg"; an `Interval` is
            in rad.
        phi: Azimuth of the direction.
        x: Impact point on the front face, "1mm" or a range "-2:2mm" (an `Interval` is in mm).
        y: The same in y.
        physics: `standard`, `option1` to `option4`, `FTFP_BERT`, `FTFP_BERT+option4`, ...
        cut: Production cut; a number is in mm.
        jobs: Worker processes on this machine.
        cluster: Where else: the address of a cluster, see `open_cluster`.
        resume: Finish what an interrupted call with the same options left; `count` may be another.
        command: The command line, for the file's provenance.
        progress: Called after every batch.

    Returns:
        The path of the finished file.

    Raises:
        DetectorError, QuantityError: No such detector; a quantity without its unit.
        Geant4Error: Geant4 cannot run here, failed, or was asked for what it cannot do.
        ClusterError: The cluster cannot be reached, or is lost; what was made is kept.
        ShowersError: Another production left an unfinished one there.
        OutputError: The file exists, another process writes it, or the disk is full.

    Example:
        >>> simulate("calogan", particle="e+", energy="1:100GeV", count=200, seed=1, jobs=2,
        ...          out="positrons.h5")
    """
    target = detector if isinstance(detector, Detector) else load_detector(detector)
    check_stack(target)
    others = [other if isinstance(other, Detector) else load_detector(other) for other in readouts]
    check_readouts(target, others)
    check_whole(count, "--count", 1, MOST_SHOWERS)
    check_whole(seed, "--seed", 0, MOST_SEED)
    check_whole(first, "--first", 0, MOST_SHOWERS)
    check_whole(jobs, "--jobs", 1, MOST_WORKERS)
    gun = Gun.of(particle, energy, theta, phi, x, y)
    gun.check(target)
    models = Physics.parse(physics, length(cut, "--cut") if isinstance(cut, str) else cut)
    models.check(gun.pdg)
    local = cluster is None or cluster.startswith("processes")
    available() if local else installed()
    _check_jobs(jobs, local)
    options = _options(gun, models, (first, count), seed)
    provenance = {**options, "command": command, "versions": versions()}
    provenance["processor"] = processor() if local else cluster
    provenance["created"] = datetime.now(timezone.utc).isoformat(timespec="seconds")
    with (
        open_cluster(cluster, jobs) as workers,
        OutputFiles(out, (target, *others), provenance, resume) as files,
    ):
        files.check_resumed(options)
        todo = batches(gun, seed, first + files.done, first + count, workers.chunk_seconds)
        plan = Plan(target.to_yaml(), models, seed, tuple(other.to_yaml() for other in others))
        with closing(produce(plan, todo, workers)) as made:
            _fill(files, made, count, progress)
    return Path(out)


def _check_jobs(jobs: int, local: bool) -> None:
    if jobs > 1 and not local:
        raise ClusterError(
            "--jobs counts processes of this machine, and a cluster has its own",
            where="--jobs",
            got=jobs,
            cure="leave it out",
        )


def _fill(
    files: OutputFiles, made: Iterable[tuple[Batch, Made]], count: int, progress: Progress | None
) -> None:
    cost = _Cost()
    begin, before = time.monotonic(), files.done
    if progress:
        progress(before, count, "starting Geant4")
    for batch, found in made:
        files.append(batch.incident, found.readouts)
        cost.add(batch.incident.energy, found.milliseconds)
        if progress:
            rate = (files.done - before) / (time.monotonic() - begin)
            progress(files.done, count, f"{rate:.1f} showers/s")
    files.tell(cost.figures())


class _Cost:
    """CPU time of the showers that were made, in all and per GeV."""

    def __init__(self) -> None:
        self.showers, self.milliseconds, self.gev = 0, 0.0, 0.0

    def add(self, energy: NDArray[np.float32], milliseconds: NDArray[np.float64]) -> None:
        self.showers += len(energy)
        self.milliseconds += float(milliseconds.sum())
        self.gev += float(energy.sum(dtype=np.float64)) / 1e3

    def figures(self) -> dict[str, float]:
        if not self.showers:
            return {}  # a resumed production that lacked nothing keeps its own figures
        return {
            "ms_per_shower": self.milliseconds / self.showers,
            "ms_per_gev": self.milliseconds / self.gev,
        }


def _options(gun: Gun, physics: Physics, numbers: tuple[int, int], seed: int) -> dict[str, Any]:
    """What decides the showers of a file, besides its detector."""
    first, count = numbers
    return {**gun.as_dict(), "first": first, "count": count, "seed": seed, **physics.as_dict()}

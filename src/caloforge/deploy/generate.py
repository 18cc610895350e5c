"""Showers by the million from a run or a bundle, written as they are made."""

from __future__ import annotations

__all__ = ["generate", "open_sampler"]

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from caloforge import machine
from caloforge.deploy.asking import incident_for, wanted_particle
from caloforge.deploy.bundle import Bundle, is_bundle
from caloforge.deploy.bundle.validity import Outside, Validity
from caloforge.deploy.engine import Engine
from caloforge.deploy.sampling import Sampler, make_showers
from caloforge.errors import BundleError, CaloforgeError, nearest
from caloforge.models.blocks.chunks import chunks
from caloforge.progress import Progress
from caloforge.quantities import MOST_SEED, MOST_SHOWERS, MOST_WORKERS, Interval, Spectrum, check_whole
from caloforge.showers import Incident, ShowerWriter, open_showers
from caloforge.training.pretrained import pretrained_names, run_folder


def generate(
    source: str | Path,
    *,
    out: str | Path,
    energy: Spectrum | str | None = None,
    particle: str | int | None = None,
    theta: Interval | str | None = None,
    phi: Interval | str | None = None,
    x: Interval | str | None = None,
    y: Interval | str | None = None,
    like: str | Path | None = None,
    count: int | None = None,
    seed: int = 1,
    outside: Outside = "refuse",
    threads: int | None = None,
    command: str | None = None,
    progress: Progress | None = None,
) -> Path:
    """Make showers and write them to a shower file; memory is that of the
    incident particles and of one piece of the showers.

    The same seed gives the same showers from a run and from the bundle that was exported from it, up to
    rounding. Energies come from one source of random numbers and noise from another: a different spectrum
    leaves the noise as it was. Of direction and impact point, what is not given is drawn uniformly from the
    trained range (which usually is a single value), or from the values of the training where these were few.

    Args:
        source: A run or a bundle.
        out: The shower file to make; it must not exist.
        energy: Spectrum of the incident energy, e.g. "25GeV" or "1:100GeV".
        particle: Name or PDG id; needed where the generator knows several.
        theta: Angle to the z axis (barrel: to the radius), "10deg" or a range "0:30deg".
        phi: Azimuth of the direction.
        x: Impact point on the front face, "1mm" or a range "-2:2mm".
        y: The same in y.
        like: Instead, a shower file of any known format whose incident particles are taken over. Those of a
            file that names none are `particle`, or the only one of the training.
        count: How many; with `like`, the first so many of that file (by default all).
        seed: The same seed gives the same showers, whatever the number of threads is.
        outside: What to do outside the trained range: "refuse" or "warn".
        threads: By default all usable cores.
        command: The command line, for the file's provenance.
        progress: Told after every piece.

    Returns:
        `out`.

    Raises:
        RangeError: Showers outside the trained range were asked for.
        BundleError, RunError: `source` is neither a run nor a bundle, or damaged.
        ShowersError: `like` cannot be read, or the generator gives impossible energies.
        OutputError: `out` exists, another process writes it, or the disk is full.
    """
    check_whole(seed, "--seed", 0, MOST_SEED)
    sampler = open_sampler(source, threads)
    energies, noise, rest = np.random.SeedSequence(seed).spawn(3)
    places = {"theta": theta, "phi": phi, "x": x, "y": y}
    if like is not None:
        incident = _taken_over(Path(like), {"energy": energy, **places}, count)
        incident = _named(incident, sampler.valid, particle)
    else:
        spectrum, n = _asked(energy, count)
        drawn = spectrum.sample(np.random.default_rng(energies), n)
        incident = incident_for(sampler.valid, drawn, np.random.default_rng(rest), particle, places)
    complaints = sampler.valid.admit(incident, outside)
    provenance = {
        "command": command or "caloforge.generate",
        "seed": seed,
        "energy": str(like) if like is not None else _text(energy),
        "generator": sampler.origin,
        "outside": complaints,
        "threads": sampler.threads,
        "processor": machine.processor(),
        "versions": machine.versions("numpy", "onnxruntime", "torch"),
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
    _write(sampler, incident, np.random.default_rng(noise), Path(out), provenance, progress)
    return Path(out)


def open_sampler(source: str | Path, threads: int | None = None) -> Sampler:
    """Load a bundle's engine or a run's generator, whichever a folder holds.

    A name of a run that comes with caloforge will do, too.

    Raises:
        BundleError, RunError: It holds neither, or a damaged one.
    """
    if threads is not None:
        check_whole(threads, "--threads", 1, MOST_WORKERS)
    path = run_folder(source)
    if is_bundle(path):
        return Engine(Bundle.open(path), threads)
    if not (path / "recipe.yaml").is_file():
        raise BundleError(
            "this is neither a run nor a bundle",
            where=path,
            got="no such folder" if not path.exists() else "neither manifest.json nor recipe.yaml in it",
            expected="what `caloforge train` or `caloforge export` has written, or one of "
            + ", ".join(pretrained_names()),
            near=nearest(str(source), pretrained_names()),
        )
    from caloforge.deploy.torch_sampler import RunSampler

    return RunSampler(path, threads)


def _text(energy: Spectrum | str | None) -> str:
    return energy.text if isinstance(energy, Spectrum) else str(energy)


def _taken_over(like: Path, asked: Mapping[str, object], count: int | None) -> Incident:
    given = [name for name, value in asked.items() if value is not None]
    if given:
        raise CaloforgeError(
            "incident particles can be given or taken from a file, not both",
            got=", ".join(f"--{name}" for name in given) + " and --like",
            cure="leave one of them out",
        )
    with open_showers(like) as file:
        incident = file.incident()
    if count is not None and count > len(incident):
        raise CaloforgeError(
            "the file has fewer showers than asked for",
            where=like,
            got=f"--count {count}",
            expected=f"at most {len(incident)}",
        )
    return incident[slice(count)]


def _named(incident: Incident, valid: Validity, particle: str | int | None) -> Incident:
    """Say which particle those of a file are that names none: what was asked for, or the only one known."""
    unknown = incident.pdg == 0
    if particle is not None and not unknown.all():
        raise CaloforgeError(
            "incident particles can be given or taken from a file, not both",
            got="--particle and --like a file that names its particles",
            cure="leave one of them out",
        )
    if not unknown.any():
        return incident
    return replace(incident, pdg=np.where(unknown, wanted_particle(valid, particle), incident.pdg))


def _asked(energy: Spectrum | str | None, count: int | None) -> tuple[Spectrum, int]:
    if energy is None or count is None:
        raise CaloforgeError(
            "which showers, and how many?",
            expected="--energy SPECTRUM with --count N, or --like F.h5",
            cure="for example --energy 1:100GeV --count 1000",
        )
    check_whole(count, "--count", 1, MOST_SHOWERS)
    return Spectrum.of(energy), count


def _write(
    sampler: Sampler,
    incident: Incident,
    rng: np.random.Generator,
    out: Path,
    provenance: dict[str, Any],
    progress: Progress | None,
) -> None:
    with ShowerWriter(out, sampler.detector, provenance, keep=False) as writer:
        start = time.perf_counter()
        for rows in chunks(len(incident), sampler.detector.n_cells):
            writer.append(make_showers(sampler, incident[rows], rng))
            if progress:
                rate = writer.done / (time.perf_counter() - start)
                progress(writer.done, len(incident), f"{rate:.0f} showers/s")
        seconds = time.perf_counter() - start
        writer.provenance["ms_per_shower"] = 1e3 * seconds / len(incident)

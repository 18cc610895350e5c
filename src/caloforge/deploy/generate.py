"""Showers by the million from a run or a bundle, written as they are made."""

from __future__ import annotations

__all__ = ["generate", "open_sampler"]

import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from caloforge import machine
from caloforge.deploy.bundle import Bundle, is_bundle
from caloforge.deploy.engine import Engine
from caloforge.deploy.sampling import Sampler, chunk_size, make_showers
from caloforge.deploy.validity import Outside, Validity
from caloforge.errors import BundleError, CaloforgeError, RangeError
from caloforge.progress import Progress
from caloforge.quantities import Spectrum
from caloforge.showers import Incident, Showers, ShowerWriter, open_showers


def generate(
    source: str | Path,
    *,
    out: str | Path,
    energy: Spectrum | str | None = None,
    like: str | Path | None = None,
    count: int | None = None,
    seed: int = 1,
    outside: Outside = "refuse",
    threads: int | None = None,
    command: str | None = None,
    progress: Progress | None = None,
) -> Path:
    """Make showers and write them to a shower file; memory is constant in their number.

    The same seed gives the same showers from a run and from the bundle that was exported from it, up to
    rounding. Energies come from one source of random numbers and noise from another: a different spectrum
    leaves the noise as it was. Columns other than the energy are drawn uniformly from the trained range
    (which usually is a single value).

    Args:
        source: A run or a bundle.
        out: The shower file to make; it must not exist.
        energy: Spectrum of the incident energy, e.g. "25GeV" or "1:100GeV".
        like: Instead, a shower file of any known format whose incident particles are taken over.
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
        ShowersError: `out` exists, `like` cannot be read, or the generator gives impossible energies.
    """
    sampler = open_sampler(source, threads)
    energies, noise, rest = np.random.SeedSequence(seed).spawn(3)
    if like is not None:
        incident = _taken_over(Path(like), energy, count)
    else:
        incident = _drawn(
            sampler.valid, energy, count, np.random.default_rng(energies), np.random.default_rng(rest)
        )
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

    Raises:
        BundleError, RunError: It holds neither, or a damaged one.
    """
    path = Path(source)
    if is_bundle(path):
        return Engine(Bundle.open(path), threads)
    if not (path / "recipe.yaml").is_file():
        raise BundleError(
            "this is neither a run nor a bundle",
            where=path,
            got="no such folder" if not path.exists() else "neither manifest.json nor recipe.yaml in it",
            expected="what `caloforge train` or `caloforge export` has written",
        )
    from caloforge.deploy.torch_sampler import RunSampler

    return RunSampler(path, threads)


def _text(energy: Spectrum | str | None) -> str:
    return energy.text if isinstance(energy, Spectrum) else str(energy)


def _taken_over(like: Path, energy: object, count: int | None) -> Incident:
    if energy is not None:
        raise CaloforgeError(
            "energies can be given or taken from a file, not both",
            got="--energy and --like",
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


def _drawn(
    valid: Validity,
    energy: Spectrum | str | None,
    count: int | None,
    energies: np.random.Generator,
    rest: np.random.Generator,
) -> Incident:
    if energy is None or count is None:
        raise CaloforgeError(
            "which showers, and how many?",
            expected="--energy SPECTRUM with --count N, or --like F.h5",
            cure="for example --energy 1:100GeV --count 1000",
        )
    if count < 1:
        raise CaloforgeError("at least one shower must be asked for", got=f"--count {count}")
    if len(valid.particles) != 1:
        raise RangeError(
            "the generator knows several particles, and the energy alone does not say which",
            got=valid.particles,
            cure="use --like with a file of the particles that you want",
        )
    spectrum = energy if isinstance(energy, Spectrum) else Spectrum.parse(energy)
    columns = {
        name: rest.uniform(span.min, span.max, count) for name, span in valid.spans() if name != "energy"
    }
    return Incident.of(spectrum.sample(energies, count), pdg=valid.particles[0], **columns)


def _write(
    sampler: Sampler,
    incident: Incident,
    rng: np.random.Generator,
    out: Path,
    provenance: dict[str, Any],
    progress: Progress | None,
) -> None:
    with ShowerWriter(out, sampler.detector, provenance) as writer:
        start = time.perf_counter()
        for showers in _pieces(sampler, incident, rng):
            writer.append(showers)
            if progress:
                rate = writer.done / (time.perf_counter() - start)
                progress(writer.done, len(incident), f"{rate:.0f} showers/s")
        seconds = time.perf_counter() - start
        writer.provenance["ms_per_shower"] = 1e3 * seconds / len(incident)


def _pieces(sampler: Sampler, incident: Incident, rng: np.random.Generator) -> Iterator[Showers]:
    step = chunk_size(sampler.detector.n_cells)
    for start in range(0, len(incident), step):
        yield make_showers(sampler, incident[start : start + step], rng)

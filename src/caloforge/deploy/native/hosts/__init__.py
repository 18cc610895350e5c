"""Programs that load ONNX files of their own convention: one file each, and what they share."""

from __future__ import annotations

__all__ = ["HOSTS", "export_host"]

from collections.abc import Callable
from pathlib import Path
from typing import Any

from caloforge import __version__
from caloforge.deploy.bundle import Bundle
from caloforge.deploy.bundled import bundled
from caloforge.deploy.engine import Engine
from caloforge.deploy.native.hosts.ddml import write_ddml
from caloforge.deploy.native.hosts.fastcalosim import write_fastcalosim
from caloforge.deploy.native.hosts.incident import only_particle
from caloforge.deploy.native.hosts.par04 import write_par04
from caloforge.deploy.native.hosts.wrapper import Wrapper
from caloforge.deploy.native.literals import line
from caloforge.deploy.native.templates import rendered
from caloforge.errors import BundleError, nearest
from caloforge.particles import particle_name
from caloforge.progress import Progress
from caloforge.writing import new_folder

Writer = Callable[[Wrapper, int, Path], dict[str, Any]]
# What writes the graph, and the templates that are filled in beside it.
_HOSTS: dict[str, tuple[Writer, tuple[str, ...]]] = {
    "par04": (write_par04, ("par04.mac",)),
    "fastcalosim": (write_fastcalosim, ()),
    "ddml": (write_ddml, ("ddml_steer.py",)),
}
HOSTS = tuple(_HOSTS)


def export_host(
    source: str | Path | Bundle,
    out: str | Path,
    host: str,
    particle: str | int | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write a bundle as another program loads it: the graph in its convention, its settings, a README.

    The new graph makes the engine's showers. Outside the trained range each cell is NaN, which none of these
    programs takes for energy.

    Args:
        source: A bundle, its folder, or a run.
        out: Folder to make; it must not exist.
        host: "par04" (Geant4's example), "fastcalosim" or "ddml".
        particle: Which one, if the bundle knows several.
        progress: Told what the export of a run does.

    Returns:
        `out`.

    Raises:
        BundleError, RunError: No such host, neither bundle nor run, or one that needs what the host
            does not give.
        DetectorError: The host cannot place the detector's cells.
        RangeError: The bundle knows several particles and none is named.
        OutputError: `out` exists, another process writes it, or the disk is full.
    """
    if host not in _HOSTS:
        raise BundleError(
            "no such host", where="--host", got=host, expected=", ".join(HOSTS), near=nearest(host, HOSTS)
        )
    write, texts = _HOSTS[host]
    with bundled(source, progress) as bundle, new_folder(Path(out)) as folder:
        Engine(bundle, threads=1)  # a graph with other inputs is refused here, and not there
        pdg = only_particle(bundle, particle)
        facts = _facts(bundle, pdg) | write(Wrapper(bundle), pdg, folder)
        for name in texts:
            (folder / name).write_text(rendered(name, facts), encoding="utf-8")
        (folder / "README.md").write_text(rendered(f"{host}.md", facts), encoding="utf-8")
    return Path(out)


def _facts(bundle: Bundle, pdg: int) -> dict[str, Any]:
    manifest, detector = bundle.manifest, bundle.detector
    return {
        "version": __version__,
        "name": line(manifest.name),
        "detector": line(detector.name),
        "frame": detector.readout.frame,
        "valid": line(str(manifest.valid)),
        "particle": particle_name(pdg),
        "low": manifest.valid.energy.min,
        "high": manifest.valid.energy.max,
        "n_cells": detector.n_cells,
        "n_layers": detector.n_layers,
        "wanted": manifest.inputs[0].shape,
        "threshold": detector.readout.threshold or 0.0,
    }

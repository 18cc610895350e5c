"""What this machine is and has: processor, memory, packages, Geant4, GPU; and how to cure what is missing."""

from __future__ import annotations

__all__ = ["Finding", "examine", "peak_memory_mb", "processor", "versions"]

import os
import platform
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from caloforge.errors import CaloforgeError


@dataclass(frozen=True)
class Finding:
    """One thing that this machine has or lacks."""

    what: str
    ready: bool
    found: str
    cure: str | None = None


def processor() -> str:
    """Return the processor's name and how many cores this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{_processor_name()}, {cores} cores"


def _processor_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def peak_memory_mb() -> float:
    """Return the largest resident memory of this process so far, in MB."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


def versions(*packages: str) -> dict[str, str]:
    """Return the installed versions of `packages`, of caloforge and of Python; absent ones are left out."""
    found = {"python": platform.python_version()}
    for package in ("caloforge", *packages):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def examine() -> list[Finding]:
    """Look at everything that a verb may need; imports torch only here, never at start-up."""
    return [
        Finding("processor", True, processor()),
        _memory(),
        _package("torch", "pip install torch==2.13.0", needed_for="training"),
        _gpu(),
        _package("onnxruntime", "pip install onnxruntime", needed_for="bundles"),
        _package("calzone", "pip install 'caloforge[geant4]'", needed_for="simulate"),
        _geant4(),
        _package("tensorboard", "pip install 'caloforge[tensorboard]'", needed_for="train --tensorboard"),
    ]


def _memory() -> Finding:
    import psutil

    free = psutil.virtual_memory().available / 2**30
    cure = None if free > 2 else "close other programs; 2 GiB are needed"
    return Finding("free memory", cure is None, f"{free:.1f} GiB", cure)


def _package(name: str, cure: str, needed_for: str) -> Finding:
    found = versions(name).get(name)
    return Finding(
        f"{name} (for {needed_for})", found is not None, found or "not installed", None if found else cure
    )


def _gpu() -> Finding:
    try:
        import torch
    except ImportError:
        return Finding("GPU", True, "none seen: torch is not installed")
    if torch.cuda.is_available():
        return Finding("GPU", True, torch.cuda.get_device_name(0))
    # A machine without a GPU is whole; training only takes longer.
    return Finding("GPU", True, "none: training runs on the processor")


def _geant4() -> Finding:
    from caloforge import truth

    try:
        truth.available()
    except CaloforgeError as error:
        return Finding("Geant4 with its data", False, error.problem, str(error.details["cure"]))
    return Finding("Geant4 with its data", True, os.environ["GEANT4_DATA_DIR"])

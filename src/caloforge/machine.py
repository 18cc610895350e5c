"""What this machine is: its processor, memory, and versions of packages."""

from __future__ import annotations

__all__ = ["peak_memory_mb", "processor", "usable_cores", "versions"]

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def processor() -> str:
    """Return the processor's name and how many cores this process may use."""
    return f"{_processor_name()}, {usable_cores()} cores"


def usable_cores() -> int:
    """Return the number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def peak_memory_mb() -> float:
    """Return the largest resident memory of this process so far, in MB."""
    # Linux's `ru_maxrss` begins with what the process that started this one had.
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
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

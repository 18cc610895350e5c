"""Calibrations on disk: small readable JSON files in the user's cache. Without them all works, unmeasured."""

from __future__ import annotations

__all__ = ["CACHE_VARIABLE", "cache_folder", "calibrate", "kept"]

import hashlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from caloforge import machine
from caloforge.deploy.bundle import Bundle
from caloforge.deploy.runtimes.calibration import Calibration, measure, versions
from caloforge.documents import Kind, check_json, read_json
from caloforge.errors import CaloforgeError
from caloforge.progress import Progress
from caloforge.writing import replace_text

CACHE_VARIABLE = "CALOFORGE_CACHE"
"""Environment variable that says where calibrations are kept."""

_KIND = Kind("calibration", CaloforgeError)


def cache_folder() -> Path:
    """Return where calibrations are kept; the folder need not exist."""
    if given := os.environ.get(CACHE_VARIABLE):
        return Path(given)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", "~")).expanduser() / "caloforge"
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "caloforge"


def kept(bundle: Bundle) -> Calibration | None:
    """Return what was measured for this bundle with these packages on this machine, or None.

    A damaged file counts as none: it is only a measurement, and can be made again.
    """
    try:
        path = _path(bundle)
        found = check_json(read_json(path, _KIND), Calibration, str(path), _KIND)
    except (CaloforgeError, OSError, RuntimeError):  # RuntimeError: a user without a home
        return None
    asked = bundle.manifest.sha256, machine.processor(), versions()
    return found if (found.digest, found.processor, found.versions) == asked else None


def calibrate(
    bundle: Bundle | str | Path, threads: Sequence[int] | None = None, progress: Progress | None = None
) -> tuple[Calibration, Path | None]:
    """Measure what this machine needs for a bundle in each runtime and precision; keep it for its engines.

    It takes some seconds. Engines that are made afterwards choose by it what they are not told.

    Args:
        bundle: The bundle or its folder.
        threads: Numbers of threads to measure; by default one, and all usable cores.
        progress: Told after every choice.

    Returns:
        What was measured, and the file that keeps it: None where none can be written.

    Raises:
        BundleError: A damaged bundle, or one whose graphs no runtime here can run.
    """
    opened = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
    measured = measure(opened, threads, progress)
    return measured, _keep(opened, measured)


def _keep(bundle: Bundle, calibration: Calibration) -> Path | None:
    try:
        path = _path(bundle)
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_text(path, calibration.model_dump_json(indent=1) + "\n")
    except (CaloforgeError, OSError, RuntimeError):
        return None
    return path


def _path(bundle: Bundle) -> Path:
    key = json.dumps([bundle.manifest.sha256, machine.processor(), versions()])
    return cache_folder() / f"calibration-{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"

"""Finding detectors: presets by name, files by path."""

from __future__ import annotations

__all__ = ["load_detector", "preset_names"]

from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from caloforge.detector.detector import Detector
from caloforge.detector.reading import KIND
from caloforge.documents import read_text
from caloforge.errors import DetectorError, nearest

_PRESETS = files("caloforge.detector") / "presets"


def preset_names() -> list[str]:
    """Return the names of the detectors that come with caloforge, sorted."""
    return sorted(
        entry.name.removesuffix(".yaml") for entry in _PRESETS.iterdir() if entry.name.endswith(".yaml")
    )


def load_detector(name_or_path: str | Path) -> Detector:
    """Return a preset by name, or the detector in a YAML file.

    A name without a suffix is a preset; anything else is a file.

    Raises:
        DetectorError: if there is no such preset or file, or the file does not describe a detector.

    Example:
        >>> load_detector("clic").n_cells
        15625
    """
    if str(name_or_path) in preset_names():
        return _preset(str(name_or_path))
    path = Path(name_or_path)
    if not path.is_file():
        raise _not_found(str(name_or_path))
    return Detector.from_yaml(read_text(path, KIND), str(path))


@lru_cache
def _preset(name: str) -> Detector:
    text = (_PRESETS / f"{name}.yaml").read_text(encoding="utf-8")
    return Detector.from_yaml(text, f"preset {name}")


def _not_found(name: str) -> DetectorError:
    problem = "is a folder, not a detector file" if Path(name).is_dir() else "is neither a preset nor a file"
    return DetectorError(
        f"{name!r} {problem}",
        expected="a YAML file, or one of " + ", ".join(preset_names()),
        near=nearest(name, preset_names()),
    )

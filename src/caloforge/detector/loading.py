"""Finding detectors: presets by name, files by path."""

from __future__ import annotations

__all__ = ["load_detector", "preset_names"]

from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from caloforge.detector.binning import is_xml, read_binning_xml
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


def load_detector(
    name_or_path: str | Path, particle: str | None = None, eta: float | None = None
) -> Detector:
    """Return a preset by name, or the detector in a file: YAML, or a binning in XML.

    Args:
        name_or_path: A name without a suffix is a preset; anything else is a file, told by its content.
        particle: Whose binning, where a file has several; see `read_binning_xml`.
        eta: Of which slice.

    Raises:
        DetectorError: if there is no such preset or file, the file does not describe a detector, or what
            has one binning is asked for a particle's.

    Example:
        >>> load_detector("clic").n_cells
        15625
    """
    path, preset = Path(name_or_path), str(name_or_path) in preset_names()
    if not (preset or path.is_file()):
        raise _not_found(str(name_or_path))
    if not preset and is_xml(path):
        return read_binning_xml(path, particle, eta)
    if (particle, eta) != (None, None):
        raise DetectorError(
            "only a binning file in XML has several particles or slices of eta",
            where=name_or_path,
            cure="leave --particle and --eta out",
        )
    if preset:
        return _preset(str(name_or_path))
    return Detector.from_yaml(read_text(path, KIND), str(path))


@lru_cache
def _preset(name: str) -> Detector:
    text = (_PRESETS / f"{name}.yaml").read_text(encoding="utf-8")
    return Detector.from_yaml(text, f"preset {name}")


def _not_found(name: str) -> DetectorError:
    problem = "is a folder, not a detector file" if Path(name).is_dir() else "is neither a preset nor a file"
    return DetectorError(
        f"{name!r} {problem}",
        expected="a YAML or binning file, or one of " + ", ".join(preset_names()),
        near=nearest(name, preset_names()),
    )

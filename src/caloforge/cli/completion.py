"""What the shell offers at Tab: presets by name, read from folders, as importing the rooms takes long."""

from __future__ import annotations

__all__ = ["complete_detector", "complete_recipe", "complete_run"]

from collections.abc import Iterable, Sequence
from pathlib import Path

_PACKAGE = Path(__file__).parents[1]


def complete_detector(incomplete: str) -> list[str]:
    """Offer detectors: presets, YAML files and binning files."""
    presets = _fitting(_names("detector/presets/*.yaml"), incomplete)
    return presets + _paths(incomplete, ".yaml", ".xml")


def complete_recipe(incomplete: str) -> list[str]:
    """Offer recipes: presets and YAML files."""
    return _fitting(_names("training/presets/*.yaml"), incomplete) + _paths(incomplete, ".yaml")


def complete_run(incomplete: str) -> list[str]:
    """Offer runs and bundles: those that ship, and folders."""
    return _fitting(_names("pretrained/*/"), incomplete) + _paths(incomplete)


def _names(pattern: str) -> list[str]:
    return sorted(path.stem for path in _PACKAGE.glob(pattern) if not path.name.startswith("_"))


def _fitting(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def _paths(incomplete: str, *suffixes: str) -> list[str]:
    """Folders, to go on into, and files of the suffixes."""
    folder, slash, start = incomplete.rpartition("/")
    place = Path(f"{folder}{slash}" or ".")
    found = sorted(place.iterdir()) if place.is_dir() else []
    found = [path for path in found if path.name.startswith(start) and (start or path.name[0] != ".")]
    offered = [f"{path.name}/" if path.is_dir() else path.name for path in found if _fits(path, suffixes)]
    return [f"{folder}{slash}{name}" for name in offered]


def _fits(path: Path, suffixes: Sequence[str]) -> bool:
    return path.is_dir() or path.suffix in suffixes

"""The trained generators that ship with the package."""

from __future__ import annotations

__all__ = ["LICENCE", "comes_with_caloforge", "pretrained_names", "run_folder"]

from importlib.resources import files
from pathlib import Path

LICENCE = "Apache-2.0"
"""Of the runs that come with caloforge, as of the rest of it."""


def pretrained_names() -> list[str]:
    """Return the names of the runs that come with caloforge, sorted; each is that of its recipe."""
    home = _home()
    return sorted(entry.name for entry in home.iterdir() if entry.is_dir()) if home.is_dir() else []


def run_folder(source: str | Path) -> Path:
    """Return the folder that a user means: one with something in it, or a run that comes with caloforge."""
    path = Path(source)
    taken = path.is_file() or (path.is_dir() and any(path.iterdir()))
    return _home() / str(source) if not taken and str(source) in pretrained_names() else path


def comes_with_caloforge(run: Path) -> bool:
    """Say whether a run is one of those that come with caloforge."""
    return run.parent == _home()


def _home() -> Path:
    return Path(str(files("caloforge"))) / "pretrained"

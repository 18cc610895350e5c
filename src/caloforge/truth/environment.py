"""Whether Geant4 can run here: the calzone package and Geant4's data files."""

from __future__ import annotations

__all__ = ["available", "versions"]

import os
from importlib.util import find_spec
from pathlib import Path

from caloforge.errors import Geant4Error, MissingExtraError

_VARIABLE = "GEANT4_DATA_DIR"
_CURE = (
    f"set {_VARIABLE} to the folder that holds Geant4's data sets (G4EMLOW..., G4PARTICLEXS..., ...), "
    "or run `python -m calzone download` once (2 GB)"
)


def available() -> None:
    """Return if Geant4 can run here; cheap, and nothing of Geant4 is loaded.

    Raises:
        MissingExtraError: calzone is not installed.
        Geant4Error: Geant4's data files are not where they should be.
    """
    if find_spec("calzone") is None:
        raise MissingExtraError("calzone", "geant4")
    named = os.environ.get(_VARIABLE)
    folder = Path(named) if named else _default_folder()
    if not folder.is_dir():
        problem = "the folder of Geant4's data files does not exist" if named else "Geant4's data are missing"
        raise Geant4Error(
            problem, where=f"{_VARIABLE}={named}" if named else f"{_VARIABLE} is not set", cure=_CURE
        )
    # calzone looks for the sets that it needs; these two are the ones that every shower reads.
    for data in ("G4EMLOW", "G4PARTICLEXS"):
        if not any(any(found.iterdir()) for found in folder.glob(f"{data}*") if found.is_dir()):
            raise Geant4Error(
                f"Geant4's data set {data} is missing or empty",
                where=folder,
                expected=f"{data}*/",
                cure=_CURE,
            )


def versions() -> dict[str, str]:
    """Return the versions that decide what a shower looks like."""
    import calzone

    from caloforge import __version__

    return {"caloforge": __version__, "geant4": calzone.GEANT4_VERSION, "calzone": calzone.VERSION}


def _default_folder() -> Path:
    """Where `python -m calzone download` puts the data."""
    return Path.home() / ".local" / "share" / "calzone" / "data"

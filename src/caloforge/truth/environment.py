"""Whether Geant4 can run here: the calzone package and Geant4's data files."""

from __future__ import annotations

__all__ = ["available", "data_folder", "installed", "versions"]

import os
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from caloforge.errors import Geant4Error, MissingExtraError

_VARIABLE = "GEANT4_DATA_DIR"
_CURE = (
    f"set {_VARIABLE} to the folder that holds Geant4's data sets (G4EMLOW..., G4PARTICLEXS..., ...), "
    "or run `python -m calzone download` once (2 GB)"
)
# The data sets of Geant4 11.4, which calzone 1.2 opens by these names; and what no shower can do without.
_DATA_SETS = {
    "G4ABLA": "3.3",
    "G4CHANNELING": "2.0",
    "G4EMLOW": "8.8",
    "G4ENSDFSTATE": "3.0",
    "G4INCL": "1.3",
    "G4NDL": "4.7.1",
    "G4PARTICLEXS": "4.2",
    "G4PII": "1.3",
    "G4SAIDDATA": "2.0",
    "PhotonEvaporation": "6.1.2",
    "RadioactiveDecay": "6.1.2",
    "RealSurface": "2.2",
}
_INSIDE = {
    "G4EMLOW": ("brem_SB", "epics2017"),
    "G4ENSDFSTATE": ("ENSDFSTATE.dat",),
    "G4PARTICLEXS": ("gamma", "neutron"),
}


def available() -> None:
    """Return if Geant4 can run here; cheap, and nothing of Geant4 is loaded.

    Raises:
        MissingExtraError: calzone is not installed.
        Geant4Error: Geant4's data files are not where they should be, or not all of them.
    """
    installed()
    folder = data_folder()
    if not folder.is_dir():
        named = os.environ.get(_VARIABLE)
        problem = "the folder of Geant4's data files does not exist" if named else "Geant4's data are missing"
        raise Geant4Error(
            problem, where=f"{_VARIABLE}={named}" if named else f"{_VARIABLE} is not set", cure=_CURE
        )
    missing = list(_missing(folder))
    if missing:
        raise Geant4Error(
            "Geant4's data are not complete",
            where=folder,
            got=f"missing or empty: {', '.join(missing)}",
            expected="all data sets of this Geant4, in folders of these very names",
            cure=_CURE,
        )


def installed() -> None:
    """Return if calzone is here: enough where Geant4 runs elsewhere.

    Raises:
        MissingExtraError: It is not.
    """
    if find_spec("calzone") is None:
        raise MissingExtraError("calzone", "geant4")


def data_folder() -> Path:
    """Where Geant4's data sets should be: where the variable says, or where calzone puts its download."""
    named = os.environ.get(_VARIABLE)
    return Path(named) if named else Path.home() / ".local" / "share" / "calzone" / "data"


def _missing(folder: Path) -> Iterator[str]:
    """Names of the data sets, or of parts of them, that are not there or empty."""
    exact = metadata.version("calzone").startswith("1.2.")
    for name, version in _DATA_SETS.items():
        # Another calzone may bring another Geant4, whose data sets have other versions.
        pattern = name + version if exact else f"{name}*"
        found = [path for path in folder.glob(pattern) if _filled(path)]
        if not found:
            yield pattern
        else:
            yield from (f"{pattern}/{part}" for part in _INSIDE.get(name, ()) if not _filled(found[0] / part))


def _filled(path: Path) -> bool:
    return path.is_file() or (path.is_dir() and any(path.iterdir()))


def versions() -> dict[str, str]:
    """Return the versions that decide what a shower looks like."""
    import calzone

    from caloforge import __version__

    return {"caloforge": __version__, "geant4": calzone.GEANT4_VERSION, "calzone": calzone.VERSION}

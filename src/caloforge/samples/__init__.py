"""The Geant4 showers that ship with the package."""

from __future__ import annotations

__all__ = ["positrons"]

from pathlib import Path


def positrons() -> Path:
    """Return the file of Geant4 e+ showers in the CaloGAN calorimeter; README.md says how it was made."""
    return Path(__file__).parent / "calogan-positrons.h5"

"""Detectors out of GDML, the format in which Geant4 and others exchange geometries."""

from __future__ import annotations

__all__ = ["Imported", "read_gdml"]

from caloforge.detector.gdml.reading import Imported, read_gdml

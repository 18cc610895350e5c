"""Truth: real Geant4 showers of any detector, through calzone."""

from __future__ import annotations

__all__ = ["Geant4Time", "available", "readout_path", "simulate", "time_geant4"]

from caloforge.truth.environment import available
from caloforge.truth.output import readout_path
from caloforge.truth.production import simulate
from caloforge.truth.timing import Geant4Time, time_geant4

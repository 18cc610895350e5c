"""Fast simulation inside Geant4: particles at the front face are caught and generated, or followed."""

from __future__ import annotations

__all__ = ["Result", "fastsim"]

from caloforge.simulation.fastsim.result import Result
from caloforge.simulation.fastsim.run import fastsim

"""Truth: real Geant4 showers of any detector, through calzone."""

from __future__ import annotations

__all__ = ["available", "simulate"]

from caloforge.truth.environment import available
from caloforge.truth.production import simulate

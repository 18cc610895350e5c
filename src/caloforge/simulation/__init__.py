"""Using a generator: whole events and their digits, and fast simulation inside Geant4."""

from __future__ import annotations

__all__: list[str] = []

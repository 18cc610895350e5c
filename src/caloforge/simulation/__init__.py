"""Bundles at work: in Geant4, for whole events."""

from __future__ import annotations

__all__: list[str] = []

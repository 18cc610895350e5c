"""Counts what became of the particles of all events, and where their energy went."""

from __future__ import annotations

__all__ = ["Tally"]

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.particles import particle_name
from caloforge.simulation.serving import Fate

if TYPE_CHECKING:
    from caloforge.detector import Detector
    from caloforge.simulation.making import Made

_GEV = 1e-3
_DROPPED = (Fate.NO_PARTICLE, Fate.NO_ENERGY, Fate.NO_ANGLE, Fate.NO_POSITION)


class Tally:
    """Sums over batches.

    Args:
        fates: Names of the fates by their number.
        detector: Where the events happen.
    """

    def __init__(self, fates: tuple[str, ...], detector: Detector) -> None:
        self._fates, self._detector = fates, detector
        self.events = self.particles = self._saturated = self._generated = 0
        self._count = np.zeros(len(fates), np.int64)
        self._energy = np.zeros(len(fates))
        self._dropped: Counter[int] = Counter()
        self._dropped_energy: Counter[int] = Counter()
        self._cells, self._outside = 0.0, np.zeros(detector.n_layers)
        self._rounding = np.zeros((detector.n_layers, 2))

    def add(self, made: Made) -> None:
        """Count a batch."""
        particles, n = made.batch.particles, len(self._fates)
        self.events += len(made.batch.numbers)
        self.particles += len(particles)
        self._count += np.bincount(made.fate, minlength=n)
        self._energy += np.bincount(made.fate, particles.energy * _GEV, minlength=n)
        self._generated += int((made.fate >= Fate.GENERATED).sum())
        self._saturated += made.saturated
        self._cells += float(made.energy.sum(dtype=np.float64)) * _GEV
        self._outside += made.outside.sum(axis=0, dtype=np.float64) * _GEV
        self._rounding += made.rounding
        for row in np.flatnonzero(np.isin(made.fate, _DROPPED)).tolist():
            pdg = int(particles.pdg[row])
            self._dropped[pdg] += 1
            self._dropped_energy[pdg] += float(particles.energy[row]) * _GEV  # type: ignore[assignment]

    def figures(self) -> dict[str, Any]:
        """All sums, for the provenance; energies in GeV, lengths in mm."""
        layers = [layer.name for layer in self._detector.layers]
        beside = np.sqrt(self._rounding / max(1, self._generated))
        return {
            "events": self.events,
            "particles": self.particles,
            "fates": {
                name: {"particles": int(count), "energy_gev": float(energy)}
                for name, count, energy in zip(self._fates, self._count, self._energy, strict=True)
                if count
            },
            "dropped": {
                particle_name(pdg): {"particles": count, "energy_gev": self._dropped_energy[pdg]}
                for pdg, count in self._dropped.most_common()
            },
            "cells_gev": self._cells,
            "outside_gev": dict(zip(layers, self._outside.tolist(), strict=True)),
            "beside_their_place_mm": dict(zip(layers, beside.tolist(), strict=True)),
            "saturated_cells": self._saturated,
        }

"""Showers alike on every machine, without a random generator: what the official code was given."""

from __future__ import annotations

import numpy as np

from caloforge.detector import load_detector
from caloforge.showers import Incident, Showers

# what a binning file is for, and the CaloChallenge's names
DATA_SETS = {
    "calochallenge-1-photons": ("1-photons", "photon", "binning_dataset_1_photons.xml"),
    "calochallenge-1-pions": ("1-pions", "pion", "binning_dataset_1_pions.xml"),
    "calochallenge-2": ("2", "electron", "binning_dataset_2.xml"),
    "calochallenge-3": ("3", "electron", "binning_dataset_3.xml"),
}


def even_numbers(rows: int, columns: int, seed: int) -> np.ndarray:
    """Numbers in (0, 1) that look random, of integer arithmetic alone, shape `(rows, columns)`."""
    state = np.arange(rows, dtype=np.uint64)[:, None] * np.uint64(2654435761) + np.arange(
        columns, dtype=np.uint64
    ) * np.uint64(40503)
    state += np.uint64(seed * 97 + 1)
    for _ in range(3):  # rounds of splitmix64
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state ^= state >> np.uint64(31)
    return ((state >> np.uint64(11)).astype(np.float64) + 0.5) / 2**53


def official_showers(preset: str, n: int, seed: int = 0, wider: float = 1.0) -> Showers:
    """Toy showers of a CaloChallenge detector; the first has no energy in the last layer."""
    detector = load_detector(preset)
    u = even_numbers(n, 6 + detector.n_cells, seed)
    energy = (1e3 * 100 ** u[:, 0]).astype(np.float32)
    x, y, z = detector.positions.T
    r = np.hypot(x - 12 * (u[:, 1:2] - 0.5), y - 12 * (u[:, 2:3] - 0.5))
    depth = (z / detector.depth - 0.3 - 0.2 * u[:, 3:4]) / 0.25
    cells = np.exp(-r / (wider * (8 + 22 * u[:, 4:5])) - depth**2) * detector.volumes
    cells *= -np.log(u[:, 6:])
    cells *= ((0.7 + 0.3 * u[:, 5]) * energy / cells.sum(axis=1))[:, None]
    cells[cells < (detector.readout.threshold or 1e-3)] = 0
    cells[0, detector.layers[-1].cells] = 0
    return Showers(detector, Incident.of(energy), cells.astype(np.float32))

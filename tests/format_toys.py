"""Small showers for the tests of formats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from caloforge.detector import Detector, load_detector
from caloforge.showers import Incident, Showers

STILL = """
name: still
readout:
  deposits: active
  sampling_fraction: 0.25
  layers:
    - {count: 2, start: 4 mm, thickness: 3 mm, grid: {kind: cartesian, window: [40 mm, 30 mm], cells: [4, 5]}}
    - {thickness: 10 mm, sampling_fraction: 0.5, grid: {kind: polar, r_edges: "0, 5, 20 mm", alpha: 6}}
"""


def detector_of(name: str) -> Detector:
    return Detector.from_yaml(STILL) if name == "still" else load_detector(name)


def make(name: str, n: int = 20, seed: int = 3) -> Showers:
    """Showers of all kinds of particles; one of them is empty."""
    detector, rng = detector_of(name), np.random.default_rng(seed)
    cells = rng.exponential(20, (n, detector.n_cells)) * (rng.random((n, detector.n_cells)) < 0.1)
    cells[n // 2] = 0
    angles = rng.uniform(0, 0.5, n), rng.uniform(-3, 3, n)
    incident = Incident.of(
        rng.uniform(1e3, 1e5, n), rng.choice([11, 22, -211], n), *angles, *rng.uniform(-5, 5, (2, n))
    )
    return Showers(detector, incident, cells.astype(np.float32), None, {"seed": seed})


def lists(showers: Showers) -> tuple[Any, Any]:
    """Numbers and energies of the cells as awkward arrays."""
    import awkward as ak

    index = [np.flatnonzero(shower) for shower in showers.cells]
    energy = [shower[shower != 0] for shower in showers.cells]
    return ak.Array(index), ak.values_astype(ak.Array(energy), np.float32)


def tree_of(path: Path, columns: dict[str, Any], name: str = "data", pieces: int = 3) -> Path:
    """A TTree of several baskets beside a histogram."""
    import awkward as ak
    import uproot

    arrays = {key: ak.Array(values) for key, values in columns.items()}
    with uproot.recreate(path) as file:
        file["histogram"] = np.histogram(np.ones(3))
        tree = file.mktree(name, {key: array.type.content for key, array in arrays.items()})
        n = len(next(iter(arrays.values())))
        for part in np.array_split(np.arange(n), pieces):
            tree.extend({key: array[part] for key, array in arrays.items()})
    return path

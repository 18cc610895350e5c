"""The smallest detectors that models learn on, and showers that are none, but add up."""

from __future__ import annotations

from string import ascii_lowercase
from typing import TYPE_CHECKING, Any

import numpy as np

from caloforge.detector import Detector
from caloforge.showers import Incident, Showers

if TYPE_CHECKING:
    from caloforge.training import Run


def planar(*layers: tuple[int, int, float], name: str = "tiny") -> str:
    """YAML of a detector with one layer for each (rows, columns, thickness in mm), named a, b, ..."""
    lines = [
        f"    - {{name: {letter}, thickness: {thickness} mm, "
        f"grid: {{kind: cartesian, window: [60 mm, 60 mm], cells: [{rows}, {columns}]}}}}\n"
        for letter, (rows, columns, thickness) in zip(ascii_lowercase, layers, strict=False)
    ]
    assert len(lines) == len(layers)
    head = f"name: {name}\nshape: planar\nsize: [100 mm, 100 mm]\nreadout:\n  deposits: all\n  layers:\n"
    return head + "".join(lines)


TINY = planar((3, 4, 10), (3, 2, 20))


def tiny_showers(n: int = 100, pdg: int = -11, seed: int = 0) -> Showers:
    """Showers in `TINY` that add up to their energy and leave cells empty."""
    rng = np.random.default_rng(seed)
    detector = Detector.from_yaml(TINY)
    energy = rng.uniform(1e3, 1e5, n)
    cells = rng.exponential(size=(n, detector.n_cells)) * (rng.random((n, detector.n_cells)) < 0.7)
    cells *= (energy / cells.sum(1))[:, None]
    return Showers(detector, Incident.of(energy, pdg=pdg), cells.astype(np.float32), None, {"seed": seed})


def train(*given: Any, picture: bool = False, **more: Any) -> Run:
    """Train, without curves unless they are asked for: to draw them takes longer than a toy's training."""
    from caloforge import training

    return training.train(*given, picture=picture, **more)

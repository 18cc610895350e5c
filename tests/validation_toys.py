"""Toy showers with known truth: gamma-like in depth, Gaussian across, with fluctuations; no Geant4 needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from caloforge.detector import Detector
from caloforge.showers import Incident, Showers
from caloforge.validation.inputs.sample import Sample, collect
from caloforge.validation.inputs.samples import Samples
from caloforge.validation.inputs.source import open_source
from caloforge.validation.inputs.split import all_rows

TOY = """
name: toy
about: three layers of unlike grids
readout:
  deposits: all
  layers:
    - {name: front, thickness: 60 mm, grid: {kind: cartesian, window: [80 mm, 80 mm], cells: [2, 16]}}
    - {name: middle, thickness: 120 mm, grid: {kind: cartesian, window: [80 mm, 80 mm], cells: [8, 8]}}
    - {name: back, thickness: 60 mm, grid: {kind: cartesian, window: [80 mm, 80 mm], cells: [4, 4]}}
"""


SINGLE = """
name: single
readout:
  deposits: all
  layers:
    - {name: only, thickness: 200 mm, grid: {kind: cartesian, window: [80 mm, 80 mm], cells: [4, 4]}}
"""


def single_layer() -> Detector:
    """One layer of 16 cells: a report with few figures."""
    return Detector.from_yaml(SINGLE)


def toy_detector() -> Detector:
    return Detector.from_yaml(TOY)


def toy_showers(n: int, seed: int, detector: Detector | None = None) -> Showers:
    """`n` independent showers of 1 to 50 GeV; the response is 0.8 with a spread of 2 %."""
    detector = detector or toy_detector()
    rng = np.random.default_rng(seed)
    energy = rng.uniform(1e3, 5e4, n)
    depth = rng.normal(0.42, 0.05, n)[:, None] + 0.03 * np.log(energy / 1e4)[:, None]
    width = rng.normal(9.0, 0.7, n)[:, None]
    x0, y0 = rng.normal(0, 1.0, (2, n, 1))
    x, y, z = detector.positions.T
    shape = np.exp(-0.5 * ((x - x0) ** 2 + (y - y0) ** 2) / width**2) * detector.volumes
    shape *= np.exp(-0.5 * ((z / detector.depth - depth) / 0.17) ** 2)
    shape *= rng.gamma(4.0, 0.25, shape.shape)
    cells = shape / shape.sum(axis=1, keepdims=True) * (energy * rng.normal(0.8, 0.016, n))[:, None]
    cells[cells < 0.05] = 0.0
    return Showers(detector, Incident.of(energy), cells.astype(np.float32), provenance={"seed": seed})


def broken(showers: Showers, kind: str) -> Showers:
    """Showers with a fault."""
    rng = np.random.default_rng(99)
    cells, incident = showers.cells.copy(), showers.incident
    if kind == "scaled":
        cells *= np.float32(1.02)
    elif kind == "shifted":
        cells = showers.detector.join([np.roll(image, 1, axis=2) for image in showers.layers()])
    elif kind == "noisy":
        cells = np.maximum(cells + rng.normal(0, 1.0, cells.shape), 0).astype(np.float32)
    elif kind == "repeated":
        rows = np.arange(len(showers))
        rows[-len(rows) // 10 :] = rows[: len(rows) // 10]
        cells, incident = cells[rows], incident[rows]
    elif kind == "empty":
        cells[:] = 0
    return Showers(showers.detector, incident, cells)


def samples_of(
    folder: Path,
    reference: Showers,
    floor: Showers,
    *candidates: Showers,
    training: Showers | None = None,
    seed: int = 0,
) -> Samples:
    """Samples of showers in memory, as a study is given them; observables go to `folder`."""
    names = ("Geant4", "Geant4 again", *(f"candidate {i}" for i in range(len(candidates))))
    given = [
        sample_of(folder, s, name, seed + i)
        for i, (name, s) in enumerate(zip(names, (reference, floor, *candidates), strict=True))
    ]
    learned = None if training is None else sample_of(folder, training, "training", seed + 90)
    return Samples(reference.detector, given[0], given[1], tuple(given[2:]), training=learned, seed=seed)


def sample_of(folder: Path, showers: Showers, name: str = "sample", seed: int = 0) -> Sample:
    """One sample of all `showers`."""
    with open_source(showers) as source:
        return collect(source, [(name, all_rows(len(source), seed))], folder, lambda _: None).samples[0]

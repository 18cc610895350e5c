"""3DGAN's figure of merit: the published definition, one function for training and report, any detector."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from caloforge.detector import Detector, load_detector
from caloforge.models.base import Generator
from caloforge.observables.figure_of_merit import axes_of, energy_ranges, figure_of_merit, members
from caloforge.showers import Incident, Showers
from caloforge.training.quicklook import QuickLook
from caloforge.validation.studies import merit as report
from validation_toys import samples_of, single_layer, toy_detector, toy_showers

CUBE = """
name: cube
readout:
  deposits: all
  layers:
    - {count: 6, thickness: 10 mm, grid: {kind: cartesian, window: [80 mm, 80 mm], cells: [4, 5]}}
"""


def cube(seed: int, n: int = 300) -> Showers:
    """Showers of 50 to 450 GeV without physics, a tenth of them at each of the published energies."""
    rng, detector = np.random.default_rng(seed), Detector.from_yaml(CUBE)
    energy = rng.choice([50.0, 100, 103, 198, 200, 296, 300, 400, 404, 450], n) * 1e3
    cells = rng.exponential(size=(n, detector.n_cells)) * (rng.random((n, detector.n_cells)) < 0.6)
    return Showers(detector, Incident.of(energy), (cells * energy[:, None] / 1e5).astype(np.float32))


def with_cells(showers: Showers, cells: NDArray[np.floating]) -> Showers:
    return Showers(showers.detector, showers.incident, cells.astype(np.float32))


def by_hand(geant4: Showers, made: Showers) -> float:
    """The published definition, shower by shower and plane by plane."""

    def shower(image: NDArray[np.floating], axis: int) -> tuple[NDArray[np.float64], float, float]:
        plane = np.array([np.take(image, i, axis=axis).sum(dtype=float) for i in range(image.shape[axis])])
        mean = sum(i * e for i, e in enumerate(plane)) / plane.sum()
        return plane, mean, sum((i - mean) ** 2 * e for i, e in enumerate(plane)) / plane.sum()

    images = [np.stack(s.layers(), axis=-1) for s in (geant4, made)]
    positions, profiles = 0.0, 0.0
    ranges = [(0, np.inf), *((e - 5e3, e + 5e3) for e in (1e5, 2e5, 3e5, 4e5))]
    for low, high in ranges:
        for axis in range(3):
            real, fake = (
                [
                    shower(image, axis)
                    for image, e in zip(part, s.incident.energy, strict=True)
                    if low <= e <= high
                ]
                for part, s in zip(images, (geant4, made), strict=True)
            )
            for m in (1, 2):
                a, b = (np.mean([s[m] for s in showers]) for showers in (real, fake))
                positions += abs(a - b) / a / 2 / 3 / len(ranges)
            a, b = (np.mean([s[0] for s in showers], axis=0) for showers in (real, fake))
            profiles += np.mean(np.abs(a - b) / a) / 3 / len(ranges)
    return float(positions + profiles)


def test_it_is_the_published_one() -> None:
    geant4, made = cube(0), cube(1)
    made = with_cells(made, made.cells * np.linspace(0.5, 1.5, made.detector.n_cells))
    assert figure_of_merit(geant4, made) == pytest.approx(by_hand(geant4, made), rel=1e-6)
    assert figure_of_merit(geant4, geant4) == 0
    # twice the energy in each cell: no moment moves, every profile is off by as much as it holds
    assert figure_of_merit(geant4, with_cells(geant4, 2 * geant4.cells)) == pytest.approx(1)


def test_empty_generated_showers_are_wholly_wrong() -> None:
    geant4 = cube(0)
    assert figure_of_merit(geant4, with_cells(geant4, 0 * geant4.cells)) == pytest.approx(2)
    nothing = with_cells(geant4, np.where(geant4.detector.layer_of_cell == 0, 0, geant4.cells))
    assert np.isfinite(figure_of_merit(nothing, geant4))  # planes in which Geant4 has nothing do not count


class Replay(Generator):
    """Gives the same showers whatever it is asked."""

    conditions, noise_shape = ("energy",), (1,)

    def __init__(self, showers: Showers) -> None:
        super().__init__(showers.detector)
        self.cells = torch.nn.Parameter(torch.from_numpy(showers.cells))

    def forward(self, noise: Tensor, incident: Tensor) -> Tensor:
        return 1 * self.cells


@pytest.mark.parametrize(
    "detector", [None, single_layer(), Detector.from_yaml(CUBE)], ids=["toy", "one", "cube"]
)
def test_training_and_report_say_the_same(tmp_path: Path, detector: Detector | None) -> None:
    geant4, floor, other = (toy_showers(120, seed, detector) for seed in (1, 2, 3))
    made = Showers(geant4.detector, geant4.incident, other.cells)
    look = QuickLook(geant4, seed=0, select="merit")(Replay(made))
    study = report.figure_of_merit(samples_of(tmp_path, geant4, floor, made), lambda *_: None)
    found = {number.name: number.measure.value for number in study.numbers[0]}
    assert look["merit"] > 0.01
    assert look["merit"] == pytest.approx(found["figure_of_merit"], rel=1e-6)
    assert look["merit"] == pytest.approx(found["merit_moments"] + found["merit_profiles"], rel=1e-6)


def test_energies_are_the_published_ones_where_they_fit() -> None:
    energy = np.repeat([50e3, 97e3, 104e3, 203e3, 300e3, 400e3, 480e3], 10)
    assert members(energy, energy_ranges(energy)).sum(axis=0).tolist() == [70, 20, 10, 10, 10]
    narrow = np.linspace(1e3, 101e3, 201)
    ranges = energy_ranges(narrow)
    assert ranges.mean(axis=1) == pytest.approx([21e3, 41e3, 61e3, 81e3])
    assert members(narrow, ranges).sum(axis=0).tolist() == [201, 21, 21, 21, 21]
    one = np.full(50, 60e3, np.float32)
    assert members(one, energy_ranges(one)).all()


def test_coarse_cells_are_spread_over_fine_ones() -> None:
    axes = {axis.name: axis for axis in axes_of(toy_detector())}
    assert {name: axis.share.shape for name, axis in axes.items()} == {
        "x": (112, 8),
        "y": (112, 16),
        "z": (112, 3),
    }
    for axis in axes.values():
        assert axis.share.sum(axis=1) == pytest.approx(np.ones(112))
    assert axes["x"].share[0] == pytest.approx([0.25] * 4 + [0] * 4)  # first of two cells
    assert axes["y"].share[1] == pytest.approx(np.eye(16)[1])
    assert {axis.name for axis in axes_of(load_detector("calochallenge-1-photons"))} == {"phi", "r", "z"}
    assert {axis.name for axis in axes_of(single_layer())} == {"x", "y"}

"""What physics lists and ways of booking a step change in the cells of a detector.

    python benchmarks/booking.py calogan --particle e+ --energy 10:50GeV --count 100 --physics standard

Geant4 says from where to where a step lost its energy. The same steps are booked in four ways: shared exactly
among the cells that they cross, as `simulate` does, or as a whole in the cell of their first, middle or last
point. The printed numbers are means per shower; those of the other ways are changes against the exact one,
with the error of the mean of the showers' own changes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from caloforge.detector import load_detector
from caloforge.particles import pdg_id
from caloforge.quantities import Interval, Spectrum
from caloforge.showers import Showers
from caloforge.truth.engine import Engine
from caloforge.truth.geometry import slab_paths
from caloforge.truth.gun import Gun
from caloforge.truth.physics import Physics
from caloforge.truth.readout import Readout
from caloforge.truth.steps import Steps, collect

FLOORS = {"any energy": 0.0, "over 1 keV": 1e-3, "over 100 keV": 0.1, "over 1 MeV": 1.0}
WAYS: dict[str, Callable[[Steps], Steps]] = {
    "shared": lambda steps: steps,
    "first point": lambda steps: replace(steps, end=steps.start),
    "middle": lambda steps: _at(steps, (steps.start + steps.end) / 2),
    "last point": lambda steps: replace(steps, start=steps.end),
}


def main() -> None:
    """Shoot, book in every way, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("detector")
    parser.add_argument("--particle", default="e+")
    parser.add_argument("--energy", default="10:50GeV")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--physics", default="standard")
    options = parser.parse_args()
    detector, fixed = load_detector(options.detector), Interval(0.0, 0.0)
    gun = Gun(pdg_id(options.particle), Spectrum.parse(options.energy), fixed, fixed, fixed, fixed)
    engine = Engine(detector, Physics.parse(options.physics, 0.7), 1)
    readout = Readout(detector)
    found: dict[str, list[np.ndarray]] = {way: [] for way in WAYS}
    for number in range(options.count):
        incident = gun.incident(1, number, number + 1)
        steps = collect(engine.transport(incident, number), slab_paths(detector), 1, {})
        for way, booked in WAYS.items():
            found[way].append(_numbers(readout.showers([booked(kind) for kind in steps], incident)))
    names = [*(f"E({layer.name})/E" for layer in detector.layers), "sum/E", *_cell_names(detector)]
    _print(names, {way: np.array(rows) for way, rows in found.items()}, options)


def _at(steps: Steps, points: np.ndarray) -> Steps:
    return replace(steps, start=points, end=points)


def _cell_names(detector: object) -> list[str]:
    layers = [layer.name for layer in detector.layers]  # type: ignore[attr-defined]
    return [*(f"cells {floor}" for floor in FLOORS), *(f"cells {name}" for name in layers)]


def _numbers(shower: Showers) -> np.ndarray:
    """Shares of the energy, then cells above each floor, then cells of each layer with any energy."""
    cells, energy = shower.cells[0].astype(float), float(shower.incident.energy[0])
    layers = [cells[layer.cells] for layer in shower.detector.layers]
    shares = [layer.sum() / energy for layer in layers]
    above = [(cells > floor).sum() for floor in FLOORS.values()]
    return np.array([*shares, sum(shares), *above, *((layer > 0).sum() for layer in layers)])


def _print(names: list[str], found: dict[str, np.ndarray], options: argparse.Namespace) -> None:
    print(f"{options.detector}, {options.count} {options.particle} {options.energy}, {options.physics}")
    print(f"{'':<20}" + "".join(f"{way:>20}" for way in WAYS))
    exact, root = found["shared"], np.sqrt(options.count)
    for i, name in enumerate(names):
        mean, error = exact[:, i].mean(), exact[:, i].std(ddof=1) / root
        row = [f"{mean:.5g} +- {error:.2g}"]
        for way in list(WAYS)[1:]:
            change = 100 * (found[way][:, i] - exact[:, i]) / mean
            row.append(f"{change.mean():+.2f} +- {change.std(ddof=1) / root:.2f} %")
        print(f"{name:<20}" + "".join(f"{text:>20}" for text in row))


if __name__ == "__main__":
    main()

"""Whole events: what order of adding and digitising changes, and how many particles a core makes in a second.

    python benchmarks/events.py calogan.bundle [--showers positrons.h5]

The showers are Geant4's, by default those that ship with caloforge, moved to random places by whole cells;
the electronics have noise in each cell and a threshold on it. Times are CPU seconds of one core.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from caloforge.detector import Detector, load_detector
from caloforge.samples import positrons
from caloforge.showers import open_showers
from caloforge.simulation.digits import Digitiser
from caloforge.simulation.events import EventGun
from caloforge.simulation.events.batch import batches
from caloforge.simulation.making import Making, Plan
from caloforge.simulation.output import event_writer
from caloforge.simulation.output.base import About
from caloforge.simulation.placing import Placing

ELECTRONICS = """digitisation:
  crosstalk: 0.01
  noise: [10 MeV, 20 MeV, 15 MeV]
  saturation: 100 GeV
  gains: [1, 10, 100]
  bits: 12
  pedestal: 200
  threshold: 3 sigma
"""
EVENTS = 400


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--showers", type=Path, default=positrons())
    given = parser.parse_args()
    detector = Detector.from_yaml(load_detector("calogan").to_yaml() + ELECTRONICS)
    orders(detector, given.showers)
    speed(given.bundle, detector)


def orders(detector: Detector, path: Path) -> None:
    """Digitise the sum of some showers, and add the digitised showers."""
    with open_showers(path, detector) as file:
        cells = file.read(0, len(file)).cells
    placing, digitise = Placing(detector), Digitiser(detector)
    rng = np.random.default_rng(1)
    print("particles  true GeV   added then digitised   digitised then added      cells with energy")
    for number in (1, 5, 20, 100, 300):
        true, one, other, hits, more = (np.zeros(EVENTS) for _ in range(5))
        for event in range(EVENTS):
            picked = cells[rng.integers(len(cells), size=number)]
            showers = placing.place(picked, placing.shifted(rng.uniform(-160, 160, (number, 2)))).cells
            together = digitise(showers.sum(axis=0, dtype=np.float64)[None], 1, event).energy
            each = digitise(showers, 2, event * number).energy.sum(axis=0)
            true[event], one[event], other[event] = showers.sum(dtype=float), together.sum(), each.sum()
            hits[event], more[event] = np.count_nonzero(together), np.count_nonzero(each)
        ratios = [
            np.array([ratio.mean(), ratio.std() / EVENTS**0.5]) * 100 for ratio in (one / true, other / true)
        ]
        told = "       ".join(f"{mean:6.2f} +- {error:.2f} %" for mean, error in ratios)
        print(f"{number:9} {true.mean() / 1e3:9.0f}   {told}      {hits.mean():5.0f} {more.mean():5.0f}")


def speed(bundle: Path, detector: Detector) -> None:
    """Time reading, making, digitising and writing of events of different sizes."""
    print("\nparticles  digits   us a particle: source     making    writing   particles/s of one core")
    for number, count in ((1, 10_000), (20, 500), (300, 40)):
        for target in (load_detector("calogan"), detector):
            took = spent(bundle, target, number, count)
            told = "".join(f"{part * 1e6:11.1f}" for part in took)
            digits = str(target.digitisation is not None)
            print(f"{number:9}  {digits:6}  {told.rjust(44)}   {1 / took.sum():,.0f}")


def spent(bundle: Path, detector: Detector, number: int, count: int) -> np.ndarray:
    """CPU seconds per particle of source, making and writing."""
    gun = EventGun.of("e+", "1:100GeV", number, x="-160:160mm", y="-160:160mm")
    making = Making(Plan((str(bundle),), detector.to_yaml(), 0.0, True, "refuse", 0.02, 1, "FTFP_BERT"))
    making(next(batches(gun.source(1, 2), detector.n_cells)))  # loads the bundle
    times = [time.process_time()]
    cut = list(batches(gun.source(count, 1), detector.n_cells))
    times.append(time.process_time())
    made = [making(batch) for batch in cut]
    times.append(time.process_time())
    with (
        TemporaryDirectory() as folder,
        event_writer(Path(folder) / "e.h5", About(detector, ("",), ())) as writer,
    ):
        for batch in made:
            writer.append(batch)
    times.append(time.process_time())
    return np.diff(times) / (number * count)


if __name__ == "__main__":
    main()

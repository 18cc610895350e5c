"""What reading out and storing adds to Geant4's own time, per shower and CPU.

    python benchmarks/simulate.py calogan --particle e+ --energy 1:100GeV --count 10 --repeat 8

The same showers are made in turns by three engines: transport alone, transport that records deposits, and
the whole production. A turn is one shower, the order of turns changes, and of every turn the shortest of
several times counts, so that a busy machine disturbs little.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from caloforge.detector import Detector, load_detector
from caloforge.machine import peak_memory_mb, processor
from caloforge.particles import pdg_id
from caloforge.quantities import Interval, Spectrum
from caloforge.showers import Incident, ShowerWriter
from caloforge.truth.engine import Engine
from caloforge.truth.gun import Gun
from caloforge.truth.physics import Physics

KINDS = ("transport alone", "with recording", "whole production")


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("detector")
    parser.add_argument("--particle", default="e+")
    parser.add_argument("--energy", default="1:100GeV")
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--repeat", type=int, default=8)
    options = parser.parse_args()
    detector = load_detector(options.detector)
    fixed = Interval(0.0, 0.0)
    gun = Gun(pdg_id(options.particle), Spectrum.parse(options.energy), fixed, fixed, fixed, fixed)
    incident = gun.incident(1, 0, options.count)
    with (
        tempfile.TemporaryDirectory() as folder,
        ShowerWriter(Path(folder) / "showers.h5", detector, {}) as writer,
    ):
        times = measure(detector, incident, writer, options.repeat)
    print(f"{detector.name}, {options.particle} {options.energy}, {options.count} showers; {processor()}")
    print(f"{'':<18}{'ms/shower':>10}{'over transport':>16}{'over recording':>16}")
    alone, recording, _ = (times[kind] for kind in KINDS)
    for kind in KINDS:
        sums = times[kind].sum() / options.count, ratio(times[kind], alone), ratio(times[kind], recording)
        print(f"{kind:<18}{sums[0]:>10.2f}{sums[1]:>15.1%} {sums[2]:>15.1%}")
    print(f"peak memory {peak_memory_mb():.0f} MB")


def ratio(times: np.ndarray, reference: np.ndarray) -> float:
    """Extra time of the same turns."""
    return float(times.sum() / reference.sum()) - 1


def measure(
    detector: Detector, incident: Incident, writer: ShowerWriter, repeat: int
) -> dict[str, np.ndarray]:
    """Shortest CPU milliseconds of each turn by kind."""
    physics = Physics.parse("standard", 0.7)
    bare, full = Engine(detector, physics, 1, deposits=False), Engine(detector, physics, 1)
    kinds: dict[str, Callable[[Incident, int], object]] = {
        KINDS[0]: bare.transport,
        KINDS[1]: full.transport,
        KINDS[2]: lambda some, first: writer.append(full.shoot(some, first)[0]),
    }
    times = {kind: np.full(len(incident), np.inf) for kind in KINDS}
    for turn in [*range(len(incident))] * repeat:
        for kind in np.roll(KINDS, turn):
            begin = time.process_time()
            kinds[kind](incident[turn : turn + 1], turn)
            times[kind][turn] = min(times[kind][turn], (time.process_time() - begin) * 1e3)
    return times


if __name__ == "__main__":
    main()

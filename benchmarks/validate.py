"""Time and memory of a whole validation: two samples of one size, every quick metric, page included.

    python benchmarks/validate.py calogan ../shared/data/calogan/positrons.h5 --count 20000
    python benchmarks/validate.py clic ../shared/data/clic/electrons.h5 --count 20000

A Geant4 file of that size is seldom at hand. The samples are drawn from a smaller one with replacement, and
each cell is smeared by 1 % so that no two showers are equal: that changes what a report says, not its cost.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from caloforge.machine import processor
from caloforge.showers import Incident, Showers, ShowerWriter, open_showers

_AT_ONCE = 1000
_COMMAND = (sys.executable, "-c", "from caloforge.cli.main import main; main()")


def main() -> None:
    """Measure and print one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("detector")
    parser.add_argument("source", type=Path)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--metrics", default="quick")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{name}.h5" for name in ("reference", "floor", "candidate")]
        for seed, file in enumerate(files):
            enlarge(options.source, file, options.count, seed)
        wall, cpu, memory, size = validate(files, Path(folder) / "report", options.metrics)
    print(
        f"{options.detector}, {options.count} against {options.count} showers, metrics {options.metrics}: "
        f"{wall:.1f} s wall, {cpu:.1f} s CPU, {memory:.2f} GB, page of {size:.1f} MB; {processor()}"
    )


def enlarge(source: Path, target: Path, count: int, seed: int) -> None:
    """Write `count` showers drawn from a file, each cell smeared by 1 %."""
    rng = np.random.default_rng([seed, 77])
    with open_showers(source) as file:
        pool = Showers.concat(list(file.chunks(_AT_ONCE)))
    with ShowerWriter(target, pool.detector, {}) as writer:
        for start in range(0, count, _AT_ONCE):
            rows = rng.integers(0, len(pool), min(_AT_ONCE, count - start))
            part = pool[rows]
            smear = rng.normal(1.0, 0.01, part.cells.shape).clip(0.5).astype(np.float32)
            incident = Incident.of(part.incident.energy, pdg=part.incident.pdg, theta=part.incident.theta)
            writer.append(Showers(pool.detector, incident, part.cells * smear))


def validate(files: list[Path], out: Path, metrics: str) -> tuple[float, float, float, float]:
    """Run the command; return wall and CPU seconds, peak GB of its largest process, and MB of its page."""
    reference, floor, candidate = (str(file) for file in files)
    command = [*_COMMAND, "validate", reference, candidate, "--floor", floor]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [*command, "--out", str(out), "--metrics", metrics, "--json"], check=True, stdout=subprocess.DEVNULL
    )
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, after.ru_maxrss / 1e6, (out / "report.html").stat().st_size / 1e6


if __name__ == "__main__":
    main()

"""What a cluster costs: an empty chunk there and back, and `simulate` beside one core of this machine.

    python benchmarks/cluster.py processes:2 dask://localhost:8786 ray:auto --energy 1GeV --count 600

Each cluster simulates in turns with one process of this machine, and of every kind the shortest time counts,
so that a busy machine disturbs little.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from contextlib import closing
from pathlib import Path

from caloforge.cluster import Chunk, open_cluster
from caloforge.machine import processor
from caloforge.truth import simulate

_CHUNKS = 300


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cluster", nargs="+")
    parser.add_argument("--detector", default="calogan")
    parser.add_argument("--energy", default="1GeV")
    parser.add_argument("--count", type=int, default=600)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    print(f"{options.detector}, {options.count} e+ of {options.energy}; {processor()}")
    wall: dict[str, list[float]] = {address: [] for address in ("processes:1", *options.cluster)}
    for _ in range(options.repeat):
        for address, times in wall.items():
            times.append(production(address, options))
    one = min(wall["processes:1"])
    for address, times in wall.items():
        print(
            f"{address:32s} empty chunk {1e3 * overhead(address):6.2f} ms   "
            f"simulate {min(times):6.1f} s, one core / this {one / min(times):.2f}"
        )


def production(address: str, options: argparse.Namespace) -> float:
    """Seconds that a production takes, the start of Geant4 included."""
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        simulate(
            options.detector,
            particle="e+",
            energy=options.energy,
            count=options.count,
            cluster=address,
            out=Path(folder) / "a.h5",
        )
        return time.perf_counter() - begin


def overhead(address: str) -> float:
    """Seconds from one empty chunk to the next, when all workers are busy with such."""
    with open_cluster(address) as cluster:
        chunks = (Chunk(number, (number,)) for number in range(_CHUNKS + 1))
        with closing(cluster.run(abs, chunks, ahead=4 * cluster.slots)) as outcomes:
            next(outcomes)
            begin = time.perf_counter()
            for _ in outcomes:
                pass
            return (time.perf_counter() - begin) / _CHUNKS


if __name__ == "__main__":
    main()

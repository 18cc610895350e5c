"""Training speed of the published networks in caloforge and in Keras, in turns on one machine.

    python benchmarks/keras/compare.py gan3d --keras keras-environment/bin/python

Each kind is a process of its own that takes its steps while the others wait. A turn is one measurement of
each kind, in an order that changes; a ratio compares two kinds within the same turn, so that a busy machine
disturbs both. CPU time of one thread says more than wall time where other programs run.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from caloforge.machine import processor

_HERE = Path(__file__).parent
KINDS = {
    "caloforge fp32": ("--precision", "fp32"),
    "caloforge bf16": ("--precision", "bf16"),
    "Keras train_on_batch": (),
    "Keras graph": ("--form", "graph"),
    "Keras graph bf16": ("--form", "graph", "--precision", "mixed_bfloat16"),
    "Keras graph XLA": ("--form", "xla"),
    # Only where there are locally connected layers: the two other ways in which Keras computes them.
    "Keras graph, dense local": ("--form", "graph", "--local", "2"),
    "Keras graph, sparse local": ("--form", "graph", "--local", "3"),
}
_COMMON = list(KINDS)[:5]


@dataclass
class Worker:
    """A process that takes steps when told to.

    Attributes:
        kind: One of `KINDS`.
        facts: What it said of itself.
        wall: Wall milliseconds per shower, one number for each turn.
        cpu: CPU milliseconds per shower.
    """

    kind: str
    process: subprocess.Popen[str]
    facts: dict = field(default_factory=dict)
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def listen(self) -> dict:
        """Wait for its next answer."""
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(
                f"{self.kind} ended with {self.process.wait()}: run its worker by hand to see why"
            )
        return json.loads(line)

    def measure(self, steps: int) -> None:
        """Have it take steps."""
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        taken = self.listen()
        showers = steps * self.facts["batch"]
        self.wall.append(1e3 * taken["wall"] / showers)
        self.cpu.append(1e3 * taken["cpu"] / showers)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", choices=["gan3d", "calogan"])
    parser.add_argument("--keras", default=sys.executable, help="Python of the environment that has Keras.")
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=_COMMON)
    parser.add_argument("--batch", type=int, help="Showers per step; the published number if not given.")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=1, help="Steps in a turn.")
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    workers = [_start(kind, options) for kind in options.kinds]
    try:
        _same_networks(workers)
        for turn in range(options.turns):
            first = turn % len(workers)
            for worker in workers[first:] + workers[:first]:
                worker.measure(options.steps)
            print(f"turn {turn + 1} of {options.turns}", file=sys.stderr, flush=True)
    finally:
        for worker in workers:
            worker.process.kill()
    _print(workers, options)


def _start(kind: str, options: argparse.Namespace) -> Worker:
    """Start a worker and let it take its first step, which builds its graph and does not count."""
    ours = kind.startswith("caloforge")
    program = (
        [sys.executable, _HERE / "torch_worker.py"] if ours else [options.keras, _HERE / "keras_worker.py"]
    )
    command = [*program, options.recipe, "--threads", str(options.threads), *KINDS[kind]]
    if options.batch:
        command += ["--batch", str(options.batch)]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": str(options.threads)},
    )
    worker = Worker(kind, process)
    worker.facts = worker.listen()
    print(f"{kind} is ready", file=sys.stderr, flush=True)
    return worker


def _same_networks(workers: Sequence[Worker]) -> None:
    counts = {json.dumps(worker.facts["counts"]) for worker in workers}
    if len(counts) > 1:
        raise SystemExit("these are not the same networks: " + ", ".join(sorted(counts)))


def _print(workers: Sequence[Worker], options: argparse.Namespace) -> None:
    facts = workers[0].facts
    versions = ", ".join(sorted({worker.facts["versions"] for worker in workers}))
    print(f"\n{options.recipe}, batch {facts['batch']}, {options.threads} threads; {processor()}; {versions}")
    for name, (every, learn) in facts["counts"].items():
        print(f"{name}: {every:,} parameters, {learn:,} of them learn")
    print("\n| kind | CPU ms/shower | wall ms/shower | showers/s (wall) | showers/s per core (CPU) |")
    print("|---|---|---|---|---|")
    for worker in workers:
        wall, cpu = statistics.median(worker.wall), statistics.median(worker.cpu)
        print(f"| {worker.kind} | {_spread(worker.cpu)} | {_spread(worker.wall)} "
              f"| {1e3 / wall:.3g} | {1e3 / cpu:.3g} |")  # fmt: skip
    others = [worker for worker in workers if not worker.kind.startswith("caloforge")]
    print("\n| how many times faster | " + " | ".join(f"than {other.kind}" for other in others) + " |")
    print("|---|" + "---|" * len(others))
    for ours in workers:
        if ours.kind.startswith("caloforge"):
            cells = [
                f"CPU {_ratio(other.cpu, ours.cpu)}, wall {_ratio(other.wall, ours.wall)}" for other in others
            ]
            print(f"| {ours.kind} | " + " | ".join(cells) + " |")


def _ratio(slow: Sequence[float], fast: Sequence[float]) -> str:
    return _spread([a / b for a, b in zip(slow, fast, strict=True)])


def _spread(values: Sequence[float]) -> str:
    """Median, and lowest and highest of all turns."""
    return f"{statistics.median(values):.3g} ({min(values):.3g}-{max(values):.3g})"


if __name__ == "__main__":
    main()

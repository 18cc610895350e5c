"""What a shower costs with a bundle of this build, beside an earlier build and the originals in Keras.

    python benchmarks/engine.py --before OLD_CHECKOUT --keras keras-environment/bin/python
    python benchmarks/engine.py conv2d-tuned --before OLD_CHECKOUT --batch 1 64

Each run that ships is exported by both checkouts. Every side is a process of one thread that makes showers
when it is told to, and all take turns, so that a busy machine disturbs all of them; times are CPU times.
A ratio compares measurements of the same turn; its median is printed, with the lowest and highest.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

_HERE = Path(__file__).resolve().parents[1]
_ORIGINAL = {"calogan-tuned": "calogan", "conv2d-tuned": "gan3d"}
_SECONDS = 0.3  # of one measurement
_ENGINE = """
import json, sys, time
import numpy as np
import caloforge as cf
from caloforge.deploy.sampling import make_showers
from caloforge.models.blocks.noise import draw_noise
from caloforge.showers import Incident
engine, seconds = cf.Engine(sys.argv[1], threads=1), float(sys.argv[2])
rng, energy = np.random.default_rng(1), engine.valid.energy

def timed(call):
    call()
    calls, start = 0, time.process_time()
    while time.process_time() - start < seconds:
        call()
        calls += 1
    return 1e3 * (time.process_time() - start) / calls

for line in sys.stdin:
    n = int(line)
    incident = Incident.of(np.linspace(energy.min, energy.max, n), pdg=engine.valid.particles[0])
    columns, noise = incident.matrix(engine.conditions), draw_noise(rng, n, engine.noise_shape)
    cells = engine.run(noise, columns)
    found = {
        "whole": timed(lambda: make_showers(engine, incident, rng)) / n,
        "graph": timed(lambda: engine.run(noise, columns)) / n,
        "noise": timed(lambda: draw_noise(rng, n, engine.noise_shape)) / n,
    }
    engine.run = lambda noise, columns: cells[: len(noise)]  # at once: what is left is ours
    found["ours"] = timed(lambda: make_showers(engine, incident, rng)) / n - found["noise"]
    del engine.run
    print(json.dumps(found), flush=True)
"""
_KERAS = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
import numpy as np
import tensorflow as tf
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
from importlib import import_module
module = import_module(sys.argv[2])
generator = module.generator(1) if sys.argv[2] == "calogan" else module.generator()
latent, seconds = generator.input_shape[0][1], float(sys.argv[3])
# Not predict, which costs milliseconds by itself.
traced = tf.function(lambda noise, energy: generator([noise, energy], training=False))
for line in sys.stdin:
    n = int(line)
    energy = np.full((n, 1), 0.5, np.float32)
    call = lambda: traced(np.random.standard_normal((n, latent)).astype(np.float32), energy)
    call(), call()
    calls, start = 0, time.process_time()
    while time.process_time() - start < seconds or calls < 3:
        call()
        calls += 1
    print(json.dumps({"whole": 1e3 * (time.process_time() - start) / calls / n}), flush=True)
"""


@dataclass
class Side:
    """One way to make showers.

    Attributes:
        found: CPU milliseconds per shower by batch size, one entry for each turn.
    """

    name: str
    process: subprocess.Popen[str]
    found: dict[int, list[dict[str, float]]] = field(default_factory=dict)

    def measure(self, batch: int) -> None:
        """Let the process measure once."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(batch, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"{self.name} ended")
        self.found.setdefault(batch, []).append(json.loads(answer))

    def times(self, batch: int, what: str = "whole") -> list[float]:
        """Milliseconds per shower."""
        return [turn[what] for turn in self.found[batch]]


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="*", default=list(_ORIGINAL), help="Runs that ship.")
    parser.add_argument("--before", type=Path, help="Checkout of the build to compare with.")
    parser.add_argument("--keras", help="Python of an environment with benchmarks/keras/requirements.txt.")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 64, 128])
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    print("| run | batch | side | CPU ms/shower | its graph | its noise | ours | times faster now |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for run in options.runs:
            sides = _sides(run, Path(folder), options.before, options.keras)
            for turn in range(options.turns):
                for batch in options.batch:
                    for side in sides[turn % len(sides) :] + sides[: turn % len(sides)]:
                        side.measure(batch)
            for batch in options.batch:
                for side in sides:
                    print(_row(run, batch, side, sides[0]), flush=True)
            for side in sides:
                side.process.terminate()
                side.process.wait()


def _sides(run: str, folder: Path, before: Path | None, keras: str | None) -> list[Side]:
    checkouts = {"now": _HERE, **({"before": before.resolve()} if before else {})}
    sides = []
    for name, checkout in checkouts.items():
        bundle, environment = folder / f"{run}-{name}", _environment(checkout)
        command = [sys.executable, "-m", "caloforge", "export", run, "--out", str(bundle)]
        subprocess.run(command, env=environment, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        sides.append(Side(name, _started([sys.executable, "-c", _ENGINE, str(bundle)], environment)))
    if keras and run in _ORIGINAL:
        arguments = [keras, "-c", _KERAS, str(_HERE / "benchmarks" / "keras"), _ORIGINAL[run]]
        quiet = {
            **os.environ,
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "OMP_NUM_THREADS": "1",
            "CUDA_VISIBLE_DEVICES": "",
        }
        sides.append(Side(f"{_ORIGINAL[run]} in Keras", _started(arguments, quiet)))
    return sides


def _environment(checkout: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(checkout / "src"), "OMP_NUM_THREADS": "1"}


def _started(command: list[str], environment: dict[str, str]) -> subprocess.Popen[str]:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return subprocess.Popen([*command, str(_SECONDS)], env=environment, **pipes)  # type: ignore[call-overload, no-any-return]


def _row(run: str, batch: int, side: Side, now: Side) -> str:
    times = side.times(batch)
    ratios = [slow / fast for slow, fast in zip(times, now.times(batch), strict=True)]
    parts = [
        _spread(side.times(batch, what)) if what in side.found[batch][0] else "-"
        for what in ("graph", "noise", "ours")
    ]
    return f"| {run} | {batch} | {side.name} | {_spread(times)} | {' | '.join(parts)} | {_spread(ratios)} |"


def _spread(values: Sequence[float]) -> str:
    """Median, and lowest and highest of all turns."""
    return f"{statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g})"


if __name__ == "__main__":
    main()

"""What a shower costs in production."""

from __future__ import annotations

__all__ = ["ms_per_shower"]

from pathlib import Path
from statistics import median

import numpy as np

from caloforge.deploy.bench.measure import bench_particles
from caloforge.deploy.bench.timing import time_calls
from caloforge.deploy.bundled import bundled
from caloforge.deploy.engine import Engine
from caloforge.deploy.sampling import make_showers

_TURNS, _SECONDS = 7, 0.1


def ms_per_shower(run: Path) -> float:
    """Return the milliseconds that one shower takes: exported, one at a time, on one core.

    CPU time, which hardly knows of other programs, and the median of seven turns of 0.1 s. Noise and
    threshold are in it.

    Args:
        run: Folder of the run.

    Raises:
        BundleError: It cannot be exported.
    """
    with bundled(run) as bundle:
        engine = Engine(bundle, threads=1, runtime="onnxruntime")
        particles, _ = bench_particles(engine, None)
        one, rng = particles[:1], np.random.default_rng(1)
        turns = [time_calls(lambda: make_showers(engine, one, rng), _SECONDS) for _ in range(_TURNS)]
    return 1e3 * median(turn.cpu / len(turn.wall) for turn in turns)

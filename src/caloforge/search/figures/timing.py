"""What a shower costs in production."""

from __future__ import annotations

__all__ = ["ms_per_shower"]

from pathlib import Path

import numpy as np

from caloforge.deploy.bench.measure import bench_particles
from caloforge.deploy.bench.timing import time_calls
from caloforge.deploy.bundled import bundled
from caloforge.deploy.engine import Engine
from caloforge.deploy.sampling import make_showers

_TURNS, _SECONDS = 5, 0.2
_UNDISTURBED = 0.05


def ms_per_shower(run: Path) -> float:
    """Return the milliseconds that one shower takes: exported, one at a time, on one core.

    A trial is measured while others train beside it. These can only make a call slower, so the time is that
    which the fastest twentieth of the calls do not exceed, of five turns of 0.2 s: on two cores with six
    busy programs it stayed within 3 % for calls of 0.2 ms and within 14 % for 0.8 ms, where CPU time rose
    by half. Noise and threshold are in it.

    Args:
        run: Folder of the run.

    Raises:
        BundleError: It cannot be exported.
    """
    with bundled(run) as bundle:
        engine = Engine(bundle, threads=1, runtime="onnxruntime")
        particles, _ = bench_particles(engine, None)
        one, rng = particles[:1], np.random.default_rng(1)
        turns = [time_calls(lambda: make_showers(engine, one, rng), _SECONDS).wall for _ in range(_TURNS)]
    return 1e3 * float(np.quantile(np.concatenate(turns), _UNDISTURBED))

"""Keeps Dask workers running as batch jobs, for `caloforge ... --cluster scheduler.json`.

    mkdir -p log && python jobqueue.py slurm --jobs 50 &
    caloforge simulate calogan --particle e+ --energy 1:100GeV --count 1000000 \\
        --cluster scheduler.json --out showers.h5

It runs until it is stopped, and its jobs end with it. A job that ends is replaced, but not one whose workers
never came: see log/. Needs `pip install dask-jobqueue`; jobqueue.yaml says what a job asks for.
"""

from __future__ import annotations

import argparse
import signal
import time
from contextlib import suppress
from pathlib import Path

import dask.config
import yaml
from dask_jobqueue import HTCondorCluster, JobQueueCluster, SLURMCluster

SYSTEMS: dict[str, type[JobQueueCluster]] = {"slurm": SLURMCluster, "htcondor": HTCondorCluster}
_SETTINGS = Path(__file__).parent / "jobqueue.yaml"


def configure(settings: Path) -> None:
    """Tell dask-jobqueue what a job asks for."""
    # Not `dask.config.set`, which would drop what the file leaves out.
    dask.config.update(dask.config.config, yaml.safe_load(settings.read_text(encoding="utf-8")))


def keep(cluster: JobQueueCluster, jobs: int, seconds: float) -> None:
    """Replace jobs that ended, for ever; `scale` does not, and `adapt` only where a job is one worker."""
    seen: set[str] = set()
    while True:
        names = [str(worker.name) for worker in list(cluster.scheduler.workers.values())]
        alive = {
            job for job in cluster.worker_spec if any(f"{name}-".startswith(f"{job}-") for name in names)
        }
        seen |= alive
        if gone := seen - alive:
            cluster.sync(cluster.scale_down, gone)
            seen -= gone
        cluster.scale(jobs=jobs)
        time.sleep(seconds)


def main() -> None:
    """Parse, start, wait."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("system", choices=SYSTEMS)
    parser.add_argument("--jobs", type=int, required=True, help="batch jobs that run at a time")
    parser.add_argument("--scheduler-file", default="scheduler.json", help="where its address is told")
    parser.add_argument("--settings", type=Path, default=_SETTINGS, help="another jobqueue.yaml")
    parser.add_argument("--seconds", type=float, default=10, help="between two looks at the jobs")
    asked = parser.parse_args()
    configure(asked.settings)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    made = SYSTEMS[asked.system](scheduler_options={"scheduler_file": asked.scheduler_file})
    with made, suppress(KeyboardInterrupt):
        keep(made, asked.jobs, asked.seconds)


if __name__ == "__main__":
    main()

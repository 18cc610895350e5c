"""Keeps Dask workers running as batch jobs, for `caloforge ... --cluster scheduler.json`.

    mkdir -p log && python jobqueue.py slurm --jobs 50 &
    caloforge simulate calogan --particle e+ --energy 1:100GeV --count 1000000 \\
        --cluster scheduler.json --out showers.h5

It runs until it is stopped, and its jobs end with it. A job that ends is replaced. Needs
`pip install dask-jobqueue`.
"""

from __future__ import annotations

import argparse
import signal
from contextlib import suppress
from pathlib import Path

import dask.config
import yaml
from dask_jobqueue import HTCondorCluster, JobQueueCluster, SLURMCluster

HERE = Path(__file__).parent
SYSTEMS: dict[str, type[JobQueueCluster]] = {"slurm": SLURMCluster, "htcondor": HTCondorCluster}


def cluster(system: str, scheduler_file: Path, config: Path = HERE / "jobqueue.yaml") -> JobQueueCluster:
    """Start a scheduler in this process, whose address goes into a file; there are no workers yet."""
    with dask.config.set(yaml.safe_load(config.read_text(encoding="utf-8"))):
        return SYSTEMS[system](scheduler_options={"scheduler_file": str(scheduler_file)})


def main() -> None:
    """Parse, start, wait."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("system", choices=SYSTEMS)
    parser.add_argument("--jobs", type=int, required=True, help="batch jobs that run at a time")
    parser.add_argument("--scheduler-file", type=Path, default=Path("scheduler.json"))
    parser.add_argument("--config", type=Path, default=HERE / "jobqueue.yaml")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with cluster(asked.system, asked.scheduler_file, asked.config) as made:
        # Not `scale`, which never replaces a job that has ended.
        made.adapt(minimum_jobs=asked.jobs, maximum_jobs=asked.jobs)
        with suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    main()

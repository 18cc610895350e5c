#!/usr/bin/env bash
# A Dask task fails with KilledWorker, "all those workers died while running it", and was never begun.
#
# distributed 2026.8.0, dask 2026.8.0 (PyPI, Linux, Python 3.11); 30 November 2026.
# Guess: the death of a worker counts against the task that it was running, as the message says.
# Seen:  it counts against every task that was assigned to the worker. With one worker of one thread, the scheduler assigns
#        two tasks (worker-saturation 1.1). The first one runs, and its worker is killed and replaced, four times. Then the
#        second one, which ran nowhere, has failed like the first; the other four wait for a worker.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q distributed==2026.8.0 dask==2026.8.0
cat >"$folder/deaths.py" <<'PYTHON'
import subprocess
import sys
import time
from pathlib import Path

from distributed import Client, KilledWorker

folder = Path(sys.argv[1])
file, begun = folder / "scheduler.json", folder / "begun"
dask = [sys.executable, "-m", "dask"]


def work(number, begun):
    open(f"{begun}/{number}", "a").close()
    time.sleep(0 if number else 600)


def until(what):
    end = time.monotonic() + 60
    while not what():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.1)


begun.mkdir()
scheduler = subprocess.Popen(
    [*dask, "scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", file], stderr=subprocess.DEVNULL
)
worker = [*dask, "worker", "--scheduler-file", file, "--nthreads", "1", "--no-nanny", "--no-dashboard"]
try:
    until(file.exists)
    with Client(scheduler_file=str(file)) as client:
        tasks = [
            client.submit(work, number, str(begun), key=f"task-{number}", priority=-number, pure=False)
            for number in range(6)
        ]
        for _ in range(4):
            one = subprocess.Popen(worker, stderr=subprocess.DEVNULL, cwd=folder)
            client.wait_for_workers(1)
            until(lambda: any(key == "task-0" for keys in client.processing().values() for key in keys))
            time.sleep(2)
            one.kill()
            one.wait()
            until(lambda: not client.nthreads())
        until(lambda: tasks[0].status == "error")
        time.sleep(1)
        failed = [task.key for task in tasks if task.status == "error"]
        assert all(isinstance(task.exception(), KilledWorker) for task in tasks if task.status == "error")
finally:
    scheduler.kill()
ran = sorted(f"task-{path.name}" for path in begun.iterdir())
print(f"begun: {ran}; failed: {failed}")
sys.exit(not (ran == ["task-0"] and failed == ["task-0", "task-1"]))
PYTHON
"$folder/venv/bin/python" "$folder/deaths.py" "$folder" || { echo "this has changed"; exit 1; }
echo "as seen"

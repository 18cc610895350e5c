#!/usr/bin/env bash
# dask-jobqueue replaces a batch job that ended only with adapt(), and only if a job is one worker.
#
# dask-jobqueue 0.9.0, distributed 2026.8.0; 30 November 2026.
# Guess: adapt(minimum_jobs=2) keeps two jobs running; so does scale(jobs=2), perhaps.
# Seen:  after `kill -9` of one job's processes, scale() never submits another (50 s). adapt() does so after some 20 s where
#        processes=1, and never where a job has processes=2, as it has by default with several cores. No line says that
#        anything is missing. sbatch and scancel are stand-ins here.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q dask-jobqueue==0.9.0 distributed==2026.8.0 dask==2026.8.0
mkdir "$folder/bin"
cat >"$folder/bin/sbatch" <<'SBATCH'
#!/bin/bash
copy=$(mktemp ./job-XXXXXX)
cp "$1" "$copy"
setsid bash "$copy" >"$copy.log" 2>&1 </dev/null &
echo "Submitted batch job $!"
echo $! >>jobs
SBATCH
cat >"$folder/bin/scancel" <<'SCANCEL'
#!/bin/bash
for job; do kill -TERM -- "-$job"; done
SCANCEL
chmod +x "$folder"/bin/*
cat >"$folder/lose.py" <<'PYTHON'
import os
import signal
import sys
import time
from pathlib import Path

from dask_jobqueue import SLURMCluster


def jobs():
    return Path("jobs").read_text().split() if Path("jobs").exists() else []


if __name__ == "__main__":
    how, processes = sys.argv[1], int(sys.argv[2])
    cluster = SLURMCluster(cores=processes, processes=processes, memory=f"{processes}GiB")
    cluster.adapt(minimum_jobs=2, maximum_jobs=2) if how == "adapt" else cluster.scale(jobs=2)
    while len(cluster.scheduler.workers) < 2 * processes:
        time.sleep(0.2)
    os.killpg(int(jobs()[0]), signal.SIGKILL)
    for _ in range(50):
        time.sleep(1)
        if len(jobs()) > 2:
            break
    print("replaced" if len(jobs()) > 2 else "lost", flush=True)
    cluster.close()
PYTHON
for case in "scale 1 lost" "scale 2 lost" "adapt 1 replaced" "adapt 2 lost"; do
    read -r how processes expected <<<"$case"
    mkdir "$folder/$how$processes"
    seen=$(cd "$folder/$how$processes" && PATH="$folder/bin:$PATH" "$folder/venv/bin/python" "$folder/lose.py" "$how" "$processes" 2>errors | tail -n 1)
    echo "$how, $processes workers a job: $seen"
    [ "$seen" = "$expected" ] || { echo "this has changed"; exit 1; }
done
echo "as seen"

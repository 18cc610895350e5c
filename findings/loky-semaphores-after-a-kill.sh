#!/usr/bin/env bash
# A program with a pool of joblib's loky leaves semaphores in /dev/shm when its process group is killed.
#
# joblib 1.6.0 (loky inside), Python 3.11, Linux; 30 November 2026.
# Guess: its resource tracker, a process of its own, unlinks them when all others are gone, as it does when the main process is killed.
# Seen:  killed alone, the main process leaves nothing after a moment. Killed as a group, as batch systems and `timeout -k` do, the tracker dies with the others,
#        and /dev/shm keeps its semaphores until the machine is booted. A farm that ends jobs so fills it up.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q joblib==1.6.0
cd "$folder"
venv/bin/python - <<'PYTHON'
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

PROGRAM = """
import time
from joblib.externals.loky import ProcessPoolExecutor
pool = ProcessPoolExecutor(max_workers=2)
pool.submit(abs, -1).result()
print("ready", flush=True)
time.sleep(60)
"""


def left(kill):
    before = set(Path("/dev/shm").glob("sem.*loky*"))
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert program.stdout.readline() == "ready\n"
    kill(program.pid, signal.SIGKILL)
    program.wait()
    time.sleep(5)
    mine = set(Path("/dev/shm").glob("sem.*loky*")) - before
    for path in mine:
        path.unlink()
    return len(mine)


seen = {"alone": left(os.kill), "group": left(os.killpg)}
print(seen)
assert seen["alone"] == 0 < seen["group"], "this has changed"
PYTHON
echo "as seen"

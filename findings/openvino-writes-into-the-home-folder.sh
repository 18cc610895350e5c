#!/usr/bin/env bash
# Importing OpenVINO writes an id into the home folder and reports to Google Analytics.
#
# openvino 2026.4.0, openvino-telemetry 2025.2.0 (which it requires), numpy 2.4.6, Linux; 30 November 2026.
# Guess: an import writes nothing, or reports only after somebody has agreed.
# Seen:  `import openvino` leaves an id (intel/openvino_ga_cid) and intel/stats in HOME and sends events to www.google-analytics.com;
#        no question is asked. Nothing is written or sent with CI=true, or where Python finds no package
#        openvino_telemetry: the import succeeds without it. Here urlopen is replaced, so that nothing leaves the machine.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q numpy==2.4.6 openvino==2026.4.0 openvino-telemetry==2025.2.0
cat >"$folder/import.py" <<'PYTHON'
import os
import sys
import urllib.request


def urlopen(request, *_args, **_more):
    with open(f"{sys.argv[1]}-asked", "a") as file:
        file.write(f"{request.host}\n")
    raise OSError("not from here")


urllib.request.urlopen = urlopen
if sys.argv[1] == "continuous":
    os.environ["CI"] = "true"
if sys.argv[1] == "without":
    sys.modules["openvino_telemetry"] = None
import openvino

assert openvino.Core().available_devices
PYTHON
for how in plain continuous without; do
    mkdir "$folder/$how"
    (cd "$folder" && env -u CI -u TF_BUILD -u JENKINS_URL HOME="$folder/$how" PYTHONDONTWRITEBYTECODE=1 \
        venv/bin/python import.py "$how" </dev/null)
    written=$(cd "$folder/$how" && find . -type f | sort | tr '\n' ' ')
    asked=$(sort -u "$folder/$how-asked" 2>/dev/null | tr '\n' ' ' || true)
    echo "$how: writes ${written:-nothing}, asks ${asked:-nobody}"
    if [ "$how" = plain ]; then [ -n "$written" ] && [ -n "$asked" ]; else [ -z "$written$asked" ]; fi ||
        { echo "this has changed"; exit 1; }
done
echo "as seen"

#!/usr/bin/env bash
# The first session of ONNX Runtime writes a device id and a data base of events into the user's cache.
#
# onnxruntime 1.32.0 (the CPU wheel of PyPI, Linux), onnx 1.23.2, numpy 2.4.6; 30 November 2026.
# Guess: a library that runs a network writes nothing, or onnxruntime.disable_telemetry_events() keeps it from that.
# Seen:  a session of a graph with one node leaves .cache/Microsoft/DeveloperTools/.onnxruntime/ with "deviceid" and
#        "onnxruntime.db" in HOME. disable_telemetry_events() between the import and the first session changes nothing, and
#        no more does ORT_DISABLE_TELEMETRY=1 when it is set after the import; set before it, nothing is written.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0
cat >"$folder/session.py" <<'PYTHON'
import os
import sys

import numpy as np
from onnx import TensorProto, helper

how = sys.argv[1]
if how == "before":
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime

if how == "after":
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
if how == "call":
    onnxruntime.disable_telemetry_events()
port = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in "xy"]
graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "one", port[:1], port[1:])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
assert session.run(None, {"x": np.ones(3, np.float32)})[0].tolist() == [1, 1, 1]
PYTHON
for how in nothing call after before; do
    mkdir "$folder/$how"
    (cd "$folder" && env -u ORT_DISABLE_TELEMETRY -u XDG_CACHE_HOME HOME="$folder/$how" PYTHONDONTWRITEBYTECODE=1 venv/bin/python session.py "$how")
    written=$(cd "$folder/$how" && find . -type f | sort | tr '\n' ' ')
    echo "$how: ${written:-nothing}"
    if [ "$how" = before ]; then [ -z "$written" ]; else [ -n "$written" ]; fi || { echo "this has changed"; exit 1; }
done
echo "as seen"

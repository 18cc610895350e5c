#!/usr/bin/env bash
# A batch that is doubled inside a network and halved again is exported for one number of rows, without an error.
#
# torch 2.13.0 (torch.onnx.export, dynamo), onnx 1.23.2, onnxscript 0.7.2, onnxruntime 1.32.0; 29 November 2026.
# Guess: dynamic_shapes={"x": {0: Dim("batch", min=1)}} gives a graph for any number of rows, or an error.
# Seen:  torch.cat([x, -x]) and halving by chunk(2) or by slices gives a graph whose input is [2, 4], the rows of the
#        example, with no exception; other numbers of rows are refused by the runtime. Calling the layer twice instead
#        gives a graph for any number. What protects: run every exported graph with several numbers of rows.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 numpy==2.4.6 onnx==1.23.2 onnxscript==0.7.2 onnxruntime==1.32.0
export ORT_DISABLE_TELEMETRY=1
cd "$folder"
"$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
import onnxruntime
import torch


class Twice(torch.nn.Module):
    def __init__(self, how):
        super().__init__()
        self.how, self.layer = how, torch.nn.Linear(4, 3)

    def forward(self, x):
        if self.how == "two calls":
            return self.layer(x) - self.layer(-x)
        both = self.layer(torch.cat([x, -x]))
        if self.how == "chunk":
            one, other = both.chunk(2)
            return one - other
        return both[: len(x)] - both[len(x) :]


seen = {}
for how in ("chunk", "slices", "two calls"):
    model = Twice(how).eval()
    shapes = {"x": {0: torch.export.Dim("batch", min=1)}}
    program = torch.onnx.export(model, (torch.randn(2, 4),), dynamo=True, dynamic_shapes=shapes, verbose=False)
    program.save("graph.onnx")
    session = onnxruntime.InferenceSession("graph.onnx", providers=["CPUExecutionProvider"])
    rows = session.get_inputs()[0].shape[0]
    seen[how] = rows if isinstance(rows, int) else "any"
print(seen)
assert seen == {"chunk": 2, "slices": 2, "two calls": "any"}, "this has changed"
PYTHON
echo "as seen"

#!/usr/bin/env bash
# What is found in rows that were found cannot be exported: a bound of sizes becomes a constant beyond int64.
#
# torch 2.13.0 (torch.onnx.export, dynamo), onnx 1.23.2, onnxscript 0.7.2; 30 November 2026.
# Guess: nonzero() of rows that another nonzero() picked is exported as the first one is.
# Seen:  torch bounds the first size by 2**63 - 2, and the second by that times the columns; the exporter then writes
#        25 * (2**63 - 2) = 230584300921369395150 as an int64 constant of LessOrEqual and raises ConversionError
#        (OverflowError), although nothing uses that comparison. A bound on the first size, by torch._check, is a cure.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 numpy==2.4.6 onnx==1.23.2 onnxscript==0.7.2
cd "$folder"
"$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
import torch


class Found(torch.nn.Module):
    def __init__(self, how):
        super().__init__()
        self.how = how

    def forward(self, x):
        rows = x.reshape(-1, 25)
        some = (rows.amax(1) > 0).nonzero().squeeze(1)
        if self.how == "rows alone":
            return some
        if self.how == "with a bound":
            torch._check(some.shape[0] < 1 << 40)
        return (rows.index_select(0, some) > 0).flatten().nonzero().squeeze(1)


seen = {}
for how in ("rows alone", "rows, then cells", "with a bound"):
    shapes = {"x": {0: torch.export.Dim("batch", min=1)}}
    try:
        torch.onnx.export(Found(how).eval(), (torch.randn(3, 100),), dynamo=True, dynamic_shapes=shapes, verbose=False)
        seen[how] = "exported"
    except torch.onnx.errors.OnnxExporterError as error:
        seen[how] = "too large" if "int too large to convert" in str(error) else str(error)
print(seen)
assert seen == {"rows alone": "exported", "rows, then cells": "too large", "with a bound": "exported"}, "this has changed"
PYTHON
echo "as seen"

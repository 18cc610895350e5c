#!/usr/bin/env bash
# One row of an RNTuple, read with uproot, keeps the whole cluster in memory; of a TTree it does not.
#
# uproot 5.7.7, awkward 2.14.0, numpy 2.4.6 (PyPI, Linux, Python 3.11); 1 December 2026.
# Guess: entry_start and entry_stop bound the memory of what is returned, as they do for a TTree.
# Seen:  one of 1,000 rows of 1,000 numbers each is an array of 8 kB out of a TTree and of 8 MB out of an RNTuple: a view of
#        its cluster. A list of such parts keeps every cluster alive. `ak.to_packed` gives back all but the row.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q uproot==5.7.7 awkward==2.14.0 numpy==2.4.6
cat >"$folder/rows.py" <<'PYTHON'
import sys

import awkward as ak
import numpy as np
import uproot

rows = ak.Array(np.arange(1_000_000.0).reshape(1000, 1000).tolist())
sizes = {}
for kind in ("mktree", "mkrntuple"):
    with uproot.recreate(f"{sys.argv[1]}/{kind}.root") as file:
        made = getattr(file, kind)("showers", {"energy": rows.type.content if kind == "mktree" else rows})
        if kind == "mktree":
            made.extend({"energy": rows})
    with uproot.open(f"{sys.argv[1]}/{kind}.root") as file:
        part = file["showers"].arrays(["energy"], entry_start=0, entry_stop=1)["energy"]
        sizes[kind] = part.nbytes, ak.to_packed(part).nbytes
print(sizes)
(tree, _), (cluster, packed) = sizes["mktree"], sizes["mkrntuple"]
sys.exit(not (tree < 10_000 and cluster > 8_000_000 and packed < 10_000))
PYTHON
"$folder/venv/bin/python" "$folder/rows.py" "$folder" || { echo "this has changed"; exit 1; }
echo "as seen"

#!/usr/bin/env bash
# h5py refuses rows of variable length once they all happen to have one length.
#
# h5py 3.16.0, numpy 2.4.6 (PyPI, Linux, Python 3.11); 1 December 2026.
# Guess: an array of objects, one array of points for each shower, is written to a dataset of variable length whatever the
#        lengths are.
# Seen:  with lengths 2 and 3 it is; with 2 and 2, "TypeError: Can't broadcast (2, 2) -> (2,)". So a writer of point clouds
#        works until a batch of showers has equal numbers of points, as batches of one shower have. Row by row, all work.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q h5py==3.16.0 numpy==2.4.6
cat >"$folder/rows.py" <<'PYTHON'
import sys

import h5py
import numpy as np


def written(lengths, one_by_one=False):
    rows = np.empty(len(lengths), object)
    for number, length in enumerate(lengths):
        rows[number] = np.ones(length, "f4")
    with h5py.File("rows.h5", "w", driver="core", backing_store=False) as file:
        found = file.create_dataset("showers", (len(rows),), h5py.vlen_dtype(np.float32))
        try:
            if one_by_one:
                for number, row in enumerate(rows):
                    found[number] = row
            else:
                found[...] = rows
        except TypeError as error:
            return f"TypeError: {error}"
        return [len(row) for row in found]


unequal, equal, single, careful = written([2, 3]), written([2, 2]), written([2]), written([2, 2], True)
print(unequal, equal, single, careful, sep="\n")
seen = unequal == [2, 3] and "Can't broadcast" in str(equal) and "TypeError" in str(single) and careful == [2, 2]
sys.exit(not seen)
PYTHON
"$folder/venv/bin/python" "$folder/rows.py" || { echo "this has changed"; exit 1; }
echo "as seen"

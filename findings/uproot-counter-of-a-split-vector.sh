#!/usr/bin/env bash
# The branch that counts a split vector's elements is, by uproot, one of the vector's own members.
#
# uproot 5.7.7, awkward 2.14.0, numpy 2.4.6, root 0.1a12 (PyPI, Linux, Python 3.11, 0.5 GB); 1 December 2026.
# Guess: `count_branch` of a branch with lists is the branch that holds their lengths, as it says: whoever lists the columns of
#        a tree leaves these out.
# Seen:  so it is where a plain leaf counts (`n` of `x[n]`). Of a `std::vector` of structures that ROOT has split, as podio
#        writes collections of EDM4hep, it is the vector's first member: `hits.cellID` counts `hits.energy` and itself. Its
#        values are ids, and leaving it out loses a column. ROOT says `hits`. `count_leaf` is right: the leaf `hits_`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q uproot==5.7.7 awkward==2.14.0 numpy==2.4.6 root==0.1a12
cat >"$folder/write.py" <<'PYTHON'
import sys
from array import array

import ROOT

ROOT.gInterpreter.Declare("struct Hit { unsigned long long cellID; float energy; };")
file = ROOT.TFile(sys.argv[1], "RECREATE")
tree, hits = ROOT.TTree("events", ""), ROOT.std.vector("Hit")()
n, x = array("i", [0]), array("f", [0.0] * 3)
tree.Branch("hits", hits, 32000, 99)
tree.Branch("n", n, "n/I")
tree.Branch("x", x, "x[n]/F")
for event in range(3):
    hits.clear()
    for number in range(event + 1):
        hit = ROOT.Hit()
        hit.cellID, hit.energy = 100 + number, 0.5
        hits.push_back(hit)
    n[0] = event
    tree.Fill()
print({name: tree.GetBranch(name).GetListOfLeaves()[0].GetLeafCount().GetBranch().GetName() for name in ("hits.energy", "x")})
tree.Write()
file.Close()
PYTHON
cat >"$folder/read.py" <<'PYTHON'
import sys

import uproot

tree = uproot.open(sys.argv[1])["events"]
counted = {name: tree[name] for name in ("hits/hits.cellID", "hits/hits.energy", "x")}
branches = {branch.name: branch.count_branch.name for branch in counted.values()}
leaves = {branch.name: branch.count_leaf.member("fName") for branch in counted.values()}
print(branches, leaves, tree["hits/hits.energy"].count_branch.array().tolist())
sys.exit(
    branches != {"hits.cellID": "hits.cellID", "hits.energy": "hits.cellID", "x": "n"}
    or leaves != {"hits.cellID": "hits_", "hits.energy": "hits_", "x": "n"}
)
PYTHON
seen=$("$folder/venv/bin/python" -W ignore "$folder/write.py" "$folder/hits.root")
echo "ROOT: $seen"
[ "$seen" = "{'hits.energy': 'hits', 'x': 'n'}" ] || { echo "ROOT says something else now"; exit 1; }
"$folder/venv/bin/python" "$folder/read.py" "$folder/hits.root" || { echo "this has changed"; exit 1; }
echo "as seen"

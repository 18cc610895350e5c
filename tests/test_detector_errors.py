"""Wrong detector files: the error names file, line and key, what was got and expected, and the cure."""

from __future__ import annotations

import time

import pytest

from caloforge.detector import Detector, load_detector
from caloforge.errors import CaloforgeError, DetectorError

GOOD = """\
name: mine
about: a small sampling calorimeter
size: [100 mm, 100 mm]
materials:
  Alloy: {density: 17.8 g/cm3, composition: {W: 0.9, G4_Ni: 0.1}}
stack:
  - repeat: 10
    slabs:
      - {material: Alloy, thickness: 2 mm}
      - {material: G4_Si, thickness: 1 mm, active: true}
readout:
  deposits: active
  layers:
    - name: front
      thickness: 12 mm
      grid: {kind: cartesian, window: [60 mm, 60 mm], cells: [6, 12]}
    - name: back
      thickness: 18 mm
      grid: {kind: polar, alpha: 8, r_edges: "0, 10, 30 mm"}
"""

# (text in GOOD, what replaces it, line, key, words in the message)
WRONG = {
    "negative thickness": (
        "thickness: 2 mm",
        "thickness: -2 mm",
        9,
        "stack.0.slabs.0.thickness",
        ["-2 mm", "more than 0"],
    ),
    "zero thickness": (
        "thickness: 12 mm",
        "thickness: 0 mm",
        15,
        "readout.layers.0.thickness",
        ["more than 0"],
    ),
    "no unit": ("thickness: 2 mm", "thickness: 2", 9, "stack.0.slabs.0.thickness", ["no unit", "write 2 mm"]),
    "wrong unit": (
        "thickness: 2 mm",
        "thickness: 2 GeV",
        9,
        "stack.0.slabs.0.thickness",
        ["'GeV'", "length"],
    ),
    "nothing given": ("thickness: 2 mm", "thickness: ", 9, "stack.0.slabs.0.thickness", ["nothing is given"]),
    "not a number": ("thickness: 2 mm", "thickness: nan mm", 9, "stack.0.slabs.0.thickness", ["'nan mm'"]),
    "unknown material": ("G4_Si", "G4_Sl", 10, "stack.0.slabs.1.material", ["did you mean: G4_S"]),
    "element as material": ("G4_Si", "Si", 10, "stack.0.slabs.1.material", ["did you mean: G4_Si"]),
    "misspelt mixture": ("material: Alloy", "material: Aloy", 9, "stack.0.slabs.0.material", ["mean: Alloy"]),
    "unknown element": (
        "{W: 0.9",
        "{Wo: 0.9",
        5,
        "materials.Alloy.composition.Wo",
        ["unknown material 'Wo'"],
    ),
    "fractions": ("W: 0.9", "W: 0.8", 5, "materials.Alloy.composition", ["add up", "0.9"]),
    "density": ("17.8 g/cm3", "17.8", 5, "materials.Alloy.density", ["no unit", "g/cm3"]),
    "negative density": ("17.8 g/cm3", "-1 g/cm3", 5, "materials.Alloy.density", ["positive"]),
    "geant4's own name": ("Alloy:", "G4_W:", 5, "materials.G4_W", ["name of Geant4's"]),
    "unknown key": ("deposits: active", "deposit: active", 12, "readout.deposit", ["did you mean: deposits"]),
    "unknown deep key": (
        "r_edges:",
        "r_edge:",
        19,
        "readout.layers.1.grid.r_edge",
        ["did you mean: r_edges"],
    ),
    "grid does not divide": (
        "cells: [6, 12]",
        "cell: [10 mm, 7 mm]",
        16,
        "readout.layers.0.grid.cell.1",
        ["60 mm is not a whole number of cells of 7 mm", "56 mm (8) or 63 mm (9)", "cells:"],
    ),
    "cells and cell": (
        "cells: [6, 12]",
        "cells: [6, 12], cell: [10 mm, 5 mm]",
        16,
        "readout.layers.0.grid",
        ["both"],
    ),
    "half a cell": ("[6, 12]", "[6, 1.5]", 16, "readout.layers.0.grid.cells.1", ["1.5", "a whole number"]),
    "no cell": ("[6, 12]", "[6, 0]", 16, "readout.layers.0.grid.cells.1", ["1 or more"]),
    "three axes": ("[6, 12]", "[6, 12, 3]", 16, "readout.layers.0.grid.cells", ["wrong length", "2 of them"]),
    "radii": ("0, 10, 30 mm", "0, 30, 10 mm", 19, "readout.layers.1.grid.r_edges", ["do not increase"]),
    "radii without unit": ("0, 10, 30 mm", "0, 10, 30", 19, "readout.layers.1.grid.r_edges", ["no unit"]),
    "unknown grid": ("kind: polar", "kind: poler", 19, "readout.layers.1.grid", ["did you mean: polar"]),
    "no grid kind": ("kind: polar, ", "", 19, "readout.layers.1.grid", ["kind: cartesian"]),
    "unknown choice": (
        "deposits: active",
        "deposits: activ",
        12,
        "readout.deposits",
        ["did you mean: active"],
    ),
    "missing key": ("      thickness: 12 mm\n", "", 14, "readout.layers.0.thickness", ["has no thickness"]),
    "missing readout": ("readout:", "readouts:", 11, "readouts", ["did you mean: readout"]),
    "deeper than the stack": (
        "thickness: 18 mm",
        "thickness: 19 mm",
        18,
        "readout.layers.1.thickness",
        ["'back'", "31 mm deep", "at most 30 mm"],
    ),
    "overlap": (
        "name: back",
        "name: back\n      start: 10 mm",
        18,
        "readout.layers.1.start",
        ["'back' overlaps 'front'", "12 mm or more"],
    ),
    "before the front": (
        "name: front",
        "start: -1 mm",
        14,
        "readout.layers.0.start",
        ["before the front face"],
    ),
    "same name": ("name: back", "name: front", 17, "readout.layers.1.name", ["two layers are named 'front'"]),
    "falling ids": ("name: back", "id: 0", 17, "readout.layers.1.id", ["must rise"]),
    "window wider than the stack": (
        "[60 mm, 60 mm]",
        "[60 mm, 120 mm]",
        16,
        "readout.layers.0.grid",
        ["'front' reach out of the stack", "|y| up to 60 mm", "at most 50 mm"],
    ),
    "no active slab": (", active: true", "", 12, "readout.deposits", ["no slab is active"]),
    "sizes": ("[100 mm, 100 mm]", "[100 mm]", 3, "size", ["full extent in x and y"]),
    "barrel": ("about: a", "shape: barrel # ", 2, "shape", ["needs its inner radius"]),
    "radius": ("about: a small", "inner_radius: 1 m #", 2, "inner_radius", ["only a barrel"]),
    "barycentre": (
        "deposits: active",
        "deposits: active\n  centre: barycentre",
        13,
        "readout.centre",
        ["one cartesian grid"],
    ),
    "fraction": (
        "deposits: active",
        "deposits: all\n  sampling_fraction: 0",
        13,
        "readout.sampling_fraction",
        ["0"],
    ),
    "not finite": ("W: 0.9", "W: .nan", 5, "materials.Alloy.composition.W", ["finite"]),
    "threshold": (
        "deposits: active",
        "deposits: all\n  threshold: -1 keV",
        13,
        "readout.threshold",
        ["negative"],
    ),
    "list": ("repeat: 10", "repeat: [10]", 7, "stack.0.repeat", ["a whole number"]),
    "name": ("name: mine", "name: my calo/1", 1, "name", ["'my calo/1' is not a name"]),
    "too many slabs": ("repeat: 10", "repeat: 99999", 6, "stack", ["too many slabs", "199,998"]),
    "absurd repeat": ("repeat: 10", "repeat: 123456789012", 7, "stack.0.repeat", ["at most 100,000"]),
    "too many cells": (
        "[6, 12]",
        "[60000, 12000]",
        13,
        "readout.layers",
        ["720,000,016", "at most 10,000,000"],
    ),
    "too many layers": ("name: front", "count: 99999", 13, "readout.layers", ["too many layers"]),
}


def test_the_file_they_all_come_from_is_good():
    assert Detector.from_yaml(GOOD).n_cells == 72 + 16


@pytest.mark.parametrize("case", WRONG)
def test_the_error_says_where_and_what(case):
    old, new, line, key, words = WRONG[case]
    assert old in GOOD
    with pytest.raises(DetectorError) as caught:
        Detector.from_yaml(GOOD.replace(old, new, 1), "mine.yaml")
    message = str(caught.value)
    assert f"mine.yaml, line {line}, key {key}\n" in message
    for word in words:
        assert word in message
    assert caught.value.exit_code == 2


def test_several_faults_are_reported_together_first_line_first():
    text = (
        GOOD.replace("2 mm}", "-2 mm}").replace("repeat: 10", "repeat: 0").replace("alpha: 8", "alpha: 0.5")
    )
    with pytest.raises(DetectorError) as caught:
        Detector.from_yaml(text, "mine.yaml")
    message = str(caught.value)
    assert "mine.yaml, line 7, key stack.0.repeat" in message
    assert "2 more: line 9, stack.0.slabs.0.thickness: -2 mm is not" in message
    assert "line 19, readout.layers.1.grid.alpha: 0.5 is not a whole number" in message


BROKEN = {
    "": "the detector file is empty",
    "# only a comment\n": "the detector file is empty",
    "- a\n- b\n": "got:          a list",
    "hello": "got:          a single value",
    "name: [a": "not valid YAML",
    "name: a\n\tabout: b": "line 2, column 1",
    "name: a\nabout: b\nname: c": "the key 'name' is given twice\n  where:        mine.yaml, line 3",
    "name: a\n---\nname: b": "another document",
    "\x00": "special characters",
    "? [a, b]\n: c": "a key must be a single word",
    "name: !!python/object/apply:os.getcwd []": "is not a name",
    "name: !!python/name:os.getcwd": "not valid YAML",
    "name: *nowhere": "undefined alias",
    "a: &a [*a]": "nested too deeply",
    "[" * 2_000: "nested too deeply",
}


@pytest.mark.parametrize("text", BROKEN, ids=range(len(BROKEN)))
def test_what_is_no_detector_is_said_in_one_message(text):
    with pytest.raises(DetectorError) as caught:
        Detector.from_yaml(text, "mine.yaml")
    assert BROKEN[text] in str(caught.value)
    assert "mine.yaml" in str(caught.value)


def test_an_alias_bomb_ends_quickly():
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [
        f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]"
        for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    start = time.process_time()
    with pytest.raises(DetectorError, match="too large"):
        Detector.from_yaml("\n".join(lines))
    assert time.process_time() - start < 10


def test_aliases_may_be_used_for_what_they_are_good_for():
    text = GOOD.replace("grid: {kind: polar", "grid: &rings {kind: polar") + (
        "    - {name: last, start: 30 mm, thickness: 1 mm, grid: *rings}\n"
    )
    deeper = text.replace("repeat: 10", "repeat: 11")
    detector = Detector.from_yaml(deeper)
    assert detector.layers[2].grid == detector.layers[1].grid


def test_a_huge_file_is_refused_before_it_is_read():
    with pytest.raises(DetectorError, match="too long"):
        Detector.from_yaml("# " + "x" * 10_000_001)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("calogann", ["neither a preset nor a file", "did you mean: calogan", "clic-angle"]),
        ("no/such.yaml", ["'no/such.yaml' is neither a preset nor a file"]),
        (".", ["is a folder"]),
    ],
)
def test_a_detector_that_is_not_there(name, words):
    with pytest.raises(CaloforgeError) as caught:
        load_detector(name)
    for word in words:
        assert word in str(caught.value)


def test_a_binary_file_is_no_detector(tmp_path):
    path = tmp_path / "shower.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n\xff\xfe")
    with pytest.raises(DetectorError, match="not a text file"):
        load_detector(path)


def test_a_detector_in_a_file(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD)
    assert load_detector(path) == load_detector(str(path)) == Detector.from_yaml(GOOD)
    path.write_text(GOOD.replace("G4_Si", "G4_Sj"))
    with pytest.raises(DetectorError) as caught:
        load_detector(path)
    assert f"{path}, line 10, key stack.0.slabs.1.material" in str(caught.value)

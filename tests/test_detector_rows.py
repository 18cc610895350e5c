"""Rows: plates that follow each other across the direction of the particle."""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

from caloforge.detector import Detector, Row
from caloforge.detector.drawing import draw
from caloforge.detector.summary import describe, material_thickness, readout_rule
from caloforge.errors import DetectorError
from caloforge.showers import Showers
from caloforge.simulation.placing import Placing
from caloforge.training.symmetry import Mirror, _maps_stack
from caloforge.truth.engine import run
from caloforge.truth.engine import start as start_geant4
from caloforge.truth.geometry import geometry, slab_paths
from caloforge.truth.physics import Physics
from caloforge.truth.visible import seen_in_slabs

TILES = """\
name: tiles
size: [90 mm, 94 mm]
stack:
  - slabs:
      - {material: G4_Al, thickness: 10 mm}
      - thickness: 60 mm
        across: y
        slabs:
          - {material: G4_Fe, thickness: 14 mm}
          - {material: G4_POLYSTYRENE, thickness: 3 mm, active: true}
          - {material: G4_AIR, thickness: 1 mm}
readout:
  deposits: all
  layers:
    - {count: 2, thickness: 35 mm, grid: {kind: cartesian, window: [90 mm, 90 mm], cells: [5, 5]}}
"""
BARREL = (
    TILES.replace("size: [90 mm, 94 mm]", "shape: barrel\nsize: [47 mm]\ninner_radius: 100 mm")
    .replace("[90 mm, 90 mm]", "[90 mm, 94 mm]")
    .replace("name: tiles", "name: rings")
)


def tiles(*changes, text=TILES):
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return Detector.from_yaml(text, "tiles.yaml")


@pytest.mark.parametrize("text", [TILES, BARREL])
def test_the_sequence_fills_the_size_and_the_last_plate_is_cut(text):
    detector = tiles(text=text)
    plate, row = detector.slabs
    assert (plate.end, row.start, row.end, detector.depth) == (10, 10, 70, 70)
    # 94 mm are five sequences of 18 mm and 4 mm of iron.
    assert len(row.plates) == 16
    assert [p.start for p in row.plates[:4]] == [-47, -33, -30, -29]
    assert (row.plates[-1].material, row.plates[-1].thickness, row.plates[-1].end) == ("G4_Fe", 4, 47)
    assert all(one.end == other.start for one, other in zip(row.plates, row.plates[1:], strict=False))
    assert len(detector.plates) == 17


def test_it_may_be_written_in_many_ways_and_goes_round():
    detector = tiles()
    again = Detector.from_yaml(detector.to_yaml())
    assert again == detector
    assert again.slabs == detector.slabs
    assert tiles(("14 mm", "1.4 cm"), ("thickness: 60 mm", "thickness: 6 cm")) == detector
    assert tiles(("across: y", "across: x")).digest != detector.digest
    fewer = tiles(("          - {material: G4_AIR, thickness: 1 mm}\n", ""))
    assert fewer.digest != detector.digest


def test_rows_that_repeat_are_folded():
    two = tiles(("- slabs:", "- repeat: 2\n    slabs:"))
    assert two.to_yaml().count("across") == 1
    assert Detector.from_yaml(two.to_yaml()) == two
    assert sum(isinstance(slab, Row) for slab in two.slabs) == 2


def test_materials_are_those_crossed_on_average():
    thickness = material_thickness(tiles().slabs)
    # Iron fills 74 of the 94 mm, polystyrene 15, air 5; all reach 60 mm deep.
    expected = {"G4_Fe": 60 * 74 / 94, "G4_Al": 10, "G4_POLYSTYRENE": 60 * 15 / 94, "G4_AIR": 60 * 5 / 94}
    assert list(thickness) == list(expected)
    assert list(thickness.values()) == pytest.approx(list(expected.values()))


def test_light_of_plates_saturates_by_itself():
    tile = "{material: G4_POLYSTYRENE, thickness: 3 mm, active: true"
    detector = tiles((tile, f"{tile}, birks: 0.126 mm/MeV"), ("deposits: all", "deposits: active"))
    assert Detector.from_yaml(detector.to_yaml()) == detector
    numbers = [n for n, plate in enumerate(detector.plates) if plate.material == "G4_POLYSTYRENE"]
    assert np.flatnonzero(detector.counted).tolist() == numbers == sorted(seen_in_slabs(detector))
    with pytest.raises(DetectorError, match="only an active slab makes light") as caught:
        tiles(("{material: G4_Fe, thickness: 14 mm", "{material: G4_Fe, thickness: 14 mm, birks: 0.1 mm/MeV"))
    assert "stack.0.slabs.1.slabs.0.birks" in str(caught.value)


def test_only_the_active_plates_count():
    assert "deposited in G4_POLYSTYRENE." in readout_rule(tiles(("deposits: all", "deposits: active")))


def test_the_description_is_plain_json(tmp_path):
    detector = tiles()
    assert json.loads(json.dumps(describe(detector)))["stack"][1]["slabs"] == [
        {
            "thickness": 60,
            "across": "y",
            "slabs": [
                {"material": "G4_Fe", "thickness": 14, "active": False, "birks": None},
                {"material": "G4_POLYSTYRENE", "thickness": 3, "active": True, "birks": None},
                {"material": "G4_AIR", "thickness": 1, "active": False, "birks": None},
            ],
        }
    ]
    for across in "xy":
        assert draw(tiles(("across: y", f"across: {across}")), tmp_path / f"{across}.png") == ["layer_0"]


WRONG = {
    "an axis that is none": ([("across: y", "across: z")], 7, "stack.0.slabs.1.across", ["x or y"]),
    "no axis": (
        [("        across: y\n", "")],
        6,
        "stack.0.slabs.1.across",
        ["'across' is missing", "across: y"],
    ),
    "no plates": (
        [("across: y\n        slabs:\n", "across: y\n        plates:\n")],
        8,
        "stack.0.slabs.1.plates",
        ["did you mean: slabs"],
    ),
    "a plate of nothing": (
        [("G4_Fe", "G4_Eisen")],
        9,
        "stack.0.slabs.1.slabs.0.material",
        ["unknown material 'G4_Eisen'"],
    ),
    "a row in a row": (
        [("{material: G4_Fe, thickness: 14 mm}", "{across: x, thickness: 14 mm}")],
        9,
        "stack.0.slabs.1.slabs.0.across",
        ["unknown key 'across'"],
    ),
    "too long a sequence": (
        [("14 mm", "140 mm")],
        8,
        "stack.0.slabs.1.slabs",
        ["144 mm", "at most 94 mm in y"],
    ),
    "too many plates": (
        [("14 mm", "0.014 mm"), ("3 mm", "1 um"), ("1 mm", "1 um")],
        3,
        "stack",
        ["at most 10,000"],
    ),
    "neither slab nor row": (
        [("{material: G4_Al, thickness: 10 mm}", "iron")],
        5,
        "stack.0.slabs.0",
        ["mapping"],
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_with_its_place(case):
    changes, line, key, words = WRONG[case]
    with pytest.raises(DetectorError) as caught:
        tiles(*changes)
    message = str(caught.value)
    assert f"line {line}, key {key}\n" in message
    for word in words:
        assert word in message


def test_around_a_barrel_gaps_would_grow():
    with pytest.raises(DetectorError, match="would grow with depth") as caught:
        tiles(("across: y", "across: x"), text=BARREL)
    assert "across: y" in str(caught.value)


def test_a_mirror_needs_plates_that_look_the_same_in_it():
    uneven, even = tiles(), tiles(("thickness: 14 mm", "thickness: 4 mm"), ("94 mm", "96 mm"))
    across, along, swap = Mirror(False, 1, -1), Mirror(False, -1, 1), Mirror(True, 1, 1)
    # 96 mm of iron 4, polystyrene 3, air 1 begin with iron and end with air.
    assert not _maps_stack(across, uneven)
    assert not _maps_stack(across, even)
    assert _maps_stack(along, uneven)
    assert not _maps_stack(swap, uneven)
    symmetric = tiles(
        ("{material: G4_AIR, thickness: 1 mm}", "{material: G4_Fe, thickness: 14 mm}"), ("94 mm", "93 mm")
    )
    assert _maps_stack(across, symmetric)


def test_showers_move_by_whole_sequences():
    # Cells of 18 mm in y: one sequence; in x: no plates follow each other.
    small = tiles(("size: [90 mm, 94 mm]", "size: [90 mm, 90 mm]"))
    lattice_x, lattice_y = Placing(small).lattice
    assert (lattice_x.first, lattice_x.period) == (0, 18)
    assert (lattice_y.first, lattice_y.period) == (0, 18)
    finer = tiles(("size: [90 mm, 94 mm]", "size: [90 mm, 90 mm]"), ("cells: [5, 5]", "cells: [5, 15]"))
    assert Placing(finer).lattice[1].period == 18
    other = tiles(("size: [90 mm, 94 mm]", "size: [90 mm, 90 mm]"), ("cells: [5, 5]", "cells: [5, 9]"))
    assert Placing(other).lattice[1].period == 90
    # A target that begins 2 mm earlier has its plates 2 mm lower: no whole cell leads there.
    assert Placing(small, tiles()).lattice[1] is None


@pytest.mark.geant4
@pytest.mark.parametrize("text", [TILES, BARREL])
def test_geant4_finds_every_plate_and_no_overlap(text):
    import calzone

    detector = tiles(text=text)
    built = calzone.Geometry(geometry(detector))
    built.check()
    paths = slab_paths(detector)
    assert [built.find(path).material for path in paths] == [plate.material for plate in detector.plates]
    volumes = [built.find(path).volume() for path in paths[1:]]
    across = 9.0 * 6.0 if detector.shape == "planar" else np.pi * (17.0**2 - 11.0**2)  # cm2
    assert sum(volumes) == pytest.approx(9.4 * across)
    assert volumes == pytest.approx([plate.thickness / 10 * across for plate in detector.plates[1:]])


def ways(detector, start, direction):
    """How far a muon goes in each material, mm."""
    import calzone

    simulation = start_geant4("tiles", geometry(detector), Physics("standard", None, 0.7), seed=1)
    simulation.sample_deposits = "detailed"
    muon = calzone.particles(1, pid="mu-", energy=1e6, position=start, direction=direction)
    deposits = run("tiles", simulation, muon, [0])
    found = dict.fromkeys((plate.material for plate in detector.plates), 0.0)
    for path, plate in zip(slab_paths(detector), detector.plates, strict=True):
        if path in deposits:
            own = deposits[path].line[deposits[path].line["tid"] == 1]
            found[plate.material] += np.linalg.norm(own["end"] - own["start"], axis=1).sum() * 10
    return found


@pytest.mark.geant4
@pytest.mark.parametrize(("axis", "angle"), [("y", 0.0), ("y", 0.4), ("x", 0.4)])
def test_muons_cross_what_a_straight_line_crosses(axis, angle):
    # A muon of 1 TeV goes straight: the way in each material is known from the plates alone.
    detector = tiles(("across: y", f"across: {axis}"), ("94 mm", "90 mm"))
    direction = np.array([np.sin(angle), 0, np.cos(angle)])
    start = np.array([1.55 - 6.0 * np.tan(angle) / 2, 0.3, -1e-6])
    if axis == "y":
        direction, start = direction[[1, 0, 2]], start[[1, 0, 2]]
    # A process of its own: Geant4 prepares itself for all materials that any test has named.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as other:
        found = other.submit(ways, detector, start, direction).result()
    # Points along the line, 1 um apart.
    depth = (np.arange(60_000) + 0.5) * 1e-3
    across = start["xy".index(axis)] * 10 + (depth + 10) * np.tan(angle)
    place = np.mod(across + 45, 18)
    way = 1e-3 / np.cos(angle)
    expected = {
        "G4_Al": 10 / np.cos(angle),
        "G4_Fe": way * (place < 14).sum(),
        "G4_POLYSTYRENE": way * ((place >= 14) & (place < 17)).sum(),
        "G4_AIR": way * (place >= 17).sum(),
    }
    for material, length in expected.items():
        assert found[material] == pytest.approx(length, abs=0.05), material


@pytest.mark.geant4
def test_the_cells_are_those_of_the_tiles_alone(tmp_path):
    from caloforge import simulate

    detector = tiles(("deposits: all", "deposits: active"), ("94 mm", "90 mm"))
    medians = {}
    for place in ("6.5mm", "0mm"):  # in a tile from -45 + 2 * 18 + 14 mm on, and in iron
        out = simulate(
            detector, particle="mu-", energy="100GeV", count=20, seed=3, y=place, out=tmp_path / "mu.h5"
        )
        layers = np.array([layer.sum(axis=(1, 2)) for layer in Showers.load(out).layers()])
        medians[place] = np.median(layers, axis=1)
        out.unlink()
    # 25 and 35 mm of polystyrene: 2.05 MeV/cm at the minimum, up to a fifth more at 100 GeV.
    assert 0.9 * 2.05 * 2.5 < medians["6.5mm"][0] < 1.3 * 2.05 * 2.5
    assert 0.9 * 2.05 * 3.5 < medians["6.5mm"][1] < 1.3 * 2.05 * 3.5
    assert medians["0mm"].sum() < 0.2

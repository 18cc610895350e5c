"""GDML: detectors out of it and into it, against Geant4's own reader and pyg4ometry where there are any."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from typer.testing import CliRunner

from caloforge.cli.main import app
from caloforge.detector import Detector, load_detector
from caloforge.detector.gdml import read_gdml
from caloforge.detector.gdml.numbers import Numbers
from caloforge.detector.gdml.volumes import Tree, Tube, walk
from caloforge.detector.markup import read_xml
from caloforge.errors import DetectorError, OutputError
from caloforge.truth.gdml import write_gdml

# Materials as Geant4 writes them: isotopes, addresses in memory, an element and a material of one name.
FILE = """<?xml version="1.0" encoding="UTF-8"?>
<gdml>
  <define>
    <constant name="n" value="4"/> <quantity name="gap" value="1" unit="cm"/>
    <variable name="pb" value="2*2.5"/>
    <position name="front" z="-gap/2" unit="mm"/> <rotation name="down" x="90" unit="deg"/>
  </define>
  <materials>
    <isotope name="Pb2080x600002a411c0" Z="82" N="208"><atom value="207.2"/></isotope>
    <element name="Lead0x6000008f0d10"><fraction n="1" ref="Pb2080x600002a411c0"/></element>
    <element name="Ox" Z="8"><atom value="16"/></element> <element name="Hy" Z="1"><atom value="1"/></element>
    <material name="Lead0x600000ef0d20"><T unit="K" value="293"/><D value="11.34" unit="g/cm3"/>
      <fraction n="1" ref="Lead0x6000008f0d10"/></material>
    <material name="Ice"><MEE unit="eV" value="75"/><D value="917" unit="kg/m3"/>
      <composite n="2" ref="Hy"/><composite n="1" ref="Ox"/></material>
    <material name="Slush"><D value="0.95"/>
      <fraction n="0.5" ref="Ice"/><fraction n="0.5" ref="G4_WATER"/></material>
  </materials>
  <solids>
    <box name="world" x="10" y="10" z="10" lunit="m"/> <box name="calo" x="300" y="200" z="4*15"/>
    <box name="period" x="300" y="200" z="15"/> <box name="lead" x="300" y="200" z="pb"/>
    <box name="ice" x="300" y="200" z="gap"/>
    <cone name="cone" rmin1="0" rmax1="1" rmin2="0" rmax2="2" z="3"/>
    %(solids)s
  </solids>
  <structure>
    <volume name="Lead0x6000"><materialref ref="Lead0x600000ef0d20"/><solidref ref="lead"/></volume>
    <volume name="Ice"><materialref ref="Slush"/><solidref ref="ice"/>
      <auxiliary auxtype="SensDet" auxvalue="s"/></volume>
    <volume name="Period"><materialref ref="G4_AIR"/><solidref ref="period"/>
      <physvol name="a"><volumeref ref="Lead0x6000"/><positionref ref="front"/></physvol>
      <physvol name="b"><volumeref ref="Ice"/><position name="p" x="0" y="0" z="pb/2"/></physvol>
    </volume>
    <volume name="Calo"><materialref ref="G4_AIR"/><solidref ref="calo"/>
      <replicavol number="n"><volumeref ref="Period"/>
        <replicate_along_axis>
          <direction z="1"/><width value="15" unit="mm"/><offset value="0"/>
        </replicate_along_axis>
      </replicavol>
    </volume>
    %(volumes)s
    <volume name="World"><materialref ref="G4_Galactic"/><solidref ref="world"/>%(placed)s</volume>
  </structure>
  <setup name="Default" version="1.0"><world ref="World"/></setup>
</gdml>
"""
PLACED = '<physvol name="calo"><volumeref ref="Calo"/><position name="c" x="7" y="8" z="900"/>{}</physvol>'


def written(tmp_path, placed=None, solids="", volumes="", changes=()):
    placed = PLACED.format("") if placed is None else placed
    text = FILE % {"solids": solids, "volumes": volumes, "placed": placed}
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "calo.gdml"
    path.write_text(text)
    return path


def test_a_stack_with_its_materials(tmp_path):
    found = read_gdml(written(tmp_path))
    detector = found.detector
    assert (found.axis, detector.shape, detector.size, detector.depth) == ("z", "planar", (300, 200), 60)
    assert [(s.material, s.thickness, s.active) for s in detector.slabs] == [
        ("G4_Pb", 5, False),
        ("Slush", 10, True),
    ] * 4
    slush = detector.materials["Slush"]
    # Half of the mass is ice, H2O with masses 1 and 16; the other is Geant4's water.
    assert slush.nist == pytest.approx({"G4_H": 1 / 18, "G4_O": 8 / 18, "G4_WATER": 0.5})
    assert slush.density == 0.95
    assert detector.readout.deposits == "active"
    assert found.left_out == ()
    assert Detector.from_yaml(detector.to_yaml()) == detector


def test_what_geant4_has_no_place_for_is_named(tmp_path):
    file = written(tmp_path, changes=[('<materialref ref="Slush"/>', '<materialref ref="Ice"/>')])
    assert read_gdml(file).left_out == ("Ice: its mean excitation energy; Geant4 takes its own",)


def test_geant4s_turn_is_ours(tmp_path):
    # Where Geant4's own reader (11.4, G4GDMLParser) puts the point (11, 22, 33) in a volume turned like this.
    turned = '<rotation name="r" x="30" y="50" z="70" unit="deg"/>'
    placed = PLACED.format(turned).replace('x="7" y="8" z="900"', 'x="10" y="20" z="30"')
    root = read_xml(written(tmp_path, placed), "a GDML file", 10**6)
    (there,) = Tree(root, Numbers(root, "here"), "here").world.inside
    local = there.turn @ (np.array([11, 22, 33]) - there.position)
    assert local == pytest.approx([0.9444953100134192, 3.273450709273945, 1.546754364246819], abs=1e-12)


@pytest.mark.parametrize(
    ("turned", "axis", "size", "first"),
    [
        ('<rotationref ref="down"/>', "y", (200, 300), "G4_Pb"),
        ('<rotation name="r" x="-pi/2"/>', "y", (200, 300), "Slush"),
        ('<rotation name="r" y="-90" unit="deg"/>', "x", (200, 300), "G4_Pb"),
    ],
)
def test_a_turned_stack(tmp_path, turned, axis, size, first):
    found = read_gdml(written(tmp_path, PLACED.format(turned)))
    assert found.axis == axis
    assert found.detector.slabs[0].material == first
    # x and y of the detector follow its depth in the order of x, y, z.
    widths = {"x": "yz", "y": "zx"}[axis]
    of_world = {"y": {"x": 300, "z": 200}, "x": {"y": 200, "z": 300}}[axis]
    assert found.detector.size == tuple(of_world[name] for name in widths)
    assert sorted(size) == sorted(found.detector.size)


def test_what_is_inclined_is_named(tmp_path):
    found = read_gdml(written(tmp_path, PLACED.format('<rotation name="r" x="10" unit="deg"/>')))
    slabs = [slab for slab in found.detector.slabs if slab.active]
    # Along the line, plates inclined by 10 degrees are thicker.
    assert [slab.thickness for slab in slabs] == pytest.approx(
        [10 / math.cos(math.radians(10))] * 4, abs=1e-5
    )
    told = "Ice: it is turned against the line and becomes straight"
    assert told in found.left_out


def test_tubes_around_each_other(tmp_path):
    tubes = "".join(
        f'<tube name="t{i}" rmin="{100 + 10 * i}" rmax="{110 + 10 * i}" z="600" deltaphi="twopi"/>'
        for i in range(3)
    )
    volumes = "".join(
        f'<volume name="T{i}"><materialref ref="G4_{m}"/><solidref ref="t{i}"/></volume>'
        for i, m in enumerate(("W", "Si", "Cu"))
    )
    placed = "".join(f'<physvol name="p{i}"><volumeref ref="T{i}"/></physvol>' for i in (0, 2, 1))
    found = read_gdml(written(tmp_path, placed, tubes, volumes), active=["G4_Si"])
    detector = found.detector
    assert (found.axis, detector.shape, detector.inner_radius, detector.size) == (
        "radius",
        "barrel",
        100,
        (300,),
    )
    assert [(s.material, s.thickness, s.active) for s in detector.slabs] == [
        ("G4_W", 10, False),
        ("G4_Si", 10, True),
        ("G4_Cu", 10, False),
    ]


def test_a_line_through_a_tube_is_what_geometry_says():
    tube = Tube(3.0, 5.0, 10.0)
    # At 4 mm beside the axis: in the tube for 3 mm on either side; at 1 mm, the hole is between.
    assert tube.along(np.array([-9.0, 4.0, 0.0]), np.array([1.0, 0, 0])) == [(6.0, 12.0)]
    hole, whole = math.sqrt(8), math.sqrt(24)
    spans = tube.along(np.array([0.0, 1.0, 0.0]), np.array([1.0, 0, 0]))
    assert spans == [pytest.approx((-whole, -hole)), pytest.approx((hole, whole))]
    assert tube.along(np.array([4.0, 0, -20]), np.array([0, 0, 1.0])) == [(10.0, 30.0)]
    assert tube.along(np.array([2.0, 0, -20]), np.array([0, 0, 1.0])) == []


def test_what_is_no_slab_is_named(tmp_path):
    solids = (
        '<box name="chip" x="3" y="3" z="1"/><tube name="disc" rmax="50" z="20" deltaphi="360" aunit="deg"/>'
    )
    volumes = (
        '<volume name="Cone1"><materialref ref="G4_W"/><solidref ref="cone"/></volume>'
        '<volume name="Chip"><materialref ref="G4_Si"/><solidref ref="chip"/></volume>'
        '<volume name="Disc"><materialref ref="G4_Cu"/><solidref ref="disc"/></volume>'
    )
    beside = '<physvol name="x{0}"><volumeref ref="{1}"/><position name="x" x="{2}" y="8" z="{3}"/></physvol>'
    placed = PLACED.format("") + beside.format(1, "Cone1", 60, 900) + beside.format(2, "Disc", 7, 950)
    placed += beside.format(3, "Chip", 57, 950) + beside.format(4, "Chip", -43, 950) + "<loop/>"
    found = read_gdml(written(tmp_path, placed, solids, volumes))
    assert [slab.material for slab in found.detector.slabs][-2:] == ["G4_Galactic", "G4_Cu"]
    assert set(found.left_out) == {
        "a loop in World: not read",
        "Cone#: its solid is no slab (cone)",
        "Chip (2 times): not on the line through the middle",
        "Disc: 100 x 100 mm wide, it becomes as wide as the detector",
    }


def test_an_assembly_is_what_is_in_it(tmp_path):
    # Two stacks 70 mm apart along y, in an assembly that is turned to lie along -z.
    volumes = (
        '<assembly name="Both"><physvol name="one"><volumeref ref="Calo"/>'
        '<position name="one" y="-35"/><rotation name="one" x="90" unit="deg"/></physvol>'
        '<physvol name="two"><volumeref ref="Calo"/>'
        '<position name="two" y="35"/><rotation name="two" x="90" unit="deg"/></physvol></assembly>'
    )
    placed = PLACED.replace("Calo", "Both").format('<rotation name="whole" x="90" unit="deg"/>')
    root = read_xml(written(tmp_path, placed, volumes=volumes), "a GDML file", 10**6)
    one, two = Tree(root, Numbers(root, "here"), "here").world.inside
    assert one.position == pytest.approx([7, 8, 900 + 35])
    assert two.position == pytest.approx([7, 8, 900 - 35])
    assert one.turn == pytest.approx(np.diag([1, -1, -1]))
    found = read_gdml(tmp_path / "calo.gdml")
    assert (found.axis, found.detector.depth, found.left_out) == ("z", 130, ())
    assert [slab.material for slab in found.detector.slabs[7:10]] == ["G4_Pb", "G4_Galactic", "Slush"]


def test_mirror_images_are_named(tmp_path):
    mirrored = read_gdml(written(tmp_path, PLACED.format('<scale name="s" x="1" z="-1"/>')))
    assert mirrored.left_out == ("mirror images in World: taken as they were before",)
    assert read_gdml(written(tmp_path, PLACED.format('<scale name="s" x="1"/>'))).left_out == ()


def test_units_have_long_names(tmp_path):
    changes = [('value="1" unit="cm"', 'value="1" unit="centimeter"'), ('lunit="m"', 'lunit="meter"')]
    long = read_gdml(written(tmp_path, changes=changes)).detector
    assert long == read_gdml(written(tmp_path)).detector


def test_places_of_few_digits_leave_no_slits(tmp_path):
    slit = ('x="0" y="0" z="pb/2"', 'x="0" y="0" z="pb/2+3e-7"')
    assert len(read_gdml(written(tmp_path, changes=[slit])).detector.slabs) == 8


def test_volumes_of_a_kind_are_named_once(tmp_path):
    volumes = "".join(
        f'<volume name="Disc{n}"><materialref ref="G4_Cu"/><solidref ref="disc"/></volume>' for n in range(3)
    )
    beside = (
        '<physvol name="d{0}"><volumeref ref="Disc{0}"/><position name="d" x="7" y="8" z="{1}"/></physvol>'
    )
    placed = PLACED.format("") + "".join(beside.format(n, 950 + 30 * n) for n in range(3))
    disc = '<tube name="disc" rmax="50" z="20" deltaphi="360" aunit="deg"/>'
    told = "Disc#: 100 x 100 mm wide, it becomes as wide as the detector"
    assert read_gdml(written(tmp_path, placed, disc, volumes)).left_out == (told,)


def test_discs_are_a_stack(tmp_path):
    volumes = '<volume name="Disc"><materialref ref="G4_Cu"/><solidref ref="disc"/></volume>'
    disc = '<tube name="disc" rmax="50" z="20" deltaphi="360" aunit="deg"/>'
    one = '<physvol name="d{0}"><volumeref ref="Disc"/><position name="d" z="{1}"/></physvol>'
    found = read_gdml(written(tmp_path, "".join(one.format(n, 30 * n) for n in range(4)), disc, volumes))
    assert (found.axis, found.detector.size, found.detector.depth) == ("z", (100, 100), 110)
    assert len(found.detector.slabs) == 7
    assert found.left_out == ("Disc: it is round and becomes a rectangle",)


def test_another_xml_is_no_gdml(tmp_path):
    (tmp_path / "other.gdml").write_text("<Bins/>")
    with pytest.raises(DetectorError, match="no volumes"):
        read_gdml(tmp_path / "other.gdml")


WRONG = {
    "no XML": ([("<gdml>", "<gdml")], "not XML"),
    "entities": ([("<gdml>", '<!DOCTYPE gdml [<!ENTITY a "b">]>\n<gdml>')], "a DOCTYPE"),
    "no number": ([('value="2*2.5"', 'value="2*twenty"')], "this is not a number"),
    "more than a number": (
        [('value="2*2.5"', "value=\"__import__('os').getcwd()\"")],
        "this is not a number",
    ),
    "an endless number": ([('value="2*2.5"', 'value="9^9^9^9"')], "this is not a number"),
    "a unit of nothing": ([('lunit="m"', 'lunit="ell"')], "no unit of a length or an angle"),
    "less than no density": ([('<D value="0.95"/>', '<D value="-0.95"/>')], "its density is -0.95 g/cm3"),
    "a material of nothing": ([('ref="G4_WATER"', 'ref="Firn"')], "what the material 'Firn' is made of"),
    "a material of itself": ([('ref="G4_WATER"', 'ref="Slush"')], "made of itself"),
    "a solid that is missing": (
        [('<solidref ref="ice"/>', '<solidref ref="snow"/>')],
        "'snow' is not defined",
    ),
    "a volume in itself": ([('<volumeref ref="Ice"/>', '<volumeref ref="Period"/>')], "it lies in itself"),
    "a volume that is missing": (
        [('<volumeref ref="Ice"/>', '<volumeref ref="Snow"/>')],
        "it is not defined",
    ),
    "no copies": ([('constant name="n" value="4"', 'constant name="n" value="1e9"')], "too many copies"),
    "nothing in the world": ([(PLACED.format(""), "")], "no stack of boxes or tubes"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_file_is_an_error(tmp_path, case):
    changes, words = WRONG[case]
    with pytest.raises(DetectorError) as caught:
        read_gdml(written(tmp_path, changes=changes))
    assert words in str(caught.value)
    assert "calo.gdml" in str(caught.value)


@pytest.mark.parametrize("name", ["calogan", "clic", "calochallenge-2"])
def test_a_stack_goes_there_and_back(tmp_path, name):
    detector = load_detector(name)
    write_gdml(detector, tmp_path / "there.gdml")
    found = read_gdml(tmp_path / "there.gdml")
    assert found.left_out == ()
    assert len(found.detector.slabs) == len(detector.slabs)
    for mine, its in zip(found.detector.slabs, detector.slabs, strict=True):
        assert (mine.material, mine.thickness) == (its.material, its.thickness)
        assert mine.active == (its.active or detector.readout.deposits == "all")
    assert (found.detector.size, found.detector.inner_radius) == (detector.size, detector.inner_radius)
    for key, mixture in detector.materials.items():
        assert found.detector.materials[key].density == mixture.density
        total = sum(mixture.nist.values())
        expected = {part: share / total for part, share in mixture.nist.items()}
        assert found.detector.materials[key].nist == pytest.approx(expected, abs=1e-8)


def test_every_name_of_a_file_is_for_one_thing(tmp_path):
    """XML wants it so, and names that begin with a letter; what mixtures are called is the user's choice."""
    names = ["World", "World-2", "Slab1", "Slab0_solid", "Default", "2mm", "Glass"]
    mixtures = "\n".join(
        f"  {name}: {{density: {i + 1} g/cm3, composition: {{Pb: 0.75, O: 0.25}}}}"
        for i, name in enumerate(names)
    )
    slabs = ", ".join(f"{{material: {name}, thickness: 1 mm}}" for name in names)
    detector = Detector.from_yaml(
        f"name: named\nsize: [1 m, 1 m]\nmaterials:\n{mixtures}\nstack: [{{slabs: [{slabs}]}}]\n"
        "readout: {deposits: all, layers: [{thickness: 7 mm, "
        "grid: {kind: cartesian, window: [1 m, 1 m], cells: [2, 2]}}]}\n"
    )
    write_gdml(detector, tmp_path / "named.gdml")
    found = [element.get("name") for element in ElementTree.parse(tmp_path / "named.gdml").iter()]
    found = [name for name in found if name]
    assert len(found) == len(set(found))
    assert all(re.fullmatch(r"[A-Za-z_][\w.-]*", name) for name in found)
    back = read_gdml(tmp_path / "named.gdml").detector
    densities = [back.materials[slab.material].density for slab in back.slabs]
    assert densities == [i + 1 for i in range(len(names))]
    assert back.slabs[-1].material == "Glass"


def test_the_command_says_what_was_left_out(tmp_path):
    out = tmp_path / "calo.yaml"
    arguments = [
        "detector",
        "import",
        str(written(tmp_path, PLACED.format("") + "<loop/>")),
        "--out",
        str(out),
    ]
    told = CliRunner().invoke(app, arguments)
    assert told.exit_code == 0, told.output
    assert "left out a loop in World: not read" in told.output
    again = CliRunner().invoke(app, arguments)
    assert isinstance(again.exception, OutputError), "what is there is never overwritten"
    arguments[-1] = str(tmp_path / "again.yaml")
    assert json.loads(CliRunner().invoke(app, [*arguments, "--json"]).output)["axis"] == "z"
    detector = load_detector(out)
    assert detector.depth == 60
    back = tmp_path / "back.gdml"
    assert CliRunner().invoke(app, ["detector", "export", str(out), "--gdml", str(back)]).exit_code == 0
    assert [slab.content for slab in read_gdml(back).detector.slabs] == [s.content for s in detector.slabs]


def test_what_cannot_be_written(tmp_path):
    with pytest.raises(DetectorError, match="no material"):
        write_gdml(load_detector("jet-image"), tmp_path / "out.gdml")
    with pytest.raises(DetectorError, match="cannot be written there"):
        write_gdml(load_detector("calogan"), tmp_path / "out.xml")


ROWS = """
name: rows
size: [90 mm, 94 mm]
materials: {Alloy: {density: 17.8 g/cm3, composition: {W: 0.9, Ni: 0.1}}}
stack:
  - slabs:
      - {material: Alloy, thickness: 10 mm}
      - thickness: 60 mm
        across: y
        slabs: [{material: G4_Fe, thickness: 14 mm}, {material: G4_Si, thickness: 3 mm, active: true}]
readout:
  deposits: active
  layers: [{thickness: 70 mm, grid: {kind: cartesian, window: [90 mm, 90 mm], cells: [5, 5]}}]
"""
# Mass in g: 10 mm of alloy; iron fills 5 x 14 + 9 of the 94 mm (94 = 5 x 17 + 9), silicon 5 x 3.
MASS = 9 * 9.4 * 17.8 + 6 * 9 * (7.9 * 7.874 + 1.5 * 2.33)


def test_pyg4ometry_reads_what_we_write(tmp_path):
    pyg4ometry = pytest.importorskip("pyg4ometry")
    write_gdml(Detector.from_yaml(ROWS), tmp_path / "rows.gdml")
    world = pyg4ometry.gdml.Reader(str(tmp_path / "rows.gdml")).getRegistry().getWorldVolume()
    alloy, row = (placed.logicalVolume for placed in world.daughterVolumes)
    assert [float(getattr(alloy.solid, key)) for key in ("pX", "pY", "pZ")] == [90, 94, 10]
    assert world.daughterVolumes[1].position.eval() == [0, 0, 40]
    assert [placed.position.eval()[1] for placed in row.daughterVolumes[:3]] == [-40, -31.5, -23]
    assert [placed.logicalVolume.material.name for placed in row.daughterVolumes[:2]] == ["G4_Fe", "G4_Si"]


def test_we_read_what_pyg4ometry_writes(tmp_path):
    pyg4ometry = pytest.importorskip("pyg4ometry")
    geant4 = pyg4ometry.geant4
    registry = geant4.Registry()
    box = lambda name, *sides: geant4.solid.Box(name, *sides, registry, lunit="mm")  # noqa: E731
    material = lambda name: geant4.MaterialPredefined(name, registry)  # noqa: E731
    world = geant4.LogicalVolume(box("w", 1000, 1000, 1000), material("G4_AIR"), "world", registry)
    lead = geant4.LogicalVolume(box("a", 120, 80, 4), material("G4_Pb"), "lead", registry)
    silicon = geant4.LogicalVolume(box("b", 120, 80, 1), material("G4_Si"), "silicon", registry)
    for layer in range(3):
        for what, depth in ((lead, 0.0), (silicon, 3.0)):
            name = f"{what.name}{layer}"
            geant4.PhysicalVolume([0, 0, 0], [0, 0, 6.0 * layer + depth], what, name, world, registry)
    registry.setWorld(world)
    writer = pyg4ometry.gdml.Writer()
    writer.addDetector(registry)
    writer.write(str(tmp_path / "theirs.gdml"))
    found = read_gdml(tmp_path / "theirs.gdml", active=["G4_Si"])
    assert found.detector.size == (120, 80)
    expected = [("G4_Pb", 4, False), ("G4_AIR", 0.5, False), ("G4_Si", 1, True), ("G4_AIR", 0.5, False)] * 3
    assert [slab.content[:3] for slab in found.detector.slabs] == expected[:-1]


@pytest.mark.geant4
def test_geant4_reads_what_we_write(tmp_path):
    pytest.importorskip("geant4_pybind", exc_type=ImportError)
    write_gdml(Detector.from_yaml(ROWS), tmp_path / "rows.gdml")
    script = (
        "import sys, geant4_pybind as g; parser = g.G4GDMLParser(); parser.Read(sys.argv[1], False);"
        "print('mass', parser.GetWorldVolume().GetLogicalVolume().GetMass(True, True) / g.g)"
    )
    # A process of its own: there is one Geant4 in a process, and this one has calzone's.
    told = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "rows.gdml")],
        env=os.environ, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    (mass,) = [line.split()[1] for line in told.stdout.splitlines() if line.startswith("mass")]
    assert float(mass) == pytest.approx(MASS, rel=1e-4)
    assert Path(tmp_path / "rows.gdml").stat().st_size < 10_000


def test_a_line_beside_everything_meets_the_world_alone(tmp_path):
    root = read_xml(written(tmp_path), "a GDML file", 10**6)
    world = Tree(root, Numbers(root, "here"), "here").world
    (piece,) = walk(world, np.array([4000.0, 0, 0]), np.array([0.0, 0, 1]))
    assert (piece.volume, piece.start, piece.end) == (world, -5000, 5000)

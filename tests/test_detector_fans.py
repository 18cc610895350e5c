"""Fans: flat plates all around a barrel, with gaps between them that grow with the radius."""

from __future__ import annotations

import json

import numpy as np
import pytest

from caloforge import simulate
from caloforge.detector import Detector, Fan
from caloforge.detector.drawing import draw
from caloforge.detector.summary import describe, material_thickness
from caloforge.errors import DetectorError
from caloforge.showers import Showers
from caloforge.simulation.placing import Placing
from caloforge.training.symmetry import Mirror, _maps_stack
from caloforge.truth.geometry import geometry, slab_paths

FAN = """\
name: fan
shape: barrel
size: [200 mm]
inner_radius: 216 mm
stack:
  - slabs:
      - {material: G4_Al, thickness: 4 mm}
      - thickness: 60 mm
        around: 48
        angle: 50 deg
        gaps: {material: G4_lAr, active: true}
        slabs:
          - {material: G4_Pb, thickness: 3 mm}
          - {material: G4_POLYSTYRENE, thickness: 1.2 mm}
readout:
  deposits: active
  layers:
    - start: 4 mm
      count: 2
      thickness: 30 mm
      grid: {kind: cartesian, window: [160 mm, 160 mm], cells: [32, 32]}
"""


def fan(*changes):
    text = FAN
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return Detector.from_yaml(text, "fan.yaml")


def inside(detector, points):
    """Number of the plate that each point (mm, shape `(n, 2)`) is in, or -1: by distance from its plane."""
    (_, one) = detector.slabs
    number = np.full(len(points), -1)
    for place in range(one.around * len(one.sequence)):
        azimuth = 2 * np.pi * place / (one.around * len(one.sequence))
        foot = one.radius * np.array([np.cos(azimuth), np.sin(azimuth)])
        along = np.array([np.cos(azimuth + one.angle), np.sin(azimuth + one.angle)])
        way = (points - foot) @ along
        beside = np.abs((points - foot) @ np.array([-along[1], along[0]]))
        number[(way > 0) & (beside < one.sequence[place % len(one.sequence)].thickness / 2)] = place
    return number


def test_it_goes_round_and_is_told(tmp_path):
    detector = fan()
    again = Detector.from_yaml(detector.to_yaml())
    assert again == detector
    assert again.slabs == detector.slabs
    assert len(detector.plates) == 1 + 1 + 96
    assert fan(("50 deg", "872.664625997165 mrad")) == detector
    assert fan(("around: 48", "around: 49")).digest != detector.digest
    slab = json.loads(json.dumps(describe(detector)))["stack"][1]["slabs"][0]
    assert (slab["around"], slab["gaps"]["material"]) == (48, "G4_lAr")
    assert draw(detector, tmp_path / "fan.png") == ["layer_0"]


@pytest.mark.parametrize("angle", ["0 deg", "50 deg"])
def test_materials_are_those_crossed_on_average(angle):
    detector = fan(("50 deg", angle))
    rng = np.random.default_rng(1)
    radius, azimuth = 220 + 60 * rng.random(200_000), 2 * np.pi * rng.random(200_000)
    place = inside(detector, np.column_stack([radius * np.cos(azimuth), radius * np.sin(azimuth)]))
    thickness = material_thickness(detector.slabs)
    for material, rest in (("G4_Pb", 0), ("G4_POLYSTYRENE", 1)):
        share = ((place >= 0) & (place % 2 == rest)).mean()
        assert thickness[material] == pytest.approx(60 * share, abs=5 * 60 * np.sqrt(share / 200_000))
    assert sum(thickness.values()) == pytest.approx(64)


WRONG = {
    "planar": (
        [("shape: barrel\n", ""), ("inner_radius: 216 mm\n", ""), ("[200 mm]", "[1 m, 1 m]")],
        "only a barrel",
    ),
    "no room": ([("around: 48", "around: 300")], "no room beside each other"),
    "too steep": ([("50 deg", "85 deg")], "out of range"),
    "backwards": ([("50 deg", "-5 deg")], "out of range"),
    "too thick for its depth": (
        [("50 deg", "0 deg"), ("around: 48", "around: 4"), ("3 mm", "250 mm"), ("60 mm", "30 mm")],
        "too thick for its depth",
    ),
    "far too thick for its depth": (
        [("50 deg", "80 deg"), ("around: 48", "around: 4"), ("3 mm", "55 mm"), ("60 mm", "3 mm")],
        "too thick for its depth",
    ),
    "no gaps": ([("        gaps: {material: G4_lAr, active: true}\n", "")], "'gaps' is missing"),
    "unknown gaps": ([("G4_lAr", "G4_lAg")], "unknown material 'G4_lAg'"),
    "too many": ([("around: 48", "around: 5000"), ("3 mm", "1 um"), ("1.2 mm", "1 um")], "too many slabs"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said(case):
    changes, words = WRONG[case]
    with pytest.raises(DetectorError) as caught:
        fan(*changes)
    assert words in str(caught.value)
    assert "fan.yaml, line" in str(caught.value)


def test_behind_other_slabs_there_is_more_room():
    deep = [
        ("thickness: 4 mm", "thickness: 400 mm"),
        ("around: 48", "around: 300"),
        ("start: 4 mm", "start: 400 mm"),
    ]
    with pytest.raises(DetectorError, match="no room beside each other"):
        fan(deep[1])
    assert fan(*deep).slabs[1].radius == 616


@pytest.mark.parametrize("angle", [0.0, 1.4, 5.0, 50.0])
@pytest.mark.parametrize("thickness", [1.0, 10.0, 20.0])
def test_plates_stay_between_their_radii_and_touch_them(angle, thickness):
    (_, one) = fan(("50 deg", f"{angle} deg")).slabs
    first, last = one.reach(thickness)
    radii = []
    for way in (first, last):
        beside = np.linspace(-thickness / 2, thickness / 2, 100_001)
        x = 220 + way * np.cos(one.angle) - beside * np.sin(one.angle)
        y = way * np.sin(one.angle) + beside * np.cos(one.angle)
        radii.append(np.hypot(x, y))
    assert radii[0].min() == pytest.approx(220, abs=1e-6)
    assert radii[1].max() == pytest.approx(280, abs=1e-6)


def test_moves_and_mirrors_know_the_plates():
    detector = fan()
    assert not _maps_stack(Mirror(False, -1, 1), detector)
    assert _maps_stack(Mirror(False, 1, -1), detector)
    assert not detector.alike_around
    # Cells of 5 mm, and a sequence is 28.27 mm of arc: nothing fits on the way around (1357 mm).
    across, along = Placing(detector).lattice
    assert across.first == 0
    assert across.period > 1357
    assert (along.first, along.period) == (0, 5)


@pytest.mark.geant4
@pytest.mark.parametrize("angle", ["0 deg", "1.4 deg", "50 deg", "75 deg"])
def test_geant4_finds_every_plate_and_no_overlap(angle):
    import calzone

    detector = fan(("50 deg", angle), ("around: 48", "around: 40"))
    built = calzone.Geometry(geometry(detector))
    built.check()
    paths = slab_paths(detector)
    assert [built.find(path).material for path in paths] == [plate.material for plate in detector.plates]
    one = next(slab for slab in detector.slabs if isinstance(slab, Fan))
    for path, plate in list(zip(paths, detector.plates, strict=True))[2:4]:
        first, last = one.reach(plate.thickness)
        assert built.find(path).volume() == pytest.approx(
            (last - first) * plate.thickness * 400 / 1000, rel=1e-6
        )
        # Flat ends cost little: the middle plane itself would reach from 0 to the end of `reach(0)`.
        assert last - first > one.reach(0)[1] - plate.thickness * (2 * np.tan(one.angle) + 0.1)


@pytest.mark.geant4
def test_muons_come_from_where_they_are_aimed(tmp_path):
    # A muon straight outwards at an arc of x: what it loses in argon follows from the plates that are there.
    detector = fan()
    lost, expected = [], []
    period = 2 * np.pi * 216 / 48
    for x in (0.0, 7.0, 14.0, 21.0, period + 7.0):
        out = simulate(detector, particle="mu-", energy="100GeV", count=60, seed=3, x=f"{x}mm", y="2.5mm",
                       out=tmp_path / "mu.h5")  # fmt: skip
        showers = Showers.load(out)
        out.unlink()
        energy = sum(layer.sum(axis=0) for layer in showers.layers())
        columns = -80 + 5 * (np.arange(32) + 0.5)
        assert np.average(columns, weights=energy.sum(axis=1)) == pytest.approx(x, abs=4.0)
        lost.append(np.median(showers.cells.sum(axis=1)))
        azimuth, radius = x / 216, 220 + 60 * (np.arange(60_000) + 0.5) / 60_000
        points = np.column_stack([radius * np.cos(azimuth), radius * np.sin(azimuth)])
        expected.append((inside(detector, points) < 0).mean() * 6)
    # 2.1 MeV/cm at the minimum in argon, and up to a third more at 100 GeV.
    ratio = np.array(lost) / np.array(expected)
    assert (np.abs(ratio / ratio.mean() - 1) < 0.08).all()
    assert 2.0 < ratio.mean() < 2.9
    assert lost[4] == pytest.approx(lost[1], rel=0.08)

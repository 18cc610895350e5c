"""What is seen of deposits: Birks' law step by step, and the gate, against formulas and Geant4 itself."""

from __future__ import annotations

import numpy as np
import pytest

import caloforge as cf
from caloforge.detector import Detector
from caloforge.detector.nist import NIST_MATERIALS
from caloforge.errors import DetectorError
from caloforge.showers import Showers
from caloforge.truth.visible import ElectronRange, seen_in_slabs

SANDWICH = """
name: sandwich
shape: planar
size: [1 m, 1 m]
materials:
  Plastic: {density: 1.06 g/cm3, composition: {C: 0.9225773292943783, H: 0.07742267070562171}}
stack:
  - repeat: 40
    slabs:
      - {material: G4_Fe, thickness: 20 mm}
      - {material: %s, thickness: 5 mm, active: true%s}
readout:
  deposits: active
  %s
  layers:
    - {thickness: 1000 mm, grid: {kind: cartesian, window: [900 mm, 900 mm], cell: [30 mm, 30 mm]}}
"""
LINES = np.dtype(
    [
        ("pid", "i4"),
        ("energy", "f8"),
        ("value", "f8"),
        ("start", "f8", 3),
        ("end", "f8", 3),
        ("time", "f8", 2),
    ]
)
POINTS = np.dtype([("pid", "i4"), ("energy", "f8"), ("value", "f8"), ("position", "f8", 3), ("time", "f8")])


def sandwich(birks="", gate="", material="G4_POLYSTYRENE"):
    return Detector.from_yaml(SANDWICH % (material, f", birks: {birks}" if birks else "", gate))


def line(pid, energy, value, length_mm, time_ns=(0.0, 0.0), depth_mm=25.0):
    start, end = [0, 0, depth_mm / 10], [0, 0, (depth_mm + length_mm) / 10]
    return np.array([(pid, energy, value, start, end, np.array(time_ns) * 1e-9)], LINES)


def point(pid, value):
    return np.array([(pid, 1.0, value, [0, 0, 2.5], 0.0)], POINTS)


# Mean path of electrons of 0.01, 0.03, 0.1, 0.3 and 1 MeV in mm: G4EmCalculator::GetRange of Geant4 11.4
# (geant4_pybind 0.1.3, G4EmStandardPhysics, cut 0.7 mm).
RANGES = {
    "G4_POLYSTYRENE": [0.0024161, 0.016858, 0.13767, 0.81219, 4.2644],
    "G4_PLASTIC_SC_VINYLTOLUENE": [0.0024311, 0.017008, 0.13915, 0.8219, 4.3258],
    "G4_Si": [0.0014997, 0.0099284, 0.078383, 0.45394, 2.3289],
    "G4_lAr": [0.0028368, 0.018661, 0.14666, 0.84561, 4.3313],
    "G4_PbWO4": [0.00076232, 0.0044862, 0.03283, 0.18195, 0.90052],
    "G4_BGO": [0.00086428, 0.005095, 0.037361, 0.20744, 1.033],
}


@pytest.mark.parametrize("material", RANGES)
def test_electrons_go_as_far_as_in_geant4(material):
    known = NIST_MATERIALS[material]
    found = ElectronRange(known.electron_density, known.mean_excitation_energy)
    assert found(np.array([0.01, 0.03, 0.1, 0.3, 1.0])) == pytest.approx(RANGES[material], rel=0.02)
    low = found(np.geomspace(1e-6, 1e-2, 50))
    assert (low > 0).all()
    assert (np.diff(low) > 0).all()


def test_a_straight_particle_saturates_by_its_loss_and_length():
    seen = seen_in_slabs(sandwich("0.126 mm/MeV"))
    assert sorted(seen) == list(range(1, 80, 2))  # the plastic ones
    for pid, energy in ((13, 1e4), (211, 500.0), (2212, 200.0), (11, 50.0)):
        assert seen[1](line(pid, energy, 1.5, 5.0)) == pytest.approx(
            [1.5 / (1 + 0.126 * 1.5 / 5.0)], rel=1e-12
        )


def test_a_scattered_electron_saturates_by_its_path():
    seen = seen_in_slabs(sandwich("0.126 mm/MeV"))[1]
    # It stops 0.05 mm from where it began, after its range.
    assert seen(line(11, 0.1, 0.1, 0.05)) == pytest.approx([0.1 / (1 + 0.126 * 0.1 / 0.13767)], rel=1e-3)
    assert seen(line(-11, 0.3, 0.2, 0.01)) == pytest.approx(
        [0.2 / (1 + 0.126 * 0.2 / (0.81219 - 0.13767))], rel=1e-3
    )
    # One that goes straight farther than the mean does keep its length.
    assert seen(line(11, 0.1, 0.05, 0.5)) == pytest.approx([0.05 / (1 + 0.126 * 0.05 / 0.5)], rel=1e-12)


def test_deposits_in_a_point_saturate_as_what_stops_there():
    seen = seen_in_slabs(sandwich("0.126 mm/MeV"))[1]
    assert seen(point(22, 0.01)) == pytest.approx([0.01 / (1 + 0.126 * 0.01 / 0.0024161)], rel=2e-3)
    # A nucleus that a neutron hit: range of a proton of 0.1 MeV in polystyrene 1.267 um (Geant4 11.4).
    assert seen(point(2112, 0.1)) == pytest.approx([0.1 / (1 + 0.126 * 0.1 / 0.001267)], rel=2e-3)
    assert seen(line(1000060120, 0.1, 0.1, 0.0)) == pytest.approx(seen(point(2112, 0.1)))


def test_a_mixture_saturates_as_the_material_that_it_is():
    own = seen_in_slabs(sandwich("0.126 mm/MeV", material="Plastic"))[1]
    known = seen_in_slabs(sandwich("0.126 mm/MeV"))[1]
    for records in (line(11, 0.1, 0.1, 0.01), point(22, 0.01), point(2112, 0.1)):
        assert own(records) == pytest.approx(
            known(records), rel=0.01
        )  # excitation energies of elements add up


def test_late_deposits_do_not_count():
    seen = seen_in_slabs(sandwich(gate="gate: 10 ns"))
    assert sorted(seen) == list(range(80))
    light = 25.0 / 299.792458  # ns from the front face to this depth
    for late, counts in ((9.9, 1.0), (10.1, 0.0)):
        times = (late + light, late + light)
        assert seen[1](line(11, 5.0, 2.0, 1e-6, times)) == pytest.approx([2.0 * counts])
    both = seen_in_slabs(sandwich("0.126 mm/MeV", "gate: 10 ns"))[1]
    assert both(line(13, 1e4, 1.5, 5.0)) == pytest.approx([1.5 / (1 + 0.126 * 1.5 / 5.0)])
    assert both(line(13, 1e4, 1.5, 5.0, (20.0, 20.1))) == [0.0]
    assert seen_in_slabs(sandwich()) == {}


def test_a_particle_that_starts_before_the_face_is_not_late():
    light = (25.0 + 900.0) / 299.792458
    for late, counts in ((9.9, 1.0), (10.1, 0.0)):
        seen = seen_in_slabs(sandwich(gate="gate: 10 ns"), before=900.0)[1]
        assert seen(line(11, 5.0, 2.0, 1e-6, (late + light, late + light))) == pytest.approx([2.0 * counts])


def test_the_constant_has_a_unit_and_is_part_of_the_detector():
    detector = sandwich("0.0126 cm/MeV")
    assert [slab.birks for slab in detector.slabs[:2]] == [None, 0.126]
    assert Detector.from_yaml(detector.to_yaml()) == detector
    assert detector.digest != sandwich().digest
    assert detector.digest == sandwich("0.126 mm/MeV").digest
    assert detector.digest != sandwich("0.126 mm/MeV", "gate: 50 ns").digest
    for text, words in (
        ("0.126", "0.126 has no unit"),
        ("0.0126 g/(MeV cm2)", "is not a Birks constant"),
        ("0 mm/MeV", "is not Birks' constant of a material"),
        ("20 cm/MeV", "is not Birks' constant of a material"),
    ):
        with pytest.raises(DetectorError, match=words):
            sandwich(text)
    passive = (SANDWICH % ("G4_POLYSTYRENE", "", "")).replace("20 mm}", "20 mm, birks: 0.1 mm/MeV}")
    with pytest.raises(DetectorError, match="only an active slab makes light"):
        Detector.from_yaml(passive)
    with pytest.raises(DetectorError, match="a gate must be open"):
        sandwich(gate="gate: 0 ns")


@pytest.mark.geant4
def test_geant4_electrons_show_what_geant4s_own_saturation_gives(tmp_path):
    """Share that is seen: with Geant4's true lengths of steps 0.97083 (20 electrons of 10 GeV)."""
    sums = []
    for name, birks in (("all", ""), ("seen", "0.126 mm/MeV")):
        out = tmp_path / f"{name}.h5"
        cf.simulate(sandwich(birks), particle="e-", energy="10GeV", count=10, out=out)
        showers = Showers.load(out)
        sums.append(float(showers.cells.sum() + showers.overflow.sum()))
    assert sums[1] / sums[0] == pytest.approx(0.9708, abs=5e-4)

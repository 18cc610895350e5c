"""The particle gun and physics lists: what is shot, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest

from caloforge.detector import load_detector
from caloforge.errors import DetectorError, Geant4Error
from caloforge.particles import pdg_id
from caloforge.quantities import Interval, Spectrum
from caloforge.truth.geometry import geometry, slab_paths
from caloforge.truth.gun import Gun, directions, portions, random_indices, random_seed
from caloforge.truth.physics import Physics, needs_hadronic

FIXED = Interval(0.0, 0.0)


def gun(energy="1:100GeV", theta=FIXED, phi=FIXED, x=FIXED, y=FIXED):
    return Gun(-11, Spectrum.parse(energy), theta, phi, x, y)


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("e-", False),
        ("gamma", False),
        ("mu+", False),
        ("pi0", False),
        ("pi+", True),
        ("p", True),
        ("n", True),
        # Geant4 11.4 without it: a response of 0.07 for rho, of 0.25 to 0.59 for 10 of 40 eta.
        ("rho(770)0", True),
        ("eta", True),
        ("tau-", True),
        ("Sigma0", True),
        ("1000020040", True),
    ],
)
def test_what_needs_hadronic_physics(name, needed):
    assert needs_hadronic(pdg_id(name)) is needed


def test_physics_names_an_electromagnetic_and_a_hadronic_model():
    assert Physics.parse("standard", 0.7) == Physics("standard", None, 0.7)
    assert Physics.parse("FTFP_BERT", 0.1) == Physics("standard", "FTFP_BERT", 0.1)
    assert Physics.parse("option4+QGSP_BIC", 0.7) == Physics("option4", "QGSP_BIC", 0.7)


@pytest.mark.parametrize("text", ["", "option5", "standard+option1", "FTFP_BERT+QGSP_BERT", "emstandard"])
def test_wrong_physics_is_refused(text):
    with pytest.raises(Geant4Error):
        Physics.parse(text, 0.7)


def test_a_cut_must_be_positive():
    with pytest.raises(Geant4Error, match="cut"):
        Physics.parse("standard", 0.0)


def test_hadrons_need_hadronic_physics():
    with pytest.raises(Geant4Error, match="interacts strongly") as error:
        Physics.parse("option4", 0.7).check(211)
    assert "--physics FTFP_BERT" in error.value.details["cure"]
    Physics.parse("FTFP_BERT", 0.7).check(211)
    Physics.parse("standard", 0.7).check(111)


def test_a_shower_is_drawn_from_seed_and_number_alone():
    shot = gun(theta=Interval(0, 0.5), phi=Interval(-3, 3), x=Interval(-9, 9), y=Interval(-5, 5))
    together = shot.incident(7, 0, 40)
    apart = [shot.incident(7, number, number + 1) for number in (39, 3, 17)]
    for one, number in zip(apart, (39, 3, 17), strict=True):
        for name, column in one.items():
            assert column.tobytes() == getattr(together, name)[number : number + 1].tobytes()


def test_other_seeds_and_numbers_give_other_showers():
    energies = np.concatenate([gun().incident(seed, 0, 300).energy for seed in (1, 2, 3)])
    assert len(np.unique(energies)) == 900
    # Uniform from 1 to 100 GeV: mean 50.5 GeV, its error 0.95 GeV.
    assert abs(energies.mean() - 50_500) < 4 * 950


def test_ranges_are_filled():
    shot = gun(theta=Interval(0.1, 0.2), x=Interval(-3, -1))
    incident = shot.incident(1, 0, 200)
    assert incident.theta.min() >= np.float32(0.1)
    assert incident.theta.max() <= np.float32(0.2)
    assert incident.theta.std() > 0.02
    assert incident.x.min() >= -3
    assert incident.x.max() <= -1
    assert not incident.y.any()


def test_directions_follow_theta_and_phi():
    incident = gun(theta=Interval(0.3, 0.3), phi=Interval(1.1, 1.1)).incident(1, 0, 1)
    expected = [math.sin(0.3) * math.cos(1.1), math.sin(0.3) * math.sin(1.1), math.cos(0.3)]
    np.testing.assert_allclose(directions(incident)[0], expected, rtol=1e-6)


def test_random_streams_do_not_overlap_and_use_both_words():
    far = 1 << 30
    indices = [(int(high) << 64) + int(low) for high, low in random_indices(range(far, far + 3))]
    assert np.diff(indices).tolist() == [1 << 36, 1 << 36]
    assert indices[0] == far << 36
    assert random_indices([far])[0, 0] == far >> 28


@pytest.mark.geant4
def test_neighbouring_seeds_give_unlike_random_numbers():
    import calzone

    engine = calzone.Simulation().random
    first = []
    for seed in range(64):
        engine.seed = random_seed(seed)
        first.append(engine.uniform01(16))
    numbers = np.array(first)
    assert len(np.unique(numbers)) == numbers.size
    # Uniform, and no seed's numbers follow another's: |r| of 16 pairs would exceed 0.9 once in 1e6.
    assert abs(numbers.mean() - 0.5) < 4 / np.sqrt(12 * numbers.size)
    correlations = np.corrcoef(numbers) - np.eye(64)
    assert np.abs(correlations).max() < 0.95


def test_portions_hold_limited_energy_and_number():
    energy = np.array([5, 5, 1, 20, 1, 1, 1, 1], np.float32)
    assert portions(energy, 10, 3) == [(0, 2), (2, 3), (3, 4), (4, 7), (7, 8)]


@pytest.mark.parametrize(
    ("wrong", "where", "got"),
    [
        ({"theta": Interval(0, math.pi / 2)}, "--theta", "0:90deg"),
        ({"theta": Interval(math.radians(95), math.radians(95))}, "--theta", "95deg"),
        ({"theta": Interval(math.radians(-10), 0)}, "--theta", "-10:0deg"),
        ({"x": Interval(-501, 0)}, "--x", "-501:0mm"),
        ({"y": Interval(501, 501)}, "--y", "501mm"),
    ],
)
def test_a_particle_that_would_miss_is_refused(wrong, where, got):
    with pytest.raises(Geant4Error) as error:
        gun(**wrong).check(load_detector("calogan"))
    assert error.value.details["where"] == where
    assert error.value.details["got"] == got


def test_a_readout_without_material_cannot_be_simulated():
    with pytest.raises(DetectorError, match="no material") as error:
        geometry(load_detector("calochallenge-1-photons"))
    assert "stack" in error.value.details["cure"]


def test_volumes_follow_the_stack():
    world = geometry(load_detector("clic"))["World"]
    slabs = [volume for name, volume in world.items() if name.startswith("Slab")]
    assert len(slabs) == 25 * 7
    assert sum("role" in slab for slab in slabs) == 25
    assert slabs[3] == {
        "material": "G4_Si",
        "box": [70.0, 70.0, 0.05],
        "position": [0.0, 0.0, pytest.approx(0.3)],
        "role": "record_deposits",
    }


def test_tubes_follow_the_stack():
    world = geometry(load_detector("calochallenge-2"))["World"]
    tube = world["Shell0"]["Slab1"]["cylinder"]
    assert tube == {"length": 200.0, "radius": pytest.approx(80.17), "thickness": pytest.approx(0.03)}
    shell = world["Shell14"]
    assert sum(name.startswith("Slab") for name in shell) == 12
    assert shell["cylinder"]["radius"] == shell["Slab179"]["cylinder"]["radius"] == pytest.approx(95.3)
    assert shell["cylinder"]["thickness"] == pytest.approx(1.02)


@pytest.mark.geant4
@pytest.mark.parametrize("name", ["calogan", "clic", "clic-angle", "calochallenge-2"])
def test_geant4_finds_every_slab_and_no_overlap(name):
    import calzone

    detector = load_detector(name)
    built = calzone.Geometry(geometry(detector))
    built.check()
    for path, slab in zip(slab_paths(detector), detector.slabs, strict=True):
        assert built.find(path).material.startswith(slab.material)


def test_equal_names_of_unlike_mixtures_stay_apart():
    first = load_detector("calogan")
    other = type(first).from_yaml(first.to_yaml().replace("1.39 g/cm3", "1.4 g/cm3"))
    assert other.digest != first.digest
    names = [set(geometry(detector)["materials"]["mixtures"]) for detector in (first, other)]
    assert not names[0] & names[1]

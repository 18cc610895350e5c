"""Fast simulation inside Geant4: what may be caught, where hits are put, and what is written."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import caloforge as cf
from caloforge.cli.main import app
from caloforge.deploy import Bundle
from caloforge.deploy.bundle.validity import Validity
from caloforge.detector import Detector, load_detector
from caloforge.errors import BundleError, CaloforgeError, DetectorError, Geant4Error, QuantityError
from caloforge.quantities import Interval, Spectrum
from caloforge.showers import Incident, ShowerFile, Showers
from caloforge.simulation.fastsim.catching import Tolerance, catch
from caloforge.simulation.fastsim.comparison import Comparison
from caloforge.simulation.fastsim.display import Pair, draw
from caloforge.simulation.fastsim.fitting import check_bundle, event_detector, without_threshold
from caloforge.simulation.fastsim.primaries import gun_events, portion_of
from caloforge.simulation.fastsim.simulation import Outcome
from caloforge.simulation.fastsim.store import Primaries, RowWriter
from caloforge.simulation.output import EventFile
from caloforge.simulation.output.base import GEANT4, GENERATED
from caloforge.simulation.placing import Placing
from caloforge.truth.gun import Gun
from caloforge.truth.physics import Physics
from caloforge.truth.stages import Geant4, Setup
from caloforge.truth.upstream import slabs_before
from deploy_toys import DETECTOR, cells_of, make_bundle

NEAR = Tolerance(angle=math.radians(1), position=1.0)
# The same calorimeter, and a readout that covers more of it.
WIDE = Detector.from_yaml(
    DETECTOR.to_yaml()
    .replace("window: [80 mm, 80 mm], cells: [4, 4]", "window: [160 mm, 80 mm], cells: [8, 4]")
    .replace("window: [80 mm, 80 mm], cells: [2, 2]", "window: [160 mm, 80 mm], cells: [4, 2]")
    .replace("size: [80 mm, 80 mm]", "size: [400 mm, 80 mm]")
)
assert WIDE.n_cells == 2 * DETECTOR.n_cells


def valid(**changes: tuple[float, float]) -> Validity:
    """A training of e+ at 1 to 100 GeV, orthogonal in the middle, but for `changes`."""
    ranges = {"energy": (1e3, 1e5), **dict.fromkeys(("theta", "phi", "x", "y"), (0.0, 0.0))} | changes
    return Validity.of_data({"particles": [-11], **ranges})


def rows(particles: Incident, trained: Validity | None = None, tolerance: Tolerance = NEAR) -> list[int]:
    calogan = load_detector("calogan")
    return catch(particles, trained or valid(), Placing(calogan, calogan), tolerance).rows.tolist()


# What may be caught


def test_particle_and_energy_must_be_those_of_the_training():
    energy = [2e4, 2e4, 1e3, 999.0, 100_001.0, np.nan, np.inf]
    assert rows(Incident.of(energy, pdg=[-11, 11, -11, -11, -11, -11, -11])) == [0, 2]


@pytest.mark.parametrize(("degrees", "caught"), [(0.0, True), (0.99, True), (1.01, False), (89.0, False)])
def test_directions_are_caught_within_the_tolerance(degrees, caught):
    particle = Incident.of([2e4], pdg=-11, theta=math.radians(degrees), phi=2.0)
    assert rows(particle) == ([0] if caught else [])


def test_the_angle_is_that_between_two_directions():
    """Against vectors: a training at 30 to 40 degrees and an azimuth of -10 to 10 degrees."""
    trained = valid(theta=tuple(np.radians([30, 40])), phi=tuple(np.radians([-10, 10])))
    rng = np.random.default_rng(0)
    theta, phi = np.radians(rng.uniform(25, 45, 400)), np.radians(rng.uniform(340, 380, 400))
    found = rows(Incident.of(np.full(400, 2e4), pdg=-11, theta=theta, phi=phi), trained)

    def vector(theta, phi):
        return np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)])

    near = vector(np.clip(theta, *np.radians([30, 40])), np.clip(phi, *(np.radians([-10, 10]) + 2 * math.pi)))
    angle = np.degrees(np.arccos(np.clip((vector(theta, phi) * near).sum(0), -1, 1)))
    assert set(np.flatnonzero(angle < 0.99)) <= set(found)
    assert not set(np.flatnonzero(angle > 1.01)) & set(found)


def test_the_tolerance_grows_at_low_energies_as_showers_fluctuate():
    angle = np.radians([0.99, 1.01, 0.99 * 10, 1.01 * 10])
    assert rows(Incident.of([5e4, 1e4, 1e2, 1e2], pdg=-11, theta=angle), valid(energy=(10, 1e5))) == [0, 2]


@pytest.mark.parametrize(
    ("x", "y", "move"),
    [
        (0.0, 0.0, (0, 0)),
        (0.9, 0.0, (0, 0)),
        (0.9, 0.9, None),  # too far along the diagonal
        (5.0, 0.0, None),  # a cell of layer_0 in y, but not in x
        (160.0, -80.5, (160, -80)),
        (0.0, 240.0, (0, 240)),
        (0.0, 320.0, None),  # its window would lie outside the material
    ],
)
def test_impact_points_are_caught_where_the_cells_are_the_same(x, y, move):
    calogan = load_detector("calogan")
    found = catch(Incident.of([2e4], pdg=-11, x=x, y=y), valid(), Placing(calogan, calogan), NEAR)
    assert found.moves.tolist() == ([] if move is None else [list(move)])


def test_a_trained_range_of_positions_is_used_before_showers_are_moved():
    calogan = load_detector("calogan")
    trained = valid(x=(-80.0, 80.0))
    particles = Incident.of([2e4] * 3, pdg=-11, x=[70.0, 100.0, -170.0])
    found = catch(particles, trained, Placing(calogan, calogan), NEAR)
    assert found.moves[:, 0].tolist() == [0.0, 160.0, -160.0]
    assert found.incident.x.tolist() == [70.0, -60.0, -10.0]


def test_a_generator_is_asked_for_what_it_knows():
    particle = Incident.of([1e5], pdg=-11, theta=0.01, phi=3.0, x=0.5, y=-0.5)
    calogan = load_detector("calogan")
    found = catch(particle, valid(), Placing(calogan, calogan), NEAR).incident
    assert valid().complaints(found) == []
    assert (float(found.theta[0]), float(found.phi[0]), float(found.x[0])) == (0.0, 0.0, 0.0)
    assert float(found.energy[0]) == 1e5


# Where hits are put


@pytest.mark.parametrize("name", ["calogan", "clic"])
def test_showers_may_be_moved_by_whole_cells_of_every_layer(name):
    detector = event_detector(load_detector(name))
    expected = {"calogan": [160.0, 80.0], "clic": [5.1, 5.1]}[name]
    assert [lattice.period for lattice in Placing(detector, detector).lattice] == pytest.approx(expected)


@pytest.mark.parametrize("target", [DETECTOR, WIDE])
def test_moves_of_the_lattice_are_exact(target):
    placing, rng = Placing(DETECTOR, target), np.random.default_rng(1)
    moves = np.column_stack(
        [lattice.first + lattice.period * rng.integers(-3, 3, 30) for lattice in placing.lattice]
    )
    assert np.abs(placing.rounding(moves)).max() < 1e-9
    assert placing.lattice[0].first == 0.0


def test_cells_that_never_meet_are_refused():
    odd = DETECTOR.to_yaml().replace("[80 mm, 80 mm], cells: [4, 4]", "[100 mm, 80 mm], cells: [5, 4]")
    other = Detector.from_yaml(odd.replace("size: [80 mm, 80 mm]", "size: [120 mm, 80 mm]"))
    assert [layer.shape for layer in other.layers] == [(5, 4), (2, 2)]
    with pytest.raises(BundleError, match="never fall on cells"):
        check_bundle("toy", valid(), Placing(DETECTOR, other))


def test_what_must_agree_is_named():
    changes = {
        "stack": ("thickness: 4 mm", "thickness: 4.1 mm"),
        "readout.threshold": ("threshold: 5.0 MeV", "threshold: 4.0 MeV"),
        "readout.deposits": ("deposits: all", "deposits: active"),
        "cells of front": ("cells: [4, 4]", "cells: [8, 4]"),
        "depth of front": ("start: 0 mm, thickness: 12 mm", "start: 1 mm, thickness: 11 mm"),
    }
    text = DETECTOR.to_yaml()
    for what, (old, new) in changes.items():
        assert old in text
        with pytest.raises((BundleError, DetectorError)) as error:
            check_bundle("toy", valid(), Placing(Detector.from_yaml(text.replace(old, new, 1)), DETECTOR))
        assert str(error.value.details["where"]).endswith(what)
    check_bundle("toy", valid(), Placing(DETECTOR, WIDE))


def test_an_event_has_one_readout():
    assert event_detector(load_detector("clic")).readout.centre == "axis"
    assert event_detector(load_detector("calogan")) == load_detector("calogan")
    assert without_threshold(DETECTOR).readout.threshold is None
    for name in ("calochallenge-2", "calochallenge-1-photons"):
        with pytest.raises(DetectorError):
            event_detector(load_detector(name))
    with pytest.raises(BundleError, match="follows the shower"):
        check_bundle("b", valid(theta=(0.0, 0.5)), Placing(load_detector("clic")))


# What stands before


def test_slabs_are_read_with_their_thickness():
    calogan = load_detector("calogan")
    aluminium, air = slabs_before(["G4_Al 1X0", "G4_AIR 5cm"], calogan)
    assert (aluminium.start, aluminium.end) == pytest.approx((-138.96, -50.0), abs=0.1)  # X0 of Al: 88.97 mm
    assert (air.material, air.start, air.end) == ("G4_AIR", pytest.approx(-50.0), 0.0)
    assert slabs_before(["LiquidArgon 3mm"], calogan)[0].thickness == 3.0


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("G4_Al", QuantityError),
        ("G4_Al 1", QuantityError),
        ("G4_Al xX0", QuantityError),
        ("G4_Al nanX0", QuantityError),
        ("G4_Al -1X0", QuantityError),
        ("G4_Alu 1X0", DetectorError),
        ("LiquidArgon 1X0", DetectorError),
    ],
)
def test_what_is_no_slab_is_refused(text, kind):
    with pytest.raises(kind):
        slabs_before([text], load_detector("calogan"))


def test_nothing_stands_before_a_barrel():
    with pytest.raises(DetectorError, match="planar"):
        slabs_before(["G4_Al 1X0"], load_detector("calochallenge-2"))


# Events


def test_particles_of_a_file_become_events():
    portion = portion_of(
        [0, 0, 1],
        [11, 11, 22],
        [1e3, 3e3, 5e3],
        [[4, 0], [0, 0], [1, 2]],
        [[0, 0, 1], [0, 0, 1], [0, 1, 1]],
        7,
    )
    assert portion.numbers.tolist() == [7, 8, 9]
    assert portion.offset.tolist() == [0, 2, 3]
    events = portion.of_events()
    assert events.energy.tolist() == [4e3, 5e3]
    assert events.pdg.tolist() == [11, 22]
    assert events.x.tolist() == [1.0, 1.0]
    assert events.theta.tolist() == pytest.approx([0.0, math.pi / 4])


@pytest.mark.parametrize(
    ("event", "energy", "direction", "message"),
    [
        ([0, 2], [1e3, 1e3], [0, 0, 1], "no particles"),
        ([], [], [0, 0, 1], "no particles"),
        ([0, 1], [1e3, np.nan], [0, 0, 1], "cannot enter"),
        ([0, 1], [1e3, 0.0], [0, 0, 1], "cannot enter"),
        ([0, 1], [1e3, 1e3], [0, 0, -1], "cannot enter"),
    ],
)
def test_events_that_are_none_are_refused(event, energy, direction, message):
    n = len(event)
    with pytest.raises(CaloforgeError, match=message):
        portion_of(event, [22] * n, energy, [[0, 0]] * n, [direction] * n)


def test_the_gun_shoots_the_particles_of_simulate():
    gun = Gun(11, Spectrum.parse("1:2GeV"), *[Interval(0.0, 0.0)] * 4)
    portions = list(gun_events(gun, 3, 500, 3, 1000))
    assert len(portions) == 2
    assert sum(portion.n_events for portion in portions) == 500
    energy = np.concatenate([portion.incident.energy for portion in portions])
    assert energy.tolist() == gun.incident(3, 0, 1500).energy.tolist()
    assert [portion.first for portion in portions] == [0, 3 * portions[0].n_events]


def some_events(n: int = 5) -> tuple[Showers, np.ndarray, Primaries]:
    rng = np.random.default_rng(n)
    cells = (rng.exponential(size=(n, DETECTOR.n_cells)) * (rng.random((n, DETECTOR.n_cells)) < 0.5)).astype(
        "f4"
    )
    origin = rng.integers(1, 4, cells.shape).astype(np.uint8) * (cells > 0).astype(np.uint8)
    offset = np.arange(n + 1) * 2
    incident = Incident.of(rng.uniform(1e3, 2e3, 2 * n), pdg=22)
    generated = rng.uniform(0, 1e3, 2 * n).astype(np.float32)
    primaries = Primaries(incident, offset, rng.integers(0, 4, 2 * n).astype(np.uint8), generated)
    return Showers(DETECTOR, incident[::2], cells), origin, primaries


def test_flags_of_hits_and_primaries_are_written_beside_the_events(tmp_path):
    parts = [some_events(5), some_events(1), some_events(8)]
    with RowWriter(tmp_path / "e.h5", DETECTOR, {"seed": 1}) as writer:
        for part in parts:
            writer.append(*part)
    whole = Showers.concat([showers for showers, _, _ in parts])
    with ShowerFile(tmp_path / "e.h5") as file:
        assert np.array_equal(file.read(0, 14).cells, whole.cells)
    with EventFile(tmp_path / "e.h5") as file:
        events = file.read(3, 9)
        assert np.array_equal(events.cells, whole.cells[3:9])
        assert np.array_equal(events.origin, np.concatenate([origin for _, origin, _ in parts])[3:9])
        for name in ("origin", "generated"):
            expected = np.concatenate([getattr(primaries, name) for _, _, primaries in parts])[6:18]
            assert np.array_equal(events.particles[name], expected)
        assert events.number.tolist() == list(range(3, 9))
        assert events.offset.tolist() == list(range(0, 13, 2))
    assert [path.name for path in tmp_path.iterdir()] == ["e.h5"]


def test_what_goes_wrong_leaves_nothing(tmp_path):
    def fail():
        with RowWriter(tmp_path / "e.h5", DETECTOR, {}) as writer:
            writer.append(*some_events())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_showers_without_flags_are_no_events(tmp_path):
    some_events()[0].save(tmp_path / "s.h5")
    with pytest.raises(CaloforgeError, match="no file of events"):
        EventFile(tmp_path / "s.h5")


# Comparing and drawing


def test_response_resolution_and_floor_are_those_of_numpy():
    rng = np.random.default_rng(4)
    n = 4000
    incident = Incident.of(rng.uniform(2e4, 5e4, n))

    def showers(response, spread):
        cells = rng.exponential(size=(n, DETECTOR.n_cells))
        cells *= (rng.normal(response, spread, n) * incident.energy / cells.sum(1))[:, None]
        return Showers(DETECTOR, incident, cells.astype(np.float32))

    fast, full = showers(0.98, 0.02), showers(1.0, 0.01)
    comparison = Comparison(DETECTOR)
    for part in (slice(0, 37), slice(37, 4000)):
        comparison.add(fast[part], full[part], 50.0 * len(full[part]))
    one, other = (s.cells.astype(float).sum(1) / incident.energy for s in (fast, full))
    response, resolution, *_ = comparison.rows()
    assert response.difference == pytest.approx(one.mean() / other.mean() - 1, rel=1e-6)
    error = math.hypot(one.std(ddof=1), other.std(ddof=1)) / math.sqrt(n) / other.mean()
    assert response.error == pytest.approx(error, rel=1e-4)
    assert response.floor == pytest.approx(other[::2].mean() / other[1::2].mean() - 1, abs=1e-8)
    low, middle, high = np.quantile(one, [0.15865, 0.5, 0.84135])
    assert resolution.fast == pytest.approx((high - low) / 2 / middle, rel=0.02)
    assert resolution.difference == pytest.approx(resolution.fast / resolution.full - 1)
    assert resolution.fast / resolution.full == pytest.approx(2, rel=5 * resolution.error)
    assert comparison.agrees is False
    assert comparison.ms_per_event == pytest.approx(50.0)


@pytest.mark.parametrize(
    ("response", "n", "agrees"), [(1.0, 4000, True), (1.0, 4, None), (0.99, 4000, False)]
)
def test_the_verdict_says_when_there_are_too_few_events(response, n, agrees):
    rng = np.random.default_rng(5)
    comparison, incident = Comparison(DETECTOR), Incident.of(np.full(n, 1e4))
    made = []
    for mean in (response, 1.0):
        cells = np.tile(rng.normal(mean, 0.01, n)[:, None] * 1e4 / DETECTOR.n_cells, DETECTOR.n_cells)
        made.append(Showers(DETECTOR, incident, cells.astype(np.float32)))
    comparison.add(*made, 1.0)
    assert comparison.agrees is agrees


@pytest.mark.parametrize("kind", [".png", ".svg"])
def test_an_event_is_drawn(tmp_path, kind):
    portion = portion_of([0, 0], [11, 22], [1e3, 2e3], [[0, 0], [9, 9]], [[0, 0, 1], [0, 0.1, 1]])
    nothing = np.zeros(DETECTOR.n_cells)
    shower = np.random.default_rng(0).exponential(size=DETECTOR.n_cells)
    for geant4, generated in ((nothing, shower), (shower, nothing), (nothing, nothing)):
        pair = Pair(portion, shower, geant4, generated)
        draw(pair, DETECTOR, slabs_before(["G4_Al 1X0"], DETECTOR), tmp_path / f"e{kind}")
        assert (tmp_path / f"e{kind}").stat().st_size > 10_000


def test_a_pair_keeps_what_is_above_the_threshold():
    portion = portion_of([0], [11], [1e3], [[0, 0]], [[0, 0, 1]])
    geant4, generated = np.array([[3.0, 3.0, 0.0, 6.0]], "f4"), np.array([[0.0, 3.0, 4.0, 0.0]], "f4")
    fast = Outcome(geant4, generated, np.zeros(1, np.uint8), np.zeros(1, np.float32), 1)
    pair = Pair.of(portion, fast, fast, 5.0)
    assert fast.cells(5.0).tolist() == [[0.0, 6.0, 0.0, 6.0]]
    assert fast.origin().tolist() == [[GEANT4, GEANT4 | GENERATED, GENERATED, GEANT4]]
    assert pair.geant4.tolist() == [0.0, 3.0, 0.0, 6.0]


# With Geant4

OPTIONS = {"particle": "e+", "energy": "1:1.2GeV", "seed": 5}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return make_bundle(tmp_path / "toy.bundle")


@pytest.mark.geant4
def test_full_events_are_the_showers_of_simulate(tmp_path):
    """One particle an event: bit for bit. Three: their sums, the threshold applied to these."""
    bare = without_threshold(DETECTOR)
    one = cf.fastsim(DETECTOR, [], **OPTIONS, count=6, out=tmp_path / "one.h5")
    three = cf.fastsim(DETECTOR, [], **OPTIONS, count=2, particles_per_event=3, out=tmp_path / "three.h5")
    showers = Showers.load(cf.simulate(DETECTOR, **OPTIONS, count=6, out=tmp_path / "s.h5"))
    without = Showers.load(cf.simulate(bare, **OPTIONS, count=6, out=tmp_path / "bare.h5"))
    events = Showers.load(one.path)
    assert np.array_equal(events.cells, showers.cells)
    assert np.array_equal(events.incident.energy, showers.incident.energy)
    sums = without.cells.reshape(2, 3, -1).sum(axis=1)
    sums[sums < 5.0] = 0.0
    np.testing.assert_allclose(Showers.load(three.path).cells, sums, rtol=1e-5)
    with EventFile(three.path) as file:
        events = file.read(0, 2)
    assert set(np.unique(events.origin)) <= {0, GEANT4}
    assert events.particles["origin"].tolist() == [GEANT4] * 6
    assert three.costs.caught == 0


@pytest.mark.geant4
def test_caught_particles_are_generated_and_others_are_followed(tmp_path, bundle):
    """Of e+ of 0.8 to 1.2 GeV the bundle knows those from 1 GeV on."""
    asked = OPTIONS | {"energy": "0.8:1.2GeV"}
    result = cf.fastsim(DETECTOR, [bundle], **asked, count=8, out=tmp_path / "e.h5", compare=True)
    full = Showers.load(result.full)
    with EventFile(result.path) as file:
        events = file.read(0, 8)
    primaries, origin = events.particles, events.origin
    known = primaries["energy"] >= Bundle.open(bundle).manifest.valid.energy.min
    assert 0 < known.sum() < 8
    assert primaries["origin"].tolist() == np.where(known, GENERATED, GEANT4).tolist()
    assert np.array_equal(primaries["generated"] > 0, known)
    assert np.array_equal(events.cells[~known], full.cells[~known])
    assert set(np.unique(origin[known])) == {0, GENERATED}
    assert set(np.unique(origin[~known])) == {0, GEANT4}
    assert result.costs.caught == known.sum()
    assert result.comparison.agrees is not True  # the toy makes no showers


@pytest.mark.geant4
def test_generated_events_are_those_of_the_bundle(tmp_path, bundle):
    asked = OPTIONS | {"energy": "50:60GeV", "x": "-0.1:0.1mm"}
    three = cf.fastsim(DETECTOR, [bundle], **asked, count=3, particles_per_event=2, out=tmp_path / "3.h5")
    five = cf.fastsim(DETECTOR, [bundle], **asked, count=5, particles_per_event=2, out=tmp_path / "5.h5")
    with EventFile(five.path) as file:
        events = file.read(0, 5)
        assert file.provenance["impact_x_mm"] == [-0.1, 0.1]
    seed = np.random.SeedSequence(5).spawn(3)[2]
    noise = np.random.default_rng(seed).standard_normal((10, 8), np.float32)
    made = cells_of(noise, events.particles["energy"])
    made[made < 5.0] = 0.0
    np.testing.assert_allclose(events.cells, made.reshape(5, 2, -1).sum(axis=1), rtol=1e-4, atol=1e-2)
    assert np.array_equal(Showers.load(three.path).cells, events.cells[:3])
    assert five.costs.milliseconds["geant4"] == 0.0


@pytest.mark.geant4
def test_material_before_is_simulated_and_what_comes_out_is_caught(tmp_path, bundle):
    """The energies at the face: none is made, and the slab keeps some; flags say what became of all."""
    asked = OPTIONS | {"energy": "3GeV", "before": ["G4_Pb 3mm", "G4_AIR 1cm"]}
    result = cf.fastsim(
        DETECTOR, [bundle], **asked, count=12, out=tmp_path / "e.h5", display=tmp_path / "e.png"
    )
    costs = result.costs
    assert 12 < costs.caught + 12 < costs.entered
    assert 0.8 < costs.entered_energy / (12 * 3e3) < 1.0
    assert costs.milliseconds["upstream"] > 0 < costs.milliseconds["geant4"]
    with EventFile(result.path) as file:
        events = file.read(0, 12)
    primaries, origin = events.particles, events.origin
    assert np.array_equal((origin & GENERATED).any(axis=1), (primaries["origin"] & GENERATED) > 0)
    assert (primaries["origin"] & GEANT4).any()
    assert (primaries["generated"] <= 3e3).all()
    assert (tmp_path / "e.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.geant4
@pytest.mark.slow
def test_two_passes_do_what_one_does():
    """What comes out of the slab, stopped at the face and started again, leaves the same energy."""
    calogan, n = load_detector("calogan"), 400
    setup = Setup(calogan.to_yaml(), slabs_before(["G4_Al 1X0"], calogan), Physics.parse("standard", 0.7), 3)
    incident, numbers = Incident.of(np.full(n, 1e3), pdg=-11), np.arange(n)
    with Geant4(setup) as geant4:
        one, _ = geant4.events(incident, numbers, numbers, n)
        entered, _ = geant4.enter(incident, numbers)
        children = numbers[entered.primary] * 1000 + np.arange(len(entered.primary))
        two, _ = geant4.entered(entered.incident, children, entered.primary, n)
    first, second = (cells.sum(axis=1) / 1e3 for cells in (one, two))
    error = math.hypot(first.std(), second.std()) / math.sqrt(n)
    assert abs(first.mean() - second.mean()) < 4 * error < 0.02


@pytest.mark.geant4
def test_events_do_not_depend_on_the_number_of_jobs(tmp_path):
    """An event of 51 GeV takes more than one call of Geant4, whichever process answers."""
    asked = OPTIONS | {"energy": "17GeV", "count": 2, "particles_per_event": 3}
    told = []
    for jobs in (1, 2):
        report = (lambda *what: told.append(what)) if jobs == 2 else None
        cf.fastsim(DETECTOR, [], **asked, jobs=jobs, out=tmp_path / f"{jobs}.h5", progress=report)
    one, two = (Showers.load(tmp_path / f"{jobs}.h5") for jobs in (1, 2))
    assert np.array_equal(one.cells, two.cells)
    assert [done for done, _, _ in told] == [0, 0, 0, 0, 2]
    assert told[-2][2].endswith("100 % of the next ones")


@pytest.mark.geant4
def test_the_command_says_what_it_did(tmp_path, bundle):
    (tmp_path / "toy.yaml").write_text(DETECTOR.to_yaml())
    words = ["fastsim", str(tmp_path / "toy.yaml"), str(bundle), "--particle", "e+", "--energy", "2GeV"]
    words += ["--count", "3", "--out", str(tmp_path / "e.h5"), "--compare", "--json"]
    done = CliRunner().invoke(app, words)
    told = json.loads(done.stdout)
    assert done.exit_code == (1 if told["comparison"]["agrees"] is False else 0)
    assert (told["events"], told["caught"], told["caught_energy_share"]) == (3, 3, pytest.approx(1.0))
    assert told["comparison"]["speed_up"] == pytest.approx(
        told["comparison"]["full_ms_per_event"] / told["ms_per_event"]["total"]
    )
    assert {path.name for path in tmp_path.glob("*.h5")} == {"e.h5", "e-full.h5"}


def test_bad_input_is_refused_before_anything_is_made(tmp_path, bundle, monkeypatch):
    good = {"particle": "e+", "energy": "2GeV", "count": 3, "out": tmp_path / "e.h5"}
    for change in (
        {"count": 0},
        {"particles_per_event": 0},
        {"angle_tolerance": "-1deg"},
        {"position_tolerance": "1"},
        {"before": ["G4_Al"]},
        {"x": "90mm"},
        {"energy": "0GeV"},
        {"display": tmp_path / "e.jpg"},
        {"display": tmp_path / "nowhere" / "e.png"},
        {"out": tmp_path / "e.root"},
        {"jobs": 0},
        {"particle": "pi+"},
    ):
        with pytest.raises(CaloforgeError):
            cf.fastsim(DETECTOR, [bundle], **good | change)
    monkeypatch.setenv("GEANT4_DATA_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(Geant4Error):
        cf.fastsim(DETECTOR, [bundle], **good)
    assert {path.name for path in tmp_path.iterdir()} == {bundle.name}


@pytest.mark.geant4
def test_a_run_that_ships_will_do_by_name(tmp_path):
    asked = {"particle": "e+", "energy": "20GeV", "count": 2}
    result = cf.fastsim("calogan", ["calogan-tuned"], **asked, out=tmp_path / "e.h5")
    assert result.costs.caught == 2
    with EventFile(result.path) as file:
        events = file.read(0, 2)
    assert np.array_equal(events.origin, np.where(events.cells > 0, GENERATED, 0))
    with pytest.raises(CaloforgeError, match="neither a run nor a bundle"):
        cf.fastsim("calogan", ["calogan-tunned"], **asked, out=tmp_path / "no.h5")


@pytest.mark.geant4
def test_a_bundle_of_another_detector_leaves_no_file(tmp_path, bundle):
    with pytest.raises(DetectorError, match="cannot be put into"):
        cf.fastsim("calogan", [bundle], particle="e+", energy="2GeV", count=3, out=tmp_path / "e.h5")
    assert not list(tmp_path.glob("*.h5"))

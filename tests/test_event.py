"""Whole events: who serves which particle, where showers come to lie, and what the file says of all of it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import caloforge as cf
from caloforge.deploy.bundle.validity import Span, Validity
from caloforge.detector import Detector, load_detector
from caloforge.errors import CaloforgeError, DetectorError, EventError, OutputError
from caloforge.showers import Incident
from caloforge.simulation.arrival import arrive
from caloforge.simulation.digits import Digitiser
from caloforge.simulation.events import EventGun, Particles
from caloforge.simulation.output import EventFile, Events
from caloforge.simulation.output.base import GEANT4, GENERATED
from caloforge.simulation.placing import Placing
from caloforge.simulation.serving import Fate, Generator, assign
from caloforge.simulation.streams import SHOWERS, stream
from caloforge.workers import once
from deploy_toys import DETECTOR, LATENT, cells_of, make_bundle
from event_toys import Particle, write_hepmc

TOYS = EventGun.of("e+", "10:90GeV", 5, x="-38:38mm", y="-38:38mm")
DIGITS = "digitisation: {noise: 20 MeV, crosstalk: 0.02, saturation: 5 GeV, bits: 12, pedestal: 100}\n"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("event") / "bundle")


def _read(path: Path) -> Events:
    with EventFile(path) as file:
        return file.read(0, len(file))


def test_energies_of_an_event_are_the_sum_of_its_showers(bundle: Path, tmp_path: Path) -> None:
    made = cf.event(bundle, gun=TOYS, count=12, seed=3, out=tmp_path / "a.h5")
    got = _read(tmp_path / "a.h5")
    particles = [event.particles for event in TOYS.source(12, 3).events]
    energy = np.concatenate([part.energy for part in particles]).astype(np.float32)
    hit = np.concatenate([part.position[:, :2] for part in particles]).astype(np.float32)
    noise = stream(3, SHOWERS, 0).standard_normal((60, LATENT), dtype=np.float32)
    cells = cells_of(noise, energy)
    cells[cells < 5] = 0
    # Written out: each layer of each shower is moved by the nearest whole number of cells of 20 and 40 mm.
    expected = np.zeros((12, DETECTOR.n_cells))
    outside = np.zeros((12, 2))
    for row in range(60):
        for number, (layer, size) in enumerate(zip(DETECTOR.layers, (20, 40), strict=True)):
            moves = np.floor(hit[row] / size + 0.5).astype(int)
            for cell, value in np.ndenumerate(cells[row, layer.cells].reshape(layer.shape)):
                place = tuple(cell + moves)
                if all(0 <= k < n for k, n in zip(place, layer.shape, strict=True)):
                    expected[row // 5, layer.cells.start + np.ravel_multi_index(place, layer.shape)] += value
                else:
                    outside[row // 5, number] += value
    np.testing.assert_allclose(got.cells, expected, rtol=2e-5, atol=1e-3)
    np.testing.assert_allclose(got.outside, outside, rtol=2e-5, atol=1e-3)
    assert outside.any()
    np.testing.assert_array_equal(got.particles["x"], hit[:, 0])
    assert set(got.particles["fate"].tolist()) == {Fate.GENERATED}
    beside = made.provenance["beside_their_place_mm"]
    rest = [hit - size * np.floor(hit / size + 0.5) for size in (20, 40)]
    np.testing.assert_allclose(
        [beside["front"], beside["back"]], [np.sqrt((r.astype(float) ** 2).mean(0)) for r in rest], rtol=1e-5
    )


def test_a_file_does_not_depend_on_the_number_of_jobs(bundle: Path, tmp_path: Path) -> None:
    noisy = Detector.from_yaml(DETECTOR.to_yaml() + DIGITS)
    seen: list[int] = []
    for jobs in (1, 2):
        cf.event(
            bundle,
            gun=TOYS,
            count=600,
            detector=noisy,
            jobs=jobs,  # one job works in this process, two in others
            out=tmp_path / f"{jobs}.h5",
            progress=lambda done, total, _: seen.append(total - done),
        )
    assert seen[-1] == 0
    assert len(seen) == 6, "more than one batch"
    one, two = (_read(tmp_path / f"{jobs}.h5") for jobs in (1, 2))
    for name in ("number", "cells", "counts", "gain", "outside"):
        assert np.array_equal(getattr(one, name), getattr(two, name)), name
    cf.event(bundle, gun=TOYS, count=600, detector=noisy, seed=2, out=tmp_path / "other.h5")
    assert not np.array_equal(_read(tmp_path / "other.h5").cells, one.cells)


def test_noise_is_in_events_that_have_no_particles(bundle: Path, tmp_path: Path) -> None:
    gun = EventGun.of("e+", "10GeV", 0)
    cf.event(bundle, gun=gun, count=3, out=tmp_path / "plain.h5")
    plain = _read(tmp_path / "plain.h5")
    assert len(plain) == 3
    assert not plain.cells.any()
    noisy = Detector.from_yaml(DETECTOR.to_yaml() + DIGITS)
    cf.event(bundle, gun=gun, count=3, detector=noisy, seed=5, out=tmp_path / "noisy.h5")
    digits = Digitiser(noisy)(np.zeros((3, DETECTOR.n_cells)), seed=5)
    got = _read(tmp_path / "noisy.h5")
    np.testing.assert_array_equal(got.cells, digits.energy)
    np.testing.assert_array_equal(got.counts, digits.counts)
    assert (got.cells != 0).any(axis=1).all()
    assert not got.origin.any()


MIXED: list[Particle] = [
    (-11, (0.0, 0.0, 50.0), 0.000511),  # served
    (-11, (0.0, 0.0, -50.0), 0.000511),  # flies away
    (-11, (30.0, 0.0, 40.0), 0.000511),  # passes beside
    (12, (0.0, 0.0, 20.0), 0.0),  # neutrino
    (22, (0.0, 0.0, 20.0), 0.0),  # another particle
    (9900012, (0.0, 0.0, 20.0), 5.0),  # nobody knows it
    (-11, (0.0, 0.0, 0.2), 0.000511),  # too soft
    (-11, (1.0, 0.0, 30.0), 0.000511),  # 1.9 degrees
]


def test_each_particle_has_a_fate_that_is_counted(bundle: Path, tmp_path: Path) -> None:
    path = write_hepmc(tmp_path / "a.hepmc", [MIXED, [], MIXED[:1]], weights=(0.5, 2.0))
    with pytest.raises(EventError, match="no generator serves 4 of 9") as caught:
        cf.event(bundle, input=path, face="500mm", out=tmp_path / "a.h5")
    assert "of this particle: 1 gamma, 1 PDG 9900012; no generator of this energy: 1 e+" in str(caught.value)
    assert not list(tmp_path.glob("*.h5*")) + list(tmp_path.glob(".*")), "nothing half written"
    made = cf.event(bundle, input=path, face="500mm", rest="drop", out=tmp_path / "a.h5")
    got = _read(tmp_path / "a.h5")
    assert got.number.tolist() == [10, 11, 12]
    assert got.offset.tolist() == [0, 8, 8, 9]
    assert got.weight.tolist() == [[0.5, 2.0]] * 3
    with EventFile(tmp_path / "a.h5") as file:
        words = [file.fates[fate] for fate in got.particles["fate"]]
    assert [text.split(": ")[-1] for text in words] == [
        "toy",
        "does not reach the calorimeter",
        "does not reach the calorimeter",
        "neutrino, leaves nothing",
        "no generator of this particle",
        "no generator of this particle",
        "no generator of this energy",
        "no generator of this angle",
        "toy",
    ]
    fates = made.provenance["fates"]
    assert sum(fate["particles"] for fate in fates.values()) == made.particles == 9
    assert made.provenance["dropped"]["gamma"] == {"particles": 1, "energy_gev": pytest.approx(20.0)}
    assert made.provenance["dropped"]["e+"]["particles"] == 2
    assert not got.cells[1].any()
    cf.event(bundle, input=path, face="500mm", rest="drop", max_tilt="2deg", out=tmp_path / "b.h5")
    last = _read(tmp_path / "b.h5").particles
    assert last["fate"][7] == Fate.GENERATED
    assert last["x"][7] == pytest.approx(500 / 30)
    assert last["theta"][7] == pytest.approx(np.arctan(1 / 30))


def test_particles_fly_straight_to_a_plane_and_to_a_barrel() -> None:
    place, way = np.array([[5.0, 0, 100]]), np.array([[0.6, 0.0, 0.8]])
    one = Particles(np.array([22]), np.array([1e4]), place, way)
    incident, reaches = arrive(one, DETECTOR, 140.0, False)
    assert reaches.all()
    assert (incident.x[0], incident.y[0]) == (pytest.approx(35.0), 0.0)
    assert incident.theta[0] == pytest.approx(np.arccos(0.8))
    assert not arrive(one, DETECTOR, 99.0, False).reaches.any(), "begins behind the face"
    assert not arrive(one, DETECTOR, 150.0, False).reaches.any(), "beside the face"
    barrel = Detector.from_yaml(
        "name: b\nshape: barrel\ninner_radius: 100 mm\nsize: [500 mm]\nreadout:\n  deposits: all\n  layers:\n"
        "    - {thickness: 10 mm, grid: {kind: cartesian, window: [20 mm, 20 mm], cells: [2, 2]}}\n"
    )
    # From (60, 0, 10) along (0, 0.8, 0.6): it leaves the cylinder of 100 mm at (60, 80, 70).
    upward = Particles(
        np.array([22]), np.array([1e4]), np.array([[60.0, 0, 10]]), np.array([[0.0, 0.8, 0.6]])
    )
    incident, reaches = arrive(upward, barrel, 0.0, False)
    assert reaches.all()
    azimuth = np.arctan2(80, 60)
    assert incident.x[0] == pytest.approx(100 * azimuth)
    assert incident.y[0] == pytest.approx(70)
    # Against the normal (0.6, 0.8, 0), the way around (-0.8, 0.6, 0) and the axis.
    normal, around, axis = 0.64, 0.48, 0.6
    assert incident.theta[0] == pytest.approx(np.arccos(normal))
    assert incident.phi[0] == pytest.approx(np.arctan2(axis, around))


def test_rounding_is_left_out_where_the_generator_takes_the_position() -> None:
    sampler: Any = _Sampler(conditions=("energy", "x", "y"), x=(-20.0, 20.0), y=(-20.0, 20.0))
    incident = Incident.of(5e4, -11, x=[3.0, 33.0, -38.0], y=[0.0, -21.0, 39.0])
    # Layers of 20 and 40 mm: whole steps of 40 mm are exact, and the rest was trained.
    served = Generator(sampler, DETECTOR, 0.02).serve(incident)
    assert (served.fate == Fate.GENERATED).all()
    assert not served.rounding.any()
    np.testing.assert_allclose(served.condition.x, [3, -7, 2], rtol=1e-6)
    np.testing.assert_allclose(served.condition.y, [0, 19, -1], rtol=1e-6)
    assert served.steps[:, 0].tolist() == [[0, 0], [2, -2], [-2, 2]]
    assert served.steps[:, 1].tolist() == [[0, 0], [1, -1], [-1, 1]]
    fixed: Any = _Sampler()
    assert Generator(fixed, DETECTOR, 0.02).serve(incident).rounding.any()


def test_the_first_generator_that_knows_a_particle_makes_it() -> None:
    soft: Any = _Sampler(energy=(1e3, 2e4))
    hard: Any = _Sampler(energy=(1e4, 1e5), particles=(-11, 22))
    angled: Any = _Sampler(conditions=("energy", "theta"), theta=(0.0, 0.5), particles=(211,))
    generators = [Generator(sampler, DETECTOR, 0.02) for sampler in (soft, hard, angled)]
    incident = Incident.of(
        [1.5e4, 5e4, 1.5e4, 5e2, 5e4, 5e4, 5e4],
        [-11, -11, 22, -11, 13, 211, -11],
        theta=[0, 0, 0, 0, 0, 0.3, 0.3],
    )
    fate, _ = assign(generators, incident)
    made = Fate.GENERATED
    assert fate.tolist() == [
        made,
        made + 1,
        made + 1,
        Fate.NO_ENERGY,
        Fate.NO_PARTICLE,
        made + 2,
        Fate.NO_ANGLE,
    ]


def test_a_larger_window_keeps_what_a_small_one_loses(bundle: Path, tmp_path: Path) -> None:
    wide = Detector.from_yaml(
        DETECTOR.to_yaml()
        .replace("[80 mm, 80 mm], cells: [4, 4]", "[160 mm, 160 mm], cells: [8, 8]")
        .replace("[80 mm, 80 mm], cells: [2, 2]", "[160 mm, 160 mm], cells: [4, 4]")
        .replace("size: [80 mm, 80 mm]", "size: [200 mm, 200 mm]")
    )
    cf.event(bundle, gun=TOYS, count=20, out=tmp_path / "small.h5")
    cf.event(bundle, gun=TOYS, count=20, detector=wide, out=tmp_path / "wide.h5")
    small, large = _read(tmp_path / "small.h5"), _read(tmp_path / "wide.h5")
    assert small.outside.any()
    assert not large.outside.any()
    np.testing.assert_allclose(
        small.cells.sum(1) + small.outside.sum(1), large.cells.sum(1, dtype=np.float64), rtol=1e-5
    )
    inner = wide.split(large.cells)[0][:, 2:6, 2:6].reshape(20, -1)
    np.testing.assert_allclose(small.cells[:, :16], inner, rtol=1e-6)


def test_a_window_that_follows_a_particle_stands_still_in_an_event(tmp_path: Path) -> None:
    assert load_detector("clic").readout.centre == "barycentre"
    gun = EventGun.of("e-", "50GeV")
    for detector in (None, "clic"):
        cf.event("conv2d-tuned", gun=gun, count=1, detector=detector, out=tmp_path / f"{detector}.h5")
    still, asked = _read(tmp_path / "None.h5"), _read(tmp_path / "clic.h5")
    assert asked.cells.any()
    np.testing.assert_array_equal(asked.cells, still.cells)
    with EventFile(tmp_path / "clic.h5") as file:
        assert file.detector.readout.centre == "axis"


def test_root_and_hdf5_hold_the_same(bundle: Path, tmp_path: Path) -> None:
    uproot = pytest.importorskip("uproot")
    noisy = Detector.from_yaml(DETECTOR.to_yaml() + DIGITS)
    path = write_hepmc(tmp_path / "a.hepmc", [MIXED, [], MIXED[:1]], weights=(0.5, 2.0))
    for name in ("a.h5", "a.root"):
        cf.event(bundle, input=path, face="500mm", rest="drop", detector=noisy, out=tmp_path / name)
    expected = _read(tmp_path / "a.h5")
    with uproot.open(tmp_path / "a.root") as file:
        tree, places = file["events"].arrays(), file["cells"].arrays(library="np")
        assert json.loads(file["provenance"])["fates"]
        assert Detector.from_yaml(str(file["detector"])) == noisy
    assert tree["number"].to_list() == expected.number.tolist()
    assert tree["weight"].to_list() == expected.weight.tolist()
    assert tree["nparticle"].to_list() == np.diff(expected.offset).tolist()
    for row in range(3):
        cells, counts = np.zeros(DETECTOR.n_cells, np.float32), np.zeros(DETECTOR.n_cells, np.uint32)
        index = tree["cell_index"][row].to_numpy()
        cells[index], counts[index] = tree["cell_energy"][row], tree["cell_counts"][row]
        assert expected.counts is not None
        np.testing.assert_array_equal(tree["cell_origin"][row].to_numpy(), expected.origin[row][index])
        np.testing.assert_array_equal(cells, expected.cells[row])
        np.testing.assert_array_equal(counts, expected.counts[row])
        part = slice(*expected.offset[row : row + 2])
        for name, column in expected.particles.items():
            np.testing.assert_array_equal(tree[f"particle_{name}"][row].to_numpy(), column[part])
    np.testing.assert_allclose(
        np.column_stack([places["x"], places["y"], places["z"]]), DETECTOR.positions, rtol=1e-12
    )


def test_what_cannot_be_is_said_and_leaves_nothing(bundle: Path, tmp_path: Path) -> None:
    path = write_hepmc(tmp_path / "a.hepmc", [MIXED[:1]])
    table = tmp_path / "a.csv"
    table.write_text("event,pdg,energy [GeV]\n1,-11,50\n")
    empty = write_hepmc(tmp_path / "e.hepmc", [[]])
    empty.write_text(empty.read_text().replace("E 10 0 0\nU GEV MM\n", ""))
    other = Detector.from_yaml(DETECTOR.to_yaml().replace("cells: [2, 2]", "cells: [4, 2]"))
    out = tmp_path / "out.h5"
    cases: list[tuple[type[CaloforgeError], str, dict[str, Any]]] = [
        (EventError, "which events", {}),
        (EventError, "how many events", {"gun": TOYS}),
        (EventError, "which events", {"gun": TOYS, "input": path, "count": 1}),
        (EventError, "where is the calorimeter", {"input": path}),
        (EventError, "on the face of the calorimeter already", {"input": table, "face": "1m"}),
        (EventError, "there are no events", {"input": empty, "face": "1m"}),
        (DetectorError, "cannot be put into", {"input": table, "detector": other}),
        (OutputError, "told by its name", {"input": table, "out": tmp_path / "out.txt"}),
    ]
    for kind, words, given in cases:
        with pytest.raises(kind, match=words):
            cf.event(bundle, **({"out": out} | given))
    with pytest.raises(EventError, match="which generators"):
        cf.event([], gun=TOYS, count=1, out=out)
    assert {entry.name for entry in tmp_path.iterdir()} == {"a.hepmc", "a.csv", "e.hepmc"}
    out.write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        cf.event(bundle, input=table, out=out)
    with pytest.raises(EventError, match="no file of events"):
        cf.event(bundle, input=bundle / "generator.onnx", face="1m", out=tmp_path / "c.h5")


def test_the_command_answers_with_one_object(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "events.h5"
    given = ["--gun", "e+", "--energy", "10:50GeV", "--particles", "3", "--count", "4", "--out", str(out)]
    command = [sys.executable, "-m", "caloforge", "event", str(bundle), *given]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout)
    assert (answer["events"], answer["particles"]) == (4, 12)
    assert answer["provenance"]["fates"] == {
        "generated: toy": {"particles": 12, "energy_gev": pytest.approx(360, abs=200)}
    }
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 2
    assert "exists already" in again.stderr


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("cells/energy", np.nan, "NaN"),
        ("cells/energy", -1.0, "negative"),
        ("cells/index", DETECTOR.n_cells, "outside the detector"),
        ("cells/offset", 1 << 40, "point outside"),
        ("particles/offset", -1, "point outside"),
    ],
)
def test_a_damaged_file_is_refused(bundle: Path, tmp_path: Path, key: str, value: float, words: str) -> None:
    cf.event(bundle, gun=TOYS, count=2, out=tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file[key][1] = value
    with pytest.raises(EventError, match=words):
        _read(tmp_path / "a.h5")


def _geant4(incident: Incident) -> np.ndarray:
    """For a process of its own: Geant4 may crash after another detector or physics."""
    from caloforge.truth.engine import Engine
    from caloforge.truth.physics import Physics

    return Engine(DETECTOR, Physics.parse("FTFP_BERT", 0.7), 1).shoot(incident, 0)[0].cells


@pytest.mark.geant4
def test_geant4_makes_what_no_generator_knows(bundle: Path, tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    table.write_text(
        "event,pdg,energy [GeV],x [mm],y [mm]\n1,gamma,0.5,5,-5\n1,mu-,0.5,0,0\n2,e+,50,0,0\n3,e-,2,0,9\n"
    )
    made = cf.event(bundle, input=table, rest="geant4", out=tmp_path / "a.h5")
    assert made.provenance["fates"]["Geant4"]["particles"] == 3
    got = _read(tmp_path / "a.h5")
    incident = Incident.of([500, 500, 2000], [22, 13, 11], x=[5, 0, 0], y=[-5, 0, 9])
    cells = once(_geant4, incident)
    expected = np.stack([cells[0] + cells[1], cells[2]])
    np.testing.assert_allclose(got.cells[[0, 2]], expected, rtol=1e-6)
    assert got.cells[[0, 2]].any(axis=1).all()
    assert got.particles["origin"].tolist() == [GEANT4, GEANT4, GENERATED, GEANT4]
    for row, flag in enumerate((GEANT4, GENERATED, GEANT4)):
        assert np.array_equal(got.origin[row], np.where(got.cells[row] > 0, flag, 0))


@dataclass
class _Sampler:
    """What `Generator` needs to know of a generator."""

    conditions: tuple[str, ...] = ("energy",)
    energy: tuple[float, float] = (1e3, 1e5)
    theta: tuple[float, float] = (0.0, 0.0)
    x: tuple[float, float] = (0.0, 0.0)
    y: tuple[float, float] = (0.0, 0.0)
    particles: tuple[int, ...] = (-11,)
    detector: Detector = DETECTOR
    name: str = "toy"

    @property
    def valid(self) -> Validity:
        def span(ends: tuple[float, float], unit: Any) -> Span:
            return Span(min=ends[0], max=ends[1], unit=unit)

        return Validity(
            particles=self.particles,
            energy=span(self.energy, "MeV"),
            theta=span(self.theta, "rad"),
            phi=span((0.0, 0.0), "rad"),
            x=span(self.x, "mm"),
            y=span(self.y, "mm"),
        )


def test_a_window_that_differs_by_one_cell_is_exact_at_half_a_cell() -> None:
    small = Detector.from_yaml(
        "name: s\nreadout:\n  deposits: all\n  layers:\n"
        "    - {thickness: 10 mm, grid: {kind: cartesian, window: [30 mm, 30 mm], cells: [3, 3]}}\n"
    )
    large = Detector.from_yaml(
        small.to_yaml().replace("[30 mm, 30 mm], cells: [3, 3]", "[80 mm, 90 mm], cells: [8, 9]")
    )
    sampler: Any = _Sampler(("energy", "x", "y"), x=(-5.0, 5.0), y=(-5.0, 5.0), detector=small)
    served = Generator(sampler, large, 0.02).serve(Incident.of(5e4, -11, x=[0.0, 7.0], y=[0.0, 7.0]))
    assert np.abs(served.rounding).max() < 1e-6
    np.testing.assert_allclose(np.abs(served.condition.x), [5, 2], rtol=1e-5)
    np.testing.assert_allclose(served.condition.y, [0, -3], rtol=1e-5)
    assert Placing(small, large).target is large

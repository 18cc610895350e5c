"""EDM4hep: hits into the cells that they lie in, particles at the face."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from caloforge.detector import Detector
from caloforge.errors import ShowersError
from caloforge.showers import Incident, Showers, convert, open_showers
from caloforge.showers.formats.world import at_face
from caloforge.truth.geometry import to_world, turned
from caloforge.truth.gun import directions
from caloforge.truth.readout import Readout
from caloforge.truth.steps import Steps
from format_toys import detector_of, lists, make, tree_of

ak, uproot = pytest.importorskip("awkward"), pytest.importorskip("uproot")

PARTICLES = {
    # A photon of 20 GeV upwards from 100 mm before the face, and what its simulation made of it.
    "PDG": [[22, 11], [-211, 22]],
    "generatorStatus": [[1, 0], [0, 1]],
    "mass": [[0.0, 5.1e-4], [0.139570, 0.0]],
    "momentum.x": [[0.0, 1.0], [3.0, 0.0]],
    "momentum.y": [[12.0, 0.0], [0.0, 0.0]],
    "momentum.z": [[16.0, 1.0], [4.0, 5.0]],
    "vertex.x": [[7.0, 0.0], [0.0, 1.0]],
    "vertex.y": [[-75.0, 0.0], [0.0, 2.0]],
    "vertex.z": [[-100.0, 9.0], [0.0, 0.0]],
}
HITS = {
    "cellID": [[1, 2, 3], [4]],
    "energy": [[0.001, 0.002, 0.5], [0.25]],
    "position.x": [[1.0, -19.0, 300.0], [3.0]],
    "position.y": [[1.0, -14.0, 0.0], [0.0]],
    "position.z": [[5.0, 8.0, 5.0], [15.0]],
}


def edm4hep(path: Path, rntuple: bool = False, **collections: dict[str, Any]) -> Path:
    """As podio's files look to uproot: `COLLECTION.member`, here without podio's own tables."""
    given = collections or {"ECal": HITS, "MCParticles": PARTICLES}
    if rntuple:
        records = {name: ak.zip(_nested(members)) for name, members in given.items()}
        with uproot.recreate(path) as file:
            file["events"] = ak.zip(records, depth_limit=1)
        return path
    flat = {f"{name}.{key}": values for name, members in given.items() for key, values in members.items()}
    return tree_of(path, flat, "events", 1)


def _nested(members: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, values in members.items():
        vector, _, axis = key.partition(".")
        if axis:
            found.setdefault(vector, {})[axis] = ak.Array(values)
        else:
            found[vector] = ak.Array(values)
    return {key: ak.zip(value) if isinstance(value, dict) else value for key, value in found.items()}


@pytest.mark.parametrize("rntuple", [False, True])
def test_edm4hep_hits_are_where_they_lie(rntuple: bool, tmp_path: Path) -> None:
    path, detector = edm4hep(tmp_path / "a.root", rntuple), detector_of("still")
    with open_showers(path, detector) as file:
        showers = file.read(0, 2)
        assert file.format == "edm4hep"
        assert any("1 of 4 hits with 79.6% of the energy" in note for note in file.notes)  # 2000 of 2512 MeV
        assert any("sampling fraction: 0.25, 0.5" in note for note in file.notes)
        assert any("hits of ECal; particles of MCParticles" in note for note in file.notes)
    first, second = showers[:1].layers(), showers[1:].layers()
    # Deposits in MeV over the sampling fraction of their layer.
    assert first[0][0, 2, 2] == pytest.approx(1 / 0.25)  # x = 1 mm of 4 columns of 10 mm, y of 5 rows of 6 mm
    assert first[1][0, 0, 0] == pytest.approx(2 / 0.25)
    assert showers.cells[0].sum() == pytest.approx(3 / 0.25)
    assert second[2][0, 3, 0] == pytest.approx(250 / 0.5)  # the ring within 5 mm, the sector that begins at 0


def test_edm4hep_particles_fly_straight_to_the_face(tmp_path: Path) -> None:
    with open_showers(edm4hep(tmp_path / "a.root"), detector_of("still")) as file:
        incident = file.incident()
    assert incident.pdg.tolist() == [22, 22]  # the first of generatorStatus 1
    assert np.allclose(incident.energy, [20e3, 5e3])
    assert np.allclose(incident.theta, [np.arctan2(12, 16), 0], atol=1e-6)
    assert np.allclose(incident.phi[0], np.pi / 2)
    assert np.allclose(incident.x, [7, 1])
    assert np.allclose(incident.y, [0, 2], atol=1e-5)


def test_edm4hep_energies_are_kinetic(tmp_path: Path) -> None:
    particles = {key: [[values[1][0]]] for key, values in PARTICLES.items()}
    hits = {key: [values[0]] for key, values in HITS.items()}
    path = edm4hep(tmp_path / "a.root", MCParticles=particles, ECal=hits)
    with open_showers(path, detector_of("still")) as file:
        energy = file.incident().energy[0]
    assert energy == pytest.approx(1e3 * (np.sqrt(25 + 0.139570**2) - 0.139570))


def test_edm4hep_collections_are_added_and_reconstructed_ones_are_not(tmp_path: Path) -> None:
    path = edm4hep(
        tmp_path / "a.root",
        A=HITS,
        B=HITS,
        Digits={**HITS, "energyError": HITS["energy"]},
        MCParticles=PARTICLES,
    )
    with open_showers(path, detector_of("still")) as file:
        assert file.read(0, 1).cells.sum() == pytest.approx(6 / 0.25)
        assert any("hits of A, B;" in note for note in file.notes)
        assert any("left out: events/Digits.cellID" in note for note in file.notes)


@pytest.mark.parametrize("key", ["energy", "position.x", "position.z"])
def test_edm4hep_places_and_energies_must_be_as_many(key: str, tmp_path: Path) -> None:
    path = edm4hep(tmp_path / "a.root", ECal={**HITS, key: [[1.0], [2.0]]}, MCParticles=PARTICLES)
    with open_showers(path, detector_of("still")) as file:
        with pytest.raises(ShowersError, match="differ in length") as error:
            file.read(0, 2)
        assert "row 0" in str(error.value)


def test_edm4hep_events_of_several_particles_are_counted(tmp_path: Path) -> None:
    particles = {**PARTICLES, "generatorStatus": [[1, 1], [0, 0]]}
    path = edm4hep(tmp_path / "a.root", ECal=HITS, MCParticles=particles)
    with open_showers(path, detector_of("still")) as file:
        assert file.read(0, 2).incident.pdg.tolist() == [22, -211]  # without any: the first
        file.read(0, 2)
        assert any("1 events have several particles" in note for note in file.notes)


def test_edm4hep_particles_that_fly_away_are_impossible(tmp_path: Path) -> None:
    particles = {**PARTICLES, "momentum.z": [[-16.0, 1.0], [4.0, 5.0]]}
    path = edm4hep(tmp_path / "a.root", ECal=HITS, MCParticles=particles)
    with pytest.raises(ShowersError, match="1 impossible incident"):
        convert(path, tmp_path / "b.h5", detector=detector_of("still"))


def test_edm4hep_events_without_particles_are_impossible(tmp_path: Path) -> None:
    particles = {key: [[], values[1]] for key, values in PARTICLES.items()}
    path = edm4hep(tmp_path / "a.root", ECal=HITS, MCParticles=particles)
    with open_showers(path, detector_of("still")) as file, pytest.raises(ShowersError, match="1 impossible"):
        file.read(0, 2)


@pytest.mark.parametrize("name", ["clic", "calochallenge-2", "calochallenge-1-photons"])
def test_edm4hep_needs_cells_that_stand_still(name: str, tmp_path: Path) -> None:
    with pytest.raises(ShowersError, match="stand still"):
        open_showers(edm4hep(tmp_path / "a.root"), detector_of(name))
    with pytest.raises(ShowersError, match="stand still"):
        convert(make(name, 2).save(tmp_path / "b.h5"), tmp_path / "c.edm4hep.root")


# --- barrels -----------------------------------------------------------------------------------------

BARREL = """
name: barrel
shape: barrel
size: [1 m]
inner_radius: 800 mm
stack: [{slabs: [{material: G4_W, thickness: 10 mm}, {material: G4_Si, thickness: 20 mm, active: true}]}]
readout:
  deposits: active
  layers:
    - {thickness: 10 mm, grid: {kind: cartesian, window: [400 mm, 300 mm], cells: [40, 5]}}
    - {thickness: 20 mm, grid: {kind: polar, r_edges: "0, 50, 200 mm", alpha: 6}}
"""


def test_edm4hep_hits_of_a_barrel_are_around_its_axis(tmp_path: Path) -> None:
    """Azimuth 0.105 is an arc of 84 mm at 800 mm; a particle of the origin at 0.1 enters at 80 mm."""
    azimuth, rho = np.array([0.105, -0.105, 0.03, 3.1]), np.array([805.0, 809, 815, 805])
    hits = {
        "cellID": [[1, 2, 3, 4]],
        "energy": [[0.001, 0.002, 0.003, 0.5]],
        "position.x": [list(rho * np.cos(azimuth))],
        "position.y": [list(rho * np.sin(azimuth))],
        "position.z": [[100.0, -100.0, 1.0, 0.0]],
    }
    particles = {key: [[0.0]] for key in PARTICLES} | {"PDG": [[22]], "generatorStatus": [[1]]}
    particles |= {"momentum.x": [[20 * np.cos(0.1)]], "momentum.y": [[20 * np.sin(0.1)]]}
    particles |= {"momentum.z": [[5.0]]}
    path = edm4hep(tmp_path / "a.root", ECal=hits, MCParticles=particles)
    with open_showers(path, Detector.from_yaml(BARREL)) as file:
        showers = file.read(0, 1)
        assert any("1 of 4 hits with 98.8% of the energy" in note for note in file.notes)
    first, second = showers.layers()
    assert first[0, 28, 4] == pytest.approx(1)  # 84 mm of -200 to 200 in 40; 100 mm of -150 to 150 in 5
    assert first[0, 11, 0] == pytest.approx(2)
    assert second[0, 3, 0] == pytest.approx(3)  # 24 mm around and 1 along: the ring within 50 mm
    assert showers.cells.sum() == pytest.approx(6)
    incident = showers.incident
    assert (incident.x[0], incident.y[0]) == pytest.approx((80, 200), rel=1e-6)  # 800 mm out are 200 along
    assert incident.theta[0] == pytest.approx(np.arctan2(5, 20))
    assert incident.phi[0] == pytest.approx(np.pi / 2)  # along y, which is the axis
    assert incident.energy[0] == pytest.approx(1e3 * np.hypot(5, 20))


def test_edm4hep_hits_are_in_the_cells_of_simulate(tmp_path: Path) -> None:
    """The same deposits in points, as Geant4 hands them to the readout and as hits in a file."""
    detector, rng, n = Detector.from_yaml(BARREL), np.random.default_rng(1), 3000
    rho, azimuth, z = rng.uniform(811, 829, n), rng.uniform(-0.4, 0.4, n), rng.uniform(-250, 250, n)
    places = np.column_stack([rho * np.cos(azimuth), rho * np.sin(azimuth), z]).astype(np.float32)
    incident = Incident.of([1e3], 22)
    steps = Steps(np.zeros(n, np.int64), np.array([0, n]), np.full(n, 2.0), places / 10.0, places / 10.0)
    hits = {"cellID": [list(range(n))], "energy": [[0.002] * n]}
    hits |= {f"position.{axis}": [column.tolist()] for axis, column in zip("xyz", places.T, strict=True)}
    path = edm4hep(tmp_path / "a.root", ECal=hits, MCParticles={k: [v[0][:1]] for k, v in PARTICLES.items()})
    with open_showers(path, detector) as file:
        found = file.raw(0, 1).cells
    assert np.allclose(found, Readout(detector).showers([steps], incident).cells, rtol=1e-6)
    assert np.count_nonzero(found) == 12


@pytest.mark.parametrize("name", ["barrel", "allegro"])
def test_edm4hep_of_barrels_there_and_back(name: str, tmp_path: Path) -> None:
    detector = Detector.from_yaml(BARREL) if name == "barrel" else detector_of(name)
    made = make("still")
    cells = np.random.default_rng(1).exponential(3, (20, detector.n_cells)).astype(np.float32)
    incident = replace(made.incident, x=100 * made.incident.x)
    path = convert(
        Showers(detector, incident, cells).save(tmp_path / "a.h5"), tmp_path / "b.edm4hep.root"
    ).path
    with open_showers(path, detector) as file:
        back = file.read(0, 20)
    assert np.allclose(back.cells, cells, rtol=1e-6)
    for key, column in incident.items():
        assert np.allclose(getattr(back.incident, key), column, rtol=1e-5, atol=1e-4), key
    with uproot.open(path) as file:
        momentum, vertex = (
            np.column_stack(
                [file[f"events/MCParticles.{what}.{axis}"].array()[:, 0].to_numpy() for axis in "xyz"]
            )
            for what in ("momentum", "vertex")
        )
    # As the gun shoots, where it matters from where a barrel is seen; the vertex is on the face.
    if name == "allegro":
        seen = turned(detector, incident.x, to_world(detector, directions(incident)))
        assert np.allclose(momentum / np.linalg.norm(momentum, axis=1)[:, None], seen)
    assert np.allclose(np.hypot(*vertex.T[:2]), detector.inner_radius)
    assert np.allclose(np.arctan2(vertex[:, 1], vertex[:, 0]), incident.x / detector.inner_radius)


@pytest.mark.parametrize(
    ("start", "momentum"),
    [((0, 0, 0), (0, 0, 1)), ((900, 0, 0), (-1, 0, 0)), ((0, 900, 0), (1, 0, 0.5))],
    ids=["along the axis", "from outside", "beside it"],
)
def test_particles_that_never_leave_the_barrel_are_impossible(start: Any, momentum: Any) -> None:
    place, along = at_face(Detector.from_yaml(BARREL), np.array([start], float), np.array([momentum], float))
    assert np.isnan(place).all()
    assert np.isnan(along).all()


def test_edm4hep_as_uproot_reads_it(tmp_path: Path) -> None:
    showers = make("still")
    path = convert(showers.save(tmp_path / "a.h5"), tmp_path / "b.edm4hep.root").path
    with uproot.open(path) as file:
        rows = {name: file["events"][name].array() for name in file["events"].keys()}  # noqa: SIM118
    index, energy = lists(showers)
    assert ak.all(rows["CalorimeterHits.cellID"] == index)
    share = np.where(ak.flatten(index) < 40, 0.25, 0.5)
    assert np.allclose(ak.flatten(rows["CalorimeterHits.energy"]), share * ak.flatten(energy) / 1e3)
    x, y, z = showers.detector.positions[ak.to_numpy(ak.flatten(index))].T
    for axis, values in {"x": x, "y": y, "z": z}.items():
        assert np.allclose(ak.flatten(rows[f"CalorimeterHits.position.{axis}"]), values)
    mass, size = rows["MCParticles.mass"], 0
    for axis in "xyz":
        size = size + rows[f"MCParticles.momentum.{axis}"] ** 2
    kinetic = np.sqrt(size + mass**2) - mass
    assert np.allclose(ak.flatten(kinetic), showers.incident.energy / 1e3, rtol=1e-6)
    assert ak.flatten(mass)[showers.incident.pdg == -211][0] == pytest.approx(0.13957, rel=1e-4)

"""EDM4hep: hits into the cells that they lie in, particles at the face."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from caloforge.errors import ShowersError
from caloforge.showers import convert, open_showers
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

"""Showers in memory and their store: bit-exact, atomic, and clear about damage."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from caloforge.detector import Detector, load_detector
from caloforge.errors import CaloforgeError, OutputError, ParticleError, ShowersError
from caloforge.showers import Incident, ShowerFile, Showers, ShowerWriter
from caloforge.showers.sparse import Sparse


@pytest.fixture(scope="module")
def detector() -> Detector:
    return load_detector("calogan")


@pytest.fixture
def showers(detector: Detector) -> Showers:
    return make(detector, 60)


def make(detector: Detector, n: int, seed: int = 1, overflow: bool = True) -> Showers:
    """Random showers with about a third of the cells hit."""
    rng = np.random.default_rng(seed)
    cells = rng.exponential(20, (n, detector.n_cells)) * (rng.random((n, detector.n_cells)) < 0.3)
    incident = Incident.of(
        rng.uniform(1e3, 1e5, n),
        rng.choice([11, -11, 22], n),
        *rng.uniform(0.1, 0.5, (2, n)),
        rng.normal(size=n),
    )
    outside = rng.exponential(1, (n, detector.n_layers)).astype(np.float32) if overflow else None
    return Showers(detector, incident, cells.astype(np.float32), outside, {"seed": seed, "command": "test"})


def same(a: Showers, b: Showers) -> bool:
    pairs = [(a.cells, b.cells), *zip(a.incident.values(), b.incident.values(), strict=True)]
    if (a.overflow is None) != (b.overflow is None):
        return False
    if a.overflow is not None and b.overflow is not None:
        pairs.append((a.overflow, b.overflow))
    return all(x.dtype == y.dtype and x.tobytes() == y.tobytes() for x, y in pairs)


# --- in memory ---------------------------------------------------------------------------------------


def test_particles_may_be_named() -> None:
    assert Incident.of([1e3, 2e3], pdg="e+").pdg.tolist() == [-11, -11]
    assert Incident.of([1e3, 2e3, 3e3], pdg=["pi+", "gamma", "pi+"]).pdg.tolist() == [211, 22, 211]
    with pytest.raises(ParticleError, match="'muon'") as caught:
        Incident.of([1e3], pdg="muon")
    assert "did you mean: mu-" in str(caught.value)


def test_columns_of_other_lengths_are_refused() -> None:
    for wrong in ({"pdg": ["e+", "e-"]}, {"theta": [0.1, 0.2]}, {"x": [1.0, 2.0, 3.0, 4.0]}):
        with pytest.raises(ShowersError, match="length"):
            Incident.of([1e3, 2e3, 3e3], **wrong)


def test_incident_broadcasts_and_keeps_types() -> None:
    incident = Incident.of([1e3, 2e3, 3e3], pdg=22, theta=0.1)
    assert len(incident) == 3
    assert incident.pdg.dtype == np.int32
    assert incident.energy.dtype == incident.theta.dtype == np.float32
    assert incident.matrix(("energy", "theta", "pdg")).shape == (3, 3)
    assert np.array_equal(incident[incident.energy > 1500].energy, np.float32([2e3, 3e3]))
    assert len(Incident.of([])) == 0


def test_incident_names_the_nearest_column() -> None:
    with pytest.raises(ShowersError, match="energy"):
        Incident.of([1.0]).matrix(("energie",))


def test_incident_columns_must_agree() -> None:
    one = np.ones(1, np.float32)
    with pytest.raises(ShowersError, match="length"):
        Incident(one, one, one, one, np.ones(2, np.float32), np.ones(1, np.int32))


def test_showers_select_and_join(showers: Showers) -> None:
    assert same(Showers.concat([showers[:20], showers[20:]]), showers)
    picked = showers[np.array([5, 3])]
    assert np.array_equal(picked.cells, showers.cells[[5, 3]])
    assert len(showers[showers.incident.energy > 5e4]) == int((showers.incident.energy > 5e4).sum())
    layers = showers.layers()
    assert [layer.shape for layer in layers] == [(60, 3, 96), (60, 12, 12), (60, 12, 6)]
    assert np.shares_memory(layers[0], showers.cells)


def test_wrong_shape_says_what_was_expected(detector: Detector) -> None:
    with pytest.raises(ShowersError) as error:
        Showers(detector, Incident.of([1.0, 2.0]), np.zeros((2, 500), np.float32))
    assert "(2, 504)" in str(error.value)
    assert "(2, 500)" in str(error.value)


def test_different_detectors_do_not_mix(showers: Showers) -> None:
    other = make(load_detector("calochallenge-1-photons"), 3)
    with pytest.raises(ShowersError, match="different detectors"):
        Showers.concat([showers, other])


# --- sparse rows -------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(0, 7), st.integers(1, 30)),
        elements=st.one_of(st.just(0.0), st.floats(0, width=32, allow_infinity=False)),
    )
)
def test_sparse_rows_keep_every_bit(cells: np.ndarray) -> None:
    rows = Sparse.of(Incident.of(np.ones(len(cells))), cells, None).check("here")
    assert np.array_equal(rows.dense().view(np.uint32), np.abs(cells).view(np.uint32))
    order = np.random.default_rng(0).permutation(len(cells))
    assert np.array_equal(rows.take(order).check("here").dense(), cells[order])
    assert np.array_equal(rows[1:3].check("here").dense(), cells[1:3])


def test_showers_without_any_energy(detector: Detector, tmp_path: Path) -> None:
    empty = Showers(detector, Incident.of([1e3, 2e3]), np.zeros((2, 504), np.float32))
    assert same(Showers.load(empty.save(tmp_path / "a.h5")), empty)


# --- store -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["calogan", "clic", "calochallenge-1-pions", "calochallenge-3"])
@pytest.mark.parametrize("overflow", [True, False])
def test_file_gives_back_every_bit(name: str, overflow: bool, tmp_path: Path) -> None:
    showers = make(load_detector(name), 5, overflow=overflow)
    path = showers.save(tmp_path / "a.h5")
    loaded = Showers.load(path)
    assert same(loaded, showers)
    assert loaded.detector.digest == showers.detector.digest
    assert loaded.provenance == showers.provenance


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=hnp.arrays(np.float32, (3, 8), elements=st.floats(0, width=32, allow_infinity=False)))
def test_denormals_and_extremes_survive(values: np.ndarray, detector: Detector, tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    path.unlink(missing_ok=True)
    cells = np.zeros((3, 504), np.float32)
    cells[:, ::63] = values
    Showers(detector, Incident.of([1.0, 2.0, 3.0]), cells).save(path)
    assert np.array_equal(Showers.load(path).cells.view(np.uint32), np.abs(cells).view(np.uint32))


def test_pieces_equal_the_whole(showers: Showers, tmp_path: Path) -> None:
    with ShowerFile(showers.save(tmp_path / "a.h5")) as file:
        assert len(file) == 60
        assert same(file.read(7, 31), showers[7:31])
        assert same(Showers.concat(list(file.chunks(17))), showers)
        assert len(file.read(50, 900)) == 10
        assert file.read(60, 60).cells.shape == (0, 504)
        assert np.array_equal(file.incident().pdg, showers.incident.pdg)
        assert file.overflow


def test_batches_of_any_size_give_one_file(showers: Showers, tmp_path: Path) -> None:
    for size in (1, 7, 60):
        with ShowerWriter(tmp_path / f"{size}.h5", showers.detector, {}) as writer:
            for start in range(0, 60, size):
                writer.append(showers[start : start + size])
    contents = {(tmp_path / f"{size}.h5").read_bytes() for size in (1, 7, 60)}
    assert len(contents) == 1


def test_the_layout_is_the_documented_one(showers: Showers, tmp_path: Path) -> None:
    with h5py.File(showers.save(tmp_path / "a.h5")) as file:
        assert file.attrs["schema"] == b"caloforge-showers/1"
        assert Detector.from_yaml(file.attrs["detector"].decode()).digest == showers.detector.digest
        assert json.loads(file.attrs["provenance"])["seed"] == 1
        assert file["incident/energy"].attrs["unit"] == b"MeV"
        offset = file["cells/offset"][:]
        assert offset[0] == 0
        assert len(offset) == 61
        row = np.zeros(504, np.float32)
        row[file["cells/index"][offset[4] : offset[5]]] = file["cells/energy"][offset[4] : offset[5]]
        assert np.array_equal(row, showers.cells[4])


def test_provenance_may_grow_until_closed(showers: Showers, tmp_path: Path) -> None:
    with ShowerWriter(tmp_path / "a.h5", showers.detector, {"seed": 4}) as writer:
        writer.append(showers)
        writer.provenance["ms_per_shower"] = 2.5
    with ShowerFile(tmp_path / "a.h5") as file:
        assert file.provenance == {"seed": 4, "ms_per_shower": 2.5}


def test_nothing_is_overwritten(showers: Showers, tmp_path: Path) -> None:
    path = showers.save(tmp_path / "a.h5")
    with pytest.raises(OutputError, match="exists already"):
        showers.save(path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.h5"]


def test_no_showers_make_no_file(detector: Detector, showers: Showers, tmp_path: Path) -> None:
    with pytest.raises(ShowersError, match="no showers were written"):
        showers[:0].save(tmp_path / "a.h5")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("value", "word"), [(np.nan, "1 NaN"), (np.inf, "1 infinite"), (-1.0, "1 negative")])
def test_impossible_energies_are_not_written(
    showers: Showers, tmp_path: Path, value: float, word: str
) -> None:
    showers.cells[3, 100] = value
    with (
        pytest.raises(ShowersError, match=word),
        ShowerWriter(tmp_path / "a.h5", showers.detector, {}) as writer,
    ):
        writer.append(showers)


# --- damage ------------------------------------------------------------------------------------------


def damage(path: Path, key: str, change) -> None:
    with h5py.File(path, "r+") as file:
        values = change(file[key][:])
        del file[key]
        file[key] = values


def swap(values: np.ndarray) -> np.ndarray:
    values[[5, 6]] = values[[6, 5]]
    return values


DAMAGES = {
    "offsets go back": ("cells/offset", swap, "increasing|outside"),
    "offsets beyond the cells": ("cells/offset", lambda v: v + 10**9, "outside"),
    "negative offsets": ("cells/offset", lambda v: v - 10**6, "outside"),
    "too few offsets": ("cells/offset", lambda v: v[:-3], "wrong shape"),
    "cell numbers beyond the detector": ("cells/index", lambda v: v + 505, "outside the detector"),
    "cell numbers twice": ("cells/index", lambda v: v // 2, "not increasing"),
    "fewer energies than numbers": ("cells/energy", lambda v: v[:-1], "wrong shape"),
    "energies of another shape": ("cells/energy", lambda v: v[:, None], "wrong shape"),
    "incident column too short": ("incident/theta", lambda v: v[:-1], "wrong shape"),
    "text instead of numbers": (
        "incident/energy",
        lambda v: np.array([b"x"] * len(v)),
        "wrong shape or type",
    ),
    "NaN in a cell": ("cells/energy", lambda v: np.where(np.arange(len(v)) == 9, np.nan, v), "1 NaN"),
    "negative incident energy": ("incident/energy", lambda v: -v, "impossible incident"),
    "infinite overflow": ("overflow", lambda v: v + np.inf, "infinite"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_gives_one_clear_message(showers: Showers, tmp_path: Path, name: str) -> None:
    key, change, message = DAMAGES[name]
    path = showers.save(tmp_path / "a.h5")
    damage(path, key, change)
    with pytest.raises(ShowersError, match=message) as error, ShowerFile(path) as file:
        file.read(0, 60)
    assert "a.h5" in str(error.value)


@pytest.mark.parametrize("key", ["cells/offset", "cells/index", "cells/energy", "incident/pdg"])
def test_missing_dataset_is_named(showers: Showers, tmp_path: Path, key: str) -> None:
    path = showers.save(tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        del file[key]
    with pytest.raises(ShowersError, match="lacks a dataset") as error:
        ShowerFile(path)
    assert key in str(error.value)


def test_not_a_shower_file(tmp_path: Path) -> None:
    for name, content in {"empty.h5": b"", "text.h5": b"no HDF5 at all\n" * 9}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ShowersError, match=r"empty|not an HDF5"):
            ShowerFile(tmp_path / name)
    with pytest.raises(ShowersError, match="no such file") as error:
        ShowerFile(tmp_path / "emty.h5")
    assert "empty.h5" in str(error.value)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = [1.0]
    with pytest.raises(ShowersError, match="not a caloforge shower file"):
        ShowerFile(tmp_path / "other.h5")
    with pytest.raises(ShowersError, match="folder"):
        ShowerFile(tmp_path)


def test_another_version_is_refused(showers: Showers, tmp_path: Path) -> None:
    path = showers.save(tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        file.attrs["schema"] = "caloforge-showers/99"
    with pytest.raises(ShowersError, match="another version"):
        ShowerFile(path)


def test_a_changed_detector_is_noticed(showers: Showers, tmp_path: Path) -> None:
    path = showers.save(tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        file.attrs["detector"] = file.attrs["detector"].replace(b"480 mm", b"481 mm")
    with pytest.raises(ShowersError, match="checksum"):
        ShowerFile(path)


def test_every_truncation_is_noticed(showers: Showers, tmp_path: Path) -> None:
    whole = showers.save(tmp_path / "a.h5").read_bytes()
    for size in np.linspace(1, len(whole) - 1, 40).astype(int):
        (tmp_path / "cut.h5").write_bytes(whole[:size])
        with pytest.raises(ShowersError):
            Showers.load(tmp_path / "cut.h5")


def test_flipped_bytes_never_go_unnoticed(showers: Showers, tmp_path: Path) -> None:
    """Any flipped byte is an error with a message, or lies where nothing is stored."""
    whole = showers.save(tmp_path / "a.h5").read_bytes()
    rng = np.random.default_rng(7)
    noticed = 0
    for position in rng.integers(0, len(whole), 120):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << int(rng.integers(8))
        (tmp_path / "flip.h5").write_bytes(damaged)
        try:
            loaded = Showers.load(tmp_path / "flip.h5")
        except CaloforgeError:
            noticed += 1
        else:
            assert same(loaded, showers), position
    assert noticed > 60  # much of a small HDF5 file is padding

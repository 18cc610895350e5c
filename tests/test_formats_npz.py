"""npz files of numpy are read by rows; nothing is unpickled, and nothing huge believed."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib import format as npy

from caloforge.errors import ShowersError
from caloforge.showers import Showers, convert, open_showers
from caloforge.showers.formats.storage.npz import NpzFile
from format_toys import make


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[np.ndarray, list[Path]]:
    folder = tmp_path_factory.mktemp("npz")
    array = np.random.default_rng(1).normal(size=(50, 3, 7))
    np.savez(folder / "a.npz", array=array, other=np.arange(4))
    np.savez_compressed(folder / "b.npz", array=array, other=np.arange(4))
    return array, [folder / "a.npz", folder / "b.npz"]


@given(rows=st.lists(st.slices(50).filter(lambda rows: rows.step in (None, 1)), max_size=6))
def test_rows_are_those_of_numpy(saved: tuple[np.ndarray, list[Path]], rows: list[slice]) -> None:
    array, paths = saved
    for path in paths:
        with NpzFile(path) as file:
            found = file.dataset("array", (50, None, 7))
            for part in rows:
                assert np.array_equal(found[part], array[part])


def test_numpy_reads_what_is_written(tmp_path: Path) -> None:
    showers = make("calogan")
    path = convert(showers.save(tmp_path / "a.h5"), tmp_path / "b.npz").path
    with np.load(path, allow_pickle=False) as file:
        assert np.array_equal(file["showers"], showers.cells)
        assert np.array_equal(file["incident_energies"], showers.incident.energy)
        for name in ("theta", "phi", "x", "y", "pdg"):
            assert np.array_equal(file[name], getattr(showers.incident, name))
    assert zipfile.ZipFile(path).testzip() is None


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("key", ["incident_energies", "incident_energy", "energy", "energies"])
def test_usual_names_of_the_energy(save, key: str, tmp_path: Path) -> None:
    showers = make("calogan")
    columns = {"showers": showers.cells, key: showers.incident.energy[:, None].astype(np.float64)}
    save(tmp_path / "a.npz", **columns)
    with open_showers(tmp_path / "a.npz", particle="gamma") as file:
        back = file.read(0, 20)
        assert file.detector.name == "calogan"
        assert any("in MeV" in note for note in file.notes) == key.startswith("energ")
    assert np.array_equal(back.incident.energy, showers.incident.energy)
    assert set(back.incident.pdg) == {22}


def test_an_energy_in_gev_is_told_by_the_cells(tmp_path: Path) -> None:
    showers = make("calogan")
    energy = showers.cells.sum(axis=1) / 0.8 + 1
    np.savez(tmp_path / "a.npz", showers=showers.cells, energy=energy / 1000)
    np.savez(tmp_path / "b.npz", showers=showers.cells, incident_energies=energy / 1000)
    with open_showers(tmp_path / "a.npz") as file:
        assert np.allclose(file.incident().energy, energy, rtol=1e-6)
        assert any("'energy' is in GeV" in note for note in file.notes)
    with open_showers(tmp_path / "b.npz") as file:
        assert np.allclose(file.incident().energy, energy / 1000, rtol=1e-6)


def test_arrays_of_other_formats_are_read_from_npz(tmp_path: Path) -> None:
    """CaloGAN's arrays, as they are in HDF5."""
    showers = make("calogan")
    layers = {f"layer_{i}": layer for i, layer in enumerate(showers.layers())}
    np.savez(tmp_path / "a.npz", energy=showers.incident.energy[:, None] / 1000, **layers)
    with open_showers(tmp_path / "a.npz") as file:
        assert file.format == "calogan"
        assert np.array_equal(file.read(0, 20).cells, showers.cells)


def test_the_axes_of_par04_are_known_in_npz(tmp_path: Path) -> None:
    showers = make("calochallenge-2", 3)
    mesh = showers.cells.reshape(3, 45, 16, 9).transpose(0, 3, 2, 1)  # R, phi, z
    energy = np.full(3, showers.cells.sum())
    np.savez(tmp_path / "a.npz", showers=0.033 * np.float64(mesh), incident_energy=energy)
    with open_showers(tmp_path / "a.npz") as file:
        assert (file.format, file.detector.name) == ("par04", "calochallenge-2")
        assert np.array_equal(file.read(0, 3).cells, showers.cells)


def test_a_foreign_file_is_opened_once_and_closed_when_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[zipfile.ZipFile] = []

    class Seen(zipfile.ZipFile):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            opened.append(self)

    np.savez(tmp_path / "a.npz", showers=np.ones((3, 504)), incident_energies=np.full(3, 1e4))
    np.savez(tmp_path / "b.npz", showers=np.ones((3, 7)), incident_energies=np.full(3, 1e4))
    monkeypatch.setattr(zipfile, "ZipFile", Seen)
    with open_showers(tmp_path / "a.npz") as file:
        assert file.detector.name == "calogan"
        assert len(opened) == 1
        assert opened[0].fp is not None
    with pytest.raises(ShowersError, match="no preset"):
        open_showers(tmp_path / "b.npz")
    assert len(opened) == 2
    assert [archive.fp for archive in opened] == [None, None]


def test_showers_may_keep_their_axes(tmp_path: Path) -> None:
    showers = make("calochallenge-2", 3)
    np.savez(tmp_path / "a.npz", showers=showers.cells.reshape(3, 45, 16, 9), incident_energies=np.ones(3))
    with open_showers(tmp_path / "a.npz") as file:
        assert np.array_equal(file.read(0, 3).cells, showers.cells)


def header(shape: tuple[int, ...]) -> bytes:
    import io

    file = io.BytesIO()
    npy.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return file.getvalue()


def test_claims_of_terabytes_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        file.writestr("showers.npy", header((1 << 40, 504)))
        file.writestr("incident_energies.npy", header((1 << 40,)))
    with pytest.raises(ShowersError, match="claims what the file does not store"):
        open_showers(tmp_path / "a.npz")


def test_bombs_are_refused(tmp_path: Path) -> None:
    """Bzip2 packs zeros far more tightly than zlib can; 100 MB of them in a few bytes."""
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_BZIP2) as file:
        file.writestr("showers.npy", header((50_000, 504)) + bytes(50_000 * 504 * 4))
        file.writestr("incident_energies.npy", header((50_000,)) + np.ones(50_000, np.float32).tobytes())
    assert (tmp_path / "a.npz").stat().st_size < 10_000
    with pytest.raises(ShowersError, match="unpacks to more than is believed"):
        open_showers(tmp_path / "a.npz")


WRONG = {
    "objects": ({"showers": np.array([{}, 1], object), "energy": np.ones(2)}, "never unpickled"),
    "complex": ({"showers": np.ones((2, 504), complex), "energy": np.ones(2)}, "not an array of numbers"),
    "a scalar": ({"showers": np.ones((2, 504)), "energy": np.float64(1)}, "not an array of numbers"),
    "by columns": ({"showers": np.ones((504, 2)).T, "energy": np.ones(2)}, "ascontiguousarray"),
    "lengths": ({"showers": np.ones((3, 504)), "energy": np.ones(2)}, "wrong shape"),
    "no preset": ({"showers": np.ones((3, 505)), "energy": np.ones(3)}, "no preset"),
    "no energies": ({"showers": np.ones((3, 504))}, "no showers in a format"),
    "negative": ({"showers": -np.ones((3, 504)), "incident_energies": np.ones(3)}, "1512 negative"),
    "no showers": ({"showers": np.ones((0, 504)), "energy": np.ones(0)}, "no showers"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arrays_get_one_clear_message(name: str, tmp_path: Path) -> None:
    arrays, message = WRONG[name]
    np.savez(tmp_path / "wrong.npz", **arrays)
    with pytest.raises(ShowersError, match=message) as error:
        convert(tmp_path / "wrong.npz", tmp_path / "b.h5")
    assert "wrong.npz" in str(error.value)


def test_the_axes_and_particles_are_kept(tmp_path: Path) -> None:
    showers = make("calogan")
    path = convert(showers.save(tmp_path / "a.h5"), tmp_path / "b.npz").path
    back = Showers.load(convert(path, tmp_path / "c.h5").path)
    for name, values in showers.incident.items():
        assert np.array_equal(values, getattr(back.incident, name)), name

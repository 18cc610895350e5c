"""Rows of showers in Parquet and ROOT, written by pyarrow, awkward and uproot themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caloforge.detector import Detector
from caloforge.errors import ShowersError
from caloforge.showers import Showers, convert, open_showers
from format_toys import detector_of, lists, make, tree_of

ak, uproot = pytest.importorskip("awkward"), pytest.importorskip("uproot")


def table(showers: Showers) -> dict[str, Any]:
    index, energy = lists(showers)
    incident = showers.incident
    return {"energy": incident.energy, "pdg": incident.pdg, "cell_index": index, "cell_energy": energy}


def check(path: Path, showers: Showers) -> None:
    with open_showers(path, showers.detector) as file:
        back = file.read(0, len(showers))
        assert np.array_equal(file.read(7, 9).cells, showers.cells[7:9])
    assert np.array_equal(back.cells, showers.cells)
    assert np.array_equal(back.incident.energy, showers.incident.energy)
    assert np.array_equal(back.incident.pdg, showers.incident.pdg)


# --- Parquet -----------------------------------------------------------------------------------------


@pytest.fixture
def parquet() -> Any:
    pytest.importorskip("pyarrow")
    import pyarrow.parquet

    return pyarrow.parquet


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("rows", [3, 1000])
def test_parquet_of_pyarrow(parquet: Any, large: bool, rows: int, tmp_path: Path) -> None:
    import pyarrow as pa

    showers = make("calogan")
    columns = {key: ak.to_list(values) for key, values in table(showers).items()}
    kind = pa.large_list if large else pa.list_
    whole = pa.table(columns).cast(
        pa.schema(
            [
                ("energy", pa.float32()),
                ("pdg", pa.int64()),
                ("cell_index", kind(pa.uint16())),
                ("cell_energy", kind(pa.float32())),
            ]
        )
    )
    parquet.write_table(whole, tmp_path / "a.parquet", row_group_size=rows)
    check(tmp_path / "a.parquet", showers)


def test_parquet_of_awkward(parquet: Any, tmp_path: Path) -> None:
    showers = make("calogan")
    ak.to_parquet(ak.Array(table(showers)), tmp_path / "a.parquet")
    check(tmp_path / "a.parquet", showers)


@pytest.mark.parametrize("fixed", [False, True])
def test_parquet_of_all_cells(parquet: Any, fixed: bool, tmp_path: Path) -> None:
    import pyarrow as pa

    showers = make("calogan")
    kind = pa.list_(pa.float32(), 504 if fixed else -1)
    cells = pa.array(list(showers.cells), kind)
    columns = {"energy": showers.incident.energy, "pdg": showers.incident.pdg, "showers": cells}
    parquet.write_table(pa.table(columns), tmp_path / "a.parquet", row_group_size=6)
    check(tmp_path / "a.parquet", showers)
    with open_showers(tmp_path / "a.parquet") as file:
        assert file.detector.name == "calogan"


def test_parquet_as_others_read_it(parquet: Any, tmp_path: Path) -> None:
    showers = make("calogan")
    path = convert(showers.save(tmp_path / "a.h5"), tmp_path / "b.parquet").path
    rows = parquet.read_table(path)
    assert rows.column_names == ["energy", "theta", "phi", "x", "y", "pdg", "cell_index", "cell_energy"]
    index, energy = lists(showers)
    assert rows["cell_index"].to_pylist() == ak.to_list(index)
    assert rows["cell_energy"].to_pylist() == ak.to_list(energy)
    for name, values in showers.incident.items():
        assert np.array_equal(rows[name].to_numpy(), values)
    assert ak.all(ak.from_parquet(path).cell_index == index)
    assert rows.schema.metadata[b"caloforge.detector"].decode() == showers.detector.to_yaml()


def test_a_flipped_bit_in_parquet_is_noticed(parquet: Any, tmp_path: Path) -> None:
    path = convert(make("calogan").save(tmp_path / "a.h5"), tmp_path / "b.parquet").path
    data, energies = bytearray(path.read_bytes()), parquet.ParquetFile(path).metadata.row_group(0).column(7)
    data[energies.data_page_offset + 100] ^= 1
    path.write_bytes(data)
    with pytest.raises(ShowersError, match="damaged Parquet"):
        convert(path, tmp_path / "c.h5")


def test_row_groups_beyond_measure_are_refused(
    parquet: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from caloforge.showers.formats.storage import parquet as storage

    path = convert(make("calogan").save(tmp_path / "a.h5"), tmp_path / "b.parquet").path
    monkeypatch.setattr(storage, "_MAX_GROUP", 1000)
    with open_showers(path) as file, pytest.raises(ShowersError, match="row_group_size"):
        file.read(0, 1)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no energies": ({"cell_index": [[1]], "cell_energy": [[1.0]]}, "no showers in a format"),
    "other lengths": ({"energy": [1.0], "cell_index": [[1, 2]], "cell_energy": [[1.0]]}, "differ in length"),
    "too large": ({"energy": [1.0], "cell_index": [[504]], "cell_energy": [[1.0]]}, "none of the detector"),
    "below 0": ({"energy": [1.0], "cell_index": [[-1]], "cell_energy": [[1.0]]}, "none of the detector"),
    "broken": ({"energy": [1.0], "cell_index": [[0.5]], "cell_energy": [[1.0]]}, "none of the detector"),
    "an empty place": ({"energy": [1.0, None], "showers": [[1.0] * 504] * 2}, "empty places"),
    "an empty list": ({"energy": [1.0, 2.0], "showers": [[1.0] * 504, None]}, "empty places"),
    "texts": ({"energy": ["1"], "showers": [[1.0] * 504]}, "wrong type"),
    "no lists": ({"energy": [1.0], "showers": [1.0]}, "wrong type"),
    "short": ({"energy": [1.0, 2.0], "showers": [[1.0] * 504, [1.0]]}, "another length"),
    "infinite": ({"energy": [1.0], "cell_index": [[1]], "cell_energy": [[np.inf]]}, "1 infinite"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_rows_get_one_clear_message(parquet: Any, name: str, tmp_path: Path) -> None:
    import pyarrow as pa

    columns, message = WRONG[name]
    parquet.write_table(pa.table(columns), tmp_path / "wrong.parquet")
    with pytest.raises(ShowersError, match=message) as error:
        convert(tmp_path / "wrong.parquet", tmp_path / "b.h5", detector=detector_of("calogan"))
    assert "wrong.parquet" in str(error.value)


def test_rows_beyond_the_end_are_none(parquet: Any, tmp_path: Path) -> None:
    path = convert(make("calogan").save(tmp_path / "a.h5"), tmp_path / "b.parquet").path
    with open_showers(path) as file:
        assert file.read(30, 40).cells.shape == (0, 504)


def test_lists_without_a_detector_are_refused(parquet: Any, tmp_path: Path) -> None:
    ak.to_parquet(ak.Array(table(make("calogan"))), tmp_path / "a.parquet")
    with pytest.raises(ShowersError, match="does not say what was hit"):
        open_showers(tmp_path / "a.parquet")


@given(
    st.lists(st.lists(st.integers(0, 503), unique=True, max_size=9), min_size=1, max_size=9),
    st.integers(1, 4),
)
def test_any_lists_come_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[int]], group: int
) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path_factory.mktemp("any") / "a.parquet"
    energy = [[float(cell + 1) for cell in row] for row in rows]
    columns = {"energy": [1.0] * len(rows), "cell_index": rows, "cell_energy": energy}
    kinds = [("energy", pa.float32()), ("cell_index", pa.list_(pa.int16()))]
    schema = pa.schema([*kinds, ("cell_energy", pa.list_(pa.float64()))])
    pq.write_table(pa.table(columns, schema), path, row_group_size=group)
    wanted = np.zeros((len(rows), 504), np.float32)
    for shower, cells in enumerate(rows):
        wanted[shower, cells] = np.array(cells) + 1
    with open_showers(path, detector_of("calogan")) as file:
        for start in range(len(rows)):
            assert np.array_equal(file.read(start, start + 3).cells, wanted[start : start + 3])


# --- ROOT --------------------------------------------------------------------------------------------


def test_root_tree_with_lists(tmp_path: Path) -> None:
    showers = make("calogan")
    check(tree_of(tmp_path / "a.root", table(showers)), showers)


def test_root_tree_with_all_cells(tmp_path: Path) -> None:
    showers = make("calogan")
    kinds = {"energy": "f4", "pdg": "i4", "showers": np.dtype(("f4", (504,)))}
    incident = showers.incident
    with uproot.recreate(tmp_path / "a.root") as file:
        columns = {"energy": incident.energy, "pdg": incident.pdg, "showers": showers.cells}
        file.mktree("t", kinds).extend(columns)
    check(tmp_path / "a.root", showers)
    with open_showers(tmp_path / "a.root") as found:
        assert found.detector.name == "calogan"


def test_rntuple_with_lists(tmp_path: Path) -> None:
    showers = make("calogan")
    columns = ak.Array(table(showers))
    with uproot.recreate(tmp_path / "a.root") as file:
        file["rows"] = columns
    assert uproot.open(tmp_path / "a.root").classnames()["rows;1"] == "ROOT::RNTuple"
    check(tmp_path / "a.root", showers)


def test_root_as_uproot_reads_it(tmp_path: Path) -> None:
    showers = make("calogan")
    path = convert(showers.save(tmp_path / "a.h5"), tmp_path / "b.root").path
    with uproot.open(path) as file:
        rows = file["showers"].arrays()
        index, energy = lists(showers)
        assert ak.all(rows.cell_index == index)
        assert ak.all(rows.cell_energy == energy)
        for name, values in showers.incident.items():
            assert np.array_equal(rows[name], values)
        assert str(file["detector"]) == showers.detector.to_yaml()


def test_what_is_in_a_root_file_is_told(tmp_path: Path) -> None:
    path = tree_of(tmp_path / "a.root", {"energy": np.ones(3)})
    with pytest.raises(ShowersError, match="no showers in a format") as error:
        open_showers(path)
    assert "data/energy" in str(error.value)
    assert "histogram" in str(error.value)
    assert "3DGAN" not in str(error.value)  # which is never in ROOT


# --- Geant4's Par04 ----------------------------------------------------------------------------------


def mesh(n: int = 9, seed: int = 1) -> dict[str, Any]:
    """Hits on the mesh of 9 rings, 16 sectors and 45 layers; the last cell is hit."""
    rng = np.random.default_rng(seed)
    flat = [np.sort(rng.choice(6479, 30, replace=False)) for _ in range(n)]
    flat[0][-1] = 6479
    ring, sector, layer = (np.array(places) for places in np.unravel_index(flat, (9, 16, 45)))
    energy = rng.exponential(5, (n, 30))
    names = {"EnergyCell": energy, "rhoCell": ring, "phiCell": sector, "zCell": layer}
    return {name: ak.from_regular(ak.Array(values)) for name, values in names.items()}


def dense(columns: dict[str, Any]) -> np.ndarray:
    """The array (n, R, phi, z) that Par04's own conversion fills, hit by hit."""
    showers = np.zeros((len(columns["zCell"]), 9, 16, 45))
    for i, hits in enumerate(zip(*(ak.to_list(columns[name]) for name in columns), strict=True)):
        for energy, ring, sector, layer in zip(*hits, strict=True):
            showers[i, ring, sector, layer] = energy
    return showers


def par04(path: Path, columns: dict[str, Any], old: bool) -> Path:
    energy = np.linspace(1e3, 9e3, len(columns["zCell"]))
    if old:
        return tree_of(path, {"EnergyMC": energy, **columns, "SimTime": energy}, "events")
    with uproot.recreate(path) as file:
        file.mktree("global", {"EnergyMC": "f8", "SimTime": "f8"}).extend(
            {"EnergyMC": energy, "SimTime": energy}
        )
        for name in ("virtualReadout", "physicalReadout"):
            kinds = {key: array.type.content for key, array in columns.items()}
            file.mktree(name, kinds).extend(columns)
    return path


@pytest.mark.parametrize("old", [True, False])
def test_par04_ntuples_are_filled_into_the_mesh(old: bool, tmp_path: Path) -> None:
    columns = mesh()
    path = par04(tmp_path / "a.root", columns, old)
    with open_showers(path, particle="gamma") as file:
        showers = file.read(0, 9)
        assert (file.format, file.detector.name) == ("par04-root", "calochallenge-2")
        assert any("taken for the preset" in note for note in file.notes)
    wanted = dense(columns).transpose(0, 3, 2, 1).reshape(9, -1)  # layer, sector, ring
    # The preset's cells are deposits over its sampling fraction.
    assert np.allclose(showers.cells, wanted / 0.033, rtol=1e-6)
    assert np.allclose(showers.incident.energy, np.linspace(1e3, 9e3, 9))
    assert set(showers.incident.pdg) == {22}


def test_par04_ntuples_as_its_conversion_reads_them(tmp_path: Path) -> None:
    showers = make("calochallenge-2")
    path = convert(showers.save(tmp_path / "a.h5"), tmp_path / "b.par04.root").path
    with uproot.open(path) as file:
        columns = {name: file["virtualReadout"][name].array() for name in mesh(1)}
        assert np.allclose(file["global"]["EnergyMC"].array(), showers.incident.energy)
    again = dense(columns).transpose(0, 3, 2, 1).reshape(20, -1)
    assert np.allclose(again, 0.033 * showers.cells, rtol=1e-6)


SECTIONS = """
name: sections
readout:
  deposits: active
  sampling_fraction: 0.05
  layers:
    - count: 20
      thickness: 3 mm
      sampling_fraction: 0.02
      grid: {kind: polar, alpha: 16, r_cells: 9, r_size: 5 mm}
    - {count: 25, thickness: 3 mm, grid: {kind: polar, alpha: 16, r_cells: 9, r_size: 5 mm}}
"""


def hdf5_of_par04(path: Path, columns: dict[str, Any], unit: float = 1.0) -> Path:
    """What its `root2h5.py` writes: the ntuples' energies as they are, float64."""
    with h5py.File(path, "w") as file:
        file["showers"], file["incident_energy"] = dense(columns) * unit, np.linspace(1e3, 9e3, 9)
    return path


@pytest.mark.parametrize("sections", [False, True])
def test_par04s_conversion_to_hdf5_changes_no_shower(sections: bool, tmp_path: Path) -> None:
    columns, detector = mesh(), Detector.from_yaml(SECTIONS) if sections else None  # else that of its shape
    ntuples = par04(tmp_path / "a.root", columns, old=False)
    arrays = hdf5_of_par04(tmp_path / "a.h5", columns)
    with open_showers(ntuples, detector) as one, open_showers(arrays, detector) as other:
        assert (one.format, other.format) == ("par04-root", "par04")
        showers = one.read(0, 9)
        assert np.array_equal(showers.cells, other.read(0, 9).cells)
        (divided,) = [note for note in one.notes if "divided by" in note]
        (told,) = [note for note in other.notes if note.startswith(divided)]
    seen = np.median(showers.cells.sum(axis=1) / np.linspace(1e3, 9e3, 9))
    assert told == f"{divided}; they add up to {seen:.3g} times the incident energy"


def test_par04_that_was_divided_before_is_not_divided_again(tmp_path: Path) -> None:
    """As DDML's `edm4hep2h5.py --samplingFraction 0.033` writes it."""
    columns = mesh()
    with open_showers(hdf5_of_par04(tmp_path / "a.h5", columns)) as file:
        expected = file.read(0, 9).cells
    with open_showers(hdf5_of_par04(tmp_path / "b.h5", columns, 1 / 0.033)) as file:
        assert np.array_equal(file.read(0, 9).cells, expected)
        assert any("no deposits: divided by the detector's" in note for note in file.notes)


@pytest.mark.parametrize("kind", [np.uint32, np.int32, np.float64])
def test_places_on_the_mesh_are_of_any_type(kind: type, tmp_path: Path) -> None:
    columns = mesh()
    typed = {
        key: values if key == "EnergyCell" else ak.values_astype(values, kind)
        for key, values in columns.items()
    }
    with open_showers(par04(tmp_path / "a.root", columns, old=False)) as file:
        expected = file.read(0, 9).cells
    with open_showers(par04(tmp_path / "b.root", typed, old=False)) as file:
        assert np.array_equal(file.read(0, 9).cells, expected)


@pytest.mark.parametrize("place", [1e15, np.nan, np.inf])
def test_impossible_places_on_the_mesh_are_refused(place: float, tmp_path: Path) -> None:
    columns = mesh()
    columns["zCell"] = columns["zCell"] * 0 + place
    with pytest.raises(ShowersError, match="no preset"):
        open_showers(par04(tmp_path / "a.root", columns, old=False))


def test_hits_beside_the_mesh_are_counted(tmp_path: Path) -> None:
    columns = mesh()
    columns["zCell"] = columns["zCell"] + np.array([45] + [0] * 8)
    path = par04(tmp_path / "a.root", columns, old=False)
    with open_showers(path, detector_of("calochallenge-2")) as file:
        assert not file.read(0, 1).cells.any()
        assert file.read(1, 9).cells.any()
        assert any("30 of 270 hits" in note for note in file.notes)
    with pytest.raises(ShowersError, match="no preset"):
        open_showers(path)
    with pytest.raises(ShowersError, match="rings and sectors"):
        open_showers(path, detector_of("calogan"))


def test_par04_places_and_energies_must_be_as_many(tmp_path: Path) -> None:
    columns = mesh()
    columns["phiCell"] = columns["phiCell"][:, 1:]
    with open_showers(par04(tmp_path / "a.root", columns, old=False)) as file:
        with pytest.raises(ShowersError, match="differ in length") as error:
            file.read(0, 3)
        assert "29 in 'phiCell'" in str(error.value)


def test_par04_trees_of_different_lengths_are_refused(tmp_path: Path) -> None:
    columns = mesh()
    with uproot.recreate(tmp_path / "a.root") as file:
        file.mktree("global", {"EnergyMC": "f8"}).extend({"EnergyMC": np.ones(3)})
        kinds = {key: array.type.content for key, array in columns.items()}
        file.mktree("virtualReadout", kinds).extend(columns)
    with pytest.raises(ShowersError, match="differ in length"):
        open_showers(tmp_path / "a.root")

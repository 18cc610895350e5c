"""Hits with places, put into the cells that they lie in; showerdata is the other reader and writer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caloforge.detector import Detector
from caloforge.errors import ShowersError
from caloforge.showers import Incident, Showers, convert, open_showers
from caloforge.showers.formats.hits import cell_at, layer_at
from caloforge.showers.formats.smear import smeared
from caloforge.showers.sparse import Sparse
from format_toys import detector_of, make

# --- placing -----------------------------------------------------------------------------------------


def brute_force(x: float, y: float, z: float) -> int:
    """The cell of the toy detector that holds a point, found cell by cell."""
    detector = detector_of("still")
    for cell, ((cx, cy, cz), (a, b, dz)) in enumerate(zip(detector.positions, detector.sizes, strict=True)):
        if not cz - dz / 2 <= z < cz + dz / 2:
            continue
        if detector.layer_of_cell[cell] < 2:  # rectangles
            if cx - a / 2 <= x < cx + a / 2 and cy - b / 2 <= y < cy + b / 2:
                return cell
            continue
        turn = (np.arctan2(y, x) - np.arctan2(cy, cx) + np.pi) % (2 * np.pi) - np.pi
        if abs(np.hypot(x, y) - np.hypot(cx, cy)) < a / 2 and abs(turn) < b / 2:
            return cell
    return -1


@given(st.tuples(st.floats(-25, 25), st.floats(-25, 25), st.floats(-2, 25)))
def test_a_hit_is_in_the_cell_that_holds_it(point: tuple[float, float, float]) -> None:
    x, y, z = (np.array([value + 1e-3 * np.pi]) for value in point)  # on no border
    detector = detector_of("still")
    assert cell_at(detector, layer_at(detector, z), x, y)[0] == brute_force(x[0], y[0], z[0])


@pytest.mark.parametrize("name", ["still", "calogan", "clic", "calochallenge-1-photons", "calochallenge-2"])
def test_the_middle_of_each_cell_is_in_it(name: str) -> None:
    detector = detector_of(name)
    x, y, z = detector.positions.T.astype(np.float32)
    assert np.array_equal(layer_at(detector, z), detector.layer_of_cell)
    assert np.array_equal(cell_at(detector, detector.layer_of_cell, x, y), np.arange(detector.n_cells))


def test_what_is_no_number_is_outside() -> None:
    detector, bad = detector_of("still"), np.array([np.nan, np.inf, -np.inf])
    assert set(layer_at(detector, bad)) == {-1}
    assert set(cell_at(detector, np.zeros(3, np.int64), bad, np.zeros(3))) == {-1}


# --- showerdata --------------------------------------------------------------------------------------


def points_file(path: Path, points: np.ndarray, **others: object) -> Path:
    """As showerdata 0.7 writes it, with h5py alone; `points` has the shape (n, hits, 4 or 5)."""
    n = len(points)
    columns = {
        "energies": np.full((n, 1), 50, np.float32),
        "directions": np.tile(np.float32([0, 0, 1]), (n, 1)),
        "pdg": np.full(n, 22, np.int32),
        "shower_ids": np.arange(n, dtype=np.int32),
        "num_points": np.full(n, points.shape[1], np.int32),
        "shape": np.array(points.shape),
    }
    with h5py.File(path, "w") as file:
        rows = file.create_dataset("showers", (n,), h5py.vlen_dtype(np.float32))
        for i, shower in enumerate(points):
            rows[i] = shower.astype(np.float32).ravel()
        for name, values in (columns | others).items():
            file[name] = values
    return path


def test_showerdata_reads_what_is_written(tmp_path: Path) -> None:
    showerdata = pytest.importorskip("showerdata")
    showers = make("calogan")
    path = convert(showers.save(tmp_path / "a.h5"), tmp_path / "b.showerdata.h5").path
    theirs = showerdata.load(path)
    assert showerdata.get_file_shape(path) == theirs.points.shape
    assert theirs.points.shape[1:] == ((showers.cells > 0).sum(axis=1).max(), 4)
    energy = showerdata.observables.calc_energy_per_layer(theirs, num_layers=3)
    assert np.allclose(
        energy, np.stack([s.sum(axis=(1, 2)) for s in showers.layers()], axis=1) / 1e3, rtol=1e-5
    )
    hits = showerdata.observables.calc_num_points_per_layer(theirs, num_layers=3)
    assert np.array_equal(hits.sum(axis=1), (showers.cells > 0).sum(axis=1))
    assert np.allclose(theirs.energies[:, 0], showers.incident.energy / 1e3)
    assert np.array_equal(theirs.pdg, showers.incident.pdg)
    assert np.allclose(np.arccos(theirs.directions[:, 2]), showers.incident.theta, atol=1e-3)
    first = theirs.points[0, 0]
    cell = np.flatnonzero(showers.cells[0])[0]
    assert np.allclose(first[:2], showers.detector.positions[cell, :2])


def test_what_showerdata_writes_is_read(tmp_path: Path) -> None:
    showerdata = pytest.importorskip("showerdata")
    rng, detector = np.random.default_rng(1), detector_of("calogan")
    points = np.zeros((6, 40, 5), np.float32)
    points[..., 0] = rng.uniform(-200, 200, (6, 40))
    points[..., 1] = rng.uniform(-200, 200, (6, 40))
    points[..., 2] = rng.integers(0, 3, (6, 40))
    points[..., 3] = rng.exponential(0.1, (6, 40))
    points[2, 10:] = 0  # padding
    angles = rng.uniform(0, 0.4, 6)
    direction = np.stack([np.sin(angles), 0 * angles, np.cos(angles)], axis=1)
    theirs = showerdata.Showers(points, rng.uniform(10, 100, 6), 11, direction)
    showerdata.save(theirs, tmp_path / "a.h5")
    with open_showers(tmp_path / "a.h5", detector) as file:
        ours = file.read(0, 6)
        assert file.format == "showerdata"
        assert any("times" in note for note in file.notes)
    energy = showerdata.observables.calc_energy_per_layer(theirs, num_layers=3)
    layers = np.stack([layer.sum(axis=(1, 2)) for layer in ours.layers()], axis=1)
    assert np.allclose(layers, 1e3 * energy, rtol=1e-5)
    assert np.allclose(ours.incident.theta, angles, atol=1e-6)
    assert np.allclose(ours.incident.energy, 1e3 * theirs.energies[:, 0])
    assert set(ours.incident.pdg) == {11}


def test_points_outside_are_counted_once(tmp_path: Path) -> None:
    inside, far, deep = [1.0, 1.0, 1.0, 2.0], [1e4, 0.0, 0.0, 1.0], [0.0, 0.0, 3.0, 1.0]
    path = points_file(tmp_path / "a.h5", np.array([[inside, far, deep]] * 4))
    with open_showers(path, detector_of("calogan")) as file:
        for start, stop in ((0, 2), (0, 2), (1, 4), (2, 3)):
            assert np.allclose(file.read(start, stop).cells.sum(axis=1), 2000)
        (note,) = [note for note in file.notes if "outside" in note]
    assert "8 of 12 hits with 50% of the energy" in note
    done = convert(path, tmp_path / "b.h5", detector=detector_of("calogan"))
    assert note in done.notes


def test_two_points_of_a_cell_are_added(tmp_path: Path) -> None:
    path = points_file(tmp_path / "a.h5", np.array([[[1, 1, 1.0, 2], [2, 2, 0.95, 3]]]))
    with open_showers(path, detector_of("calogan")) as file:
        cells = file.read(0, 1).cells
    assert np.count_nonzero(cells) == 1
    assert cells.sum() == pytest.approx(5000)


@pytest.mark.parametrize("filled", [0, 1, 2])
def test_showers_of_equally_many_hits_are_written(filled: int, tmp_path: Path) -> None:
    showers = make("calogan", 6)
    showers.cells[:] = np.float32(3) * (np.arange(504) < 252 * filled)
    path = convert(showers.save(tmp_path / "a.h5"), tmp_path / "b.showerdata.h5").path
    with open_showers(path, showers.detector) as file:
        assert np.allclose(file.read(0, 6).cells, showers.cells)


def test_long_lists_and_newer_files_are_read(tmp_path: Path) -> None:
    """More rows than are read at a time, in a file whose other tables have checksums."""
    showers = make("still", 600)
    path = convert(showers.save(tmp_path / "a.h5"), tmp_path / "b.showerdata.h5").path
    with h5py.File(path) as old, h5py.File(tmp_path / "new.h5", "w", libver="latest") as new:
        for name in old:
            old.copy(name, new)
    with open_showers(tmp_path / "new.h5", showers.detector) as file:
        assert np.allclose(file.read(0, 600).cells, showers.cells, rtol=1e-6)


# --- smeared -----------------------------------------------------------------------------------------

EVERY_KIND = """
name: every-kind
readout:
  deposits: all
  layers:
    - {thickness: 3 mm, grid: {kind: cartesian, window: [90 m, 30 mm], cells: [20000, 2]}}
    - {thickness: 3 mm, grid: {kind: polar, alpha: 7, r_edges: "0, 5, 20 mm"}}
    - {thickness: 3 mm, grid: {kind: polar, alpha: 1, r_edges: "1, 2, 8 mm"}}
    - {thickness: 3 mm, grid: {kind: hexagonal, cell: 12 mm, rings: 3}}
    - {thickness: 3 mm, grid: {kind: hexagonal, cell: 7 mm, window: 50 mm}}
    - thickness: 3 mm
      grid:
        kind: cells
        outline: "-9 -8, 9 -8, 3 9 mm"
        centres: "-6 -6, 0 -5, 6 -7, 2 0 mm"
        outside: "3 5 mm"
"""


def points_of(path: Path) -> np.ndarray:
    """All points of a file, shape (points, 4)."""
    with h5py.File(path) as file:
        return np.concatenate(file["showers"][:]).reshape(-1, 4)


def test_smeared_points_are_in_their_cells(tmp_path: Path) -> None:
    """Also where cells are long or far away: float32 has 250 places across those of the first layer."""
    detector = Detector.from_yaml(EVERY_KIND)
    cells = np.random.default_rng(2).exponential(5, (3, detector.n_cells)).astype(np.float32)
    made = Showers(detector, Incident.of(np.full(3, 5e4), 22), cells).save(tmp_path / "a.h5")
    path = convert(made, tmp_path / "b.showerdata.h5", smear=True).path
    with open_showers(path, detector) as file:
        assert np.allclose(file.read(0, 3).cells, cells, rtol=1e-6)
        assert not any("outside" in note for note in file.notes)
    places, middles = points_of(path)[:, :2], np.tile(detector.positions[:, :2], (3, 1))
    assert (places != middles.astype(np.float32)).any(axis=1).all()
    again = convert(made, tmp_path / "c.showerdata.h5", smear=True).path
    assert np.array_equal(points_of(again), points_of(path))


def test_places_of_a_shower_do_not_depend_on_the_others() -> None:
    showers = make("still")
    hits = Sparse.of(showers.incident, showers.cells, None)
    every = smeared(showers.detector, hits, 0)
    assert np.array_equal(smeared(showers.detector, hits[15:20], 15), every[hits.offset[15] :])
    assert not np.array_equal(smeared(showers.detector, hits[15:20], 16), every[hits.offset[15] :])


@pytest.mark.parametrize("layer", [1, 2, 3, 5])
def test_places_are_uniform_in_the_area_of_a_cell(layer: int) -> None:
    """Moments are those of points anywhere in the layer, of which those in the cell are kept."""
    grid, rng = Detector.from_yaml(EVERY_KIND).layers[layer].grid, np.random.default_rng(1)
    anywhere = rng.uniform(-1, 1, (400_000, 2)) * grid.reach
    owner = grid.index(*anywhere.T)
    for cell in range(min(grid.n_cells, 4)):
        places = grid.within(np.full(20_000, cell), rng.random((20_000, 3)))
        wanted = anywhere[owner == cell]
        for power in ((1, 0), (0, 1), (2, 0), (0, 2), (1, 1)):
            ours, theirs = (np.prod(points**power, axis=1) for points in (places, wanted))
            error = np.hypot(ours.std() / np.sqrt(len(ours)), theirs.std() / np.sqrt(len(theirs)))
            assert abs(ours.mean() - theirs.mean()) < 5 * error


@pytest.mark.parametrize("uniform", [0.0, 1 - 2**-53])
def test_the_ends_of_the_uniform_numbers_are_at_the_border(uniform: float) -> None:
    for layer in Detector.from_yaml(EVERY_KIND).layers:
        cell = np.arange(layer.n_cells)
        places = layer.grid.within(cell, np.full((layer.n_cells, 3), uniform))
        towards = places + 1e-6 * (layer.grid.centres() - places)
        whole_rings = layer.grid.shape[0] == 1  # their "centre" is across the hole
        assert whole_rings or np.array_equal(layer.grid.index(*towards.T), cell)


def test_other_formats_have_no_points_to_smear(tmp_path: Path) -> None:
    with pytest.raises(ShowersError, match="calogan holds no points") as error:
        convert(make("calogan").save(tmp_path / "a.h5"), tmp_path / "b.calogan.h5", smear=True)
    assert "--to showerdata" in str(error.value)
    assert not (tmp_path / "b.calogan.h5").exists()


WRONG = {
    "half a point": ({"shape": np.array([2, 3, 5])}, "whole points"),
    "columns": ({"shape": np.array([2, 3, 3])}, "4 or 5 columns"),
    "no number": ({"shape": np.array([2, 3, np.nan])}, "4 or 5 columns"),
    "another length": ({"energies": np.ones((3, 1))}, "wrong shape"),
    "directions": ({"directions": np.ones((2, 2))}, "wrong shape"),
    "negative": ({}, "negative"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_points_get_one_clear_message(name: str, tmp_path: Path) -> None:
    others, message = WRONG[name]
    energy = -1.0 if name == "negative" else 1.0
    path = points_file(tmp_path / "wrong.h5", np.array([[[1.0, 1, 1, energy]] * 3] * 2), **others)
    with pytest.raises(ShowersError, match=message) as error:
        convert(path, tmp_path / "b.h5", detector=detector_of("calogan"))
    assert "wrong.h5" in str(error.value)


def test_points_without_a_detector_are_refused(tmp_path: Path) -> None:
    path = points_file(tmp_path / "a.h5", np.ones((2, 3, 4)))
    with pytest.raises(ShowersError, match="does not say what was hit") as error:
        open_showers(path)
    assert "--detector" in str(error.value)


def test_lists_that_were_never_written_are_refused(tmp_path: Path) -> None:
    points_file(tmp_path / "a.h5", np.ones((2, 3, 4)))
    with h5py.File(tmp_path / "a.h5", "a") as file:
        del file["showers"], file["energies"]
        lists = h5py.vlen_dtype(np.float32)
        file.create_dataset("showers", (1 << 40,), lists, chunks=(1 << 20,))
        file.create_dataset("energies", (1 << 40, 1), np.float32, chunks=(1 << 20, 1))
    with pytest.raises(ShowersError, match="claims more than the file stores"):
        open_showers(tmp_path / "a.h5", detector_of("calogan"))


# --- Getting High ------------------------------------------------------------------------------------


def getting_high(path: Path, showers: Showers, unit: float) -> Path:
    with h5py.File(path, "w") as file:
        file["25x25/energy"] = showers.incident.energy[:, None] / 1e3
        file["25x25/layers"] = showers.cells.reshape(-1, 25, 25, 25) / unit
    return path


@pytest.mark.parametrize(("unit", "said"), [(1.0, "MeV"), (1e3, "GeV")])
def test_getting_high_in_either_unit(unit: float, said: str, tmp_path: Path) -> None:
    made = make("clic")
    energy = made.cells.sum(axis=1) / 0.3 + 1
    showers = replace(made, incident=Incident.of(energy))
    path = getting_high(tmp_path / "a.h5", showers, unit)
    with open_showers(path, particle="gamma") as file:
        back = file.read(0, 20)
        assert (file.format, file.detector.name) == ("getting-high", "clic")
        assert any(f"cells are taken to be in {said}: they add up to" in note for note in file.notes)
    assert np.allclose(back.cells, showers.cells, rtol=1e-6)
    assert np.allclose(back.incident.energy, showers.incident.energy, rtol=1e-6)
    assert set(back.incident.pdg) == {22}


def test_getting_high_without_energies_says_no_ratio(tmp_path: Path) -> None:
    showers = replace(make("clic"), incident=Incident.of(np.zeros(20)))
    showers.cells[:] = 0
    with open_showers(getting_high(tmp_path / "a.h5", showers, 1.0)) as file:
        assert "cells are taken to be in MeV" in file.notes


def test_getting_high_is_written_as_their_program_does(tmp_path: Path) -> None:
    showers = make("clic")
    with h5py.File(convert(showers.save(tmp_path / "a.h5"), tmp_path / "b.getting-high.h5").path) as file:
        assert list(file) == ["25x25"]
        assert file["25x25/energy"].shape == (20, 1)
        assert np.allclose(file["25x25/energy"][:, 0], showers.incident.energy / 1e3)
        # The layer comes first, then x and y.
        assert np.array_equal(file["25x25/layers"][3, 7], showers.layers()[7][3])


def test_getting_high_holds_equal_layers_only(tmp_path: Path) -> None:
    with pytest.raises(ShowersError, match="equal shape"):
        convert(make("calogan").save(tmp_path / "a.h5"), tmp_path / "b.getting-high.h5")
    assert not (tmp_path / "b.getting-high.h5").exists()

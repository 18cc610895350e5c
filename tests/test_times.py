"""Times of cells: means of what is seen, by the clock of the gate, and the same wherever showers go."""

from __future__ import annotations

from dataclasses import replace

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

import caloforge as cf
from caloforge.cli.main import app
from caloforge.detector import Detector
from caloforge.errors import DetectorError, ShowersError
from caloforge.showers import (
    Incident,
    ShowerFile,
    Showers,
    ShowerWriter,
    StreamingReader,
    convert,
    inspect,
    merge,
)
from caloforge.truth.readout import Readout
from caloforge.truth.steps import Steps
from caloforge.truth.visible import clock

LIGHT = 299.792458  # mm/ns
BOX = """
name: box
shape: {shape}
size: [{size}]
{radius}
stack: [{{slabs: [{{material: G4_Si, thickness: 20 mm, active: true}}]}}]
readout:
  deposits: active
  time: mean
  {more}
  layers:
    - {{count: 2, thickness: 10 mm, grid: {grid}}}
"""
SQUARES = "{kind: cartesian, window: [60 mm, 60 mm], cells: [6, 6]}"
GRIDS = {
    "cartesian": SQUARES,
    "polar": '{kind: polar, r_edges: "0, 5, 15, 30 mm", alpha: 5}',
    "hexagonal": "{kind: hexagonal, cell: 12 mm, rings: 2}",
}
LINES = np.dtype([("value", "f8"), ("start", "f8", 3), ("end", "f8", 3), ("time", "f8", 2)])
POINTS = np.dtype([("value", "f8"), ("position", "f8", 3), ("time", "f8")])


def box(grid="cartesian", more="", shape="planar", size="1 m, 1 m", radius=""):
    return Detector.from_yaml(BOX.format(grid=GRIDS[grid], more=more, shape=shape, size=size, radius=radius))


def read(detector, start, end, time, energy, shower=None):
    """Showers of steps whose ends are in mm and whose times are in ns."""
    shower = np.zeros(len(start), np.int64) if shower is None else shower
    n = int(shower.max()) + 1
    steps = Steps(shower, np.array([len(start)]), energy, start / 10, end / 10, time)
    return Readout(detector).showers([steps], Incident.of(np.full(n, 1e3), pdg=11))


# --- what a time is


def test_a_line_has_in_each_cell_the_time_of_the_middle_of_its_piece():
    # From x = -25 to 25 mm in 5 ns, cut at every 10 mm.
    start, end = np.array([[-25.0, 1, 5]]), np.array([[25.0, 1, 5]])
    showers = read(box(), start, end, np.array([[2.0, 7.0]]), np.array([50.0]))
    front = showers.time.reshape(2, 6, 6)[0]
    assert front[:, 3] == pytest.approx([2.25, 3, 4, 5, 6, 6.75], rel=1e-6)
    assert np.count_nonzero(showers.time) == 6


def test_a_cell_has_the_mean_weighted_with_energy():
    start = np.array([[1.0, 1, 1], [2.0, 2, 2], [1.0, 1, 15]])
    time = np.array([[1.0, 1.0], [5.0, 7.0], [9.0, 9.0]])
    showers = read(box(), start, start, time, np.array([3.0, 1.0, 2.0]))
    assert showers.time[0, showers.cells[0] > 0] == pytest.approx([(3 * 1 + 1 * 6) / 4, 9.0])
    # Neither the sampling fraction nor other showers matter, and what is below the threshold has no time.
    other = box(more="sampling_fraction: 0.5\n  threshold: 5 MeV")
    both = np.concatenate([start, start])
    showers = read(
        other, both, both, np.tile(time, (2, 1)), np.tile([3.0, 1.0, 2.0], 2), np.repeat([0, 1], 3)
    )
    assert np.count_nonzero(showers.time, axis=1).tolist() == [1, 1]
    assert showers.time.max(axis=1) == pytest.approx([2.25, 2.25])


@pytest.mark.parametrize("grid", GRIDS)
def test_times_are_those_of_many_small_pieces(grid):
    """Against the sum over ten thousand points of each line."""
    detector, rng, n, k = box(grid), np.random.default_rng(5), 40, 10_000
    start, end = (rng.uniform([-28, -28, 0.1], [28, 28, 19.9], (n, 3)) for _ in range(2))
    time, energy = np.sort(rng.exponential(3, (n, 2)), axis=1), rng.exponential(1, n)
    found = read(detector, start, end, time, energy)
    part = ((np.arange(k) + 0.5) / k)[None, :, None]
    points = (start[:, None] * (1 - part) + end[:, None] * part).reshape(-1, 3)
    when = (time[:, :1] * (1 - part[..., 0]) + time[:, 1:] * part[..., 0]).ravel()
    weight = np.repeat(energy / k, k)
    layer = (points[:, 2] >= 10).astype(int)
    cell = detector.layers[0].grid.index(points[:, 0], points[:, 1])
    flat = np.where(cell < 0, -1, layer * detector.layers[0].n_cells + cell)
    inside = flat >= 0
    sums = np.bincount(flat[inside], weight[inside], detector.n_cells)
    moments = np.bincount(flat[inside], (weight * when)[inside], detector.n_cells)
    large = np.flatnonzero(sums > 0.1)
    assert len(large) > 20
    assert found.time[0, large] == pytest.approx(moments[large] / sums[large], abs=5e-3)
    assert found.cells[0, large] == pytest.approx(sums[large], rel=5e-3)


def test_a_window_that_moves_takes_times_along():
    start = np.array([[23.0, -15, 5], [24.0, -15, 5]])
    showers = read(
        box(more="centre: barycentre"), start, start, np.array([[4.0, 4], [8.0, 8]]), np.array([1.0, 3.0])
    )
    assert showers.time[0, showers.cells[0] > 0] == pytest.approx([7.0])
    assert showers.time.max() == 7.0


def test_the_clock_starts_when_light_from_the_front_face_could_be_there():
    depth = 15.0
    line = np.array([(1.0, [0, 0, depth / 10], [0, 0, depth / 10 + 0.3], np.array([2.0, 2.5]) * 1e-9)], LINES)
    point = np.array([(1.0, [3, 4, depth / 10], 2e-9)], POINTS)
    late = 2.0 - depth / LIGHT
    assert clock(box())(line) == pytest.approx(np.array([[late, 2.5 - 18.0 / LIGHT]]), abs=1e-12)
    assert clock(box())(point) == pytest.approx(np.array([[late, late]]), abs=1e-12)
    assert clock(box(), before=600.0)(point) == pytest.approx(np.full((1, 2), late - 600 / LIGHT), abs=1e-12)
    barrel = box(shape="barrel", size="1 m", radius="inner_radius: 500 mm")
    around = np.array([(1.0, [30.9, 41.2, -20.0], 2e-9)], POINTS)  # 515 mm from the axis
    assert clock(barrel)(around) == pytest.approx(np.full((1, 2), late), abs=1e-12)


def test_times_are_asked_for_and_no_energy_depends_on_them():
    timed = box()
    plain = timed.changed(readout=timed.readout.model_copy(update={"time": None}))
    assert clock(plain) is None
    assert "time: mean" in timed.to_yaml()
    assert Detector.from_yaml(timed.to_yaml()) == timed != plain
    assert timed.digest == plain.digest  # one generator serves both
    with pytest.raises(DetectorError, match="'first' is not possible here"):
        Detector.from_yaml(timed.to_yaml().replace("time: mean", "time: first"))
    start = np.array([[1.0, 1, 1]])
    assert read(plain, start, start, None, np.ones(1)).time is None


# --- wherever showers go


def toy(n=30, seed=1, detector=None):
    """Showers with times; one of them is empty."""
    detector, rng = detector or box(), np.random.default_rng(seed)
    cells = rng.exponential(5, (n, detector.n_cells)) * (rng.random((n, detector.n_cells)) < 0.2)
    cells[n // 2] = 0
    time = np.where(cells > 0, rng.exponential(2, cells.shape), 0)
    incident = Incident.of(rng.uniform(1e3, 1e4, n), pdg=11)
    outside = rng.random((n, detector.n_layers))
    return Showers(detector, incident, cells, outside, {}, time)


def untimed(showers):
    return replace(showers, time=None)


def assert_same(found, expected):
    for name in ("cells", "time", "overflow"):
        assert np.array_equal(getattr(found, name), getattr(expected, name)), name


def test_a_file_keeps_times_bit_for_bit(tmp_path):
    showers = toy()
    with ShowerWriter(tmp_path / "s.h5", showers.detector, {}) as writer:
        for first in range(0, 30, 7):
            writer.append(showers[first : first + 7])
        with ShowerFile(tmp_path / "s.h5.part") as file:
            assert file.time
            assert_same(file.read(3, 25), showers[3:25])
    assert_same(Showers.load(tmp_path / "s.h5"), showers)
    with h5py.File(tmp_path / "s.h5") as file:
        assert file["cells/time"].attrs["unit"] == b"ns"
        assert np.array_equal(file["cells/time"][:], showers.time[showers.cells > 0])
    rows = np.array([4, 2, 9])
    assert_same(Showers.concat([showers[rows], showers[:2]]), showers[np.array([4, 2, 9, 0, 1])])
    assert Showers.concat([showers, untimed(showers)]).time is None


def test_a_batch_for_training_has_the_times_of_its_showers(tmp_path):
    showers = toy()
    path = showers.save(tmp_path / "s.h5")
    place = {energy: i for i, energy in enumerate(showers.incident.energy.tolist())}
    with StreamingReader(path, 6, seed=2, select=(0.0, 1.0)) as reader:
        for batch in reader.epoch():
            rows = np.array([place[energy] for energy in batch.incident.energy.tolist()])
            assert_same(batch, showers[rows])


def test_a_file_has_times_of_all_showers_or_of_none(tmp_path):
    showers = toy()
    untimed(showers).save(tmp_path / "plain.h5")
    with h5py.File(tmp_path / "plain.h5") as file:
        assert sorted(file["cells"]) == ["energy", "index", "offset"]
    with ShowerFile(tmp_path / "plain.h5") as file:
        assert not file.time
        assert file.read(0, 5).time is None
    with ShowerWriter(tmp_path / "s.h5", showers.detector, {}) as writer:
        writer.append(showers)
        with pytest.raises(ShowersError, match="times must be kept for all"):
            writer.append(untimed(showers))
    plain = showers.detector.changed(readout=showers.detector.readout.model_copy(update={"time": None}))
    with pytest.raises(ShowersError, match=r"another `readout.time`"):
        ShowerWriter(tmp_path / "s.h5", plain, {}, resume=True)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_times_that_are_no_numbers_are_refused(tmp_path, bad):
    showers = toy()
    with pytest.raises(ShowersError, match="impossible times"):
        replace(showers, time=np.full_like(showers.cells, bad))
    path = showers.save(tmp_path / "s.h5")
    with h5py.File(path, "r+") as file:
        file["cells/time"][3] = bad
    with pytest.raises(ShowersError, match="impossible times"):
        Showers.load(path)


def test_a_damaged_file_is_refused(tmp_path):
    path = toy().save(tmp_path / "s.h5")
    with h5py.File(path, "r+") as file:
        short = file["cells/time"][:-1]
        del file["cells/time"]
        file["cells/time"] = short
    with pytest.raises(ShowersError):
        Showers.load(path)


def test_times_have_the_shape_of_cells():
    showers = toy()
    with pytest.raises(ShowersError, match="the times have the wrong shape"):
        replace(showers, time=showers.time[:, 1:])


@pytest.mark.parametrize("suffix", ["h5", "parquet", "root"])
def test_formats_with_a_place_keep_times(tmp_path, suffix):
    pytest.importorskip("pyarrow")
    pytest.importorskip("uproot")
    showers = toy()
    path, other, back = showers.save(tmp_path / "s.h5"), tmp_path / f"o.{suffix}", tmp_path / "b.h5"
    assert not convert(path, other).notes
    convert(other, back)
    assert_same(Showers.load(back), showers)
    assert len({inspect(name)["checksum"] for name in (path, other, back)}) == 1


def test_tables_have_a_column_of_times(tmp_path):
    parquet, uproot = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("uproot")
    showers = toy()
    path = showers.save(tmp_path / "s.h5")
    expected = [row[cells > 0].tolist() for row, cells in zip(showers.time, showers.cells, strict=True)]
    for name in ("o.parquet", "o.root"):
        convert(path, tmp_path / name)
    assert parquet.read_table(tmp_path / "o.parquet").column("cell_time").to_pylist() == expected
    with uproot.open(tmp_path / "o.root") as file:
        assert file["showers"]["cell_time"].array().tolist() == expected


def test_hits_of_one_cell_in_a_table_have_their_mean(tmp_path):
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = {
        "energy": [1e3, 1e3],
        "pdg": [11, 11],
        "cell_index": [[5, 5, 7], []],
        "cell_energy": [[1.0, 3.0, 2.0], []],
        "cell_time": [[2.0, 6.0, 1.5], []],
    }
    for name, values in (("good", 2.0), ("bad", float("nan"))):
        columns["cell_time"][0][0] = values
        parquet.write_table(pa.table(columns), tmp_path / f"{name}.parquet")
    with cf.showers.open_showers(tmp_path / "good.parquet", box()) as file:
        showers = file.read(0, 2)
    assert showers.time[0, [5, 7]].tolist() == [5.0, 1.5]
    assert np.count_nonzero(showers.time) == 2
    with (
        cf.showers.open_showers(tmp_path / "bad.parquet", box()) as file,
        pytest.raises(ShowersError, match="impossible times"),
    ):
        file.read(0, 2)


def test_formats_without_a_place_name_what_is_lost(tmp_path):
    path = toy().save(tmp_path / "s.h5")
    notes = convert(path, tmp_path / "s.npz").notes
    assert notes == ("the format npz has no place for: overflow, times of cells",)


def test_fewer_layers_and_cells_have_means(tmp_path):
    showers = toy()
    path = showers.save(tmp_path / "s.h5")
    time, energy = (a.astype(float).reshape(-1, 2, 6, 6) for a in (showers.time, showers.cells))

    def made(**how):
        convert(path, out := tmp_path / f"{next(iter(how))}.h5", **how)
        return Showers.load(out).time.reshape(-1)

    def means(energy, moment):
        return np.divide(moment, energy, out=np.zeros_like(energy), where=energy > 0).reshape(-1)

    assert np.array_equal(made(layers=["layer_1"]), time[:, 1].astype(np.float32).reshape(-1))
    assert made(crop=(2, 4)) == pytest.approx(time[:, :, 2:4, 1:5].reshape(-1), rel=1e-6)
    flat = means(energy.sum(1), (energy * time).sum(1))
    assert made(flatten=True) == pytest.approx(flat, rel=1e-6)
    pairs = (a.reshape(-1, 2, 3, 2, 2, 3).sum((3, 5)) for a in (energy, energy * time))
    assert made(rebin=(2, 3)) == pytest.approx(means(*pairs), rel=1e-6)


def test_inspect_says_when_the_energy_is_there(tmp_path):
    showers = toy(n=2000)
    path = showers.save(tmp_path / "s.h5")
    found = inspect(path)
    for layer, (said, cells) in enumerate(zip(found["layers"], showers.layers(), strict=True)):
        time = showers.time[:, showers.detector.layers[layer].cells]
        weight, when = cells.astype(float).ravel(), time.astype(float).ravel()
        order = np.argsort(when)
        sums = np.cumsum(weight[order]) / weight.sum()
        for key, share in (("median", 0.5), ("p90", 0.9)):
            exact = when[order][np.searchsorted(sums, share)]
            assert said["time"][key] == pytest.approx(exact, rel=0.02)
        assert said["time"]["mean"] == pytest.approx(np.average(when, weights=weight), rel=1e-9)
        hit = when[weight > 0]
        assert (said["time"]["least"], said["time"]["greatest"]) == (hit.min(), hit.max())
    text = CliRunner().invoke(app, ["inspect", str(path)]).output
    assert "ns after light from the front face" in text
    assert "90 % by" in text
    plain = untimed(showers).save(tmp_path / "plain.h5")
    assert {layer["time"] for layer in inspect(plain)["layers"]} == {None}
    assert "90 % by" not in CliRunner().invoke(app, ["inspect", str(plain)]).output
    assert inspect(plain)["checksum"] != found["checksum"]


# --- Geant4

TELESCOPE = """
name: telescope
shape: {shape}
size: [{size}]
{radius}
stack:
  - repeat: 8
    slabs:
      - {{material: G4_Galactic, thickness: 99.95 mm}}
      - {{material: G4_Si, thickness: 0.05 mm, active: true}}
readout:
  deposits: active
  time: mean
  layers: [{{count: 8, thickness: 100 mm, grid: {{kind: cartesian, window: [4 m, 4 m], cells: [1, 1]}}}}]
"""
PLATES = {
    "planar": {"shape": "planar", "size": "4 m, 4 m", "radius": ""},
    "barrel": {"shape": "barrel", "size": "3 m", "radius": "inner_radius: 1 m"},
}


@pytest.mark.geant4
@pytest.mark.parametrize(("shape", "angle"), [("planar", 0), ("planar", 50), ("barrel", 0), ("barrel", 50)])
def test_a_muon_is_late_by_its_speed(tmp_path, shape, angle):
    """Through thin plates it flies nearly straight with one speed; in a barrel the angle is to the radius."""
    kinetic, mass = 100.0, 105.6584
    cf.simulate(
        Detector.from_yaml(TELESCOPE.format(**PLATES[shape])),
        particle="mu-",
        energy=f"{kinetic}MeV",
        theta=f"{angle}deg",
        phi="90deg",
        count=20,
        out=tmp_path / "s.h5",
    )
    beta = np.sqrt(1 - (mass / (mass + kinetic)) ** 2)
    depth = 100.0 * np.arange(1, 9) - 0.025
    path = depth / np.cos(np.radians(angle))
    found = Showers.load(tmp_path / "s.h5").time
    assert np.median(found, axis=0) == pytest.approx((path / beta - depth) / LIGHT, rel=0.01)


SANDWICH = """
name: sandwich
shape: planar
size: [1 m, 1 m]
stack:
  - repeat: 20
    slabs:
      - {{material: G4_Fe, thickness: 20 mm}}
      - {{material: G4_POLYSTYRENE, thickness: 5 mm, active: true}}
readout:
  deposits: active
  {more}
  layers:
    - {{count: 20, thickness: 25 mm, grid: {{kind: cartesian, window: [720 mm, 720 mm], cells: [24, 24]}}}}
"""


def sandwich(more):
    return Detector.from_yaml(SANDWICH.format(more=more))


@pytest.mark.geant4
def test_times_of_a_shower_are_those_of_geant4_alone(tmp_path):
    """Median of the cells of more than 1 MeV, ps, by layer, of 700 electrons of 3 GeV.

    From a program of geant4_pybind 0.1.3 (Geant4 11.4, G4EmStandardPhysics, cut 0.7 mm), which sums energy
    and energy times time of the middle of each step by itself. Errors are those of resampled showers.
    """
    expected = {2: (8.37, 0.26), 4: (12.06, 0.31), 6: (13.99, 0.34), 8: (15.26, 0.63)}
    out = tmp_path / "s.h5"
    cf.simulate(sandwich("time: mean"), particle="e-", energy="3GeV", count=400, out=out)
    showers = Showers.load(out)
    for layer, (median, error) in expected.items():
        part = showers.detector.layers[layer].cells
        cells, time = showers.cells[:, part], showers.time[:, part]
        found = 1e3 * np.median(time[cells > 1])
        assert found == pytest.approx(median, abs=4 * error * np.sqrt(1 + 7 / 4)), layer


@pytest.mark.geant4
def test_times_are_the_same_however_they_are_made(tmp_path):
    """Jobs, readouts, an interruption, and parts that are merged."""
    how = {"particle": "pi-", "energy": "5GeV", "physics": "FTFP_BERT", "seed": 4}
    timed, other = sandwich("time: mean"), sandwich("gate: 1 ns\n  time: mean").changed(name="gated")
    one, two = tmp_path / "one.h5", tmp_path / "two.h5"
    cf.simulate(timed, count=8, out=one, readouts=[other], **how)
    cf.simulate(timed, count=3, out=two, **how)
    cf.simulate(timed, count=5, first=3, out=tmp_path / "rest.h5", jobs=2, **how)
    merge([two, tmp_path / "rest.h5"], tmp_path / "all.h5")
    whole = Showers.load(one)
    assert_same(Showers.load(tmp_path / "all.h5"), whole)
    gated = Showers.load(tmp_path / "one.gated.h5")
    assert whole.time.max() > 1 >= gated.time.max() > 0.5
    plain = sandwich("frame: detector")
    cf.simulate(plain, count=8, out=tmp_path / "plain.h5", **how)
    without = Showers.load(tmp_path / "plain.h5")
    assert without.time is None
    assert np.array_equal(without.cells, whole.cells)
    cf.simulate(plain, count=5, first=3, out=tmp_path / "later.h5", **how)
    with pytest.raises(ShowersError, match="another time"):
        merge([two, tmp_path / "later.h5"], tmp_path / "mixed.h5")

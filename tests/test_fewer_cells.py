"""`convert --rebin` and `--crop`: energies of coarser and smaller grids, their detector, and what is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import caloforge as cf
from caloforge.detector import CartesianGrid, Detector, PolarGrid, load_detector
from caloforge.errors import CaloforgeError, ShowersError
from caloforge.showers import Incident, Showers
from caloforge.showers.reduced import reduce
from test_formats_cli import run
from tiny_toys import planar

HITS = 4000


def _scattered(detector: Detector, grid_of: Detector, n: int = 3) -> Showers:
    """Points of energy, summed by numpy's own histogram in the cells of a detector.

    The same points for every detector: only what sums them differs.
    """
    rng = np.random.default_rng(9)
    cells, overflow = [], []
    for _ in range(n):
        row, beside = [], []
        for layer in grid_of.layers:
            r, a = rng.uniform(0, 1.05 * layer.grid.reach[0], HITS), rng.uniform(-np.pi, np.pi, HITS)
            energy = rng.exponential(1.0, HITS)
            row.append(_summed(detector.layers[layer.index].grid, r * np.cos(a), r * np.sin(a), energy))
            beside.append(energy.sum() - row[-1].sum())
        cells.append(np.concatenate(row))
        overflow.append(beside)
    return Showers(detector, Incident.of(np.full(n, 1e5)), np.array(cells), np.array(overflow))


def _summed(grid: CartesianGrid | PolarGrid, x: np.ndarray, y: np.ndarray, energy: np.ndarray) -> np.ndarray:
    if isinstance(grid, CartesianGrid):
        return np.histogram2d(x, y, (grid.x_edges, grid.y_edges), weights=energy)[0].ravel()
    alpha, r = np.arctan2(y, x), np.hypot(x, y)
    return np.histogram2d(alpha, r, (grid.alpha_edges, grid.r_edges), weights=energy)[0].ravel()


@pytest.mark.parametrize(
    ("name", "options", "shape"),
    [
        ("clic", {"rebin": (5, 5)}, (5, 5)),
        ("clic-angle", {"crop": (25, 25)}, (25, 25)),
        ("clic-angle", {"crop": (45, 15), "rebin": (3, 5)}, (15, 3)),
        ("ild-5", {"rebin": (2, 3)}, (6, 4)),
        ("calochallenge-2", {"rebin": (4, 3)}, (4, 3)),
        ("calochallenge-2", {"crop": (6,), "rebin": (1, 2)}, (16, 3)),
    ],
)
def test_showers_are_what_the_new_grid_would_have_held(
    name: str, options: dict[str, tuple[int, ...]], shape: tuple[int, int]
) -> None:
    """The same points, summed in the fine grid and reduced, or summed in the new grid at once."""
    source = load_detector(name)
    reduction = reduce(source, **options)
    made, expected = reduction(_scattered(source, source)), _scattered(reduction.detector, source)
    assert {layer.shape for layer in reduction.detector.layers} == {shape}
    np.testing.assert_allclose(made.cells, expected.cells, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(made.overflow, expected.overflow, rtol=1e-5)
    assert reduction.detector.slabs == source.slabs


def test_no_energy_is_lost() -> None:
    """Sums are of float64: no more is lost than rounding each cell to float32 does."""
    source = load_detector("clic-angle")
    before = _scattered(source, source)
    after = reduce(source, crop=(35, 35), rebin=(7, 5))(before)
    assert before.overflow is not None
    assert after.overflow is not None
    whole = before.cells.sum(1, dtype=float) + before.overflow.sum(1, dtype=float)
    now = after.cells.sum(1, dtype=float) + after.overflow.sum(1, dtype=float)
    np.testing.assert_allclose(now, whole, rtol=1e-7)


def test_cells_that_are_whole_numbers_are_added_exactly() -> None:
    source = Detector.from_yaml(planar((4, 6, 10)))
    cells = np.arange(48, dtype=np.float32).reshape(2, 24)
    made = reduce(source, rebin=(2, 3))(Showers(source, Incident.of([1e3, 1e3]), cells))
    images = cells.reshape(2, 4, 6)
    expected = [[images[:, i : i + 2, j : j + 3].sum((1, 2)) for j in (0, 3)] for i in (0, 2)]
    assert np.array_equal(made.layers()[0], np.moveaxis(expected, 2, 0))
    assert made.overflow is None


def test_a_third_factor_adds_up_layers() -> None:
    source = load_detector("clic")
    rng = np.random.default_rng(1)
    cells = rng.exponential(1.0, (2, source.n_cells)).astype(np.float32)
    reduction = reduce(source, rebin=(5, 5, 5))
    made = reduction(Showers(source, Incident.of([1e4, 1e4]), cells))
    expected = cells.astype(float).reshape(2, 5, 5, 5, 5, 5, 5).sum((2, 4, 6))
    np.testing.assert_allclose(made.cells.reshape(2, 5, 5, 5), expected, rtol=1e-6)
    detector = reduction.detector
    assert (detector.name, detector.layers[0].name) == ("clic-rebin5x5x5", "layer_0-layer_4")
    assert detector.layers[-1].end == source.layers[-1].end


def test_what_was_done_is_said_and_kept(tmp_path: Path) -> None:
    source = load_detector("clic-angle")
    showers = _scattered(source, source)
    Showers(source, showers.incident, showers.cells).save(tmp_path / "a.h5")
    done = cf.convert(tmp_path / "a.h5", tmp_path / "b.h5", crop=(45, 45), rebin=(3, 3))
    after = Showers.load(tmp_path / "b.h5")
    assert done.detector == after.detector.name == "clic-angle-crop45x45-rebin3x3"
    step = after.provenance["converted"][-1]
    assert (step["crop"], step["rebin"]) == ([45, 45], [3, 3])
    share = 1 - after.cells.sum(dtype=float) / showers.cells.sum(dtype=float)
    assert f"{share:.2%} of the energy in cells was beside those kept, and is now overflow" in done.notes
    assert "what lay beside all cells is not in the overflow: it was not kept" in done.notes
    assert any("windows were centred with the cells of clic-angle" in note for note in done.notes)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rebin": (2, 2)}, r"layer_0 of 3 x 96 cells(.|\n)*x by 1, 3; y by 1, 2, 3, 4, 6"),
        ({"rebin": (1, 1)}, "change nothing"),
        ({"rebin": (2,)}, "2x2"),
        ({"rebin": (0, 1)}, "not numbers of cells"),
        ({"rebin": (3, 2, 2), "layers": ["layer_1", "layer_2"]}, r"2 of 1, 1 layers(.|\n)*expected: *1"),
        ({"crop": (12, 12)}, r"no 12 cells in the middle of 3(.|\n)*expected: *1, 3"),
        ({"crop": (3,)}, "--crop 11x11"),
        ({"crop": (3, 95)}, r"y(.|\n)*2, 4, 6, 8, 10, ..., 88"),
        ({"crop": (12, 12), "layers": ["layer_1"]}, "no layer has more cells"),
    ],
)
def test_what_does_not_divide_is_refused_with_what_does(
    options: dict[str, tuple[int, ...]], words: str
) -> None:
    with pytest.raises(ShowersError, match=words):
        reduce(load_detector("calogan"), **options)


def test_50_sectors_do_not_become_16() -> None:
    with pytest.raises(ShowersError, match=r"sectors by 1, 2, 5, 10, 25, 50; rings by 1, 2, 3, 6, 9, 18"):
        reduce(load_detector("calochallenge-3"), rebin=(3, 2))
    with pytest.raises(ShowersError, match="--crop 9"):
        reduce(load_detector("calochallenge-3"), crop=(10, 9))


def test_layers_are_added_up_in_one_way_only() -> None:
    with pytest.raises(ShowersError, match="--flatten"):
        reduce(load_detector("clic"), flatten=True, rebin=(1, 1, 5))


def test_electronics_stay_with_whole_cells() -> None:
    source = Detector.from_yaml(planar((4, 6, 10)) + "digitisation: {noise: 1 MeV}\n")
    assert reduce(source, crop=(2, 2)).detector.digitisation == source.digitisation
    added = reduce(source, rebin=(2, 2))
    assert added.detector.digitisation is None
    assert "the electronics of single cells are left out" in added.notes()


def test_the_command_does_the_same(tmp_path: Path) -> None:
    source = load_detector("clic-angle")
    file = _scattered(source, source).save(tmp_path / "a.h5")
    out = run("convert", file, tmp_path / "b.h5", "--crop", "45x45", "--rebin", "3x3x5").output
    assert "3 showers of clic-angle-crop45x45-rebin3x3x5" in out
    assert Showers.load(tmp_path / "b.h5").detector.n_cells == 15 * 15 * 5
    with pytest.raises(CaloforgeError, match=r"--rebin(.|\n)*2x2"):
        run("convert", file, tmp_path / "c.h5", "--rebin", "two")


def test_hexagons_are_added_up_by_layers_only():
    hexagons = load_detector("hgcal-like")
    for how in ({"rebin": (127, 1)}, {"crop": (11, 11)}, {"crop": (3,)}):
        with pytest.raises(ShowersError, match="only cartesian and polar grids"):
            reduce(hexagons, **how)
    pairs = reduce(hexagons, rebin=(1, 1, 2)).detector
    assert pairs.n_layers == 14
    assert pairs.layers[0].grid == hexagons.layers[0].grid

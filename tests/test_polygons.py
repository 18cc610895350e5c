"""Grids of polygons: against brute force, scipy's own Voronoi diagram, and what is known of hexagons."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.spatial import Voronoi

from caloforge.deploy.generate import generate
from caloforge.detector import CartesianGrid, CellGrid, Detector, HexagonalGrid, NearestGrid, load_detector
from caloforge.detector.polygons import signed_area
from caloforge.errors import DetectorError, ShowersError
from caloforge.observables.geometry import ring_edges, ring_shares
from caloforge.showers import Showers, open_showers
from caloforge.showers.convert import convert
from caloforge.showers.formats.hgcal import FORMAT
from caloforge.showers.incident import Incident
from caloforge.simulation.digits import Digitiser, exchange, exchange_at_sides
from caloforge.training.symmetry import Mirror
from caloforge.training.train import train
from caloforge.truth import simulate
from caloforge.truth.bins import bins_of
from caloforge.truth.borders import cut
from caloforge.validation.metrics.similarity import layer_similarity
from caloforge.validation.validate import validate

SQUARE = ((-50.0, -50.0), (50.0, -50.0), (50.0, 50.0), (-50.0, 50.0))


def anywhere(seed: int = 3, cells: int = 50, outside: int = 10) -> CellGrid:
    points = np.random.default_rng(seed).uniform(-50, 50, (cells + outside, 2)).tolist()
    places = tuple((x, y) for x, y in points)
    return CellGrid(places[:cells], SQUARE, places[cells:])


def squares(n: int, width: float) -> CellGrid:
    """A cartesian grid said as cells: four of them meet at each corner."""
    grid = CartesianGrid((n * width, n * width), (n, n))
    half = n * width / 2
    outline = ((-half, -half), (half, -half), (half, half), (-half, half))
    return CellGrid(tuple((x, y) for x, y in grid.centres().tolist()), outline)


GRIDS: dict[str, NearestGrid] = {
    "rings": HexagonalGrid(12.0, rings=3),
    "sensor": HexagonalGrid(12.0, window=(100.0,)),
    "window": HexagonalGrid(7.0, window=(80.0, 60.0)),
    "anywhere": anywhere(),
    "squares": squares(6, 10.0),
    "one": CellGrid(((3.0, 1.0),), SQUARE),
    "in a row": CellGrid(((-30.0, 0.0), (0.0, 0.0), (10.0, 0.0)), SQUARE),
}


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_a_point_belongs_to_the_nearest_centre(grid: NearestGrid) -> None:
    x, y = np.random.default_rng(1).uniform(-60, 60, (2, 20_000))
    every = np.concatenate([grid.layout.centres, grid.layout.outside])
    nearest = np.hypot(x[:, None] - every[:, 0], y[:, None] - every[:, 1]).argmin(axis=1)
    outline = grid.layout.outline
    sides = np.roll(outline, -1, axis=0) - outline
    left = sides[:, 0] * (y[:, None] - outline[:, 1]) - sides[:, 1] * (x[:, None] - outline[:, 0])
    inside = (left >= 0).all(axis=1) & (nearest < grid.n_cells)
    np.testing.assert_array_equal(grid.index(x, y), np.where(inside, nearest, -1))
    assert grid.index([[np.nan, np.inf]], [[0.0, 0.0]]).tolist() == [[-1, -1]]
    assert grid.index(*grid.centres().T).tolist() == list(range(grid.n_cells))


def test_hexagons_have_the_area_and_the_neighbours_of_hexagons() -> None:
    grid = HexagonalGrid(12.0, rings=4)
    assert grid.n_cells == 61
    assert grid.areas() == pytest.approx(np.sqrt(3) / 2 * 144)
    beside = np.bincount(grid.sides().ravel())
    assert np.bincount(beside).tolist() == [0, 0, 0, 6, 18, 0, 37]  # corners, edges, inner cells
    one, other = grid.centres()[grid.sides().T]
    assert np.hypot(*(one - other).T) == pytest.approx(12)
    assert grid.reach == pytest.approx((54, 4 * 12 * np.sqrt(3) / 2 + 12 / np.sqrt(3)))
    assert grid.sizes() == pytest.approx(np.tile([12, 24 / np.sqrt(3)], (61, 1)))


def test_hexagons_fill_their_window() -> None:
    assert GRIDS["sensor"].areas().sum() == pytest.approx(np.sqrt(3) / 2 * 100**2)
    assert GRIDS["window"].areas().sum() == pytest.approx(80 * 60)
    assert GRIDS["sensor"].reach == pytest.approx((100 / np.sqrt(3), 50))


def test_areas_and_neighbours_are_those_of_scipys_diagram() -> None:
    """Mirrored at each side of the square, the diagram of all points has finite cells with the same areas."""
    grid = anywhere()
    points = np.concatenate([grid.layout.centres, grid.layout.outside])
    mirrored = [
        np.where(np.arange(2) == axis, 2 * at - points, points) for axis in (0, 1) for at in (-50.0, 50.0)
    ]
    found = Voronoi(np.concatenate([points, *mirrored]))
    for cell, got in enumerate(grid.areas()):
        corners = found.vertices[found.regions[found.point_region[cell]]]
        around = corners[np.argsort(np.arctan2(*(corners - corners.mean(axis=0)).T[::-1]))]
        assert got == pytest.approx(signed_area(around))
    ridges = {tuple(sorted(pair)) for pair in found.ridge_points.tolist() if max(pair) < grid.n_cells}
    assert {tuple(pair) for pair in grid.sides().tolist()} == ridges


def test_cells_in_rows_and_columns_are_those_of_a_cartesian_grid() -> None:
    """Four meet at each corner, where the diagram is degenerate."""
    one, other = squares(6, 10.0), CartesianGrid((60.0, 60.0), (6, 6))
    assert one.areas() == pytest.approx(other.areas())
    as_sets = [{tuple(sorted(pair)) for pair in grid.sides().tolist()} for grid in (one, other)]
    assert as_sets[0] == as_sets[1]
    cells = np.random.default_rng(2).exponential(1, (5, 36))
    image = cells.copy().reshape(5, 6, 6)
    exchange(image, 0.02, False)
    exchange_at_sides(cells, 0.02, one.sides())
    np.testing.assert_allclose(cells, image.reshape(5, -1), rtol=1e-12)


def test_cells_far_smaller_than_the_grid_leave_no_hole_and_no_overlap() -> None:
    few = ((0.0, 0.0), (0.0012, 0.0), (0.0024, 0.0), (0.0, 0.0012), (20.0, 20.0), (-20.0, 20.0))
    assert CellGrid(few, SQUARE).areas().sum() == pytest.approx(100 * 100)


def test_areas_and_rows_are_computed_once() -> None:
    """Every observable of every layer asks for them."""
    grid, equal = HexagonalGrid(1.0, window=(20.0, 20.0)), HexagonalGrid(1.0, window=(20.0, 20.0))
    assert grid.areas() is equal.areas()
    assert grid.bins(1)[0] is equal.bins(1)[0]


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_lines_are_shared_by_the_length_in_each_cell(grid: NearestGrid) -> None:
    rng = np.random.default_rng(3)
    bins = bins_of(grid, 10.0)
    start = rng.uniform(-8, 8, (300, 3))
    end = start + rng.normal(size=(300, 3)) * rng.choice([0.1, 1.0, 10.0], (300, 1))
    start[:5, :2] = start[:5, :2].round()  # along borders, too
    end[:5, :2] = start[:5, :2]
    end[:5, 0] += 3
    place, leaves = bins.crossed(start, end)
    pieces = cut(start, end, bins.cuts(start, end))
    index, outside = bins.flat(bins.place(pieces.middle))
    index[outside] = grid.n_cells
    got = np.zeros((300, grid.n_cells + 1))
    np.add.at(got, (pieces.line, index), pieces.share)
    many = 4000
    t = (np.arange(many) + 0.5) / many
    points = 10 * (start[:, None] + t[None, :, None] * (end - start)[:, None])
    cell = grid.index(points[..., 0], points[..., 1])
    cell[cell < 0] = grid.n_cells
    expected = np.stack([np.bincount(row, minlength=grid.n_cells + 1) for row in cell]) / many
    clear = np.arange(300) >= 5  # which of two cells a line along their border belongs to is left open
    np.testing.assert_allclose(got[clear], expected[clear], atol=2.5 / many)
    np.testing.assert_allclose(got.sum(axis=1), 1)
    stays = np.setdiff1d(np.arange(5, 300), leaves)
    own, nowhere = bins.flat(place)
    own[nowhere] = grid.n_cells
    assert (expected[stays, own[stays]] == 1).all()


def test_a_mirror_maps_hexagons_onto_hexagons() -> None:
    grid = HexagonalGrid(12.0, rings=2)
    for mirror, sign in ((Mirror(False, -1, 1), (-1, 1)), (Mirror(False, 1, -1), (1, -1))):
        np.testing.assert_allclose(grid.centres()[mirror.polygons(grid)], grid.centres() * sign, atol=1e-9)
    swapped = grid.centres()[Mirror(True, 1, 1).polygons(grid)]
    assert not np.allclose(swapped, grid.centres()[:, ::-1])  # the diagonal is no symmetry of theirs


def test_rings_share_each_cell_by_its_area() -> None:
    detector = Detector.from_yaml(YAML)
    edges = ring_edges(detector)
    shares = ring_shares(detector.layers[0].grid, edges).toarray()
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    # the hexagon in the middle: a circle within it covers pi r^2 of it
    middle = int(detector.layers[0].grid.index(0.0, 0.0))
    inner = [(i, b) for i, (_, b) in enumerate(pairwise(edges)) if b < 6]
    i, radius = inner[-1]
    area = float(detector.layers[0].grid.areas()[middle])
    assert shares[middle, : i + 1].sum() == pytest.approx(np.pi * radius**2 / area, abs=0.1)


def test_similarity_of_polygons_knows_where_cells_are() -> None:
    """What is moved by one cell is more alike than what is moved by three."""
    detector = Detector.from_yaml(YAML)
    grid = detector.layers[0].grid
    images = {}
    for at in (0.0, 12.0, 36.0):
        image = np.zeros((1, detector.n_cells))
        for layer in detector.layers:
            distance = np.hypot(*(grid.centres() - [at, 0]).T)
            image[0, layer.cells] = 4 * np.exp(-distance / 10)
        images[at] = image
    weights = np.ones(detector.n_layers)
    same, near, far = (layer_similarity(detector, images[0.0], images[at], 4.0, weights)[0] for at in images)
    assert same == pytest.approx(1)
    assert far < near < 0.99


YAML = """
name: hexagons
size: [200 mm, 200 mm]
stack:
  - repeat: 2
    slabs:
      - {material: G4_Pb, thickness: 10 mm}
      - {material: G4_Si, thickness: 0.3 mm, active: true}
readout:
  deposits: active
  layers:
    - {count: 2, thickness: 10.3 mm, grid: {kind: hexagonal, cell: 12 mm, window: 110 mm}}
"""


def test_one_detector_has_one_text() -> None:
    written = YAML.replace("window: 110 mm", "window: [11 cm]")
    assert Detector.from_yaml(written) == Detector.from_yaml(YAML)
    cells = "{kind: cells, centres: '-1 0, 1 0 cm', outline: '-2 -1, 2 -1, 2 1, -2 1 cm'}"
    turned = "{kind: cells, centres: '-10 0, 10 0 mm', outline: '-20 10, 20 10, 20 -10, -20 -10 mm'}"
    hexagons = "{kind: hexagonal, cell: 12 mm, window: 110 mm}"
    one, other = (Detector.from_yaml(YAML.replace(hexagons, text)) for text in (cells, turned))
    assert one == other
    assert one.digest == other.digest
    assert Detector.from_yaml(one.to_yaml()).to_yaml() == one.to_yaml()


@pytest.mark.parametrize(
    ("grid", "problem"),
    [
        ("{kind: hexagonal, cell: 12 mm}", "needs `rings` or `window`"),
        ("{kind: hexagonal, cell: 12 mm, rings: 2, window: 50 mm}", "needs `rings` or `window`"),
        ("{kind: hexagonal, cell: 0.01 mm, window: 90 mm}", "too many hexagons"),
        ("{kind: hexagonal, cell: 12 mm, rings: 20}", "reach out of the stack"),
        ("{kind: cells, centres: '0 0, 9 mm', outline: '0 0, 1 0, 1 1 mm'}", "points cannot be read"),
        ("{kind: cells, centres: '0 0, 9 9', outline: '0 0, 1 0, 1 1 mm'}", "points cannot be read"),
        ("{kind: cells, centres: '9 9 mm', outline: '0 0, 1 0, 1 1 mm'}", "lies outside the outline"),
        (
            "{kind: cells, centres: '0 0, 31 0, 50 0, 70 0 mm', outline: '-9 -9, 9 -9, 0 9 mm'}",
            "point 1: 31 0",
        ),
        ("{kind: cells, centres: '0 0, 0 0 mm', outline: '-9 -9, 9 -9, 0 9 mm'}", "one point"),
        (
            "{kind: cells, centres: '0 0, 1 0 mm', outside: '999 0 m', outline: '-9 -9, 9 -9, 0 9 mm'}",
            "too near each other",
        ),
        ("{kind: cells, centres: '0 0 mm', outline: '-9 -9, 0 -9, 9 -9, 0 9 mm'}", "not a convex polygon"),
        ("{kind: hexagonal, cell: 0.001 mm, window: [1e-6 mm, 1 m]}", "too many hexagons"),
        ("{kind: cells, centres: '0 0 mm', outline: '-9 -9, 9 -9, 0 -8, 0 9 mm'}", "not a convex polygon"),
        ("{kind: cells, centres: '0 0 mm', outline: '-9 0, 9 0 mm'}", "not a convex polygon"),
    ],
)
def test_what_is_wrong_is_said(grid: str, problem: str) -> None:
    with pytest.raises(DetectorError, match=problem):
        Detector.from_yaml(YAML.replace("{kind: hexagonal, cell: 12 mm, window: 110 mm}", grid))


def test_crosstalk_takes_no_more_than_a_cell_has() -> None:
    """A hexagon has six neighbours: with a fifth for each it would be left with less than nothing."""
    with pytest.raises(DetectorError, match=r"more than it has[\s\S]*up to 6 neighbours[\s\S]*at most 0.166"):
        Detector.from_yaml(f"{YAML}digitisation: {{crosstalk: 0.2}}\n")
    detector = Detector.from_yaml(f"{YAML}digitisation: {{crosstalk: 0.166}}\n")
    cells = np.zeros((1, detector.n_cells))
    cells[0, int(detector.layers[0].grid.index(0.0, 0.0))] = 1000.0
    digits = Digitiser(detector)(cells, seed=1)
    assert digits.energy.min() >= 0
    assert digits.energy.sum() == pytest.approx(1000)


def some_showers(detector: Detector, n: int = 4) -> Showers:
    cells = np.random.default_rng(5).exponential(1, (n, detector.n_cells)).astype(np.float32)
    return Showers(detector, Incident.of(np.full(n, 75e3), 22, np.full(n, 0.27), np.full(n, 0.5)), cells)


@pytest.mark.parametrize("form", ["calogan", "lcd", "par04", "lagan"])
def test_formats_of_images_refuse_polygons(tmp_path: Path, form: str) -> None:
    showers = some_showers(Detector.from_yaml(YAML))
    showers.save(tmp_path / "in.h5")
    with pytest.raises(ShowersError, match=r"polygons|rings and sectors|one layer only"):
        convert(tmp_path / "in.h5", tmp_path / "out.h5", to=form)


UNLIKE = YAML.replace(
    "    - {count: 2, thickness: 10.3 mm, grid: {kind: hexagonal, cell: 12 mm, window: 110 mm}}",
    "    - {thickness: 10.3 mm, grid: {kind: hexagonal, cell: 12 mm, rings: 1}}\n"
    "    - {thickness: 10.3 mm, grid: {kind: hexagonal, cell: 12 mm, rings: 2}}",
)


def test_files_of_the_hgcal_challenge(tmp_path: Path) -> None:
    detector = Detector.from_yaml(UNLIKE)
    energies = np.zeros((3, 2, 25), np.float32)
    energies[:, 0, :7], energies[:, 1, :19] = 0.001, 0.002
    with h5py.File(tmp_path / "in.h5", "w") as file:
        file["gen_info"] = np.array([[75.0, 2.0, 1.571]] * 3, np.float32)
        file["showers"] = energies
    with open_showers(tmp_path / "in.h5", detector, particle="gamma") as source:
        found = source.raw(0, 3)
    assert found.cells[0].tolist() == pytest.approx([1.0] * 7 + [2.0] * 19)
    assert found.incident.energy == pytest.approx(75e3)
    assert np.cosh(2.0) == pytest.approx(1 / np.sin(float(found.incident.theta[0])), rel=1e-6)
    FORMAT.write(tmp_path / "out.h5", detector, [found])
    with h5py.File(tmp_path / "out.h5") as file:
        np.testing.assert_allclose(file["showers"][()], energies[:, :, :19], rtol=1e-6)
        np.testing.assert_allclose(file["gen_info"][0], [75.0, 2.0, 1.571], rtol=1e-5)


def test_an_hgcal_file_holds_deposits(tmp_path: Path) -> None:
    """The challenge's conversion adds up the simulated hits of a cell."""
    detector = Detector.from_yaml(UNLIKE.replace("readout:", "readout:\n  sampling_fraction: 0.01"))
    with h5py.File(tmp_path / "in.h5", "w") as file:
        file["gen_info"], file["showers"] = np.array([[75.0, 2.0, 1.571]]), np.full((1, 2, 19), 1e-3)
        file["showers"][:, 0, 7:] = 0
    with open_showers(tmp_path / "in.h5", detector) as source:
        assert source.raw(0, 1).cells[0] == pytest.approx(100.0)
        assert "deposits are divided by the detector's sampling fraction: 0.01" in source.notes
    back = convert(tmp_path / "in.h5", tmp_path / "out.h5", to="hgcal", detector=detector).path
    with h5py.File(back) as file, h5py.File(tmp_path / "in.h5") as original:
        np.testing.assert_allclose(file["showers"][()], original["showers"][()], rtol=1e-6)


def test_an_hgcal_file_of_another_detector(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "in.h5", "w") as file:
        file["gen_info"] = np.array([[75.0, 2.0, 1.571]], np.float32)
        file["showers"] = np.ones((1, 2, 25), np.float32)
    with (
        open_showers(tmp_path / "in.h5", Detector.from_yaml(UNLIKE)) as source,
        pytest.raises(ShowersError, match="behind the last cell"),
    ):
        source.raw(0, 1)
    with pytest.raises(ShowersError, match="do not fit the detector"):
        open_showers(tmp_path / "in.h5", load_detector("calogan"))
    with pytest.raises(ShowersError, match="no preset detector"):
        open_showers(tmp_path / "in.h5")
    with h5py.File(tmp_path / "none.h5", "w") as file:
        file["gen_info"], file["showers"] = np.ones((1, 3)), np.ones((1, 0, 25))
    with pytest.raises(ShowersError, match="do not fit the detector"):
        open_showers(tmp_path / "none.h5", Detector.from_yaml(UNLIKE))


@pytest.mark.geant4
def test_the_whole_chain_on_hexagons(tmp_path: Path) -> None:
    """Geant4, a fit, showers from it, and a report; the fit's showers are Geant4's up to its known limits."""
    (tmp_path / "hexagons.yaml").write_text(YAML, encoding="utf-8")
    detector = load_detector(tmp_path / "hexagons.yaml")
    made = [
        simulate(
            detector,
            particle="e-",
            energy="1:5GeV",
            count=400,
            seed=seed,
            jobs=1,
            out=tmp_path / f"{seed}.h5",
        )
        for seed in (1, 2)
    ]
    train("calogan-fit", made[0], tmp_path / "run")
    generated = tmp_path / "generated.h5"
    generate(tmp_path / "run", like=made[1], out=generated)
    geant4, fit = Showers.load(made[1]), Showers.load(generated)
    for one, other in zip(geant4.layers(), fit.layers(), strict=True):
        error = np.hypot(*(part.sum(axis=(1, 2)).std() / 20 for part in (one, other)))
        assert abs(one.sum(axis=(1, 2)).mean() - other.sum(axis=(1, 2)).mean()) < 5 * error
    # the middle of the shower is that of the detector, where the particle enters
    for showers in (geant4, fit):
        brightest = showers.cells.mean(axis=0)[detector.layers[0].cells].argmax()
        assert detector.layers[0].grid.centres()[brightest] == pytest.approx((0, 0), abs=1e-9)
    validate(made[1], generated, out=tmp_path / "report", metrics=["distributions", "images", "fluctuations"])
    assert '"ssim"' in (tmp_path / "report" / "report.json").read_text(encoding="utf-8")

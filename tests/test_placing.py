"""Showers in their places: moved by whole cells, nothing lost, held against positions of the cells."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caloforge.detector import Detector, load_detector
from caloforge.errors import DetectorError
from caloforge.simulation.placing import Placing
from tiny_toys import planar

LAYERS = ((3, 4, 10), (6, 2, 20))  # cells of 20 x 15 and 10 x 30 mm
TOY = Detector.from_yaml(planar(*LAYERS))


def _window(cells: list[tuple[int, int]], sizes: list[tuple[float, float]]) -> Detector:
    layers = "".join(
        f"    - {{name: {'ab'[i]}, thickness: {thickness} mm, grid: {{kind: cartesian, "
        f"window: [{nx * dx} mm, {ny * dy} mm], cells: [{nx}, {ny}]}}}}\n"
        for i, ((nx, ny), (dx, dy), (_, _, thickness)) in enumerate(zip(cells, sizes, LAYERS, strict=True))
    )
    return Detector.from_yaml(f"name: wide\nsize: [1 m, 1 m]\nreadout:\n  deposits: all\n  layers:\n{layers}")


def _showers(detector: Detector, n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.exponential(size=(n, detector.n_cells)) * (rng.random((n, detector.n_cells)) < 0.6)).astype(
        np.float32
    )


def _by_hand(source: Detector, target: Detector, cells: np.ndarray, way: np.ndarray) -> np.ndarray:
    """Each cell's centre is moved by the way of its layer, and looked up in the target's grid."""
    out = np.zeros(target.n_cells + target.n_layers)
    for number, energy in enumerate(cells):
        layer = int(source.layer_of_cell[number])
        x, y = source.positions[number, :2] + way[layer]
        to = target.layers[layer]
        index = int(to.grid.index(x, y))
        out[to.cells.start + index if index >= 0 else target.n_cells + layer] += energy
    return out


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(-90, 90), st.floats(-90, 90)), min_size=1, max_size=4), st.booleans())
def test_a_shower_is_moved_cell_by_cell(shifts: list[tuple[float, float]], larger: bool) -> None:
    target = _window([(6, 9), (9, 4)], [(20, 15), (10, 30)]) if larger else TOY
    placing = Placing(TOY, target)
    cells = _showers(TOY, len(shifts))
    steps, rounding = placing.shifted(shifts), placing.rounding(shifts)
    assert np.all(np.abs(rounding) <= placing.pitch / 2 + 1e-6)
    placed = placing.place(cells, steps)
    for row in range(len(shifts)):
        # Where `rounding` says that the layer lies, its cells lie exactly on the target's.
        expected = _by_hand(TOY, target, cells[row], np.asarray(shifts[row]) + rounding[row])
        got = np.concatenate([placed.cells[row], placed.outside[row]])
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-6)


def test_a_multiple_of_all_cells_is_exact_and_no_way_is_no_change() -> None:
    placing = Placing(TOY)
    cells = _showers(TOY, 2)
    assert not placing.rounding([[20.0, 30.0], [-40.0, -60.0]]).any()
    assert np.array_equal(placing.place(cells, placing.shifted(np.zeros((2, 2)))).cells, cells)


def test_showers_of_a_row_are_added_and_energy_that_leaves_is_counted() -> None:
    placing = Placing(TOY)
    cells, shift = _showers(TOY, 5), np.array([[0, 0], [20, 0], [-300, 0], [0, 45], [7, 7]], float)
    steps = placing.shifted(shift)
    single = placing.place(cells, steps)
    rows = np.array([0, 0, 2, 2, 2])
    expected = np.zeros((3, TOY.n_cells + 2))
    np.add.at(expected, rows, np.concatenate([single.cells, single.outside], axis=1))
    sums = np.ones_like(expected)
    placing.add(sums, cells, steps, rows)
    without = np.zeros((3, TOY.n_cells), np.float32)
    placing.add(without, cells, steps, rows)
    sums -= 1
    np.testing.assert_allclose(sums, expected, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(without, expected[:, : TOY.n_cells], rtol=1e-5)
    assert not sums[1].any()
    np.testing.assert_allclose(single.outside[2], [cells[2, :12].sum(), cells[2, 12:].sum()], rtol=1e-6)
    np.testing.assert_allclose(sums.sum(), cells.sum(dtype=np.float64), rtol=1e-6)


def test_half_a_cell_is_rounded_up_on_both_sides() -> None:
    steps = Placing(load_detector("calogan")).shifted([[20.0, 0.0], [-20.0, 0.0], [60.0, 0.0], [100.0, 0.0]])
    assert steps[:, 1, 0].tolist() == [1, 0, 2, 3]
    assert steps[:, 0, 0].tolist() == [0, 0, 0, 1]


def test_rings_are_turned_and_not_shifted() -> None:
    yaml = (
        "name: rings\nreadout:\n  deposits: all\n  layers:\n"
        '    - {grid: {kind: polar, alpha: 4, r_edges: "0, 5, 10 mm"}}\n'
        '    - {grid: {kind: polar, alpha: 8, r_edges: "0, 5, 10 mm"}}\n'
    )
    rings = Detector.from_yaml(yaml)
    placing = Placing(rings)
    cells = _showers(rings, 3)
    placed = placing.place(cells, placing.turned([np.pi / 2, -np.pi, 0.1])).cells
    first, second = (layer.reshape(3, -1, 2) for layer in rings.split(cells))
    for row, turns in enumerate((1, -2, 0)):
        expected = np.concatenate(
            [np.roll(first[row], turns, 0).ravel(), np.roll(second[row], 2 * turns, 0).ravel()]
        )
        assert np.array_equal(placed[row], expected)
    with pytest.raises(DetectorError, match="only turned"):
        placing.shifted([[1.0, 0.0]])
    with pytest.raises(DetectorError, match="cannot be turned"):
        Placing(TOY).turned([1.0])


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        ("calochallenge-2", None, "move with each particle"),
        ("clic", "ild-5", "cannot be put into"),
        ("calogan", "ild-15", "cannot be put into"),
        ("hgcal-like", None, "no rows and columns"),
    ],
)
def test_readouts_that_do_not_fit_are_refused(source: str, target: str | None, words: str) -> None:
    with pytest.raises(DetectorError, match=words):
        Placing(load_detector(source), load_detector(target) if target else None)


def test_cells_of_another_size_are_refused() -> None:
    with pytest.raises(DetectorError, match="cannot be put into") as caught:
        Placing(TOY, _window([(3, 4), (6, 3)], [(20, 15), (10, 20)]))
    assert "10 x 20 mm" in str(caught.value)
    assert "10 x 30 mm" in str(caught.value)
    assert "cells of b" in str(caught.value)


def test_a_window_around_the_barycentre_is_placed_around_the_particle() -> None:
    clic = load_detector("clic")
    wide = Detector.from_yaml(
        clic.to_yaml()
        .replace("centre: barycentre", "centre: axis")
        .replace("window: [127.5 mm, 127.5 mm], cells: [25, 25]", "window: [255 mm, 255 mm], cells: [50, 50]")
    )
    placing = Placing(clic, wide)
    with pytest.raises(DetectorError, match="move with each particle"):
        Placing(wide, clic)
    assert Placing(clic).target.readout.centre == "axis"
    cells = np.zeros((1, clic.n_cells), np.float32)
    cells[0, clic.layers[3].cells.start + 12 * 25 + 12] = 7.0  # the middle of the fourth layer
    steps = placing.shifted([[2.55, 7.65]])
    assert np.abs(placing.rounding([[2.55, 7.65]])).max() < 1e-6
    placed = wide.split(placing.place(cells, steps).cells)[3][0]
    assert placed[25, 26] == 7.0
    assert placed.sum() == 7.0

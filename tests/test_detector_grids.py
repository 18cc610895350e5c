"""Grids: every cell's centre lies in its cell, and areas fill the window exactly."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caloforge.detector import CartesianGrid, PolarGrid

widths = st.floats(0.1, 1e4)
counts = st.integers(1, 40)


@st.composite
def polar_grids(draw: st.DrawFn) -> PolarGrid:
    steps = draw(st.lists(st.floats(0.01, 500), min_size=1, max_size=20))
    hole = draw(st.sampled_from([0.0, 3.5]))
    return PolarGrid(tuple(hole + np.cumsum([0.0, *steps])), draw(counts))


cartesian_grids = st.builds(CartesianGrid, st.tuples(widths, widths), st.tuples(counts, counts))
grids = cartesian_grids | polar_grids()


@given(grids)
def test_the_centre_of_each_cell_is_in_its_cell(grid):
    x, y = grid.centres().T
    np.testing.assert_array_equal(grid.index(x, y), np.arange(grid.n_cells))


@given(cartesian_grids)
def test_cartesian_areas_fill_the_window(grid):
    assert grid.areas().sum() == pytest.approx(grid.window[0] * grid.window[1], rel=1e-9)
    np.testing.assert_allclose(grid.sizes().prod(axis=1), grid.areas(), rtol=1e-12)


@settings(deadline=None)  # the first example draws slowly on a busy machine
@given(polar_grids())
def test_polar_areas_fill_the_ring(grid):
    ring = math.pi * (grid.r_edges[-1] ** 2 - grid.r_edges[0] ** 2)
    assert grid.areas().sum() == pytest.approx(ring, rel=1e-9)
    # An annular sector has the area r dr dalpha, with r in the middle.
    dr, dalpha = grid.sizes().T
    np.testing.assert_allclose(grid.areas(), np.hypot(*grid.centres().T) * dr * dalpha, rtol=1e-9)


@given(grids, st.integers(0, 2**32 - 1))
def test_points_are_counted_by_area(grid, seed):
    """Uniform points fall into cells in proportion to area, and none is lost inside."""
    across, up = grid.reach
    points = np.random.default_rng(seed).uniform(-1, 1, (2000, 2)) * (across, up)
    found = grid.index(*points.T)
    if isinstance(grid, CartesianGrid):
        inside = np.ones(len(points), bool)
    else:
        r = np.hypot(*points.T)
        inside = (r >= grid.r_edges[0]) & (r < grid.r_edges[-1])
    np.testing.assert_array_equal(found >= 0, inside)
    assert found.max(initial=-1) < grid.n_cells
    # Every point is within its cell's half-width of the cell's centre, in the grid's own coordinates.
    owner, size = grid.centres()[found[inside]], grid.sizes()[found[inside]]
    if isinstance(grid, CartesianGrid):
        distance = np.abs(points[inside] - owner)
    else:
        dr = np.abs(r[inside] - np.hypot(*owner.T))
        turn = np.arctan2(*points[inside].T[::-1]) - np.arctan2(*owner.T[::-1])
        distance = np.column_stack([dr, np.abs((turn + math.pi) % (2 * math.pi) - math.pi)])
    assert (distance <= size / 2 * (1 + 1e-6) + 1e-9).all()


def test_index_order_is_that_of_the_published_files():
    calogan = CartesianGrid((480.0, 480.0), (3, 96))
    assert calogan.index(-239, -239) == 0
    assert calogan.index(-239, 239) == 95
    assert calogan.index(-79, -239) == 96
    challenge = PolarGrid((0.0, 5.0, 10.0), 4)
    assert challenge.index(-1, -0.1) == 0  # alpha starts at -pi
    assert challenge.index(-6, -0.1) == 1  # r runs fastest
    assert challenge.index(0.1, -1) == 2
    assert challenge.index(-1, 0.1) == 6


def test_borders_belong_to_one_cell_and_nothing_outside_does():
    grid = CartesianGrid((2.0, 2.0), (2, 2))
    assert grid.index([-1, 0, 1, -1.01, math.nan, math.inf], [0, 0, 0, 0, 0, 0]).tolist() == [
        1,
        3,
        -1,
        -1,
        -1,
        -1,
    ]
    rings = PolarGrid((1.0, 2.0), 2)
    assert rings.index([0.5, 1.0, 2.0, math.nan, -1.5, -1.5], [0, 0, 0, 0, 0.0, -0.0]).tolist() == [
        -1,
        1,
        -1,
        -1,
        0,
        0,
    ]


def test_points_may_have_any_shape():
    grid = CartesianGrid((2.0, 2.0), (2, 2))
    assert grid.index(np.zeros((3, 4)), np.zeros((3, 4))).shape == (3, 4)
    assert grid.index(0.5, 0.5).shape == ()

"""Sharing deposits among cells: exact along straight lines, and nothing lost."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caloforge.detector import CartesianGrid, Detector, PolarGrid, load_detector
from caloforge.showers import Incident
from caloforge.truth.bins import bins_of
from caloforge.truth.borders import cut
from caloforge.truth.readout import Readout
from caloforge.truth.steps import Steps

PLANAR = """
name: test
shape: planar
size: [100 mm, 100 mm]
stack:
  - {repeat: 2, slabs: [{material: G4_Pb, thickness: 5 mm}, {material: G4_Si, thickness: 5 mm, active: true}]}
readout:
  deposits: all
  %s
  layers:
    - {name: front, thickness: 7 mm, grid: {kind: cartesian, window: [40 mm, 40 mm], cells: [4, 8]}}
    - {name: back, thickness: 13 mm, grid: {kind: cartesian, window: [40 mm, 40 mm], cells: [2, 2]}}
"""
WINDOW = """
name: window
shape: planar
size: [700 mm, 700 mm]
stack: [{slabs: [{material: G4_Si, thickness: 10 mm, active: true}]}]
readout:
  deposits: active
  centre: barycentre
  layers: [{count: 2, thickness: 5 mm, grid: {kind: cartesian, window: [50 mm, 50 mm], cells: [5, 5]}}]
"""


def planar(more=""):
    return Detector.from_yaml(PLANAR % more)


def steps(detector, rows):
    """Steps from rows (shower, slab, energy, start, end) in mm."""
    rows = sorted(rows, key=lambda row: row[1])  # stable: a shower's own order stays
    shower, slab, energy = (np.array([row[i] for row in rows]) for i in range(3))
    start, end = (np.array([row[i] for row in rows], float).reshape(-1, 3) / 10 for i in (3, 4))
    per_slab = np.bincount(slab, minlength=len(detector.slabs))
    return Steps(shower.astype(np.int64), per_slab, energy.astype(float), start, end)


def read(detector, rows, incident=None):
    n = 1 + max(row[0] for row in rows)
    if incident is None:
        incident = Incident.of(np.full(n, 1e3), pdg=11)
    return Readout(detector).showers([steps(detector, rows)], incident)


def test_a_diagonal_is_shared_by_length():
    # From (1, 1) to (11, 16) in cells of 10 x 5 mm: cut at y = 5, at y = 10, at x = 10 and at y = 15.
    detector = planar()
    showers = read(detector, [(0, 0, 150.0, (1, 1, 1), (11, 16, 1))])
    front = showers.layers()[0][0]
    cuts = np.array([0, 4 / 15, 9 / 15, 9 / 10, 14 / 15, 1])
    cells = [(2, 4), (2, 5), (2, 6), (3, 6), (3, 7)]
    expected = np.zeros((4, 8))
    for cell, share in zip(cells, np.diff(cuts), strict=True):
        expected[cell] = 150 * share
    np.testing.assert_allclose(front, expected, rtol=1e-6)


def test_a_layer_border_inside_a_slab_cuts_lines():
    # The border is at 7 mm, in the slab from 5 to 10 mm; this line has 2 of its 5 mm before it.
    showers = read(planar(), [(0, 1, 50.0, (1, 1, 5), (1, 1, 10))])
    front, back = (layer[0].sum() for layer in showers.layers())
    np.testing.assert_allclose([front, back], [20, 30], rtol=1e-6)


def test_a_line_backwards_is_shared_alike():
    there = read(planar(), [(0, 1, 50.0, (-13, 2, 5), (19, 18, 10))])
    back = read(planar(), [(0, 1, 50.0, (19, 18, 10), (-13, 2, 5))])
    np.testing.assert_allclose(there.cells, back.cells, rtol=1e-5)


def test_energy_beside_the_window_is_overflow_of_its_layer():
    # Half of the first line, all of the second one, and a corner that the third one cuts off.
    rows = [
        (0, 0, 10.0, (10, 0.5, 1), (30, 0.5, 1)),
        (0, 3, 4.0, (45, 45, 19), (45, 45, 19)),
        (1, 0, 8.0, (10, 25, 1), (25, 10, 1)),
    ]
    showers = read(planar(), rows)
    np.testing.assert_allclose(showers.overflow, [[5, 4], [8 * 2 / 3, 0]], rtol=1e-6)
    np.testing.assert_allclose(showers.cells.sum(1), [5, 8 / 3], rtol=1e-6)


def test_points_go_to_one_cell():
    front = read(planar(), [(0, 0, 3.0, (-19, -19, 2), (-19, -19, 2))]).layers()[0][0]
    assert front[0, 0] == 3
    assert front.sum() == 3


def test_the_sampling_fraction_divides_and_the_threshold_cuts():
    detector = planar("sampling_fraction: 0.1\n  threshold: 50 MeV")
    rows = [
        (0, 0, 4.0, (1, 1, 1), (1, 1, 1)),
        (0, 0, 6.0, (11, 1, 1), (11, 1, 1)),
        (0, 0, 1.0, (45, 1, 1), (45, 1, 1)),
    ]
    showers = read(detector, rows)
    assert sorted(showers.cells[showers.cells > 0]) == [60]
    assert showers.overflow[0, 0] == 10


def test_sections_have_sampling_fractions_of_their_own():
    text = planar("sampling_fraction: 0.1").to_yaml()
    first = next(line for line in text.splitlines() if line.strip().startswith("- {") and "grid" in line)
    detector = Detector.from_yaml(
        text.replace(first, first.replace("grid:", "sampling_fraction: 0.5, grid:"))
    )
    usual = Detector.from_yaml(text)
    rng = np.random.default_rng(2)
    places = rng.uniform((-30, -30, 0), (30, 30, detector.depth), (60, 3))
    rows = [(0, 0, 1.0, tuple(place), tuple(place)) for place in places]
    ours, theirs = read(detector, rows), read(usual, rows)
    fractions = detector.sampling_fractions
    assert set(fractions) == {0.1, 0.5}
    for layer, fraction in zip(detector.layers, fractions, strict=True):
        np.testing.assert_allclose(
            ours.cells[:, layer.cells], theirs.cells[:, layer.cells] * 0.1 / fraction, rtol=1e-6
        )
    np.testing.assert_allclose(ours.overflow, theirs.overflow * 0.1 / fractions, rtol=1e-6)
    assert ours.overflow.any()
    assert Detector.from_yaml(detector.to_yaml()) == detector
    assert detector.digest != usual.digest


def test_no_deposits_give_empty_showers():
    showers = Readout(planar()).showers([], Incident.of([1e3, 2e3]))
    assert showers.cells.shape == (2, 4 * 8 + 4)
    assert not showers.cells.any()
    assert not showers.overflow.any()


@pytest.mark.parametrize("name", ["planar", "window", "calochallenge-2", "clic"])
def test_what_else_is_in_a_batch_does_not_change_a_bit(name):
    detector = {"planar": planar(), "window": Detector.from_yaml(WINDOW)}.get(name) or load_detector(name)
    rng = np.random.default_rng(1)
    incident = Incident.of(np.full(3, 1e3), theta=[0.1, 0.5, 0.3], phi=[0, 1, 2], x=[-9, 0, 3], y=[5, 0, 9])
    rows = [random_rows(detector, rng) for _ in range(3)]
    alone = [read(detector, some, incident[i : i + 1]) for i, some in enumerate(rows)]
    assert all(one.cells.any() for one in alone)
    for order in ([0, 1, 2], [2, 0, 1]):
        mixed = [(place, *row[1:]) for place, number in enumerate(order) for row in rows[number]]
        together = read(detector, mixed, incident[order])
        for place, number in enumerate(order):
            assert together[place : place + 1].cells.tobytes() == alone[number].cells.tobytes()
            assert together[place : place + 1].overflow.tobytes() == alone[number].overflow.tobytes()


def random_rows(detector, rng):
    """Steps around the place where particles enter, in Geant4's axes."""
    rows = []
    for slab in range(0, len(detector.slabs), 2):
        depth = np.full(20, detector.slabs[slab].start + detector.slabs[slab].thickness / 2)
        if detector.shape == "barrel":
            depth += detector.inner_radius
        start = np.column_stack([rng.normal(0, 8, (20, 2)), depth])
        if detector.shape == "barrel":
            start = np.roll(start, 1, axis=1)
        end = start + rng.normal(0, 2, (20, 3))
        rows += [(0, slab, e, p, q) for e, p, q in zip(rng.exponential(1, 20), start, end, strict=True)]
    return rows


@pytest.mark.parametrize(("x", "y", "cell"), [(0, 0, 2), (34, -26, 2), (-12, 0, 2), (4.9, -4.9, 2)])
def test_the_window_follows_the_shower(x, y, cell):
    # One point: the window is centred on its cell, of 10 mm, in both layers.
    showers = read(Detector.from_yaml(WINDOW), [(0, 0, 5.0, (x, y, 1), (x, y, 9))])
    for layer in showers.layers():
        assert layer[0, cell, cell] == pytest.approx(2.5)


def test_the_barycentre_is_that_of_the_wide_window():
    # Around cell 0 of 11 x 11: 3 MeV at +20 mm, 1 MeV at -20 mm: mean +10 mm, one cell. At +60 mm is too far.
    rows = [
        (0, 0, 3.0, (20, 0, 1), (20, 0, 1)),
        (0, 0, 1.0, (-20, 0, 1), (-20, 0, 1)),
        (0, 0, 9.0, (60, 0, 1), (60, 0, 1)),
    ]
    showers = read(Detector.from_yaml(WINDOW), rows)
    first = showers.layers()[0][0]
    assert first[3, 2] == 3  # cell +2, one cell from the new centre
    assert first[2, 2] == 0
    # -20 mm is three cells from the new centre, +60 mm is five.
    assert showers.overflow[0, 0] == 10


def test_the_barycentre_is_that_of_calibrated_energies():
    layers = "\n".join(
        f"    - {{thickness: 5 mm, sampling_fraction: {fraction}, "
        "grid: {kind: cartesian, window: [50 mm, 50 mm], cells: [5, 5]}}"
        for fraction in (0.5, 0.1)
    )
    detector = Detector.from_yaml(WINDOW[: WINDOW.index("  layers:")] + f"  layers:\n{layers}\n")
    showers = read(detector, [(0, 0, 3.0, (20, 0, 1), (20, 0, 1)), (0, 0, 1.2, (-20, 0, 8), (-20, 0, 8))])
    # 1.2 MeV / 0.1 = 12 at -20 mm against 6 at +20 mm: mean -6.7 mm, one cell; of raw deposits it is +8.6 mm.
    front, back = (layer[0] for layer in showers.layers())
    assert back[1, 2] == pytest.approx(12)
    assert showers.overflow[0].tolist() == pytest.approx([6, 0])
    assert not front.any()


def test_the_wide_window_starts_at_the_impact_point():
    incident = Incident.of([1e3], x=100.0, y=-200.0)
    rows = [(0, 0, 5.0, (112, -200, 1), (112, -200, 1)), (0, 0, 90.0, (0, 0, 1), (0, 0, 1))]
    showers = read(Detector.from_yaml(WINDOW), rows, incident)
    assert showers.layers()[0][0, 2, 2] == 5
    assert showers.overflow[0, 0] == 90


def test_the_particle_frame_lies_along_the_particle():
    # Deposits along the particle's own line: depth is the way, the radius is 0.
    detector = load_detector("calochallenge-2")
    theta, phi, y = 0.4, 2.0, 30.0
    incident = Incident.of([1e3, 1e3], theta=theta, phi=phi, x=55.0, y=y)
    along = np.array([math.sin(theta) * math.cos(phi), math.sin(theta) * math.sin(phi), math.cos(theta)])
    # Geant4's axes: the detector's z, x and y.
    entry = np.array([800.0, 0.0, y])
    way = np.roll(along, 1)
    rows = [(s, 1, 1.0, entry + d * way, entry + d * way) for s, d in ((0, 10.0), (1, 150.0))]
    showers = read(detector, rows, incident)
    for number, depth in enumerate((10.0, 150.0)):
        energy = np.array([layer[number].sum() for layer in showers.layers()])
        assert energy.argmax() == int(depth / 3.4)
        assert energy.sum() == pytest.approx(1 / 0.033)
        assert showers.layers()[int(depth / 3.4)][number, :, 0].sum() == pytest.approx(1 / 0.033)


def test_the_particle_frame_keeps_the_way_around():
    # theta = 0: alpha is measured from the detector's x, which is Geant4's y, to its y, Geant4's z.
    detector = load_detector("calochallenge-2")
    for alpha in (0.3, 2.0, -2.5):
        place = (801.0, 10 * math.cos(alpha), 10 * math.sin(alpha))
        showers = read(detector, [(0, 0, 1.0, place, place)])
        sector, ring = np.argwhere(showers.layers()[0][0])[0]
        assert sector == int((alpha + math.pi) / (2 * math.pi) * 16)
        assert ring == 2


def test_a_barrel_unrolls():
    text = PLANAR.replace("planar", "barrel").replace(
        "size: [100 mm, 100 mm]", "size: [1 m]\ninner_radius: 1 m"
    )
    detector = Detector.from_yaml(text % "")
    azimuth = 0.015  # 15 mm at the inner radius
    place = (1003 * math.cos(azimuth), 1003 * math.sin(azimuth), -7.0)
    back = (-1003 * math.cos(azimuth), -1003 * math.sin(azimuth), 0.0)
    showers = read(detector, [(0, 0, 2.0, place, place), (0, 0, 1.0, back, back)])
    assert showers.layers()[0][0][3, 2] == 2
    assert showers.overflow[0].tolist() == [1, 0]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_nothing_is_lost_or_made(seed):
    rng = np.random.default_rng(seed)
    detector = planar()
    rows = []
    for slab in range(4):
        for _ in range(20):
            ends = np.column_stack([rng.normal(0, 20, (2, 2)), 5 * slab + 5 * rng.random(2)])
            rows.append((int(rng.integers(3)), slab, rng.exponential(), ends[0], ends[1]))
    rows.append((2, 0, 0.0, (0, 0, 0), (0, 0, 0)))
    showers = read(detector, rows)
    given_ = np.bincount([row[0] for row in rows], [row[2] for row in rows])
    np.testing.assert_allclose(showers.cells.sum(1) + showers.overflow.sum(1), given_, rtol=1e-5)


@pytest.mark.parametrize(
    "grid",
    [
        CartesianGrid((40.0, 60.0), (5, 7)),
        PolarGrid((0.0, 3.0, 10.0, 25.0), 8),
        PolarGrid((2.0, 10.0, 25.0), 7),
        PolarGrid((0.0, 10.0, 25.0), 1),
    ],
)
def test_sharing_agrees_with_very_many_small_steps(grid):
    rng = np.random.default_rng(3)
    bins = bins_of(grid, 1.0)
    start, end = rng.normal(0, 15, (2, 200, 3))
    # Some short lines, some along an axis, some through the middle.
    end[:80] = start[:80] + rng.normal(0, 0.5, (80, 3))
    end[80:90, 0] = start[80:90, 0]
    end[90:100, :2] = -start[90:100, :2]
    pieces = cut(start, end, bins.cuts(start, end))
    parts = (np.arange(4000) + 0.5) / 4000
    for line in range(len(start)):
        points = start[line] + parts[:, None] * (end[line] - start[line])
        sampled = np.bincount(grid.index(points[:, 0], points[:, 1]) + 1, minlength=grid.n_cells + 1) / 4000
        mine = pieces.line == line
        index, outside = bins.flat(bins.place(pieces.middle[mine]))
        index[outside] = -1
        shares = np.bincount(index + 1, pieces.share[mine], minlength=grid.n_cells + 1)
        np.testing.assert_allclose(shares, sampled, atol=3 / 4000)


def test_a_chord_has_the_length_that_geometry_says():
    # 6 beside the axis, circles of 10 and 20: 2 sqrt(100 - 36) = 16 within, 2 sqrt(400 - 36) in all.
    bins = bins_of(PolarGrid((0.0, 10.0, 20.0), 1), 1.0)
    start, end = np.array([[-50.0, 6.0, 0.0]]), np.array([[50.0, 6.0, 0.0]])
    pieces = cut(start, end, bins.cuts(start, end))
    index, outside = bins.flat(bins.place(pieces.middle))
    index[outside] = 2
    shares = np.bincount(index, pieces.share) * 100
    outer = 2 * math.sqrt(364)
    np.testing.assert_allclose(shares, [16, outer - 16, 100 - outer], rtol=1e-12)


def test_a_line_that_leaves_a_ring_and_comes_back_is_cut():
    bins = bins_of(PolarGrid((0.0, 10.0, 20.0), 1), 1.0)
    start, end = np.array([[-12.0, 6.0, 0.0]]), np.array([[12.0, 6.0, 0.0]])
    _, leaves = bins.crossed(start, end)
    assert leaves.tolist() == [0]

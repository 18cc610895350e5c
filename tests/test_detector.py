"""Detectors: presets agree with their publications, geometry adds up, YAML goes round, split undoes join."""

from __future__ import annotations

import math
import pickle
import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from caloforge.detector import CartesianGrid, Detector, NearestGrid, PolarGrid, load_detector, preset_names
from caloforge.detector.canonical import runs
from caloforge.errors import DetectorError

PRESETS = (
    "allegro",
    "calice-ahcal",
    "calice-siw",
    "calochallenge-1-photons",
    "calochallenge-1-pions",
    "calochallenge-2",
    "calochallenge-3",
    "calogan",
    "cld",
    "clic",
    "clic-angle",
    "crystals",
    "hgcal-like",
    "ild-15",
    "ild-5",
    "jet-image",
    "tiles",
)


@pytest.fixture(params=PRESETS)
def detector(request: pytest.FixtureRequest) -> Detector:
    return load_detector(request.param)


def test_presets_are_those_of_the_docs():
    assert preset_names() == list(PRESETS)


@pytest.mark.parametrize(
    ("name", "cells", "layers", "depth"),
    [
        ("calogan", 504, 3, 480.0),
        ("clic", 15625, 25, 129.2),
        ("clic-angle", 65025, 25, 129.2),
        ("allegro", 6336, 11, 405.499),
        ("calice-ahcal", 17280, 30, 822.9),
        ("calice-siw", 9720, 30, 199.5),
        ("cld", 36000, 40, 202.0),
        ("crystals", 81, 1, 230.0),
        ("tiles", 36, 3, 1520.0),
        ("hgcal-like", 3556, 28, 467.6),
        ("ild-15", 1500, 15, 201.65),
        ("ild-5", 720, 5, 201.65),
        ("jet-image", 625, 1, 1.0),
        ("calochallenge-1-photons", 368, 5, 5.0),
        ("calochallenge-1-pions", 533, 7, 7.0),
        ("calochallenge-2", 6480, 45, 153.0),
        ("calochallenge-3", 40500, 45, 153.0),
    ],
)
def test_presets_have_the_published_numbers(name, cells, layers, depth):
    detector = load_detector(name)
    assert (detector.n_cells, detector.n_layers, detector.depth) == (cells, layers, depth)


def test_calogan_is_the_published_calorimeter():
    detector = load_detector("calogan")
    assert [(layer.start, layer.end) for layer in detector.layers] == [(0, 90), (90, 437), (437, 480)]
    assert [layer.shape for layer in detector.layers] == [(3, 96), (12, 12), (12, 6)]
    assert [layer.grid.cell for layer in detector.layers] == [(160, 5), (40, 40), (40, 80)]
    assert len(detector.slabs) == 160
    assert sum(slab.thickness for slab in detector.slabs if slab.active) == 320
    assert detector.materials["LiquidArgon"].nist == {"G4_Ar": 1.0}
    assert detector.readout.deposits == "all"


def test_clic_has_17_thin_and_8_thick_layers_with_silicon_in_each():
    detector = load_detector("clic")
    tungsten = [slab.thickness for slab in detector.slabs if slab.material == "TungstenDens24"]
    assert tungsten == [2.4] * 17 + [4.8] * 8
    silicon = [slab for slab in detector.slabs if slab.active]
    for slab, layer in zip(silicon, detector.layers, strict=True):
        assert layer.start < slab.start < slab.end < layer.end
    assert detector.slabs[-1].end == detector.layers[-1].end == pytest.approx(17 * 4.4 + 8 * 6.8, abs=1e-9)


@pytest.mark.parametrize(
    ("name", "alpha", "rings"), [("calochallenge-2", 16, 9), ("calochallenge-3", 50, 18)]
)
def test_calochallenge_barrels_hold_two_silicon_tubes_per_layer(name, alpha, rings):
    detector = load_detector(name)
    assert {layer.shape for layer in detector.layers} == {(alpha, rings)}
    assert (detector.shape, detector.inner_radius, detector.readout.frame) == ("barrel", 800.0, "particle")
    assert detector.readout.threshold == pytest.approx(0.01515)
    assert detector.readout.threshold * detector.readout.sampling_fraction == pytest.approx(0.5e-3, rel=1e-3)
    assert len(detector.slabs) == 180
    for layer in detector.layers:
        inside = [s for s in detector.slabs if s.active and layer.start <= s.start and s.end <= layer.end]
        assert len(inside) == 2


def test_cells_fill_each_layer(detector):
    for layer in detector.layers:
        grid = layer.grid
        if isinstance(grid, CartesianGrid):
            area = grid.window[0] * grid.window[1]
        elif isinstance(grid, PolarGrid):
            area = math.pi * (grid.r_edges[-1] ** 2 - grid.r_edges[0] ** 2)
        else:  # a hexagon of this width
            area = math.sqrt(3) / 2 * grid.window[0] ** 2
        assert detector.volumes[layer.cells].sum() == pytest.approx(area * layer.thickness, rel=1e-12)
        assert (detector.layer_of_cell[layer.cells] == layer.index).all()


def test_positions_are_in_their_own_cell(detector):
    x, y, z = detector.positions.T
    for layer in detector.layers:
        found = layer.grid.index(x[layer.cells], y[layer.cells])
        np.testing.assert_array_equal(found, np.arange(layer.n_cells))
        assert ((layer.start < z[layer.cells]) & (z[layer.cells] < layer.end)).all()
    assert detector.sizes.shape == detector.positions.shape == (detector.n_cells, 3)
    assert [layer.cells.start for layer in detector.layers[1:]] == [
        layer.cells.stop for layer in detector.layers[:-1]
    ]


def test_volumes_are_the_product_of_sizes(detector):
    expected = detector.sizes.prod(axis=1)
    r = np.hypot(*detector.positions[:, :2].T)
    polar = np.array([isinstance(layer.grid, PolarGrid) for layer in detector.layers])[detector.layer_of_cell]
    expected = np.where(polar, expected * r, expected)
    if any(isinstance(layer.grid, NearestGrid) for layer in detector.layers):
        assert (detector.volumes < expected).all()  # those of the boxes around polygons
    else:
        np.testing.assert_allclose(detector.volumes, expected, rtol=1e-9)


def test_cached_arrays_cannot_be_changed(detector):
    with pytest.raises(ValueError, match="read-only"):
        detector.positions[0] = 0


def test_yaml_goes_round(detector):
    text = detector.to_yaml()
    again = Detector.from_yaml(text)
    assert again == detector
    assert hash(again) == hash(detector)
    assert again.to_yaml() == text
    assert [layer.grid for layer in again.layers] == [layer.grid for layer in detector.layers]
    assert again.slabs == detector.slabs


def test_detectors_travel_to_worker_processes(detector):
    assert pickle.loads(pickle.dumps(detector)).digest == detector.digest


def test_equal_detectors_have_equal_digests_however_they_are_written():
    short = """
        name: a
        size: [10 cm, 10 cm]
        stack: [{repeat: 4, slabs: [{material: G4_W, thickness: 0.3 cm}]}]
        readout:
          deposits: all
          layers:
            - {count: 2, thickness: 6 mm, grid: {kind: cartesian, window: [6 cm, 4 cm], cell: [2 cm, 1 cm]}}
    """
    long = """
        name: a
        size: [100 mm, 0.1 m]
        stack:
          - slabs: [{material: G4_W, thickness: 3 mm}]
          - {repeat: 3, slabs: [{material: G4_W, thickness: 3 mm}]}
        readout:
          deposits: all
          frame: detector
          layers:
            - {thickness: 6 mm, grid: {kind: cartesian, window: [60 mm, 40 mm], cells: [3, 4]}}
            - {name: layer_1, thickness: 6 mm, grid: {kind: cartesian, window: [60 mm, 40 mm], cells: [3, 4]}}
    """
    assert Detector.from_yaml(short) == Detector.from_yaml(long)
    other = Detector.from_yaml(short.replace("G4_W", "G4_Pb"))
    assert other != Detector.from_yaml(short)
    assert len({Detector.from_yaml(short), Detector.from_yaml(long), other}) == 2


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_split_gives_views_and_join_undoes_it(detector, library):
    cells = np.random.default_rng(0).random((3, detector.n_cells), dtype=np.float32)
    cells = cells if library == "numpy" else torch.from_numpy(cells)
    layers = detector.split(cells)
    assert [tuple(layer.shape) for layer in layers] == [(3, *layer.shape) for layer in detector.layers]
    assert (detector.join(layers) == cells).all()
    layers[-1][1, 0, 0] = -5.0
    assert cells[1, detector.layers[-1].cells.start] == -5.0
    no_showers = detector.split(cells[:0])
    assert [tuple(layer.shape) for layer in no_showers] == [(0, *layer.shape) for layer in detector.layers]


def test_split_and_join_refuse_showers_of_another_detector():
    calogan, clic = load_detector("calogan"), load_detector("clic")
    with pytest.raises(DetectorError, match="not showers of the detector 'clic'"):
        clic.split(np.zeros((2, 504)))
    with pytest.raises(DetectorError, match="not layers of the detector 'clic'"):
        clic.join(calogan.split(np.zeros((2, 504))))


@given(
    st.lists(st.sampled_from("AB"), max_size=12),
    st.integers(1, 30),
    st.lists(st.sampled_from("ABC"), max_size=9),
)
def test_runs_unfold_to_what_was_folded(first, repeat, last):
    items = first * repeat + last
    assert [item for count, period in runs(items) for item in [*period] * count] == items


def test_runs_find_the_shortest_period():
    assert list(runs("ABABABABC")) == [(4, "AB"), (1, "C")]
    assert list(runs("AAAA")) == [(4, "A")]
    assert list(runs("ABAC")) == [(1, "A"), (1, "B"), (1, "A"), (1, "C")]


@pytest.mark.slow
def test_the_largest_stack_goes_round_in_seconds():
    """The slowest case of folding: many slabs that hardly repeat."""
    rng = np.random.default_rng(0)
    slabs = [f"{{material: G4_Al, thickness: {t} um}}" for t in rng.integers(1, 40, 10_000)]
    text = f"""
        name: big
        size: [1 m, 1 m]
        stack: [{{slabs: [{", ".join(slabs)}]}}]
        readout:
          deposits: all
          layers: [{{thickness: 1 um, grid: {{kind: polar, alpha: 1, r_edges: "0, 1 mm"}}}}]
    """
    detector = Detector.from_yaml(text)
    start = time.process_time()
    canonical = detector.to_yaml()
    assert time.process_time() - start < 30
    assert Detector.from_yaml(canonical).slabs == detector.slabs


def test_two_groups_and_a_gap_between_layers():
    detector = Detector.from_yaml("""
        name: two
        size: [1 m, 1 m]
        stack: [{slabs: [{material: G4_WATER, thickness: 1 m}]}]
        readout:
          deposits: all
          layers:
            - {name: near, count: 2, thickness: 10 mm, grid: {kind: polar, alpha: 2, r_edges: "1, 2 cm"}}
            - name: far
              start: 500 mm
              thickness: 10 cm
              grid: {kind: polar, alpha: 1, r_cells: 2, r_size: 1 mm}
    """)
    places = [(layer.name, layer.id, layer.start, layer.end) for layer in detector.layers]
    assert places == [("near_0", 0, 0, 10), ("near_1", 1, 10, 20), ("far", 2, 500, 600)]
    assert detector.layers[0].grid == PolarGrid((10.0, 20.0), 2)
    assert detector.layers[2].grid == PolarGrid((0.0, 1.0, 2.0), 1)
    assert Detector.from_yaml(detector.to_yaml()) == detector


def test_readout_only_detectors_say_that_their_depth_is_nominal():
    assert load_detector("calochallenge-1-pions").depth_is_nominal
    assert not load_detector("calochallenge-2").depth_is_nominal


def test_a_detector_introduces_itself_briefly():
    assert repr(load_detector("calogan")) == "Detector('calogan', 3 layers, 504 cells, 160 slabs)"


def test_the_json_schema_for_editors_writes_quantities_as_text():
    thickness = Detector.model_json_schema()["$defs"]["SlabSpec"]["properties"]["thickness"]
    assert thickness["type"] == "string"

"""`convert --layers` and `--flatten`: the energies that are left, their detector, and what is said."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import caloforge as cf
from caloforge.detector import Detector, load_detector
from caloforge.errors import ShowersError
from caloforge.showers import Incident, Showers
from caloforge.showers.reduced import reduce
from test_formats_cli import run
from tiny_toys import planar

# Two grids in turn, so that not all layers of a grid follow each other.
MIXED = [(3, 4, 10), (3, 4, 20), (2, 2, 5), (3, 4, 7)]


def _showers(detector: Detector, n: int = 40) -> Showers:
    rng = np.random.default_rng(4)
    cells = rng.exponential(5, (n, detector.n_cells)) * (rng.random((n, detector.n_cells)) < 0.5)
    cells[0, detector.layers[1].cells] = 0
    outside = rng.exponential(1, (n, detector.n_layers)).astype(np.float32)
    incident = Incident.of(rng.uniform(1e3, 1e5, n), 11)
    return Showers(detector, incident, cells.astype(np.float32), outside, {"seed": 7})


def _stored(tmp_path: Path, detector: Detector) -> tuple[Showers, Path]:
    showers = _showers(detector)
    return showers, showers.save(tmp_path / "a.h5")


def test_kept_layers_hold_what_they_held(tmp_path: Path) -> None:
    before, file = _stored(tmp_path, load_detector("calogan"))
    done = cf.convert(file, tmp_path / "b.h5", layers=["layer_2", "layer_1"])
    after = Showers.load(tmp_path / "b.h5")
    assert after.detector.name == done.detector == "calogan-layer_1-layer_2"
    assert np.array_equal(after.cells, before.cells[:, 288:])
    assert after.overflow is not None
    assert before.overflow is not None
    assert np.array_equal(after.overflow, before.overflow[:, 1:])
    assert np.array_equal(after.incident.energy, before.incident.energy)
    share = before.cells[:, :288].sum() / before.cells.sum()
    assert f"left out with {share:.1%} of the energy in cells: layer_0" in done.notes
    assert after.provenance["seed"] == 7
    assert after.provenance["converted"][-1]["layers"] == {"layer_1": ["layer_1"], "layer_2": ["layer_2"]}


def test_kept_layers_stay_in_their_places() -> None:
    source = load_detector("calogan")
    made = reduce(source, ["layer_0", "layer_2"]).detector
    assert made.slabs == source.slabs
    assert [(x.name, x.id, x.start, x.thickness, x.grid) for x in made.layers] == [
        (x.name, x.id, x.start, x.thickness, x.grid) for x in (source.layers[0], source.layers[2])
    ]


def test_one_layer_of_25_is_named(tmp_path: Path) -> None:
    detector = reduce(load_detector("clic"), ["layer_7"]).detector
    assert (detector.name, detector.layers[0].id, detector.layers[0].start) == ("clic-layer_7", 7, 30.8)
    many = reduce(load_detector("clic"), [f"layer_{i}" for i in range(10)]).detector
    assert (many.name, many.n_layers) == ("clic-10-layers", 10)


def test_flattened_layers_are_sums_of_those_of_a_grid_that_follow_each_other(tmp_path: Path) -> None:
    before, file = _stored(tmp_path, Detector.from_yaml(planar(*MIXED)))
    done = cf.convert(file, tmp_path / "b.h5", flatten=True)
    after = Showers.load(tmp_path / "b.h5")
    a, b, c, d = before.layers()
    expected = [(a.astype(float) + b).astype(np.float32), c, d]
    for got, sums in zip(after.layers(), expected, strict=True):
        assert np.array_equal(got, sums)
    assert after.overflow is not None
    assert before.overflow is not None
    np.testing.assert_allclose(after.overflow[:, 0], before.overflow[:, :2].sum(1), rtol=1e-6)
    assert [(x.name, x.start, x.thickness) for x in after.detector.layers] == [
        ("a-b", 0, 30),
        ("c", 30, 5),
        ("d", 35, 7),
    ]
    assert after.detector.name == "tiny-flat"
    assert done.notes == ("a-b is the sum of 2 layers",)


def test_clic_becomes_one_image() -> None:
    source = load_detector("clic")
    flat = reduce(source, flatten=True)
    showers = _showers(source, 3)
    image = flat(showers)
    assert [layer.shape for layer in image.detector.layers] == [(25, 25)]
    assert image.detector.depth == source.depth
    assert image.detector.readout.centre == "barycentre"
    np.testing.assert_allclose(image.cells, showers.cells.reshape(3, 25, 625).sum(1), rtol=1e-5)


def test_layers_are_chosen_before_they_are_added_up(tmp_path: Path) -> None:
    before, file = _stored(tmp_path, Detector.from_yaml(planar(*MIXED)))
    done = cf.convert(file, tmp_path / "b.h5", layers=["a", "b", "d"], flatten=True)
    after = Showers.load(tmp_path / "b.h5")
    a, b, _, d = before.layers()
    np.testing.assert_allclose(after.layers()[0], a + b + d, rtol=1e-6)
    assert "a-d spans 5 mm that were not read out" in done.notes
    assert after.detector.layers[0].thickness == 42


def test_showers_that_nothing_is_left_of_are_counted(tmp_path: Path) -> None:
    _, file = _stored(tmp_path, Detector.from_yaml(planar(*MIXED)))
    done = cf.convert(file, tmp_path / "b.h5", layers=["b"])
    assert done.showers == 40
    assert any(
        note == "showers that hold energy in layers left out, and nothing now: 1" for note in done.notes
    )


def test_pieces_give_what_the_whole_gives(tmp_path: Path) -> None:
    detector = Detector.from_yaml(planar(*MIXED))
    showers, reduction = _showers(detector), reduce(detector, ["a", "b"], True)
    parts = [reduction(showers[i:j]) for i, j in pairwise((0, 7, 8, 40))]
    whole = reduce(detector, ["a", "b"], True)
    assert np.array_equal(np.concatenate([part.cells for part in parts]), whole(showers).cells)
    assert reduction.notes() == whole.notes()


def test_electronics_of_kept_layers_stay_with_them() -> None:
    text = planar(*MIXED) + "digitisation: {noise: [1 MeV, 2 MeV, 3 MeV, 4 MeV], crosstalk: 0.01}\n"
    source = Detector.from_yaml(text)
    kept = reduce(source, ["b", "d"]).detector.digitisation
    assert kept is not None
    assert (kept.noise, kept.crosstalk) == ((2, 4), (0.01,))
    flat = reduce(source, flatten=True)
    assert flat.detector.digitisation is None
    assert "the electronics of single layers are left out" in flat.notes()


def test_layers_of_unknown_depth_stay_so() -> None:
    source = Detector.from_yaml(planar(*[(3, 4, 10)] * 4).replace("thickness: 10 mm, ", ""))
    kept = reduce(source, ["b", "d"]).detector
    assert kept.depth_is_nominal
    assert [layer.id for layer in kept.layers] == [1, 3]
    flat = reduce(source, flatten=True).detector
    assert flat.depth_is_nominal
    assert [(layer.name, layer.shape) for layer in flat.layers] == [("a-d", (3, 4))]


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        (["layer_1", "layer_1"], "named twice"),
        (["layer_01"], r"no layer 'layer_01'(.|\n)*did you mean: *layer_1"),
        ([""], "no layer ''"),
    ],
)
def test_wrong_layers_are_named(layers: list[str], words: str) -> None:
    with pytest.raises(ShowersError, match=words):
        reduce(load_detector("calogan"), layers)


def test_layers_of_different_grids_cannot_be_added(tmp_path: Path) -> None:
    _, file = _stored(tmp_path, load_detector("calogan"))
    with pytest.raises(ShowersError, match="--flatten"):
        cf.convert(file, tmp_path / "b.h5", flatten=True)
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]


def test_the_command_does_the_same(tmp_path: Path) -> None:
    _, file = _stored(tmp_path, Detector.from_yaml(planar(*MIXED)))
    out = run("convert", file, tmp_path / "b.h5", "--layers", "a, b", "--flatten").output
    assert "40 showers of tiny-a-b-flat" in out
    assert "a-b is the sum of 2 layers" in out
    assert Showers.load(tmp_path / "b.h5").detector.n_cells == 12

"""`caloforge detector`: what is printed, JSON and nothing else, pictures of every preset."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from matplotlib.image import imread
from typer.testing import CliRunner

from caloforge.cli.detector import app
from caloforge.detector import Detector, load_detector, preset_names
from caloforge.detector.drawing import draw
from caloforge.detector.drawing.zoom import spread
from caloforge.detector.summary import describe, material_thickness, readout_rule, stack_runs
from caloforge.errors import DetectorError, OutputError


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_list_names_every_preset():
    text = run("list")
    assert all(name in text for name in preset_names())
    detectors = json.loads(run("list", "--json"))["detectors"]
    assert {d["name"]: d["n_cells"] for d in detectors}["calogan"] == 504


@pytest.mark.parametrize("name", preset_names())
def test_show_says_the_same_in_text_and_json(name):
    detector = load_detector(name)
    text, data = run("show", name), json.loads(run("show", name, "--json"))
    assert f"{detector.n_layers} layers, {detector.n_cells:,} cells" in text
    assert (data["n_cells"], data["digest"]) == (detector.n_cells, detector.digest)
    assert [layer["shape"] for layer in data["layers"]] == [list(layer.shape) for layer in detector.layers]
    for slab in detector.plates[:2]:
        assert f"{slab.material} {slab.thickness:g}" in text


def test_show_tells_a_readout_without_a_stack():
    assert "cannot be simulated" in run("show", "calochallenge-1-pions")


def test_a_wrong_file_is_an_error(tmp_path):
    (tmp_path / "mine.yaml").write_text("name: mine\nreadout: {deposit: all}\n")
    with pytest.raises(DetectorError, match="unknown key 'deposit'"):
        run("show", str(tmp_path / "mine.yaml"))


def test_the_stack_is_folded_and_its_materials_add_up():
    detector = load_detector("clic")
    assert [(r.repeat, len(r.slabs), r.start, r.end) for r in stack_runs(detector)] == [
        (17, 7, 0, 74.8),
        (8, 7, 74.8, 129.2),
    ]
    total = material_thickness(detector.slabs)
    assert total["TungstenDens24"] == pytest.approx(17 * 2.4 + 8 * 4.8)
    assert total["G4_Si"] == pytest.approx(12.5)
    assert sum(total.values()) == pytest.approx(detector.depth)
    assert next(iter(total)) == "TungstenDens24"


def test_the_readout_rule_in_words():
    assert readout_rule(load_detector("calogan")).startswith("A cell is the energy deposited in all slabs.")
    rule = readout_rule(load_detector("calochallenge-2"))
    assert "in G4_Si, divided by the sampling fraction 0.033; below 15.15 keV it is 0" in rule
    assert "along the particle's direction" in rule
    assert "barycentre" in readout_rule(load_detector("clic"))


def test_the_description_is_plain_json(tmp_path):
    for name in preset_names():
        json.dumps(describe(load_detector(name)), allow_nan=False)


DRAWN_ALWAYS = ("calogan", "calochallenge-1-photons", "calochallenge-3")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in DRAWN_ALWAYS else pytest.mark.slow) for n in preset_names()]
)
def test_every_preset_is_drawn(name, tmp_path):
    path = tmp_path / "picture.png"
    data = json.loads(run("plot", name, "--out", str(path), "--json"))
    detector = load_detector(name)
    assert data["layers"][0] == detector.layers[0].name
    assert len(data["layers"]) == len({layer.grid for layer in detector.layers})
    pixels = imread(path)
    assert pixels.shape[1] > 1000
    # Material colours, borders and text: far more than an empty page.
    assert (pixels[..., :3] < 0.9).any(axis=-1).mean() > 0.03


def test_chosen_layers_and_other_formats(tmp_path):
    detector = load_detector("calogan")
    assert draw(detector, tmp_path / "a.svg", ["layer_2", "layer_0"]) == ["layer_2", "layer_0"]
    svg = (tmp_path / "a.svg").read_text()
    assert "<svg" in svg
    # The chosen layers, in the order asked for, are the ones labelled.
    assert svg.index("<!-- layer_2: 12 x 6 cells") < svg.index("<!-- layer_0: 3 x 96 cells")


@pytest.mark.parametrize(
    ("out", "layers", "words"),
    [
        ("a.png", ["layer_3"], ["no layer 'layer_3'", "did you mean: layer_"]),
        ("a.jpeg2", None, [".pdf, .png, .svg"]),
        ("no/folder/a.png", None, ["no such folder"]),
    ],
)
def test_pictures_that_cannot_be(tmp_path, out, layers, words):
    with pytest.raises((DetectorError, OutputError)) as caught:
        draw(load_detector("calogan"), tmp_path / out, layers)
    assert all(word in str(caught.value) for word in words)


def test_odd_detectors_are_drawn_too(tmp_path):
    """One slab, one cell; many different slabs; a gap before the readout."""
    one = """
        name: one
        size: [10 mm, 10 mm]
        stack: [{slabs: [{material: G4_WATER, thickness: 3 mm}]}]
        readout:
          deposits: all
          layers: [{start: 1 mm, thickness: 1 mm, grid: {kind: polar, alpha: 1, r_edges: "1, 2 mm"}}]
    """
    slabs = ", ".join(f"{{material: G4_Al, thickness: {i} mm}}" for i in range(1, 9))
    many = one.replace("{material: G4_WATER, thickness: 3 mm}", slabs)
    for i, text in enumerate((one, many)):
        assert draw(Detector.from_yaml(text), tmp_path / f"{i}.png") == ["layer_0"]


def test_active_slabs_are_marked_by_a_word_and_by_hatching(tmp_path):
    """Colours alone say nothing in a log, in print, or to some eyes."""
    assert "G4_W 1.4 + G4_Si 0.3 (active)" in run("show", "calochallenge-2")
    draw(load_detector("calochallenge-2"), tmp_path / "barrel.svg")
    svg = (tmp_path / "barrel.svg").read_text()
    assert "<!-- G4_Si (active) -->" in svg
    assert "fill: url(#h" in svg  # matplotlib's hatches


def test_a_barrel_speaks_of_its_radius(tmp_path):
    barrel, planar = load_detector("calochallenge-2"), load_detector("clic")
    assert "radial depth mm" in run("show", barrel.name)
    assert "along the radius" in run("show", barrel.name)
    assert "along the z axis" in run("show", planar.name)
    in_place = barrel.model_copy(update={"readout": barrel.readout.model_copy(update={"frame": "detector"})})
    assert "Depth runs along the radius; cells are centred on the radius" in readout_rule(in_place)
    for detector, label in ((barrel, "depth along the radius"), (planar, "depth along the z axis")):
        draw(detector, tmp_path / f"{detector.name}.svg")
        assert label in (tmp_path / f"{detector.name}.svg").read_text()


DOCS = Path(__file__).parents[1] / "docs" / "detectors.md"


def test_the_tutorial_does_what_it_says(tmp_path, monkeypatch):
    """The YAML, the Python and the error message of docs/detectors.md are the real ones."""
    text = DOCS.read_text(encoding="utf-8")
    blocks = dict(re.findall(r"```(yaml|python)\n(.*?)```", text, re.DOTALL)[:2])
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(blocks["yaml"])
    exec(compile(blocks["python"], "docs/detectors.md", "exec"), {})
    with pytest.raises(DetectorError) as caught:
        Detector.from_yaml(blocks["yaml"].replace("G4_POLYSTYRENE", "G4_POLYSTYREN"), "mine.yaml")
    error = re.search(
        r"```text\n\$ caloforge detector show mine.yaml\ncaloforge: error: (.*?)```", text, re.DOTALL
    )
    assert error is not None
    assert str(caught.value) == error[1].rstrip()


def test_labels_of_thin_slabs_are_apart_and_moved_as_little_as_possible() -> None:
    moved = spread([0.0, 5.0, 5.1, 5.2, 9.0], 1.0)
    assert moved == pytest.approx([0.0, 4.1, 5.1, 6.1, 9.0])  # around their mean, the others stay
    assert spread([1.0, 1.0], 0.5) == pytest.approx([0.75, 1.25])
    assert spread([], 1.0).size == 0

"""CaloChallenge binning files: read as they are, written as they were, equal to the presets."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from caloforge.cli.detector import app
from caloforge.detector import Detector, PolarGrid, load_detector, read_binning_xml, write_binning_xml
from caloforge.errors import DetectorError, OutputError

OFFICIAL = {
    "calochallenge-1-photons": "binning_dataset_1_photons.xml",
    "calochallenge-1-pions": "binning_dataset_1_pions.xml",
    "calochallenge-2": "binning_dataset_2.xml",
    "calochallenge-3": "binning_dataset_3.xml",
}
TWO_PARTICLES = """\
<Bins>
  <Bin pid="22" etaMin="20" etaMax="25.5" name="photon">
    <Layer id="0" r_edges="0,2.5,10" n_bin_alpha="4" />
    <Layer id="1" r_edges="0" n_bin_alpha="1" />
    <Layer id="2" r_edges="0, 1, 2, 4" n_bin_alpha="1" />
    <Layer id="3" r_edges="0" n_bin_alpha="1" />
  </Bin>
  <Bin pid="-211" name="pion"><Layer id="0" r_edges="5,6" n_bin_alpha="2" /></Bin>
</Bins>
"""


@pytest.fixture
def two_particles(tmp_path):
    path = tmp_path / "binning.xml"
    path.write_text(TWO_PARTICLES)
    return path


def test_empty_layers_ids_and_ranges_are_kept(two_particles):
    photon = read_binning_xml(two_particles, "photon")
    assert [(layer.name, layer.id) for layer in photon.layers] == [("layer_0", 0), ("layer_2", 2)]
    assert [layer.grid for layer in photon.layers] == [
        PolarGrid((0.0, 2.5, 10.0), 4),
        PolarGrid((0.0, 1.0, 2.0, 4.0), 1),
    ]
    assert photon.binning.model_dump() == {
        "particle": "photon",
        "pid": 22,
        "eta": (20.0, 25.5),
        "layer_ids": 4,
    }
    assert photon.depth_is_nominal
    assert Detector.from_yaml(photon.to_yaml()) == photon
    pion = read_binning_xml(two_particles, "pion")
    assert (pion.binning.pid, pion.binning.eta, pion.layers[0].grid) == (-211, None, PolarGrid((5.0, 6.0), 2))


@pytest.mark.parametrize("particle", [None, "kaon", "photn"])
def test_a_file_with_several_particles_must_be_told_which(two_particles, particle):
    with pytest.raises(DetectorError) as caught:
        read_binning_xml(two_particles, particle)
    assert "one of photon, pion" in str(caught.value)
    assert ("did you mean: photon" in str(caught.value)) == (particle == "photn")


@pytest.mark.parametrize("particle", ["Photon", "gamma", "22"])
def test_a_particle_may_have_any_of_its_names(two_particles, particle):
    assert read_binning_xml(two_particles, particle) == read_binning_xml(two_particles, "photon")


SLICES = """\
<Bins>
  <Particle pid="11" name="electron" latentDim="50">
    <Bin etaMin="0" etaMax="130"><Layer id="0" r_edges="0,5,10" n_bin_alpha="1"/></Bin>
    <Bin etaMin="130" etaMax="135"><Layer id="0" r_edges="0,5,10,15" n_bin_alpha="1"/></Bin>
  </Particle>
</Bins>
"""


def test_slices_of_eta_are_told_apart(tmp_path):
    """FastCaloGAN's version 2: bins below particles, several of each."""
    path = tmp_path / "binning.xml"
    path.write_text(SLICES)
    with pytest.raises(DetectorError, match="0 to 130, 130 to 135"):
        read_binning_xml(path)
    with pytest.raises(DetectorError, match="0 to 130, 130 to 135"):
        read_binning_xml(path, "electron", eta=135)
    found = read_binning_xml(path, "electron", eta=130)
    assert (found.n_cells, found.binning.eta, found.binning.pid) == (3, (130.0, 135.0), 11)
    assert read_binning_xml(path, eta=0).n_cells == 2


def test_a_binning_file_is_a_detector_file(tmp_path):
    """Told by its content, whatever its name; a particle goes by any of its names."""
    path = tmp_path / "slices.yaml"
    path.write_text(SLICES, encoding="utf-16")
    assert load_detector(path, "electron", 130) == read_binning_xml(path, "electron", 130)
    for name in ("e-", "11", " electron"):
        assert load_detector(path, name, 0).n_cells == 2
    with pytest.raises(DetectorError, match="one of electron"):
        load_detector(path, "e+", 0)
    for other in ("calogan", tmp_path / "mine.yaml"):
        (tmp_path / "mine.yaml").write_text(load_detector("calogan").to_yaml())
        with pytest.raises(DetectorError, match="leave --particle and --eta out"):
            load_detector(other, eta=1.0)


def test_the_command_shows_a_slice(tmp_path):
    path = tmp_path / "binning.xml"
    path.write_text(SLICES)
    shown = CliRunner().invoke(app, ["show", str(path), "--eta", "131"], catch_exceptions=False).stdout
    assert "PDG id 11, eta from 130 to 135" in shown
    assert "1 layers, 3 cells" in shown
    with pytest.raises(DetectorError, match="0 to 130, 130 to 135") as caught:
        CliRunner().invoke(app, ["show", str(path)], catch_exceptions=False)
    assert "--eta" in str(caught.value)


def test_written_files_read_back_equal(two_particles, tmp_path):
    photon = read_binning_xml(two_particles, "photon")
    out = tmp_path / "again" / "binning.xml"
    out.parent.mkdir()
    write_binning_xml(photon, out)
    assert read_binning_xml(out) == photon
    assert _content(out) == _content(two_particles)[:1]


def _content(path):
    """All that a binning file says, whatever its spacing."""
    return [
        (
            dict(element.attrib),
            [
                (
                    layer.get("id"),
                    [float(edge) for edge in layer.get("r_edges").split(",")],
                    layer.get("n_bin_alpha"),
                )
                for layer in element
            ],
        )
        for element in ElementTree.parse(path).getroot()
    ]


@pytest.mark.parametrize("name", OFFICIAL)
def test_presets_are_the_official_binning(name, published, tmp_path):
    path = published / "calochallenge" / OFFICIAL[name]
    official, preset = read_binning_xml(path), load_detector(name)
    assert [(layer.id, layer.name, layer.grid) for layer in preset.layers] == [
        (layer.id, layer.name, layer.grid) for layer in official.layers
    ]
    # Reading and writing loses nothing, from the file as from the preset.
    for i, detector in enumerate((official, preset)):
        out = tmp_path / f"{i}.xml"
        write_binning_xml(detector, out)
        assert _content(out) == _content(path)


@pytest.mark.parametrize("name", OFFICIAL)
def test_presets_go_through_xml(name, tmp_path):
    preset = load_detector(name)
    write_binning_xml(preset, tmp_path / "binning.xml")
    again = read_binning_xml(tmp_path / "binning.xml")
    assert [layer.grid for layer in again.layers] == [layer.grid for layer in preset.layers]
    assert [layer.id for layer in again.layers] == [layer.id for layer in preset.layers]
    assert (again.binning.particle, again.binning.pid) == (preset.binning.particle, preset.binning.pid)


BROKEN = {
    "<Bins": "not XML",
    "": "not XML",
    "<Bins/>": "not a binning file",
    '<!DOCTYPE x [<!ENTITY a "b">]><Bins>&a;</Bins>': "DOCTYPE",
    '<Bins><Bin pid="1" name="a"/></Bins>': "1 or more of them",
    '<Bins><Bin pid="1" name="a"><Layer id="0" n_bin_alpha="1"/></Bin></Bins>': "no attribute 'r_edges'",
    '<Bins><Bin name="a"><Layer id="0" r_edges="0,1" n_bin_alpha="1"/></Bin></Bins>': "no attribute 'pid'",
    '<Bins><Bin pid="1" name="a"><Layer id="1" r_edges="0,1" n_bin_alpha="1"/></Bin></Bins>': "count from 0",
    '<Bins><Bin pid="1" name="a"><Layer id="0" r_edges="0,1" n_bin_alpha="x"/></Bin></Bins>': "whole number",
    '<Bins><Bin pid="1" name="a"><Layer id="0" r_edges="0,1" n_bin_alpha="0"/></Bin></Bins>': "1 or more",
    '<Bins><Bin pid="1" name="a"><Layer id="0" r_edges="0,2,1" n_bin_alpha="1"/></Bin></Bins>': "increase",
    '<Bins><Bin pid="1" name="a"><Layer id="0" r_edges="0,oh" n_bin_alpha="1"/></Bin></Bins>': "oh mm",
}


@pytest.mark.parametrize("text", BROKEN, ids=range(len(BROKEN)))
def test_wrong_binning_files(text, tmp_path):
    path = tmp_path / "binning.xml"
    path.write_text(text)
    with pytest.raises(DetectorError) as caught:
        read_binning_xml(path)
    assert BROKEN[text] in str(caught.value)
    assert str(path) in str(caught.value)


def test_entities_are_refused_in_any_encoding(tmp_path):
    text = '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE x [<!ENTITY a "b">]><Bins>&a;</Bins>'
    (tmp_path / "binning.xml").write_bytes(text.encode("utf-16"))
    with pytest.raises(DetectorError, match="not a binning file") as caught:
        read_binning_xml(tmp_path / "binning.xml")
    assert "DOCTYPE" in str(caught.value)


def test_layers_without_end_are_refused(tmp_path):
    layers = "".join(f'<Layer id="{i}" r_edges="0,1" n_bin_alpha="1"/>' for i in range(3000))
    (tmp_path / "binning.xml").write_text(f'<Bins><Bin pid="22" name="photon">{layers}</Bin></Bins>')
    with pytest.raises(DetectorError, match="too many layers"):
        read_binning_xml(tmp_path / "binning.xml")


def test_a_binning_file_that_is_not_there():
    with pytest.raises(DetectorError, match="cannot be read"):
        read_binning_xml("no/such.xml")


def test_only_polar_detectors_with_a_particle_can_be_written(tmp_path):
    with pytest.raises(DetectorError, match="which particle"):
        write_binning_xml(load_detector("calogan"), tmp_path / "x.xml")
    text = load_detector("calogan").to_yaml() + "binning: {particle: electron, pid: 11}\n"
    with pytest.raises(DetectorError, match="polar grids only"):
        write_binning_xml(Detector.from_yaml(text), tmp_path / "x.xml")


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(OutputError, match="no such folder"):
        write_binning_xml(load_detector("calochallenge-2"), tmp_path / "no" / "x.xml")

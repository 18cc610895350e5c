"""Geant4's materials: by common words, and what they are to a shower."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from caloforge.cli.main import app
from caloforge.detector import Detector
from caloforge.detector.nist import ELEMENTS, NIST_MATERIALS, nearest_material
from caloforge.errors import DetectorError

WORDS = {
    "lead": "G4_Pb",
    "Tungsten": "G4_W",
    "iron": "G4_Fe",
    "steel": "G4_STAINLESS-STEEL",
    "COPPER": "G4_Cu",
    "scintillator": "G4_PLASTIC_SC_VINYLTOLUENE",
    "plastic": "G4_PLASTIC_SC_VINYLTOLUENE",
    "LAr": "G4_lAr",
    "PbWO4": "G4_PbWO4",
    "silicon": "G4_Si",
    "air": "G4_AIR",
    "brass": "G4_BRASS",
    "water": "G4_WATER",
    "glass": "G4_GLASS_PLATE",
    "aluminium": "G4_Al",
    "liquid argon": "G4_lAr",
    "g4_pb": "G4_Pb",
    "Pb": "G4_Pb",
    "lead_glass": "G4_GLASS_LEAD",
    "polystyrene": "G4_POLYSTYRENE",
    "G4_POLYSTYREN": "G4_POLYSTYRENE",
}
# The Review of Particle Physics: radiation length, Moliere radius and interaction length in mm.
PUBLISHED = {
    "G4_Pb": (5.612, 16.02, 175.9),
    "G4_W": (3.504, 9.327, 99.46),
    "G4_Fe": (17.57, 17.19, 167.7),
    "G4_Cu": (14.36, 15.68, 153.2),
    "G4_Si": (93.70, 49.44, 465.2),
    "G4_WATER": (360.8, 97.68, 833.2),
    "G4_PbWO4": (8.903, 19.59, 202.7),
    "G4_BGO": (11.18, 22.59, 223.2),
    "G4_SODIUM_IODIDE": (25.88, 41.05, 421.0),
    "G4_lAr": (140.0, 90.43, 857.2),
}


@pytest.mark.parametrize(("word", "name"), WORDS.items())
def test_common_words_lead_to_the_material(word, name):
    assert nearest_material(word, NIST_MATERIALS) == name


def test_a_detector_of_lead_is_told_the_name_of_lead():
    text = """
        name: mine
        size: [10 mm, 10 mm]
        stack: [{slabs: [{material: lead, thickness: 3 mm}]}]
        readout:
          deposits: all
          layers: [{thickness: 3 mm, grid: {kind: polar, alpha: 1, r_edges: "0, 2 mm"}}]
    """
    with pytest.raises(DetectorError) as caught:
        Detector.from_yaml(text)
    assert "did you mean: G4_Pb" in str(caught.value)
    assert "caloforge detector materials" in str(caught.value)


@pytest.mark.parametrize(("name", "numbers"), PUBLISHED.items())
def test_lengths_are_the_published_ones(name, numbers):
    found, (radiation, moliere, interaction) = NIST_MATERIALS[name], numbers
    assert found.radiation_length == pytest.approx(radiation, rel=0.003)
    assert found.moliere_radius == pytest.approx(moliere, rel=0.04)
    assert found.interaction_length == pytest.approx(interaction, rel=0.01)


def test_the_elements_are_those_of_the_periodic_table():
    assert (len(ELEMENTS), ELEMENTS[0], ELEMENTS[25], ELEMENTS[91]) == (98, "H", "Fe", "U")


def _listed(*words: str) -> list[dict]:
    result = CliRunner().invoke(app, ["detector", "materials", *words, "--json"], catch_exceptions=False)
    return json.loads(result.stdout)["materials"]


def test_the_command_lists_all_some_or_says_what_is_near():
    assert len(_listed()) == 309
    assert [row["name"] for row in _listed("lead")] == ["G4_Pb", "G4_GLASS_LEAD", "G4_LEAD_OXIDE"]
    assert {"G4_lAr", "G4_lKr", "G4_lXe"} <= {row["name"] for row in _listed("G4_l*")}
    assert _listed("tungsten")[0] == {
        "name": "G4_W",
        "density": 19.3,
        "radiation_length": 3.504,
        "moliere_radius": 9.165,
        "interaction_length": 99.43,
        "electron_density": 7.76864,
        "mean_excitation_energy": 727,
    }
    error = CliRunner().invoke(app, ["detector", "materials", "polystyrol"]).exception
    assert "did you mean: G4_POLYSTYRENE" in str(error)


def test_the_table_for_people_has_the_same_numbers():
    text = CliRunner().invoke(app, ["detector", "materials", "PbWO4"], catch_exceptions=False).stdout
    assert all(number in text for number in ("G4_PbWO4", "8.28", "8.924", "20.02", "203.1"))


@pytest.mark.geant4
def test_names_and_densities_are_those_of_geant4():
    import calzone

    for name, material in NIST_MATERIALS.items():
        assert calzone.describe(material=name).density == pytest.approx(material.density, rel=1e-5)
